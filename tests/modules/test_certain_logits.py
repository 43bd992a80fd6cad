"""A stored probability of 1 is an infinite logit: certain, at every door of the logic alike."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.modules.logic.rule_tables import LARGEST
from faceinsight.modules.logic.shield import ShieldLayer
from faceinsight.modules.logical import LogicalConstraint, conditional_loss, rule_costs, semantic_loss

SCHEMA = Schema.from_names(["Bald", "Bangs", "Old", "Young"])
RULES = RuleSet.parse("Bald -> not Bangs\nat_most_one(Old, Young)", SCHEMA)
STORED = torch.tensor([[1.0, 0.3, 0.9, 0.0], [0.0, 1.0, 0.2, 0.7]])
LABELS = torch.tensor([[1, -1, 1, -1], [-1, 1, 0, 1]], dtype=torch.int8)

DOORS: dict[str, Callable[[Tensor], Tensor]] = {
    "marginals": lambda logits: ConstrainedBernoulli(logits=logits, rules=RULES).marginals,
    "mode": lambda logits: ConstrainedBernoulli(logits=logits, rules=RULES).mode,
    "entropy": lambda logits: ConstrainedBernoulli(logits=logits, rules=RULES).entropy(),
    "decoder": ConsistentDecoder(rules=RULES),
    "decoder of marginals": ConsistentDecoder(rules=RULES, decisions="marginals"),
    "shield": lambda logits: ShieldLayer(rules=RULES)(logits).sigmoid(),
    "semantic": lambda logits: semantic_loss(logits, RULES),
    "conditional": lambda logits: conditional_loss(logits, LABELS, RULES),
    "costs": lambda logits: rule_costs(logits, RULES),
    "product": lambda logits: LogicalConstraint(rules=RULES, kind="product")(logits),
    "goedel": lambda logits: LogicalConstraint(rules=RULES, kind="goedel")(logits),
    "lukasiewicz": lambda logits: LogicalConstraint(rules=RULES, kind="lukasiewicz")(logits),
    "output": lambda logits: FaceInsightOutput(logits, {}, RULES).probability,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_infinite_logit_counts_as_a_very_large_one(door: str, dtype: torch.dtype) -> None:
    certain = STORED.to(dtype).logit()
    assert certain.isinf().sum() == 4
    large = certain.clamp(-300, 300)
    found = DOORS[door](certain)
    assert found.isfinite().all()
    torch.testing.assert_close(found, DOORS[door](large), atol=1e-5, rtol=1e-5)


def test_what_is_certain_stays_certain_and_excludes_what_the_rules_exclude() -> None:
    face = FaceInsightOutput(STORED.logit(), {}, RULES)
    torch.testing.assert_close(face.probability[0, :2], torch.tensor([1.0, 0.0]))
    assert face.mode.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert (ConsistentDecoder(rules=RULES)(STORED.logit()) > 0).tolist() == face.mode.bool().tolist()


def test_certainties_that_the_rules_exclude_are_decided_as_a_consistent_face() -> None:
    both = torch.tensor([[math.inf, math.inf, -1.0, -1.0]])
    decided = ConsistentDecoder(rules=RULES)(both) > 0
    assert not RULES.violations(decided).any()
    assert semantic_loss(both, RULES) > LARGEST / 2


@pytest.mark.parametrize("door", ["marginals", "mode", "decoder", "shield", "output"])
def test_nan_is_refused_wherever_something_is_decided(door: str) -> None:
    logits = STORED.logit(eps=1e-3)
    logits[1, 2] = math.nan
    with pytest.raises(InputError, match=r"nan for 'Old' at \[1\]"):
        DOORS[door](logits)


@pytest.mark.parametrize("door", ["semantic", "conditional", "product", "goedel", "lukasiewicz"])
def test_nan_is_nan_in_every_loss_for_the_training_loop_to_name(door: str) -> None:
    assert DOORS[door](torch.full((2, 4), math.nan)).isnan().all()
