"""The logical losses, against every assignment looked at one by one in float64."""

import functools
import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from faceinsight.knowledge import rules as rules_module
from faceinsight.knowledge.logic.components import ComponentTooLargeError, UnsatisfiableError, find_components
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic.fuzzy import fuzzy_loss
from faceinsight.modules.logical import (
    LogicalConstraint,
    broken_components,
    conditional_loss,
    rule_costs,
    semantic_loss,
)

KINDS = ["semantic", "conditional", "product", "goedel", "lukasiewicz"]

SCHEMA = Schema.from_names(["a", "b", "c", "d", "e"])

#: Two components, {a, b} and {c, d}, and a free attribute.
RULES = RuleSet.parse("a -> not b\nc -> d", SCHEMA)
LABELS = torch.tensor(list(itertools.product([-1, 0, 1], repeat=5)), dtype=torch.int8)


def satisfied(y: tuple[bool, ...]) -> tuple[bool, bool]:
    """Whether each component's rule holds."""
    a, b, c, d, _ = y
    return not (a and b), not c or d


def probability(y: tuple[bool, ...], logits: Tensor, attrs: range) -> float:
    chances = logits.double().sigmoid().tolist()
    return math.prod(chances[i] if y[i] else 1 - chances[i] for i in attrs)


def agrees(y: tuple[bool, ...], labels: list[int], attrs: range) -> bool:
    return all(labels[i] == 0 or (labels[i] > 0) == y[i] for i in attrs)


def slow_conditional(logits: Tensor, labels: list[int]) -> float:
    """The documented loss of one face, by loops: each component conditioned, broken ones by plain BCE."""
    total = 0.0
    faces = list(itertools.product([False, True], repeat=5))
    for component, attrs in enumerate((range(2), range(2, 4), range(4, 5))):
        seen = {tuple(y[i] for i in attrs): y for y in faces if component == 2 or satisfied(y)[component]}.values()
        whole = sum(probability(y, logits, attrs) for y in seen)
        part = sum(probability(y, logits, attrs) for y in seen if agrees(y, labels, attrs))
        if part > 0:
            total -= math.log(part / whole)
        else:
            chances = logits.double().sigmoid().tolist()
            defined = [i for i in attrs if labels[i] != 0]
            total -= sum(math.log(chances[i] if labels[i] > 0 else 1 - chances[i]) for i in defined)
    return total


def some_logits(count: int, scale: float = 2.0) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(3)) * scale


def test_the_semantic_loss_is_minus_the_log_of_the_summed_probability():
    logits = some_logits(20)
    for face, loss in zip(logits, semantic_loss(logits, RULES), strict=True):
        consistent = [y for y in itertools.product([False, True], repeat=5) if all(satisfied(y))]
        assert loss.item() == pytest.approx(
            -math.log(sum(probability(y, face, range(5)) for y in consistent)), abs=1e-6
        )


def test_the_conditional_loss_is_as_documented_for_every_labelling():
    logits = some_logits(len(LABELS))
    losses = conditional_loss(logits, LABELS, RULES)
    expected = [slow_conditional(face, labels) for face, labels in zip(logits, LABELS.tolist(), strict=True)]
    torch.testing.assert_close(losses.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-5)
    assert (losses >= 0).all()


def test_for_full_consistent_labels_it_is_the_likelihood_of_the_conditioned_distribution():
    full = LABELS[(LABELS != 0).all(-1)]
    full = full[~RULES.violations(full).any(-1)]
    assert len(full) == 3 * 3 * 2
    logits = some_logits(len(full))
    faces = ConstrainedBernoulli(logits=logits, rules=RULES)
    torch.testing.assert_close(conditional_loss(logits, full, RULES), -faces.log_prob(full > 0))
    bce = F.binary_cross_entropy_with_logits(logits, (full > 0).float(), reduction="none").sum(-1)
    # the sign: what the semantic loss adds, the conditional loss takes off
    torch.testing.assert_close(conditional_loss(logits, full, RULES), bce - semantic_loss(logits, RULES))


def test_a_component_whose_labels_break_it_falls_back_to_bce_and_is_counted():
    labels = torch.tensor([[1, 1, 1, 1, 1], [1, -1, 1, -1, 0], [1, 1, 1, -1, 0], [1, 0, 0, 1, 0]], dtype=torch.int8)
    broken = broken_components(labels, RULES)
    assert broken.tolist() == [[True, False], [False, True], [True, True], [False, False]]
    logits = some_logits(4)
    bce = F.binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    assert conditional_loss(logits, labels, RULES)[2].item() == pytest.approx(bce[2, :4].sum().item(), abs=1e-5)


def test_labels_that_no_filling_in_can_save_are_broken_though_no_single_rule_is():
    schema = Schema.from_names(["a", "b", "c"])
    rules = RuleSet.parse("a -> b\nb -> c", schema)
    labels = torch.tensor([[1, 0, -1]], dtype=torch.int8)
    assert not rules.violations(labels).any()
    assert broken_components(labels, rules).tolist() == [[True]]
    assert conditional_loss(torch.zeros(1, 3), labels, rules).item() == pytest.approx(2 * math.log(2))


def test_a_face_without_labels_costs_nothing_and_does_not_count():
    logits = some_logits(3).requires_grad_()
    labels = torch.tensor([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.int8)
    losses = conditional_loss(logits, labels, RULES, undefined=0)
    assert losses[0] == losses[2] == 0
    constraint = LogicalConstraint(rules=RULES, kind="conditional")
    total, count = constraint.sum_and_count(logits, labels, undefined=0)
    assert count == 1
    assert constraint(logits, labels, undefined=0) == total == losses[1]
    nothing = constraint(logits, torch.zeros_like(labels))
    assert nothing == 0
    nothing.backward()
    assert torch.equal(logits.grad, torch.zeros(3, 5))


def test_without_rules_the_losses_are_zero_and_plain_bce():
    empty, logits = RuleSet(SCHEMA), some_logits(len(LABELS))
    assert torch.equal(semantic_loss(logits, empty), torch.zeros(len(LABELS)))
    bce = F.binary_cross_entropy_with_logits(logits, (LABELS > 0).float(), reduction="none") * (LABELS != 0)
    torch.testing.assert_close(conditional_loss(logits, LABELS, empty), bce.sum(-1))
    assert broken_components(LABELS, empty).shape == (len(LABELS), 0)


def test_one_group_gives_softmax_cross_entropy():
    rules = RuleSet.parse("exactly_one(a, b, c, d, e)", SCHEMA)
    logits, target = some_logits(4), torch.tensor([0, 4, 2, 2])
    labels = (F.one_hot(target, 5) * 2 - 1).to(torch.int8)
    expected = F.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(conditional_loss(logits, labels, rules), expected, rtol=1e-5, atol=1e-6)
    only_the_one = labels.clamp(min=0)  # the others follow from the rule
    found = conditional_loss(logits, only_the_one, rules, undefined=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_right():
    labels = LABELS[::23]
    assert broken_components(labels, RULES).any()
    logits = some_logits(len(labels)).double().requires_grad_()
    assert gradcheck(lambda x: semantic_loss(x, RULES), logits)
    assert gradcheck(lambda x: conditional_loss(x, labels, RULES), logits)


@pytest.mark.parametrize("size", [15.0, 1e4])
def test_extreme_logits_stay_finite_with_finite_gradients(size: float):
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=5)))
    logits = (signs * size).repeat_interleave(len(LABELS), 0).requires_grad_()
    for loss in (semantic_loss(logits, RULES), conditional_loss(logits, LABELS.repeat(32, 1), RULES)):
        assert loss.isfinite().all()
        assert (loss >= 0).all()
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0.49


def test_the_module_averages_over_faces_and_not_inside_the_logarithm():
    logits = torch.tensor([[8.0, 8, -9, 0, 0], [-8.0, -8, -9, 0, 0]])
    loss = LogicalConstraint(rules=RULES)(logits)
    assert loss.item() == pytest.approx(semantic_loss(logits, RULES).double().mean().item())
    assert loss.item() > 2 * -math.log(semantic_loss(logits, RULES).neg().exp().mean().item())


@pytest.mark.parametrize("kind", KINDS)
def test_sums_and_counts_of_two_halves_add_up_to_the_whole(kind: str):
    logits = some_logits(len(LABELS))
    constraint = LogicalConstraint(rules=RULES, kind=kind)
    whole = constraint(logits, LABELS)
    parts = [constraint.sum_and_count(logits[part], LABELS[part]) for part in (slice(0, 50), slice(50, None))]
    total, count = (sum(each) for each in zip(*parts, strict=True))
    torch.testing.assert_close(total / count, whole)


@pytest.mark.parametrize("kind", ["product", "goedel", "lukasiewicz"])
def test_a_fuzzy_kind_is_the_mean_of_its_loss_and_needs_no_labels(kind: str):
    logits = some_logits(10)
    loss = LogicalConstraint(rules=RULES, kind=kind)(logits)
    torch.testing.assert_close(loss, fuzzy_loss(logits, RULES, kind).mean())
    assert loss > 0


def test_each_rule_s_cost_is_that_of_its_own_probability():
    rules = RuleSet.parse("a -> not b\nb -> c\nexactly_one(a, c, d)", SCHEMA)
    logits = some_logits(10).requires_grad_()
    costs = rule_costs(logits, rules)
    faces = list(itertools.product([False, True], repeat=5))
    keeps = [lambda y: not (y[0] and y[1]), lambda y: not y[1] or y[2], lambda y: y[0] + y[2] + y[3] == 1]
    for face, row in zip(logits.detach(), costs.tolist(), strict=True):
        chances = [sum(probability(y, face, range(5)) for y in faces if keep(y)) for keep in keeps]
        assert row == pytest.approx([-math.log(chance) for chance in chances], abs=1e-5)
    assert rules.singly is rules.singly, "its tables are made once"
    assert rule_costs(logits, RuleSet(SCHEMA)).shape == (10, 0)
    # no two of these share an attribute, so together they are the semantic loss
    torch.testing.assert_close(rule_costs(logits, RULES).sum(-1), semantic_loss(logits, RULES))


def test_a_step_down_the_semantic_loss_makes_the_rules_more_probable():
    logits = some_logits(10).requires_grad_()
    before = LogicalConstraint(rules=RULES)(logits)
    before.backward()
    after = LogicalConstraint(rules=RULES)(logits - 0.5 * logits.grad)
    assert after < before


def test_autocast_does_not_reach_the_inside():
    logits = some_logits(len(LABELS), scale=6.0)
    plain = semantic_loss(logits, RULES), conditional_loss(logits, LABELS, RULES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = semantic_loss(logits, RULES), conditional_loss(logits, LABELS, RULES)
        half = semantic_loss(logits.bfloat16(), RULES)
    for one, other in zip(plain, inside, strict=True):
        assert torch.equal(one, other)
    assert half.dtype == torch.float32


def test_a_nan_is_passed_on_for_the_training_loop_to_refuse():
    logits = torch.full((1, 5), math.nan)
    assert semantic_loss(logits, RULES).isnan().all()
    assert conditional_loss(logits, torch.ones(1, 5, dtype=torch.int8), RULES).isnan().all()


def test_a_module_has_no_weights_and_shows_what_it_holds():
    constraint = LogicalConstraint(rules=RULES)
    assert not list(constraint.parameters())
    assert not constraint.state_dict()
    assert str(constraint) == "LogicalConstraint(2 rules over 'custom', kind='semantic')"


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"logits must be \[\.\.\., 5\]"):
        semantic_loss(torch.zeros(2, 4), RULES)
    with pytest.raises(ValueError, match=r"kind='conditional'\) needs labels"):
        LogicalConstraint(rules=RULES, kind="conditional")(torch.zeros(2, 5))
    with pytest.raises((ValueError, TypeError), match="kind"):  # the tests' own type check speaks first
        LogicalConstraint(rules=RULES, kind="fuzzy")
    for kind in KINDS:
        with pytest.raises(UnsatisfiableError, match="no face can satisfy"):
            LogicalConstraint(rules=RuleSet.parse("a\nnot a", SCHEMA), kind=kind)


def test_only_a_fuzzy_kind_takes_rules_that_join_too_many_attributes_to_sum_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rules_module, "find_components", functools.partial(find_components, max_nodes=2))
    rules = RuleSet.parse("a or b or c or d", Schema.from_names([*"abcd"]))
    with pytest.raises(ComponentTooLargeError):
        LogicalConstraint(rules=rules)
    assert LogicalConstraint(rules=rules, kind="product")(torch.zeros(1, 4)).isfinite()
