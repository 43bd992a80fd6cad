"""The fuzzy kinds against Python floats, against crisp logic, and against what is exact."""

import itertools
import math
import random

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from faceinsight.knowledge.logic.formula import (
    And,
    AtLeastOne,
    AtMostOne,
    Atom,
    ExactlyOne,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
)
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.logic.fuzzy import fuzzy_loss, fuzzy_truth
from faceinsight.modules.logical import rule_costs, semantic_loss
from tests.knowledge.random_rules import SCHEMA, random_rules

KINDS = ["product", "goedel", "lukasiewicz"]
LETTERS = Schema.from_names([*"abc"])

#: and, or of two numbers, as the papers write them.
OPERATORS = {
    "product": (lambda a, b: a * b, lambda a, b: a + b - a * b),
    "goedel": (min, max),
    "lukasiewicz": (lambda a, b: max(0.0, a + b - 1), lambda a, b: min(1.0, a + b)),
}


def by_hand(formula: Formula, chances: dict[str, float], kind: str) -> float:
    """The truth of one face in Python floats, two operands at a time."""
    both, either = OPERATORS[kind]
    parts = [by_hand(part, chances, kind) for part in formula.parts]
    pairs = [1 - both(one, other) for one, other in itertools.combinations(parts, 2)]
    match formula:
        case Atom(name):
            return chances[name]
        case Not():
            return 1 - parts[0]
        case Implies():
            return either(1 - parts[0], parts[1])
        case Iff():
            return both(either(1 - parts[0], parts[1]), either(1 - parts[1], parts[0]))
        case And():
            return fold(both, parts)
        case Or() | AtLeastOne():
            return fold(either, parts)
        case AtMostOne():
            return fold(both, pairs)
        case ExactlyOne():
            return both(fold(either, parts), fold(both, pairs))
    raise TypeError(formula)


def fold(operator, values: list[float]) -> float:
    total = values[0]
    for value in values[1:]:
        total = operator(total, value)
    return total


def some_logits(seed: int, faces: int = 20) -> Tensor:
    return 2 * torch.randn(faces, len(SCHEMA), generator=torch.Generator().manual_seed(seed))


def fuzzy(text: str, kind: str, chances: list[float]) -> float:
    rules = RuleSet.parse(text, LETTERS)
    logits = torch.tensor([*chances, 0.5][: len(LETTERS)], dtype=torch.float64).logit()
    return fuzzy_truth(logits, rules, kind).item()


@pytest.mark.parametrize("kind", KINDS)
def test_truths_and_losses_are_those_of_the_operators_by_hand(kind: str) -> None:
    for seed in range(25):
        rules, logits = random_rules(seed), some_logits(seed)
        truth, loss = fuzzy_truth(logits, rules, kind), fuzzy_loss(logits, rules, kind)
        for face, row in enumerate(logits.double().sigmoid().tolist()):
            chances = dict(zip(SCHEMA.names, row, strict=True))
            expected = [by_hand(formula, chances, kind) for formula in rules.formulas]
            assert truth[face].tolist() == pytest.approx(expected, abs=2e-6)
            cost = -sum(map(math.log, expected)) if kind == "product" else sum(1 - each for each in expected)
            assert loss[face].item() == pytest.approx(cost, rel=1e-5, abs=5e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certain_outputs_have_the_truth_of_the_formula(kind: str, dtype: torch.dtype) -> None:
    faces = torch.tensor(list(itertools.product([-1, 1], repeat=len(SCHEMA))), dtype=torch.int8)
    seen = set()
    for seed in range(25):
        rules = random_rules(seed)
        kept = ~rules.violations(faces)
        assert torch.equal(fuzzy_truth(faces.to(dtype) * 1e4, rules, kind), kept.to(dtype))
        loss = fuzzy_loss(faces.to(dtype) * 1e4, rules, kind)
        assert torch.equal(loss == 0, kept.all(-1))
        seen |= {type(formula) for formula in rules.formulas}
    assert {Implies, Iff, ExactlyOne, AtMostOne, AtLeastOne, Or} <= seen


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right(kind: str) -> None:
    for seed in range(6):  # of random reals, none lies on a kink
        rules, logits = random_rules(seed), some_logits(seed, faces=4).double().requires_grad_()
        assert gradcheck(lambda x, rules=rules: fuzzy_loss(x, rules, kind), logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 15.0, 200.0, 1e4])
def test_extreme_logits_stay_finite_with_finite_gradients(kind: str, size: float) -> None:
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=len(SCHEMA))))
    for seed in range(10):
        logits = (signs * size).requires_grad_()
        loss = fuzzy_loss(logits, random_rules(seed), kind)
        assert loss.isfinite().all()
        assert (loss >= 0).all()
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient.isfinite().all()


def test_the_product_s_gradient_does_not_fade_where_its_truth_underflows() -> None:
    rules = RuleSet.parse("not (a and b)", LETTERS)
    logits = torch.tensor([[200.0, 200.0, 0.0]], requires_grad=True)
    loss = fuzzy_loss(logits, rules, "product")
    assert loss.item() == pytest.approx(200 - math.log(2))  # 1 - p^2 is about 2 e^-200
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[0.5, 0.5, 0.0]]))
    assert fuzzy_truth(logits, rules, "product").item() == 0


def test_the_product_is_the_exact_probability_where_a_rule_names_each_attribute_once() -> None:
    draw = random.Random(0)
    for seed in range(20):
        names = draw.sample(SCHEMA.names, 4)
        signed = [draw.choice([name, f"not {name}"]) for name in names]
        text = "({} {} {}) -> ({} {} {})".format(
            signed[0], draw.choice(["and", "or"]), signed[1], signed[2], draw.choice(["and", "or"]), signed[3]
        )
        rules, logits = RuleSet.parse(text, SCHEMA), some_logits(seed)
        torch.testing.assert_close(fuzzy_loss(logits, rules, "product"), semantic_loss(logits, rules))


def test_the_product_is_not_the_probability_where_a_rule_names_one_twice() -> None:
    rules, logits = RuleSet.parse("exactly_one(a, b)", LETTERS), torch.zeros(1, 3)
    assert fuzzy_truth(logits, rules, "product").item() == pytest.approx(0.75 * 0.75)
    assert rule_costs(logits, rules).exp().item() == pytest.approx(2)


@pytest.mark.parametrize("kind", KINDS)
def test_two_ways_to_write_one_rule_differ_in_fuzzy_logic_but_not_in_the_semantic_loss(kind: str) -> None:
    logits = torch.tensor([[0.4, 1.3, 0.0]])
    rules, same = RuleSet.parse("a -> b", LETTERS), RuleSet.parse("a -> a and b", LETTERS)
    torch.testing.assert_close(semantic_loss(logits, rules), semantic_loss(logits, same))
    assert abs(fuzzy_loss(logits, rules, kind) - fuzzy_loss(logits, same, kind)).item() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_de_morgan_s_laws_and_double_negation_hold(kind: str) -> None:
    chances = [0.3, 0.8, 0.45]
    for one, other in [("not (a and b)", "not a or not b"), ("not not a", "a"), ("a -> b -> c", "not a or not b or c")]:
        assert fuzzy(one, kind, chances) == pytest.approx(fuzzy(other, kind, chances))


def test_readings_by_hand() -> None:
    assert fuzzy("at_most_one(a, b, c)", "goedel", [0.9, 0.6, 0.2]) == pytest.approx(0.4)
    assert fuzzy("at_most_one(a, b, c)", "lukasiewicz", [0.9, 0.6, 0.2]) == pytest.approx(1 - 0.5 - 0.1)
    assert fuzzy("exactly_one(a, b)", "product", [0.9, 0.2]) == pytest.approx((1 - 0.18) * (0.9 + 0.2 - 0.18))


@pytest.mark.parametrize("kind", KINDS)
def test_a_count_over_one_operand_is_that_operand_or_nothing(kind: str) -> None:
    assert fuzzy("at_most_one(a)", kind, [0.3, 0.5, 0.5]) == 1
    assert fuzzy("exactly_one(a)", kind, [0.3, 0.5, 0.5]) == pytest.approx(0.3)
    assert fuzzy("at_least_one(a)", kind, [0.3, 0.5, 0.5]) == pytest.approx(0.3)
    logits = torch.tensor([[0.3, -1.0, 0.0]], requires_grad=True)
    rules = RuleSet.parse("c or not (at_most_one(a) and (b -> at_most_one(a)))", LETTERS)
    (gradient,) = torch.autograd.grad(fuzzy_loss(logits, rules, kind).sum(), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_any_batch_shape_is_taken_and_without_rules_nothing_is_asked(kind: str) -> None:
    rules, logits = random_rules(1), some_logits(1, faces=6)
    folded = logits.reshape(2, 3, len(SCHEMA))
    assert torch.equal(fuzzy_truth(folded, rules, kind).reshape(6, -1), fuzzy_truth(logits, rules, kind))
    torch.testing.assert_close(fuzzy_loss(logits[0], rules, kind), fuzzy_loss(logits, rules, kind)[0])
    assert fuzzy_loss(logits[:0], rules, kind).shape == (0,)
    empty = RuleSet(SCHEMA)
    assert fuzzy_truth(logits, empty, kind).shape == (6, 0)
    assert torch.equal(fuzzy_loss(logits, empty, kind), torch.zeros(6))


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_does_not_reach_the_inside_and_half_precision_is_widened(kind: str) -> None:
    rules, logits = random_rules(2), some_logits(2)
    plain = fuzzy_loss(logits, rules, kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fuzzy_loss(logits, rules, kind), plain)
        half = fuzzy_loss(logits.bfloat16(), rules, kind)
    assert half.dtype == torch.float32
    assert torch.equal(half, fuzzy_loss(logits.bfloat16().float(), rules, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_is_passed_on(kind: str) -> None:
    for text in ("a -> b", "at_most_one(a, b, c)", "exactly_one(a, b)", "a <-> not b"):
        logits = torch.tensor([[math.nan, 100.0, -100.0]])
        assert fuzzy_loss(logits, RuleSet.parse(text, LETTERS), kind).isnan().all()
        assert fuzzy_truth(logits, RuleSet.parse(text, LETTERS), kind).isnan().all()


def test_logits_of_the_wrong_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits must be \[\.\.\., 3\]"):
        fuzzy_loss(torch.zeros(2, 4), RuleSet.parse("a", LETTERS), "product")
