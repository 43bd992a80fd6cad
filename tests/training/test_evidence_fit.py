"""Evidence and training: which faces see which scores, and that it is fitted once, before anything else."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from faceinsight.data.batch import FaceBatch
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import EvidenceClassifier
from faceinsight.models.decoded import DecodedOutput
from faceinsight.models.face_insight import FaceEncoder, FaceInsightOutput, evidence_logits
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.logic.shield import ShieldLayer
from faceinsight.modules.segmentation import RegionTokens, SegmentationEncoder
from faceinsight.training.evidence_fit import fit_evidence, training_inputs
from faceinsight.training.systems import AttributeSystem

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:Found .* module", "ignore:The number of training batches"
)

SCHEMA = Schema.from_names(["Bald", "Hat", "Male"])
RULES = RuleSet.parse("Bald -> Male", SCHEMA)
FACES, FEATURES = 40, 6
TOKENS = torch.randn(FACES, 1, FEATURES, generator=torch.Generator().manual_seed(0))
LABELS = torch.where(TOKENS[:, 0, :3] + 0.5 * TOKENS[:, 0, 3:] > 0.2, 1, -1).to(torch.int8)


class Listed:
    """Faces without pictures: all that is read of them are cached features."""

    def prepare(self) -> None:
        pass

    def table(self) -> FaceTable:
        files = tuple(f"{number}.png" for number in range(FACES))
        # the first row trains not: the rows of the table are not those of the training faces
        split = ("test", "val", *("train",) * (FACES - 6), "val", "val", "test", "test")
        return FaceTable(SCHEMA, Path("nowhere"), files, LABELS, split, torch.arange(FACES))


class Recorder(nn.Module):
    """A network that keeps what it was given, and trains one number for each attribute."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.schema, self.evidence = SCHEMA, evidence
        self.encoder = FaceEncoder(image_encoder=Frozen(nn.Identity()))
        self.shift = nn.Parameter(torch.zeros(len(SCHEMA)))
        self.seen: list[tuple[bool, Tensor, Tensor | None]] = []

    def forward(
        self, images: Any = None, *, masks: Any = None, features: Any = None, scores: Any = None
    ) -> FaceInsightOutput:
        self.seen.append((self.training, features["image"], scores))
        logits = evidence_logits(self.evidence, self.encoder, features, scores)
        return FaceInsightOutput(logits=logits + self.shift, features=features)


def evidence(**options: Any) -> Evidence:
    return Evidence.for_schema(schema=SCHEMA, num_features=FEATURES, **options)


def gain(**options: Any) -> CooccurrenceGain:
    return CooccurrenceGain(graph=LabelGraph.from_labels(LABELS, SCHEMA), **options)


def faces(**options: Any) -> FaceDataModule:
    data = FaceDataModule(source=Listed(), batch_size=8, seed=0, **options)
    data.features = {"image": TOKENS}
    return data


def trainer(epochs: int = 2, folder: Path | None = None) -> lightning.Trainer:
    kept = [] if folder is None else [ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1)]
    return lightning.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=folder is not None, callbacks=kept,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def system(network: nn.Module, **options: Any) -> AttributeSystem:
    return AttributeSystem(network=network, rules=RULES, lr=0.05, **options)


def by_hand(rows: Tensor) -> tuple[Evidence, Tensor]:
    """Evidence fitted on the training faces alone, and their scores by row."""
    fitted, left_out = evidence(), torch.full((FACES, 3), torch.nan)
    left_out[rows] = fitted.fit(TOKENS[rows, 0], LABELS[rows])
    return fitted, left_out


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def rows_of(tokens: Tensor) -> list[int]:
    return [int((each == TOKENS).flatten(1).all(1).nonzero()) for each in tokens]


# which scores


@pytest.mark.parametrize("limit", [None, 17])
@pytest.mark.parametrize("decoded", [False, True])
def test_leave_one_out_scores_reach_the_training_faces_and_no_others(limit: int | None, decoded: bool) -> None:
    network, data = Recorder(evidence()), faces(limit_train=limit)
    wrapped = DecodedOutput(network=network, decoder=ShieldLayer(rules=RULES)) if decoded else network
    one, runs = system(wrapped), trainer()
    runs.fit(one, datamodule=data)
    runs.test(one, datamodule=data, verbose=False)
    rows = data.train_rows()
    expected, left_out = by_hand(rows)
    assert same(network.evidence, expected)
    met = set()
    for training, tokens, scores in network.seen:
        assert (scores is not None) == training
        if scores is not None:
            assert torch.equal(scores, left_out[rows_of(tokens)])
            met |= {*rows_of(tokens)}
    assert met <= {*rows.tolist()}
    assert len(met) > len(rows) / 2
    assert {row for training, tokens, _ in network.seen if not training for row in rows_of(tokens)} == {
        row for row, split in enumerate(data.table.split) if split != "train"
    }


def test_in_sample_scores_are_the_fitted_ones() -> None:
    network, data = Recorder(evidence()), faces()
    trainer().fit(system(network, training_evidence="in_sample"), datamodule=data)
    assert same(network.evidence, by_hand(data.train_rows())[0])
    assert {training for training, _, _ in network.seen} == {False, True}
    assert all(scores is None for _, _, scores in network.seen)


def test_fixed_evidence_stays_as_it_was_fitted_before() -> None:
    known = evidence()
    known.fit(TOKENS[:9, 0], LABELS[:9])
    before = {name: each.clone() for name, each in known.state_dict().items()}
    network = Recorder(known)
    trainer().fit(system(network, training_evidence="fixed"), datamodule=faces())
    assert all(torch.equal(each, before[name]) for name, each in known.state_dict().items())
    assert all(scores is None for _, _, scores in network.seen)
    with pytest.raises(InputError, match="not fitted"):
        trainer().fit(system(Recorder(evidence()), training_evidence="fixed"), datamodule=faces())


def test_a_face_shown_a_second_time_counts_nowhere_even_if_the_first_row_has_no_score() -> None:
    network, data = Recorder(evidence(gain=gain(trained=True))), faces()
    one = system(network)
    trainer().fit(one, datamodule=data)
    assert one.left_out is not None
    assert one.left_out[0].isnan().all(), "the first row tests"
    index = torch.tensor([5, -1, 8])
    batch = FaceBatch(images=None, labels=LABELS[index], index=index, features={"image": TOKENS[index]})
    assert torch.equal(one.training_scores(batch)["scores"][[0, 2]], one.left_out[[5, 8]])
    one.zero_grad()
    one.log_dict = lambda *args, **kwargs: None
    one.training_step(batch, 0).backward()
    found = network.evidence.gain.weight.grad.clone()
    one.zero_grad()
    one.training_step(replace(batch, labels=LABELS[[5, 8]], index=index[[0, 2]],
                              features={"image": TOKENS[[5, 8]]}), 0).backward()  # fmt: skip
    torch.testing.assert_close(found, network.evidence.gain.weight.grad)
    assert found.any()


# once, and where nothing trains


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_training_that_goes_on_has_the_evidence_of_its_beginning_and_ends_as_if_uninterrupted(
    tmp_path: Path,
) -> None:
    def network() -> Recorder:
        return Recorder(evidence(gain=gain(trained=True)))

    whole = network()
    trainer(3, tmp_path).fit(system(whole), datamodule=faces())
    again = network()
    with mock.patch("faceinsight.training.systems.fit_evidence") as fitting:
        checkpoint = tmp_path / "epoch=0.ckpt"
        trainer(3, tmp_path).fit(system(again), datamodule=faces(), ckpt_path=checkpoint, weights_only=True)
    fitting.assert_not_called()
    assert same(again, whole)
    first = [scores for training, _, scores in whole.seen if training]
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(
            [scores for training, _, scores in again.seen if training], first[len(first) // 3 :], strict=True
        )
    )
    assert (again.shift != 0).all()


@pytest.mark.parametrize("decoded", [False, True])
def test_with_nothing_to_train_the_evidence_is_fitted_when_it_is_tested(decoded: bool) -> None:
    control = EvidenceClassifier(schema=SCHEMA, image_encoder=Frozen(nn.Identity()), evidence=evidence())
    network = DecodedOutput(network=control, decoder=ShieldLayer(rules=RULES)) if decoded else control
    one, data = system(network), faces()
    for _ in range(2):
        trainer().test(one, datamodule=data, verbose=False)
    expected, _ = by_hand(data.train_rows())
    assert same(control.evidence, expected)
    assert one.test_index is not None
    assert one.test_index.tolist() == [0, FACES - 2, FACES - 1]
    assert one.test_probability is not None
    if not decoded:
        torch.testing.assert_close(one.test_probability, expected(TOKENS[one.test_index, 0]).sigmoid())
    with mock.patch("faceinsight.training.systems.fit_evidence") as fitting:
        trainer().test(one, datamodule=data, verbose=False)
    fitting.assert_not_called()


def test_a_network_that_was_tested_first_can_train_afterwards() -> None:
    network, data = Recorder(evidence(gain=gain(trained=True))), faces()
    one = system(network)
    trainer().test(one, datamodule=data, verbose=False)
    before = network.evidence.gain.weight.detach().clone()
    trainer().fit(one, datamodule=data)
    assert (network.evidence.gain.weight != before).all()


# what is read of the faces


@pytest.mark.parametrize("image", ["image", "mirrored"])
def test_cached_features_and_images_give_the_same_evidence(image: str, tmp_path: Path) -> None:
    data = FaceDataModule(
        source=SynthFaces(root=tmp_path, count=20, image_size=32, seed=0, workers=1, progress=False),
        image_size=32, batch_size=7,
    )  # fmt: skip
    torch.manual_seed(0)
    vit = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    places = SegmentationEncoder(parser=None, route=RegionTokens(image_dim=12, embed_dim=16))

    def control() -> EvidenceClassifier:
        known = Evidence.for_schema(schema=data.schema, num_features=12 + 19 * 6, sources=[image, "places"])
        return EvidenceClassifier(schema=data.schema, image_encoder=Frozen(vit), segmentation=places, evidence=known)

    cpu, rows = torch.device("cpu"), data.train_rows()
    from_images, from_features = control(), control()
    inputs = training_inputs(from_images, data, rows, cpu)
    left_out = fit_evidence(from_images, data, cpu)
    parts = [from_images.encode(each.images, each.masks) for each in data.faces_dataloader()]
    data.features = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    torch.testing.assert_close(training_inputs(from_features, data, rows, cpu), inputs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fit_evidence(from_features, data, cpu)[rows], left_out[rows], atol=1e-4, rtol=0)
    assert left_out.isnan().all(1).sum() == 20 - len(rows)


# labels that follow


def test_labels_that_follow_by_the_rules_are_fitted_too() -> None:
    data = faces()
    data.table.labels[:, 2] = torch.where(LABELS[:, 0] == 1, 0, LABELS[:, 2])  # who is bald is a man: left unsaid
    filled = torch.where(LABELS[:, 0] == 1, 1, LABELS[:, 2])
    rows = data.train_rows()
    wanted, network = evidence(), Recorder(evidence())
    wanted.fit(TOKENS[rows, 0], torch.stack([*LABELS[rows, :2].T, filled[rows]], dim=1))
    fit_evidence(network, data, torch.device("cpu"), rules=RULES)
    assert same(network.evidence, wanted)
    assert network.evidence.faces[2] == len(rows)


def test_labels_are_filled_in_of_the_attributes_that_are_named() -> None:
    data = faces()
    data.table.labels[:, 2] = torch.where(LABELS[:, 0] == 1, 0, LABELS[:, 2])
    rows = data.train_rows()
    for named, count in (["Bald"], int((data.table.labels[rows, 2] != 0).sum())), (["Male"], len(rows)):
        network = Recorder(evidence())
        fit_evidence(network, data, torch.device("cpu"), rules=RULES, implied=named)
        assert network.evidence.faces[2] == count
