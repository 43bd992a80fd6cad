"""Diagrams against enumeration, component by component, and where enumeration cannot follow against sampling less."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from faceinsight.knowledge.logic.components import Component, UnsatisfiableError, find_components
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic import layered
from faceinsight.modules.logic.enumeration import EnumeratedComponent
from faceinsight.modules.logic.layered import LayeredComponent
from tests.knowledge.logic.test_diagram import random_clauses
from tests.knowledge.random_rules import random_rules

DEVICE = torch.device("cpu")


def both(rules: RuleSet, dtype: torch.dtype = torch.float64) -> list[tuple[EnumeratedComponent, LayeredComponent]]:
    """Each component of the rules, served in both ways."""
    components = find_components(rules.formulas, rules.schema)
    return [(EnumeratedComponent.of(each, DEVICE, dtype), LayeredComponent.of(each, DEVICE)) for each in components]


def satisfiable(seeds: range) -> list[RuleSet]:
    found = []
    for rules in map(random_rules, seeds):
        try:
            found += [rules] if find_components(rules.formulas, rules.schema) else []
        except UnsatisfiableError:
            continue
    return found


def drawn(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


RULES = satisfiable(range(40))
assert len(RULES) > 20


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: f"{len(rules)}-rules")
def test_sums_maxima_and_entropies_equal_those_over_every_model(rules: RuleSet):
    logits, others = drawn(2, 5, 7), drawn(2, 5, 7, seed=1)
    for one, two in both(rules):
        torch.testing.assert_close(two.log_partition(logits), one.log_partition(logits), rtol=0, atol=1e-12)
        torch.testing.assert_close(two.marginals(logits), one.marginals(logits))
        torch.testing.assert_close(two.entropy(logits), one.entropy(logits), rtol=0, atol=1e-12)
        torch.testing.assert_close(two.divergence(logits, others), one.divergence(logits, others), rtol=0, atol=1e-10)
        assert torch.equal(two.mode(logits), one.mode(logits))


@pytest.mark.parametrize("rules", RULES[:10], ids=lambda rules: f"{len(rules)}-rules")
def test_evidence_is_taken_alike_and_so_is_its_contradiction(rules: RuleSet):
    logits, labels = drawn(300, 7), torch.randint(-1, 2, (300, 7), dtype=torch.int8)
    for one, two in both(rules):
        wrong = one.contradicted(labels)
        assert torch.equal(two.contradicted(labels), wrong)
        for engine in (one, two):
            assert torch.equal(engine.log_partition(logits, labels) < -1e29, wrong)
        logits_here, labels_here = logits[~wrong], labels[~wrong]
        partitions = [engine.log_partition(logits_here, labels_here) for engine in (one, two)]
        torch.testing.assert_close(*partitions, rtol=0, atol=1e-12)
        marginals = two.marginals(logits_here, labels_here)
        torch.testing.assert_close(marginals, one.marginals(logits_here, labels_here))
        modes = two.mode(logits_here, labels_here)
        assert torch.equal(modes, one.mode(logits_here, labels_here))
        entropies = [engine.entropy(logits_here, labels_here) for engine in (one, two)]
        torch.testing.assert_close(*entropies, rtol=0, atol=1e-12)


def test_ties_go_to_the_first_in_binary_order_whatever_the_diagrams_order():
    for rules in RULES:
        logits = torch.randint(-1, 2, (200, 7), generator=torch.Generator().manual_seed(0)).double()
        for one, two in both(rules):
            assert torch.equal(two.mode(logits), one.mode(logits))


def test_ties_are_decided_over_more_attributes_than_one_word_has_bits():
    schema = Schema.from_names([f"a{index}" for index in range(150)])
    rules = RuleSet.parse([f"a{index} or a{index + 1}" for index in range(149)], schema)
    mode = ConstrainedBernoulli(logits=torch.full((3, 150), -1.0), rules=rules).mode
    # half of the attributes must be on; first in binary order begins with the longest run of zeros it can
    assert torch.equal(mode, torch.tensor([0.0, 1.0] * 75).expand(3, 150))


QUANTITIES: dict[str, Callable[[LayeredComponent, Tensor], Tensor]] = {
    "log_partition": lambda component, logits: component.log_partition(logits),
    "marginals": lambda component, logits: component.marginals(logits),
    "entropy": lambda component, logits: component.entropy(logits),
    "divergence": lambda component, logits: component.divergence(logits, logits.flip(-1)),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_are_right_and_the_log_partition_can_be_derived_twice(name: str):
    rules = RuleSet.parse("a -> not b\nexactly_one(a, b, c)\nd or e\nc -> d", random_rules(0).schema)
    (component,) = (two for _, two in both(rules))
    logits = drawn(2, 7, scale=1.0).requires_grad_()
    assert gradcheck(lambda x: QUANTITIES[name](component, x), logits)
    if name == "log_partition":
        assert gradgradcheck(lambda x: QUANTITIES[name](component, x), logits)


@pytest.mark.parametrize("name", ["log_partition", "marginals", "mode", "entropy", "draw"])
def test_a_batch_in_pieces_gives_what_it_gives_whole(name: str, monkeypatch: pytest.MonkeyPatch):
    (component,) = large(0).values()
    logits = drawn(23, 40).float()

    def result() -> Tensor:
        if name == "draw":
            return component.draw(logits, 4000, torch.Generator().manual_seed(0)).mean(0)
        return getattr(component, name)(logits)

    whole = result()
    monkeypatch.setattr(layered, "ROOM", 3 * component.levels.nodes)
    torch.testing.assert_close(result(), whole, rtol=0, atol=0.05 if name == "draw" else 1e-5)


def large(seed: int) -> dict[Component, LayeredComponent]:
    """Forty attributes under eighty random clauses: far too many models to list."""
    schema = Schema.from_names([f"a{index}" for index in range(40)])
    formulas = random_clauses(random.Random(seed), schema.names, 80)
    return {each: LayeredComponent.of(each, DEVICE) for each in find_components(formulas, schema)}


def test_a_large_component_is_served_by_a_diagram_and_is_right_where_it_can_be_checked():
    ((component, engine),) = large(0).items()
    assert component.count > 50_000
    logits = drawn(40, 40)
    partition = engine.log_partition(logits)
    mode = engine.mode(logits)
    index = component.index
    # p(y | K) of the mode by the chain rule: one attribute after the other becomes known
    known = torch.zeros(40, 40, dtype=torch.int8)
    log_prob = torch.zeros(40, dtype=torch.float64)
    for column, position in enumerate(index.tolist()):
        share = engine.marginals(logits, known)[:, column]
        log_prob += torch.where(mode[:, column] > 0.5, share, 1 - share).log()
        known[:, position] = torch.where(mode[:, column] > 0.5, 1, -1).to(torch.int8)
    whole = torch.zeros_like(logits).index_copy(1, engine.index, mode)
    signed = torch.where(whole > 0.5, logits, -logits)[:, index]
    expected = torch.nn.functional.logsigmoid(signed).sum(-1) - partition
    torch.testing.assert_close(log_prob, expected, rtol=0, atol=1e-9)


def test_no_sample_is_likelier_than_the_mode_and_samples_follow_the_marginals():
    ((_, engine),) = large(1).items()
    logits = drawn(4, 40, scale=1.0)
    samples = engine.draw(logits, 20_000, torch.Generator().manual_seed(0))
    own = logits[:, engine.index]
    assert ((samples * own).sum(-1).amax(0) <= (engine.mode(logits) * own).sum(-1) + 1e-12).all()
    marginals = engine.marginals(logits)
    deviation = (samples.mean(0) - marginals).abs() / (marginals * (1 - marginals) / 20_000).sqrt().clamp(min=1e-4)
    assert deviation.max() < 4.5


@pytest.mark.parametrize("size", [15.0, 100.0, 1e4])
def test_extreme_logits_stay_finite_in_a_large_component(size: float):
    ((_, engine),) = large(2).items()
    logits = (drawn(64, 40).sign() * size).float().requires_grad_()
    values = torch.stack([engine.log_partition(logits), engine.entropy(logits), engine.marginals(logits).sum(-1)])
    assert values.isfinite().all()
    assert (values[0] <= 0).all()
    values.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
