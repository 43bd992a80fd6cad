"""Components and their models, against every assignment looked at one by one."""

import itertools
import random

import pytest
import torch

from faceinsight.knowledge.logic.components import (
    ComponentTooLargeError,
    UnsatisfiableError,
    connected,
    find_components,
    is_satisfiable,
    minimal_conflict,
)
from faceinsight.knowledge.logic.formula import Atom, Formula, Not, Or, columns
from faceinsight.knowledge.logic.language import parse_rules
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from tests.knowledge.strict_rules import STRICT


def letters(count: int) -> Schema:
    return Schema.from_names([f"a{index}" for index in range(count)])


def random_clauses(rng: random.Random, schema: Schema, count: int) -> list[Formula]:
    def literal(name: str) -> Formula:
        return Atom(name) if rng.random() < 0.5 else Not(Atom(name))

    return [Or(tuple(map(literal, rng.sample(schema.names, rng.choice([2, 3]))))) for _ in range(count)]


def brute_force(formulas: list[Formula], schema: Schema, names: tuple[str, ...]) -> list[tuple[bool, ...]]:
    """Every assignment of ``names`` under which all formulas hold, the other attributes being off."""
    kept = []
    for values in itertools.product([False, True], repeat=len(names)):
        face = torch.full((1, len(schema)), -1, dtype=torch.int8)
        for name, value in zip(names, values, strict=True):
            face[0, schema.index(name)] = 1 if value else -1
        if all(formula.evaluate(columns(schema, face)).item() == 1 for formula in formulas):
            kept.append(values)
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_the_models_are_those_that_looking_at_every_assignment_finds(seed: int):
    rng, schema = random.Random(seed), letters(8)
    formulas = random_clauses(rng, schema, 6)
    found = find_components(formulas, schema)
    assert sorted(rule for component in found for rule in component.rules) == list(range(6))
    for component in found:
        mine = [formulas[rule] for rule in component.rules]
        expected = brute_force(mine, schema, component.attributes)
        assert [tuple(row) for row in component.models.tolist()] == expected  # sorted as binary numbers too
        assert component.index.tolist() == [schema.index(name) for name in component.attributes]


def test_rules_fall_into_components_by_the_attributes_they_share():
    schema = letters(7)
    formulas = parse_rules("a5 -> a0\n a1 or a2\n a2 -> a3\n a0 -> not a6\n a1 <-> a3", schema)
    assert connected(formulas) == [(0, 3), (1, 2, 4)]
    first, second = find_components(formulas, schema)
    assert first.attributes == ("a0", "a5", "a6")
    assert second.attributes == ("a1", "a2", "a3")
    assert len(first) == 3


def test_a_late_rule_joins_components_that_stood_apart():
    formulas = parse_rules("a0 -> a1\n a2 -> a3\n a4\n a1 -> a2", letters(5))
    assert connected(formulas) == [(0, 1, 3), (2,)]


def test_the_strict_celeba_rules_have_927_models():
    rules = RuleSet.parse(STRICT, Schema.load("celeba"))
    (component,) = rules.components
    assert (len(rules), len(component), len(component.models)) == (12, 15, 927)


def test_contradictory_rules_are_refused_with_a_minimal_conflict():
    schema = Schema.from_names(["a", "b", "c", "d"])
    formulas = parse_rules("a -> d\n a -> b\n b -> c\n a or b\n a\n not c\n d or c", schema)
    with pytest.raises(UnsatisfiableError) as caught:
        find_components(formulas, schema)
    conflict = parse_rules("\n".join(caught.value.rules), schema)
    assert not is_satisfiable(conflict)
    for left_out in conflict:
        assert is_satisfiable([formula for formula in conflict if formula is not left_out])
    assert str(caught.value) == (
        "no face can satisfy these rules together; drop or change one of them:\n"
        "    a -> b\n    b -> c\n    a\n    not c"
    )


def test_a_rule_that_contradicts_itself_is_a_conflict_of_one():
    schema = Schema.from_names(["a", "b"])
    formulas = parse_rules("a -> b\n a and not a", schema)
    assert [str(formula) for formula in minimal_conflict(formulas)] == ["a and not a"]


def test_a_component_with_too_many_models_to_list_counts_them():
    schema = letters(30)
    (component,) = find_components(parse_rules(f"at_least_one({', '.join(schema.names)})", schema), schema)
    assert component.count == 2**30 - 1
    with pytest.raises(ValueError, match=r"30 attributes .*'a0' .*1,073,741,823"):
        _ = component.models


@pytest.mark.parametrize("seed", range(3))
def test_the_fewest_changes_are_those_to_the_nearest_model(seed: int):
    rng, schema = random.Random(seed), letters(8)
    formulas = random_clauses(rng, schema, 6)
    labels = torch.tensor([[rng.choice([-1, 0, 1]) for _ in range(8)] for _ in range(50)], dtype=torch.int8)
    for component in find_components(formulas, schema):
        models = brute_force([formulas[rule] for rule in component.rules], schema, component.attributes)
        signs = torch.tensor(models).int() * 2 - 1
        own = labels[:, component.index]
        assert component.fewest_changes(own).tolist() == (own[:, None] * signs < 0).sum(-1).amin(1).tolist()


def test_a_component_too_large_for_a_diagram_is_refused_with_its_size_and_its_glue():
    schema = letters(12)
    formulas = parse_rules("a0 or a1 or a2 or a3 or a4 or a5\n a5 or a6\n a6 or a7 or a8 or a9 or a10 or a11", schema)
    with pytest.raises(ComponentTooLargeError) as caught:
        find_components(formulas, schema, max_nodes=10)
    assert str(caught.value) == (
        "3 rules join 12 attributes into one component with more than 10 nodes in a decision diagram; "
        "it hangs together most by 'a5 or a6': without that rule its largest part has 6 attributes. "
        "Drop or split rules"
    )
    assert (caught.value.attributes, caught.value.glue) == (12, "a5 or a6")


def test_a_chain_of_many_attributes_is_satisfiable_until_its_ends_contradict_each_other():
    schema = letters(120)
    chain = [f"a{index} -> a{index + 1}" for index in range(119)]
    assert is_satisfiable(parse_rules("\n".join(chain), schema))
    assert not is_satisfiable(parse_rules("\n".join([*chain, "a0", "not a119"]), schema))


def test_one_group_of_eighty_labels_is_no_trouble():
    schema = letters(80)
    (component,) = find_components(parse_rules(f"exactly_one({', '.join(schema.names)})", schema), schema)
    assert torch.equal(component.models.flip(0), torch.eye(80, dtype=torch.bool))


def test_no_rules_have_no_components():
    assert find_components([], letters(2)) == ()
