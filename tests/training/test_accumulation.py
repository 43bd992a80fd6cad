"""Accumulated batches give the gradient of the whole batch, whichever labels are undefined, however long texts are."""

from collections.abc import Callable
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import TokenClassifier
from faceinsight.models.face_insight import FaceInsight
from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.modules.projector import Projector
from faceinsight.modules.text_encoder import TextEncoder
from faceinsight.modules.vision.face_parser import FaceParser
from faceinsight.training.accumulation import Ahead
from faceinsight.training.systems import AttributeSystem, ParserSystem, TrainingSystem

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* module"),
]

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
RULES = RuleSet.parse("Bald -> not Bangs", SCHEMA)
FACES = 24


def faces() -> FaceBatch:
    """The later a face, the fewer labels it has; one face in three has a text, one is shown a second time."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (FACES, 3), generator=draw).to(torch.int8) * 2 - 1
    labels[8:, 1:], labels[14:, 0] = 0, 0
    index = torch.arange(FACES)
    index[5] = -1
    return FaceBatch(
        images=torch.rand(FACES, 3, 32, 32, generator=draw),
        labels=labels,
        index=index,
        masks=torch.randint(0, 19, (FACES, 32, 32), generator=draw).to(torch.uint8),
        texts=[("Who?", "They are bald." * (1 + row // 4)) if row % 3 == 0 else None for row in range(FACES)],
    )


def pieces(size: int) -> list[FaceBatch]:
    whole = faces()
    assert whole.texts is not None
    return [
        FaceBatch(*(getattr(whole, name)[n : n + size] for name in ("images", "labels", "index", "masks")), None,
                  whole.texts[n : n + size])
        for n in range(0, FACES, size)
    ]  # fmt: skip


def vit() -> ImageEncoder:
    return ImageEncoder(
        name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1, "num_heads": 2}
    )


def attributes(**options: Any) -> TrainingSystem:
    network = TokenClassifier(schema=SCHEMA, image_encoder=vit(), embed_dim=12)
    return AttributeSystem(network=network, rules=RULES, **options)


def speaking(**options: Any) -> TrainingSystem:
    network = FaceInsight(
        schema=SCHEMA,
        image_encoder=Frozen(vit()),
        projector=Projector(in_dim=12, out_dim=16),
        text_encoder=TextEncoder(),
        query=AttributeQuery(prompt_dim=16, embed_dim=16),
        language_model=Frozen(LanguageModel.from_config(embed_dim=16, depth=1, num_heads=2)),
        head=SharedHead(embed_dim=16),
    )
    return AttributeSystem(network=network, rules=RULES, text_weight=0.7, **options)


def parser() -> TrainingSystem:
    options = {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 64, "decoder_dropout": 0.0}
    options["norm_layer"] = "groupnorm1"
    return ParserSystem(network=FaceParser(image_size=32, encoder="tu-test_resnet", options=options))


SYSTEMS: dict[str, Callable[[], TrainingSystem]] = {
    "BCE": attributes,
    "BCE + semantic": lambda: attributes(logical=LogicalConstraint(rules=RULES), logical_weight=0.5),
    "conditional": lambda: attributes(logical=LogicalConstraint(rules=RULES, kind="conditional"), bce_weight=0.0),
    "BCE + semantic + text": lambda: speaking(logical=LogicalConstraint(rules=RULES)),
    "parser": parser,
}


class Gradients(lightning.Callback):
    """Keeps what the optimiser used at each step, and what was logged."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        grads = [each.grad.flatten() for each in pl_module.parameters() if each.grad is not None]
        self.steps.append(torch.cat(grads).double())


class Stream(IterableDataset):
    """Batches without a length."""

    def __init__(self, batches: list[FaceBatch]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


def trained(system: TrainingSystem, batches: Any, accumulate: int, **options: Any) -> list[Tensor]:
    gradients = Gradients()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", accumulate_grad_batches=accumulate, callbacks=[gradients], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, precision="64-true",
        **options,
    )  # fmt: skip
    trainer.fit(system, DataLoader(batches, batch_size=None))
    return gradients.steps


def built(name: str) -> TrainingSystem:
    torch.manual_seed(0)
    system = SYSTEMS[name]()
    system.lr = 0.0  # every step from the same weights
    return system


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("size", [12, 8, 3])
def test_the_gradient_is_that_of_the_whole_batch(name: str, size: int) -> None:
    whole = trained(built(name), pieces(FACES), 1)
    parts = trained(built(name), pieces(size), FACES // size)
    assert len(whole) == len(parts) == 2
    for expected, found in zip(whole, parts, strict=True):
        assert expected.norm() > 0
        assert (found - expected).norm() < 1e-9 * expected.norm()


def test_a_last_step_of_fewer_batches_is_a_mean_over_these() -> None:
    steps = trained(built("BCE + semantic"), pieces(4), 4)  # six batches: four, then two
    expected = [trained(built("BCE + semantic"), [cat], 1)[0] for cat in two_parts(16)]
    assert len(steps) == 4
    for found, wanted in zip(steps, expected * 2, strict=True):
        assert (found - wanted).norm() < 1e-9 * wanted.norm()


def two_parts(first: int) -> list[FaceBatch]:
    one = pieces(4)
    return [FaceBatch.cat(one[: first // 4]), FaceBatch.cat(one[first // 4 :])]


def test_batches_of_a_loader_without_a_length_are_seen_ahead_too() -> None:
    whole = trained(built("BCE"), pieces(FACES), 1)
    parts = trained(built("BCE"), Stream(pieces(8)), 3)
    assert len(parts) == len(whole)
    assert (parts[1] - whole[1]).norm() < 1e-9 * whole[1].norm()


def test_no_batch_is_lost_or_seen_twice() -> None:
    class Seen(AttributeSystem):
        def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
            seen.append(batch.index[0].item())
            return super().training_step(batch, batch_index)

    seen: list[float] = []
    network = TokenClassifier(schema=SCHEMA, image_encoder=vit(), embed_dim=12)
    trained(Seen(network=network, rules=RULES), pieces(4), 4, limit_train_batches=5)
    assert seen == [0, 4, 8, 12, 16] * 2


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_counted_before_is_what_the_losses_count(name: str) -> None:
    system, found = built(name), {}
    system.log = system.log_dict = lambda *args, **kwargs: None  # no trainer here

    def mean(term: str, total: Tensor, count: Tensor) -> Tensor:
        found[term] = float(count)
        return total / count.clamp(min=1)

    system.mean = mean
    for batch in pieces(8):
        system.training_step(batch, 0)
        counts = system.counts(batch)
        assert found == {term: float(counts[term]) for term in found}
        assert found


def test_looking_ahead_takes_nothing_away() -> None:
    ahead = Ahead(iter(range(6)))
    assert ahead.peek(2) == [0, 1]
    assert [next(ahead), next(ahead), next(ahead)] == [0, 1, 2]
    assert ahead.peek(9) == [3, 4, 5]
    assert list(ahead) == [3, 4, 5]
