"""Two processes train, validate and test what one process does with twice the batch size.

This file is also the program of those processes: each runs every variant, one after the other, and leaves what it has.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import lightning
import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from safetensors.torch import load_file, save_file
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel

import faceinsight
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.data.table import FaceTable
from faceinsight.files import replacing
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import EvidenceClassifier, TokenClassifier
from faceinsight.models.face_insight import FaceInsight
from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.modules.projector import Projector
from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
from faceinsight.modules.text_encoder import TextEncoder
from faceinsight.modules.vision.face_parser import FaceParser
from faceinsight.training.callbacks import CacheFeatures, FrozenCheck, GradientCheck
from faceinsight.training.configure import FaceCLI
from faceinsight.training.systems import (
    AttributeSystem,
    BatchStatisticsError,
    ParserSystem,
    TrainingSystem,
    check_batch_statistics,
)
from tests.modules.checkpoints import write_llava

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:Found .* module",  # Frozen ones
    "ignore:constant on the",  # so few faces, so many of their labels undefined
)

FACES = {"count": 57, "image_size": 32, "seed": 0, "workers": 1, "progress": False}
SCHEMA, RULES = Schema.load("synthfaces"), RuleSet.load("synthfaces")
STEPS, BATCH, PROCESSES = 7, 8, 2


class Uneven:
    """Drawn faces of which one in two has hardly a defined label; ``held_out`` of them validate, as many test."""

    def __init__(self, root: Path, held_out: int = 9) -> None:
        self.faces, self.held_out = SynthFaces(root=root, **FACES), held_out

    def prepare(self) -> None:
        self.faces.prepare()

    def table(self) -> FaceTable:
        table = self.faces.table()
        count, generator = len(table), torch.Generator().manual_seed(0)
        share = torch.where(torch.rand(count, 1, generator=generator) < 0.5, 0.03, 0.95)
        defined = torch.rand(table.labels.shape, generator=generator) < share
        split = ("train",) * (count - 2 * self.held_out) + ("val",) * self.held_out + ("test",) * self.held_out
        return replace(table, labels=table.labels * defined, split=split, identity=torch.arange(count))


def vit() -> ImageEncoder:
    return ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})


def regions(embed_dim: int = 16) -> SegmentationEncoder:
    return SegmentationEncoder(parser=None, route=RegionTokens(image_dim=12, embed_dim=embed_dim))


def drawn_map() -> SegmentationEncoder:
    return SegmentationEncoder(parser=None, route=MapTokens(image_encoder=Frozen(vit()), embed_dim=16))


def face_insight(data: FaceDataModule, **parts: Callable[[FaceDataModule], nn.Module]) -> FaceInsight:
    return FaceInsight(
        schema=SCHEMA,
        image_encoder=Frozen(vit()),
        projector=Projector(in_dim=12, out_dim=16),
        text_encoder=TextEncoder(),
        query=AttributeQuery(prompt_dim=16, embed_dim=16),
        language_model=Frozen(LanguageModel.from_config(embed_dim=16, depth=1, num_heads=2)),
        head=SharedHead(embed_dim=16),
        **{name: build(data) for name, build in parts.items()},
    )


def correlation(data: FaceDataModule) -> CorrelationConstraint:
    graph = LabelGraph.from_labels(data.train_labels(), SCHEMA, threshold=0.4, reweight=0.2)
    return CorrelationConstraint(embed_dim=16, graph=graph)


def classifier(encoder: nn.Module, **options: Any) -> TokenClassifier:
    return TokenClassifier(schema=SCHEMA, image_encoder=encoder, **options)


def group_norm_trunk() -> ImageEncoder:
    return ImageEncoder(name="resnet18", image_size=32, options={"norm_layer": "groupnorm"}, feature_index=1)


def group_norm_parser() -> FaceParser:
    options = {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 64, "decoder_dropout": 0.0}
    return FaceParser(image_size=32, encoder="tu-test_resnet", options={**options, "norm_layer": "groupnorm1"})


def evidence(data: FaceDataModule, **options: Any) -> Evidence:
    """On 12 numbers of the image and 6 of each part, and fitted in each process by itself."""
    gain = CooccurrenceGain(graph=LabelGraph.from_labels(data.train_labels(), SCHEMA), **options)
    return Evidence.for_schema(schema=SCHEMA, num_features=12 + 19 * 6, gain=gain)


def with_evidence(data: FaceDataModule, **options: Any) -> nn.Module:
    return face_insight(data, segmentation=lambda _: regions(), evidence=lambda data: evidence(data, **options))


def evidence_only(data: FaceDataModule) -> nn.Module:
    return EvidenceClassifier(
        schema=SCHEMA, image_encoder=Frozen(vit()), segmentation=regions(), evidence=evidence(data)
    )


def logical(kind: str = "semantic") -> LogicalConstraint:
    return LogicalConstraint(rules=RULES, kind=kind)


class LastGradients(lightning.Callback):
    """Keeps the gradients that the optimiser used last: AdamW alone would hide a wrong scale."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        named = pl_module.network.named_parameters()
        self.kept = {name: each.grad.clone() for name, each in named if each.grad is not None}


class FSDPOnCPU(FSDPStrategy):
    """Lightning's own, which asks for a GPU, without that: torch's FSDP runs on a CPU too."""

    def _setup_model(self, model: nn.Module) -> nn.Module:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)


@dataclass
class Variant:
    """What is trained, and how."""

    network: Callable[[FaceDataModule], nn.Module]
    options: dict[str, Any] = field(default_factory=dict)
    limit_train: int | None = None
    held_out: int = 9
    cached: bool = False
    seeds_differ: bool = False
    sharded: bool = False
    mean_of_means: bool = False
    image_size: int = 32
    accumulate: int = 1  # of several processes; one alone takes as many faces at once

    def system(self, data: FaceDataModule) -> TrainingSystem:
        network = self.network(data)
        if isinstance(network, FaceParser):
            return ParserSystem(network=network, lr=0.01)
        return AttributeSystem(network=network, rules=RULES, **{"lr": 0.01, **self.options})


def image_only(data: FaceDataModule) -> nn.Module:
    return face_insight(data)


def full(data: FaceDataModule) -> nn.Module:
    return face_insight(data, segmentation=lambda _: regions(), correlation=correlation)


def paper(data: FaceDataModule) -> nn.Module:
    """The paper's own form on a tiny LLaVA: vision tower, parser's regions, GCN over prompts, adapters in the LLM."""
    return FaceInsight.from_llava(
        data.source.faces.root / "llava",
        schema=SCHEMA,
        dtype="float32",
        lora={"rank": 2, "targets": "all-linear"},
        segmentation=SegmentationEncoder(parser=None, route=RegionTokens(image_dim=24, embed_dim=32)),
        text_encoder=TextEncoder(),
        correlation=CorrelationConstraint(
            graph=LabelGraph.from_labels(data.train_labels(), SCHEMA, threshold=0.4, reweight=0.2), embed_dim=32
        ),
        query=AttributeQuery(prompt_dim=32, embed_dim=32),
        head=SharedHead(embed_dim=32),
        question="",
    )


VARIANTS = {
    "full": Variant(full, {"logical": logical(), "logical_weight": 0.1}, cached=True),
    "image only": Variant(image_only),
    "image + segmentation": Variant(lambda data: face_insight(data, segmentation=lambda _: regions())),
    "map route": Variant(lambda data: face_insight(data, segmentation=lambda _: drawn_map())),
    "image + correlation": Variant(lambda data: face_insight(data, correlation=correlation)),
    "semantic": Variant(image_only, {"logical": logical()}),
    "conditional": Variant(image_only, {"logical": logical("conditional"), "bce_weight": 0.0}),
    "balanced": Variant(image_only, {"class_weight": "balanced"}),
    "no LLM": Variant(lambda _: classifier(Frozen(vit()), embed_dim=12, segmentation=regions(12))),
    "plain ViT": Variant(lambda _: classifier(vit(), embed_dim=12), seeds_differ=True),
    "group norm": Variant(lambda _: classifier(group_norm_trunk(), embed_dim=64)),
    "evidence": Variant(with_evidence, cached=True),
    "evidence, trained gain, fewer faces than a batch": Variant(
        lambda data: with_evidence(data, trained=True), limit_train=5
    ),
    "evidence alone": Variant(evidence_only),
    "face parser": Variant(lambda _: group_norm_parser()),
    "fewer faces than a batch": Variant(image_only, limit_train=3),
    "one face": Variant(image_only, {"logical": logical()}, limit_train=1, held_out=1),
    "parser, one face": Variant(lambda _: group_norm_parser(), limit_train=1, held_out=1),
    "accumulated": Variant(full, {"logical": logical("conditional")}, accumulate=2),
    "the paper's form": Variant(paper, {"logical": logical(), "logical_weight": 0.01}, image_size=33),
    "sharded": Variant(full, {"logical": logical(), "weight_decay": 20.0}, sharded=True),
}
WRONG = {"mean of means": replace(VARIANTS["image only"], mean_of_means=True)}


def mean_of_means(total: Tensor, count: Tensor) -> Tensor:
    """What comes out if every process divides by its own count."""
    return total / count.clamp(min=1)


def trainer_of(variant: Variant, features: Path, processes: int, accelerator: str) -> lightning.Trainer:
    callbacks = [LastGradients(), GradientCheck(), FrozenCheck()]
    if variant.cached:
        callbacks.append(CacheFeatures(folder=str(features)))
    sharded = "fsdp" if accelerator == "gpu" else FSDPOnCPU()
    strategy = "auto" if processes == 1 else sharded if variant.sharded else "ddp"
    precision = "32-true" if variant.sharded else "64-true"
    return lightning.Trainer(
        accelerator=accelerator, devices=processes, strategy=strategy, precision=precision, max_steps=STEPS,
        num_sanity_val_steps=0, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=callbacks,
        accumulate_grad_batches=1 if processes == 1 else variant.accumulate,
    )  # fmt: skip


def carried_out(
    variant: Variant, root: Path, features: Path, processes: int = 1, rank: int = 0, accelerator: str = "cpu"
) -> dict[str, Tensor]:
    """Train, validate and test; what was logged, the test faces, the trained tensors and their last gradients."""
    torch.manual_seed(rank if variant.seeds_differ else 0)
    data = FaceDataModule(
        source=Uneven(root, variant.held_out),
        image_size=variant.image_size,
        batch_size=BATCH * variant.accumulate if processes == 1 else BATCH // processes,
        limit_train=variant.limit_train,
    )
    system, trainer = variant.system(data), trainer_of(variant, features, processes, accelerator)
    if any(each.requires_grad for each in system.parameters()):
        trainer.fit(system, datamodule=data)
        assert trainer.global_step == STEPS
    found = dict(trainer.callback_metrics)
    if variant.accumulate > 1:  # the log tells each batch's share
        found = {key: each for key, each in found.items() if not key.startswith("train/")}
    if variant.sharded:  # each process holds a part of the tensors; Lightning cannot shard them again for a test
        return found
    last = getattr(trainer.callbacks[0], "kept", {})
    found |= {f"gradient/{name}": each for name, each in last.items()}
    found |= {f"trained/{name}": system.network.get_parameter(name).detach().clone() for name in last}
    trainer.test(system, datamodule=data, verbose=False)
    found |= dict(trainer.callback_metrics)
    if isinstance(system, AttributeSystem):
        found |= {"probability": system.test_probability, "index": system.test_index}
        if system.evidence is not None:
            found |= {f"evidence/{name}": each.detach() for name, each in system.evidence.state_dict().items()}
    return found


def main(root: Path, out: Path, accelerator: str, *names: str) -> None:
    """One of the processes."""
    rank = int(os.environ["LOCAL_RANK"])
    for name in names:
        variant = (VARIANTS | WRONG)[name]
        wrong = mock.patch("faceinsight.training.systems.mean_over_processes", mean_of_means)
        with wrong if variant.mean_of_means else nullcontext():
            found = carried_out(variant, root, out / "features", PROCESSES, rank, accelerator)
        with replacing(out / f"{name}-{rank}.safetensors") as temporary:
            save_file({key: each.contiguous() for key, each in found.items()}, temporary)


@dataclass(frozen=True)
class AtWork:
    """The processes that leave what they find in a folder."""

    folder: Path
    processes: list[subprocess.Popen]


@contextmanager
def processes_at_work(root: Path, out: Path, accelerator: str, names: Iterable[str]) -> Iterator[AtWork]:
    """Two processes, started at once: Lightning starts no others where a rank is given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0", "OMP_NUM_THREADS": "1"}
    settings["PYTHONPATH"] = str(Path(faceinsight.__file__).parent.parent)
    words = [sys.executable, __file__, str(root), str(out), accelerator, *names]
    started = []
    for rank in range(PROCESSES):
        with (out / f"{rank}.log").open("w") as log:
            given = {**os.environ, **settings, "LOCAL_RANK": str(rank)}
            started.append(subprocess.Popen(words, env=given, stdout=log, stderr=subprocess.STDOUT))
    try:
        yield AtWork(out, started)
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces")
    Uneven(root).prepare()
    write_llava(
        root / "llava", image_size=33
    )  # here: in several processes transformers writes nothing but on the first
    return root


@pytest.fixture(scope="module")
def at_work(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    """Two processes, and where they leave what they find."""
    with processes_at_work(root, tmp_path_factory.mktemp("out"), "cpu", VARIANTS | WRONG) as both:
        yield both


def left_by(at_work: AtWork, name: str) -> list[dict[str, Tensor]]:
    """What each process found in a variant, once it is there."""
    paths = [at_work.folder / f"{name}-{rank}.safetensors" for rank in range(PROCESSES)]
    while True:
        ended = any(
            process.poll() is not None for process in at_work.processes
        )  # asked before the files are looked for
        if all(path.is_file() for path in paths):
            break
        logs = [(at_work.folder / f"{rank}.log").read_text() for rank in range(PROCESSES)]
        if ended or any("Traceback" in log for log in logs):
            pytest.fail("the processes stopped:\n" + "\n".join(log[-3000:] for log in logs))
        time.sleep(0.05)
    return [load_file(path) for path in paths]


@pytest.fixture(scope="module")
def alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Tensor]]:
    """What one process finds in a variant."""
    features = tmp_path_factory.mktemp("features")
    return cache(lambda name: carried_out(VARIANTS[name], root, features))


def compare(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(
            found[key],
            value,
            atol=tolerance,
            rtol=tolerance,
            equal_nan=True,
            msg=lambda says, key=key: f"{key}: {says}",
        )


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_find_what_one_finds(
    name: str, at_work: AtWork, alone: Callable[[str], dict[str, Tensor]]
) -> None:
    wanted, variant = alone(name), VARIANTS[name]
    assert any(key.startswith("test/" if name == "evidence alone" else "val/") for key in wanted)
    for found in left_by(at_work, name):
        compare(found, wanted, tolerance=1e-4 if variant.sharded else 1e-6)
    if "index" in wanted:
        assert wanted["index"].tolist() == list(range(FACES["count"] - variant.held_out, FACES["count"]))


def test_a_mean_of_means_is_something_else(at_work: AtWork, alone: Callable[[str], dict[str, Tensor]]) -> None:
    wanted = alone("image only")
    for found in left_by(at_work, "mean of means"):
        for kind in ("trained", "gradient"):
            apart = [(found[key] - value).abs().max() for key, value in wanted.items() if key.startswith(kind)]
            assert max(apart) > 1e-3


@pytest.mark.parametrize("limit", [39, 31, 17, 6, 1])
def test_at_every_step_the_processes_together_take_the_faces_that_one_would_take(root: Path, limit: int) -> None:
    def steps(processes: int, rank: int) -> list[list[list[int]]]:
        data = FaceDataModule(
            source=Uneven(root), image_size=32, batch_size=BATCH // processes, limit_train=limit, seed=3
        )
        data.features = {"none": torch.zeros(FACES["count"], 1)}
        data.trainer = SimpleNamespace(world_size=processes, global_rank=rank)
        loader, epochs = data.train_dataloader(), []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            epochs.append([batch.index.tolist() for batch in loader])
        return epochs

    one, two = steps(1, 0), [steps(PROCESSES, rank) for rank in range(PROCESSES)]
    assert sum(map(len, one)) > 0
    for epoch, batches in enumerate(one):
        shares = [share[epoch] for share in two]
        assert [len(share) for share in shares] == [len(batches)] * PROCESSES
        for batch, *parts in zip(batches, *shares, strict=True):
            assert len({len(part) for part in parts}) == 1
            assert sorted(row for part in parts for row in part if row >= 0) == sorted(batch)


def trunk(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), norm)


def test_batch_statistics_are_refused_with_several_processes_and_only_there() -> None:
    def set_up(devices: int, network: nn.Module, **options: Any) -> None:
        system = TrainingSystem(network=network)
        strategy = "ddp" if devices > 1 else "auto"
        system.trainer = trainer = lightning.Trainer(
            accelerator="cpu", devices=devices, strategy=strategy, logger=False, enable_checkpointing=False, **options
        )
        assert trainer.world_size == devices
        system.setup("fit")

    message = r"1 trained layers of batch normalisation \(BatchNorm2d\) .* own faces: 1. .*sync_batchnorm"
    with pytest.raises(BatchStatisticsError, match=message):
        set_up(2, trunk(nn.BatchNorm2d(4)))
    set_up(1, trunk(nn.BatchNorm2d(4)))
    set_up(2, trunk(nn.GroupNorm(2, 4)))
    set_up(2, nn.Sequential(Frozen(trunk(nn.BatchNorm2d(4))), nn.Linear(2, 2)))
    set_up(2, trunk(nn.BatchNorm2d(4)), sync_batchnorm=True)


def test_a_norm_with_an_activation_inside_is_refused_even_if_lightning_would_exchange_statistics() -> None:
    encoder = ImageEncoder(name="mobilenetv3_small_050", image_size=32)
    exchanged = nn.SyncBatchNorm.convert_sync_batchnorm(ImageEncoder(name="mobilenetv3_small_050", image_size=32).trunk)
    assert not any(isinstance(each, BatchNormAct2d) for each in exchanged.modules())  # what it would do
    with pytest.raises(BatchStatisticsError, match=r"\(BatchNormAct2d\) .* own faces: .*norm_layer: groupnorm}\)$"):
        check_batch_statistics(encoder)
    with pytest.raises(BatchStatisticsError, match=r"\(BatchNormAct2d\) .*without what this one does besides"):
        check_batch_statistics(encoder, synchronised=True)


def test_fsdp_on_a_cpu_is_refused_by_lightning() -> None:
    with pytest.raises(ValueError, match="`fsdp` requires a GPU accelerator"):
        lightning.Trainer(accelerator="cpu", devices=2, strategy="fsdp")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < PROCESSES, reason="needs a GPU for each process")
def test_two_gpus_find_what_one_cpu_finds_by_ddp_and_by_fsdp(
    root: Path, tmp_path: Path, alone: Callable[[str], dict[str, Tensor]]
) -> None:
    names = ("full", "plain ViT", "sharded")
    with processes_at_work(root, tmp_path, "gpu", names) as both:
        for name in names:
            for found in left_by(both, name):
                compare(found, alone(name), tolerance=1e-3 if VARIANTS[name].sharded else 1e-5)


def test_the_table_of_parts_is_printed_by_the_first_process_only(capsys: pytest.CaptureFixture[str]) -> None:
    model = SimpleNamespace(network=nn.Sequential(nn.Linear(2, 2)))
    for first in (False, True):
        FaceCLI.before_fit(SimpleNamespace(trainer=SimpleNamespace(is_global_zero=first), model=model))
        assert bool(capsys.readouterr().out) is first


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
