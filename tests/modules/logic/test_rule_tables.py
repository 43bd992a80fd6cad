"""Which way to sum serves a component, and that the choice changes nothing."""

import pytest
import torch

from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic.enumeration import EnumeratedComponent
from faceinsight.modules.logic.layered import LayeredComponent
from faceinsight.modules.logic.rule_tables import BREAK_EVEN, is_listed, rule_tables
from faceinsight.modules.logical import semantic_loss
from tests.knowledge.strict_rules import STRICT


@pytest.fixture(scope="module")
def strict() -> RuleSet:
    return RuleSet.parse(STRICT, Schema.load("celeba"))


def test_few_faces_are_enumerated_and_many_go_through_the_diagram(strict: RuleSet):
    (component,) = strict.components
    most = BREAK_EVEN * len(component) // component.count
    assert is_listed(component, most)
    assert not is_listed(component, most + 1)
    for faces, engine in ((most, EnumeratedComponent), (most + 1, LayeredComponent)):
        (table,) = rule_tables(strict, torch.zeros(faces, 40))
        assert type(table) is engine


def test_a_component_with_many_models_is_never_enumerated():
    schema = Schema.from_names([f"a{number}" for number in range(13)])
    (component,) = RuleSet.parse(f"at_least_one({', '.join(schema.names)})", schema).components
    assert component.count > 2**12
    assert not is_listed(component, 1)


def test_the_result_is_the_same_on_both_sides_of_the_switch(strict: RuleSet):
    logits = torch.randn(2000, 40, generator=torch.Generator().manual_seed(0)) * 3
    few = logits[:100]
    whole, part = (ConstrainedBernoulli(logits=each, rules=strict) for each in (logits, few))
    for name in ("log_partition", "marginals", "mode"):
        torch.testing.assert_close(getattr(whole, name)[:100], getattr(part, name), rtol=0, atol=1e-5)
    torch.testing.assert_close(semantic_loss(logits, strict)[:100], semantic_loss(few, strict), rtol=0, atol=1e-5)


def test_an_empty_batch_has_an_empty_result(strict: RuleSet):
    faces = ConstrainedBernoulli(logits=torch.zeros(0, 40), rules=strict)
    assert (faces.log_partition.shape, faces.mode.shape) == ((0,), (0, 40))
