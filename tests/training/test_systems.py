"""Objectives, optimiser groups and what stops a training."""

import math
from dataclasses import replace

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.bce import masked_bce
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.training.systems import AttributeSystem, LossNotFiniteError, parameter_groups

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
RULES = RuleSet.parse("Bald -> not Bangs", SCHEMA)


class Fixed(nn.Module):
    """A network that gives the same trained logits for every face."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.schema = SCHEMA
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images=None, *, masks=None, features=None) -> FaceInsightOutput:
        return FaceInsightOutput(logits=self.logits.expand(len(images), 3), features={})


def batch(faces: int = 4) -> FaceBatch:
    labels = torch.tensor([[1, -1, 0]] * faces, dtype=torch.int8)
    return FaceBatch(
        images=torch.zeros(faces, 3, 8, 8), labels=labels, index=torch.arange(faces), masks=None, features=None
    )


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_faces_whose_labels_break_the_rules_are_counted_where_the_constraint_leaves_them_to_bce() -> None:
    labels = torch.tensor([[1, 1, 0], [1, -1, 1], [1, 1, -1], [0, 1, 0]], dtype=torch.int8)
    batches = [replace(batch(), labels=labels), replace(batch(), labels=labels.roll(1, 0)), batch()]
    for kind, counted in [("semantic", None), ("conditional", 2.0 + 2.0)]:
        logical = LogicalConstraint(rules=RULES, kind=kind)
        system = AttributeSystem(network=Fixed([0.4, 1.1, -0.3]), rules=RULES, logical=logical)
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(system, DataLoader(batches, batch_size=None))
        assert trainer.callback_metrics.get("train/broken_faces") == counted


def loss_of(system: AttributeSystem) -> torch.Tensor:
    system.log_dict = lambda *args, **kwargs: None  # no trainer here
    return system.training_step(batch(), 0)


def test_the_loss_is_bce_plus_weight_times_the_constraint() -> None:
    logits = [0.4, 1.1, -0.3]
    system = AttributeSystem(
        network=Fixed(logits), rules=RULES, logical=LogicalConstraint(rules=RULES), logical_weight=0.7
    )
    bald, bangs = (1 / (1 + math.exp(-each)) for each in logits[:2])
    bce = -(math.log(bald) + math.log(1 - bangs)) / 2
    semantic = -math.log(1 - bald * bangs)
    torch.testing.assert_close(loss_of(system), torch.tensor(bce + 0.7 * semantic))


def test_without_the_constraint_the_loss_is_bce_alone() -> None:
    network = Fixed([0.4, 1.1, -0.3])
    system = AttributeSystem(network=network, rules=RULES)
    torch.testing.assert_close(loss_of(system), masked_bce(network.logits.expand(4, 3), batch().labels))


def test_a_loss_that_is_not_finite_stops_with_its_terms() -> None:
    system = AttributeSystem(network=Fixed([math.nan, 0.0, 0.0]), rules=RULES, lr=0.5)
    with pytest.raises(LossNotFiniteError, match=r"nan at step 0 \(bce = nan\).*0.5\)"):
        loss_of(system)


def test_each_part_has_its_learning_rate_and_vectors_have_no_decay() -> None:
    network = nn.ModuleDict({"trunk": nn.ModuleDict({"deep": nn.Linear(2, 2)}), "head": nn.Linear(2, 1)})
    network["trunk"]["deep"].weight.requires_grad_(False)
    groups = parameter_groups(network, lr=1.0, part_lr={"trunk": 0.1, "trunk.deep": 0.01}, weight_decay=0.5)
    settings = {(group["lr"], group["weight_decay"]): [p.shape for p in group["params"]] for group in groups}
    assert settings == {(0.01, 0.0): [(2,)], (1.0, 0.5): [(1, 2)], (1.0, 0.0): [(1,)]}


def test_a_learning_rate_for_a_part_that_does_not_train_is_refused() -> None:
    with pytest.raises(ValueError, match="trnk"):
        parameter_groups(nn.ModuleDict({"head": nn.Linear(2, 1)}), lr=1.0, part_lr={"trnk": 0.1}, weight_decay=0.0)
