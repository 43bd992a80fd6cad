"""Each objective is a sum and a count under its name and weight, and validation logs what is trained."""

from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from faceinsight.data.batch import FaceBatch
from faceinsight.errors import InputError
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.training.objectives import LabelObjective, RuleObjective
from faceinsight.training.systems import AttributeSystem
from tests.training.test_systems import RULES, Fixed, loss_of

LOGITS = [0.4, 1.1, -0.3]


class Confidence(nn.Module):
    """Mean of p (1 - p): small where the network is sure."""

    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> tuple[Tensor, Tensor]:
        p = output.logits[batch.counted].sigmoid()
        return (p * (1 - p)).sum(), torch.tensor(float(p.numel()))


class Gives(nn.Module):
    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> Any:
        return self.found


def some_faces(faces: int, seed: int) -> FaceBatch:
    labels = torch.randint(-1, 2, (faces, 3), generator=torch.Generator().manual_seed(seed)).to(torch.int8)
    return FaceBatch(images=torch.zeros(faces, 3, 8, 8), labels=labels, index=torch.arange(faces))


def fitted(system: AttributeSystem, batches: list[FaceBatch], **options: Any) -> dict[str, float]:
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    loader = DataLoader(batches, batch_size=None)
    trainer.fit(system, loader, loader)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_an_objective_of_ones_own_is_added_under_its_weight() -> None:
    plain = AttributeSystem(network=Fixed(LOGITS), rules=RULES)
    own = AttributeSystem(
        network=Fixed(LOGITS), rules=RULES, objectives={"confidence": Confidence()}, weights={"confidence": 0.3}
    )
    p = torch.tensor(LOGITS).sigmoid()
    torch.testing.assert_close(loss_of(own) - loss_of(plain), 0.3 * (p * (1 - p)).mean())


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
def test_validation_logs_what_is_trained_as_means_over_all_faces() -> None:
    system = AttributeSystem(
        network=Fixed(LOGITS), rules=RULES, logical=LogicalConstraint(rules=RULES), logical_weight=0.7, lr=0.0,
        bce_weight=2.0, objectives={"confidence": Confidence()}, weights={"confidence": 0.3},
    )  # fmt: skip
    batches = [some_faces(5, 0), some_faces(2, 1)]
    logged = fitted(system, batches)
    p = torch.tensor(LOGITS, dtype=torch.float64).sigmoid()
    labels = torch.cat([each.labels for each in batches])
    losses = [
        -float((p[attr] if label == 1 else 1 - p[attr]).log())
        for row in labels.tolist() for attr, label in enumerate(row) if label
    ]  # fmt: skip
    by_hand = {
        "bce": sum(losses) / len(losses),
        "logical": -float((1 - p[0] * p[1]).log()),
        "confidence": float((p * (1 - p)).mean()),
    }
    for name, value in by_hand.items():
        assert logged[f"val/{name}"] == pytest.approx(value, abs=1e-6), name
    total = 2 * by_hand["bce"] + 0.7 * by_hand["logical"] + 0.3 * by_hand["confidence"]
    assert logged["val/loss"] == pytest.approx(total, abs=1e-6)
    assert logged.keys() >= {"train/bce", "train/logical", "train/confidence"}


@pytest.mark.parametrize("kind", ["semantic", "conditional"])
def test_a_count_from_the_batch_alone_is_that_of_the_loss(kind: str) -> None:
    faces = some_faces(6, 3)
    faces.index[2] = -1
    faces.labels[4] = 0
    output = FaceInsightOutput(logits=torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), features={})
    for objective in (LabelObjective(), RuleObjective(LogicalConstraint(rules=RULES, kind=kind))):
        assert objective(output, faces)[1].item() == objective.count(faces).item() > 0


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
def test_accumulated_batches_need_a_count_of_every_objective() -> None:
    system = AttributeSystem(network=Fixed(LOGITS), rules=RULES, objectives={"confidence": Confidence()})
    with pytest.raises(InputError, match=r"'confidence' has no count\(batch\)"):
        fitted(system, [some_faces(2, 0)] * 2, accumulate_grad_batches=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": {"bce": Confidence()}}, "cannot be called 'bce'"),
        ({"objectives": {"head": nn.Linear(2, 1)}}, "'head' has parameters"),
        ({"objectives": {"sure": Confidence()}, "weights": {"sura": 2.0}}, "did you mean 'sure'"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_before_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AttributeSystem(network=Fixed(LOGITS), rules=RULES, **options)


@pytest.mark.parametrize("found", [torch.tensor(1.0), (torch.ones(2), torch.ones(2)), (1.0, 2)])
def test_what_is_no_sum_and_count_is_refused_by_name(found: Any) -> None:
    system = AttributeSystem(network=Fixed(LOGITS), rules=RULES, objectives={"odd": Gives(found)})
    with pytest.raises(InputError, match=r"'odd' gives .* wanted \(sum, count\)"):
        loss_of(system)
