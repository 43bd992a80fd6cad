"""Labels at the doors: 0 and 1 are refused or said, booleans are yes and no."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from faceinsight import metrics
from faceinsight.data.graph_from_data import positive_share
from faceinsight.data.inspection.check import constant_attributes
from faceinsight.data.table import FaceTable
from faceinsight.data.words.face_texts import FaceTexts
from faceinsight.errors import InputError
from faceinsight.evaluation.statistics import paired_bootstrap
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.groups import group_labels, group_rows
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.lint import lint
from faceinsight.knowledge.lint.label_check import check_labels, fewest_changes, slices_by
from faceinsight.knowledge.lint.mining import mine
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics.groups import group_metrics
from faceinsight.modules.bce import bce_sum_and_count, masked_bce
from faceinsight.modules.calibration import log_likelihood, platt_scaling
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.cooccurrence import fit_score_model
from faceinsight.modules.evidence import Evidence, ridge
from faceinsight.modules.logical import LogicalConstraint, broken_components, conditional_loss

SCHEMA = Schema.from_dict(
    {
        "name": "three",
        "attributes": {"Male": "who is a man", "Goatee": "with a goatee", "Smiling": "who is smiling"},
        "groups": {"gender": {"kind": "exactly_one", "labels": {"man": "Male", "woman": "not Male"}}},
    }
)
RULES = RuleSet.parse("Goatee -> Male", SCHEMA)
#: Yes and no as most libraries write them; the last face breaks the rule.
ZERO_ONE = torch.tensor([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]])
TRUTH = ZERO_ONE == 1
PROBABILITY = torch.tensor([[0.9, 0.2, 0.3], [0.2, 0.3, 0.8], [0.6, 0.7, 0.1], [0.4, 0.8, 0.5]], dtype=torch.float64)
LOGITS = PROBABILITY.float().logit()

Door = Callable[..., Any]


def table(labels: Tensor, **said: Any) -> Tensor:
    files = tuple(f"{row}.jpg" for row in range(len(labels)))
    splits = ("train",) * len(labels)
    return FaceTable(SCHEMA, Path("faces"), files, labels, splits, torch.arange(len(labels)), **said).labels


def through_torchmetrics(labels: Tensor, **said: Any) -> float:
    """Face by face, as a loop over batches shows them."""
    metric = metrics.AttributeMetric(schema=SCHEMA, function=metrics.accuracy, **said)
    for probability, own in zip(PROBABILITY[:, None], labels[:, None], strict=True):
        metric.update(probability, own)
    return metric.compute().item()


#: Every door where labels come in, as a function of the labels whose result can be compared.
DOORS: dict[str, Door] = {
    "check_labels": lambda labels, **said: SCHEMA.check_labels(labels, **said),
    "FaceTable": table,
    "LabelGraph": lambda labels, **said: LabelGraph.from_labels(labels, SCHEMA, **said).counts.together,
    "violations": lambda labels, **said: RULES.violations(labels, **said),
    "verdicts": lambda labels, **said: RULES.verdicts(labels, **said),
    "lint": lambda labels, **said: str(lint(RULES, labels, **said)),
    "RuleSet.lint": lambda labels, **said: str(RULES.lint(labels, **said)),
    "label check": lambda labels, **said: check_labels(RULES, labels, **said),
    "fewest changes": lambda labels, **said: fewest_changes(RULES, labels, **said),
    "slices": lambda labels, **said: slices_by(SCHEMA, labels, "Male", **said)["Male"],
    "groups": lambda labels, **said: group_labels(SCHEMA, labels, **said)["gender"],
    "groups in words": lambda labels, **said: group_rows(SCHEMA, labels, **said),
    "group metrics": lambda labels, **said: group_metrics(SCHEMA, labels, labels, **said),
    "mining": lambda labels, **said: mine(labels.repeat(50, 1), SCHEMA, **said).proposals,
    "constant attributes": lambda labels, **said: constant_attributes(labels, SCHEMA, **said),
    "prior": lambda labels, **said: positive_share(labels, **said),
    "ridge": lambda labels, **said: ridge(PROBABILITY, labels, [1.0], **said).weight,
    "evidence": lambda labels, **said: Evidence(num_features=3, names=SCHEMA.names).fit(PROBABILITY, labels, **said),
    "calibration": lambda labels, **said: platt_scaling(PROBABILITY, labels, **said),
    "likelihood": lambda labels, **said: log_likelihood(PROBABILITY, labels, **said),
    "score model": lambda labels, **said: fit_score_model(PROBABILITY, labels, **said).noise,
    "bce": lambda labels, **said: masked_bce(LOGITS, labels, **said),
    "bce in parts": lambda labels, **said: bce_sum_and_count(LOGITS, labels, **said)[0],
    "conditional loss": lambda labels, **said: conditional_loss(LOGITS, labels, RULES, **said),
    "broken components": lambda labels, **said: broken_components(labels, RULES, **said),
    "conditional constraint": lambda labels, **said: LogicalConstraint(rules=RULES, kind="conditional")(
        LOGITS, labels, **said
    ),
    "semantic constraint": lambda labels, **said: LogicalConstraint(rules=RULES)(LOGITS, labels, **said),
    "fuzzy constraint": lambda labels, **said: LogicalConstraint(rules=RULES, kind="product")(LOGITS, labels, **said),
    "logical accuracy": lambda labels, **said: metrics.logical_accuracy(PROBABILITY, labels, RULES, **said),
    "torchmetrics": through_torchmetrics,
    "bootstrap": lambda labels, **said: paired_bootstrap({"one": {0: PROBABILITY}}, labels, {}, rules=RULES, **said),
} | {
    name: partial(getattr(metrics, name), PROBABILITY)
    for name in (
        *("accuracy", "balanced_accuracy", "f1", "average_precision", "auroc", "brier", "calibration_error"),
        *("exact_match", "rank_attributes", "ranked_attributes"),
    )
}


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("door", DOORS)
def test_labels_of_0_and_1_are_refused_at_every_door(door: str, kind: torch.dtype) -> None:
    with pytest.raises(InputError, match="0 and 1"):
        DOORS[door](ZERO_ONE.to(kind))


def same(one: Any, other: Any) -> None:
    """Two results of one door are equal to the last bit, NaN included."""
    if isinstance(one, tuple) and one and all(isinstance(each, Tensor) for each in one):
        one, other = torch.cat(one), torch.cat(other)
    if isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    else:
        assert repr(one) == repr(other)


@pytest.mark.parametrize("door", DOORS)
def test_booleans_are_yes_and_no_at_every_door(door: str) -> None:
    same(DOORS[door](TRUTH), DOORS[door](ZERO_ONE * 2 - 1))


@pytest.mark.parametrize("door", DOORS)
def test_what_is_said_to_be_undefined_is(door: str) -> None:
    coded = torch.tensor([[1, 1, 0], [-1, 0, 1], [1, -1, 1], [0, 1, -1]])
    wanted = DOORS[door](torch.tensor([[1, 1, -1], [0, -1, 1], [1, 0, 1], [-1, 1, 0]]))
    same(DOORS[door](coded, undefined=-1), wanted)
    same(DOORS[door](coded.float().masked_fill(coded == -1, torch.nan), undefined=torch.nan), wanted)
    positives = torch.tensor([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]])
    same(DOORS[door](positives, undefined=0), DOORS[door](positives.to(torch.int8), undefined=0.0))


@pytest.mark.parametrize("wrong", [2.0, -2.0, 0.5, torch.nan, torch.inf, 255.0])
@pytest.mark.parametrize("door", DOORS)
def test_other_values_are_refused_at_every_door(door: str, wrong: float) -> None:
    labels = ZERO_ONE.double() * 2 - 1
    labels[1, 2] = wrong
    for said in ({}, {"undefined": 0}):
        with pytest.raises(InputError, match="label values must be"):
            DOORS[door](labels, **said)


def test_one_attribute_of_0_and_1_is_refused_and_named() -> None:
    labels = ZERO_ONE * 2 - 1
    labels[:, 1] = ZERO_ONE[:, 1]
    for door in ("check_labels", "FaceTable", "LabelGraph", "violations", "lint", "mining", "torchmetrics"):
        with pytest.raises(InputError, match="'Goatee' are 0 and 1"):
            DOORS[door](labels)


def test_a_batch_may_lack_a_no_of_one_attribute() -> None:
    labels = torch.tensor([[1, 1, 0], [1, 0, 1], [1, -1, 1], [1, 1, 0]])
    assert three_valued(labels, columns=False).tolist() == labels.tolist()
    same(masked_bce(LOGITS, labels), masked_bce(LOGITS, labels, undefined=0))


def test_labels_without_a_yes_or_all_undefined_are_not_mistaken() -> None:
    for labels in (torch.zeros(2, 3), torch.ones(2, 3), -torch.ones(2, 3), torch.tensor([[0, -1, 1], [-1, 0, 1]])):
        assert torch.equal(SCHEMA.check_labels(labels), labels.to(torch.int8))


def test_what_is_no_tensor_of_numbers_is_refused() -> None:
    for labels in (pd.DataFrame(TRUTH.numpy()), TRUTH.numpy(), TRUTH.tolist()):
        with pytest.raises(InputError, match="tensor"):
            three_valued.__wrapped__(labels)  # without the tests' own type check, which would refuse it before
    with pytest.raises(InputError, match="tensor"):
        three_valued(torch.ones(2, 3, dtype=torch.complex64))


def test_255_is_no_no() -> None:
    with pytest.raises(InputError, match="got 255"):
        three_valued(torch.tensor([[1, 255]], dtype=torch.uint8))
    for kind in (torch.uint8, torch.int64, torch.float32):
        assert three_valued(torch.tensor([[1, 255, 0]], dtype=kind), undefined=255).tolist() == [[1, 0, -1]]
    assert three_valued(torch.tensor([[1, -1, 0]], dtype=torch.int8), undefined=-1).tolist() == [[1, 0, -1]]


def test_1_cannot_mean_undefined() -> None:
    with pytest.raises(InputError, match="1 is yes"):
        three_valued(ZERO_ONE, undefined=1)


def test_rows_of_a_checked_table_are_not_mistaken_for_0_and_1() -> None:
    labels = torch.tensor([[1, 0, 1], [-1, -1, -1]], dtype=torch.int8)
    whole = FaceTable(SCHEMA, Path("faces"), ("a.jpg", "b.jpg"), labels, ("train", "test"), torch.arange(2))
    assert whole.select(torch.tensor([0])).labels.tolist() == [[1, 0, 1]]


def test_evidence_of_booleans_is_yes_and_no() -> None:
    known = ConstrainedBernoulli(logits=LOGITS, rules=RULES, evidence=TRUTH[:3].repeat(2, 1)[:4])
    assert torch.equal(known.mode == 1, TRUTH[:3].repeat(2, 1)[:4])
    with pytest.raises(InputError, match="label values"):
        ConstrainedBernoulli(logits=LOGITS, rules=RULES, evidence=torch.full((4, 3), 2))


def test_texts_say_what_boolean_labels_deny() -> None:
    texts = FaceTexts(rules=RULES)
    assert texts(torch.tensor([False, False, True]), 3) == texts(torch.tensor([-1, -1, 1]), 3)
