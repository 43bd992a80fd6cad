"""Decision diagrams against every assignment looked at one by one."""

import random
from collections.abc import Sequence
from itertools import pairwise, product

import pytest
import torch

from faceinsight.knowledge.logic.components import ComponentTooLargeError, UnsatisfiableError, find_components
from faceinsight.knowledge.logic.diagram import DecisionDiagram, DiagramTooLargeError, compiled, restricted
from faceinsight.knowledge.logic.formula import And, Atom, Formula, Not, Or
from faceinsight.knowledge.logic.language import parse_rules
from faceinsight.knowledge.logic.ordering import RuleGraph, burdens, good_order, greedy_order
from faceinsight.knowledge.schema import Schema
from tests.knowledge.random_rules import SCHEMA, consistent_faces, random_rules


def random_clauses(
    rng: random.Random, names: Sequence[str], count: int, lengths: Sequence[int] = (2, 3)
) -> list[Formula]:
    def literal(name: str) -> Formula:
        return Atom(name) if rng.random() < 0.5 else Not(Atom(name))

    return [Or(tuple(map(literal, rng.sample(names, rng.choice(lengths))))) for _ in range(count)]


def accepts(diagram: DecisionDiagram, face: dict[str, bool]) -> bool:
    """Follow one face from the top to the bottom."""
    node = 0
    for level, name in enumerate(diagram.order):
        node = int((diagram.high if face[name] else diagram.low)[level][node])
        below = len(diagram.low[level + 1]) if level + 1 < len(diagram.order) else 1
        if node == below:
            return False
    return True


@pytest.mark.parametrize("seed", range(60))
def test_a_diagram_accepts_exactly_the_consistent_faces_in_any_order(seed: int):
    rules = random_rules(seed)
    used = tuple(dict.fromkeys(name for formula in rules.formulas for name in formula.names))
    expected = {tuple(face[SCHEMA.index(name)] for name in used) for face in consistent_faces(rules)}
    for order in (used, used[::-1]):
        diagram = compiled(rules.formulas, order)
        if diagram is None:
            assert not expected
            continue
        faces = [dict(zip(used, values, strict=True)) for values in product([False, True], repeat=len(used))]
        assert {tuple(face.values()) for face in faces if accepts(diagram, face)} == expected
        assert diagram.count() == len(expected)
        assert {tuple(row) for row in diagram.models().tolist()} == {
            tuple(value for _, value in sorted(zip(used, face, strict=True), key=lambda pair: order.index(pair[0])))
            for face in expected
        }


def test_what_is_left_of_a_formula_is_the_formula_given_the_attribute():
    for seed in range(60):
        for formula in random_rules(seed).formulas:
            name, *others = formula.names
            for value, rest in product([False, True], product([-1, 1], repeat=len(others))):
                labels = {
                    each: torch.tensor([label], dtype=torch.int8) for each, label in zip(others, rest, strict=True)
                }
                left = restricted(formula, name, value)
                expected = formula.evaluate({**labels, name: torch.tensor([1 if value else -1], dtype=torch.int8)})
                assert (left if isinstance(left, bool) else left.evaluate(labels).item() == 1) == (expected.item() == 1)


def test_a_diagram_is_reduced_no_two_nodes_of_a_level_are_alike_and_none_is_dead():
    for seed in range(20):
        formulas = random_clauses(random.Random(seed), [f"a{index}" for index in range(10)], 14)
        names = sorted({name for formula in formulas for name in formula.names})
        diagram = compiled(formulas, good_order(formulas, names))
        if diagram is None:
            continue
        for level, (low, high) in enumerate(zip(diagram.low, diagram.high, strict=True)):
            pairs = list(zip(low.tolist(), high.tolist(), strict=True))
            below = len(diagram.low[level + 1]) if level + 1 < len(diagram.low) else 1
            assert len(set(pairs)) == len(pairs)
            assert (below, below) not in pairs


def test_one_group_of_eighty_labels_needs_two_nodes_a_level():
    schema = Schema.from_names([f"a{index}" for index in range(80)])
    (rule,) = parse_rules(f"exactly_one({', '.join(schema.names)})", schema)
    diagram = compiled([rule], schema.names)
    assert diagram is not None
    assert max(map(len, diagram.low)) == 2
    assert diagram.count() == 80


def test_a_chain_of_two_hundred_attributes_counts_exactly():
    names = [f"a{index}" for index in range(200)]
    formulas = [Or((Atom(one), Atom(other))) for one, other in pairwise(names)]
    diagram = compiled(formulas, good_order(formulas, names))
    assert diagram is not None
    count = [1, 2]  # no two neighbours off: a Fibonacci number
    while len(count) < 201:
        count.append(count[-1] + count[-2])
    assert diagram.count() == count[200]


@pytest.mark.parametrize("seed", range(5))
def test_a_good_order_is_no_heavier_than_the_greedy_one_and_its_diagram_no_larger(seed: int):
    formulas = random_clauses(random.Random(seed), [f"a{index}" for index in range(30)], 45)
    used = sorted({name for formula in formulas for name in formula.names})
    graph, numbers = RuleGraph.of(formulas, used), {name: number for number, name in enumerate(used)}
    orders = good_order(formulas, used), greedy_order(formulas, used)
    good, greedy = burdens(graph, torch.tensor([[numbers[name] for name in order] for order in orders]).numpy())
    assert good <= greedy
    diagrams = [compiled(formulas, order) for order in orders]
    assert diagrams[0] is not None
    assert diagrams[1] is not None
    assert diagrams[0].nodes <= 1.1 * diagrams[1].nodes


def test_a_good_order_finds_a_hidden_chain():
    names = [f"a{index}" for index in range(60)]
    chain = random.Random(0).sample(names, 60)
    formulas = [Or((Atom(one), Atom(other))) for one, other in pairwise(chain)]
    diagram = compiled(formulas, good_order(formulas, names))
    assert diagram is not None
    assert max(map(len, diagram.low)) <= 4  # along the chain from its middle both ends are remembered


def test_a_burden_is_two_to_the_open_attributes_at_each_cut():
    schema = Schema.from_names(["a", "b", "c", "d"])
    formulas = parse_rules("a or c\n b or d", schema)
    graph = RuleGraph.of(formulas, schema.names)
    apart, together = burdens(graph, torch.tensor([[0, 1, 2, 3], [0, 2, 1, 3]]).numpy())
    assert apart == 2 + 4 + 2 + 1  # behind a: a. behind b: a and b. behind c: b. behind d: nothing
    assert together == 2 + 1 + 2 + 1


def test_two_hundred_random_clauses_are_refused_with_their_size_and_glue():
    formulas = random_clauses(random.Random(0), [f"a{index}" for index in range(80)], 200, lengths=[3])
    names = sorted({name for formula in formulas for name in formula.names})
    with pytest.raises(DiagramTooLargeError, match="5,000 nodes in a decision diagram"):
        compiled(formulas, good_order(formulas, names), max_nodes=5_000)
    schema = Schema.from_names(names)
    with pytest.raises(ComponentTooLargeError, match=r"join \d+ attributes .*most by"):
        find_components(formulas, schema, max_nodes=5_000)


def test_contradictory_rules_have_no_diagram():
    schema = Schema.from_names(["a", "b"])
    assert compiled(parse_rules("a\n a -> b\n not b", schema), ["a", "b"]) is None
    with pytest.raises(UnsatisfiableError):
        find_components(parse_rules("a\n a -> b\n not b", schema), schema)


def test_conjunctions_inside_each_other_are_taken_apart():
    nested = And((Atom("a"), And((Atom("b"), Not(Atom("c"))))))
    diagram = compiled([nested], ["a", "b", "c"])
    assert diagram is not None
    assert diagram.count() == 1
    assert accepts(diagram, {"a": True, "b": True, "c": False})


@pytest.mark.parametrize("text", ["at_most_one({})", "exactly_one({})", "at_least_one({})", "not at_most_one({})"])
def test_a_rule_that_counts_many_attributes_has_a_diagram_that_grows_linearly_with_them(text: str):
    for size in (5, 400):
        schema = Schema.from_names([f"a{number}" for number in range(size)])
        (rule,) = parse_rules(text.format(", ".join(schema.names)), schema)
        order = good_order([rule], schema.names)
        diagram = compiled([rule], order, max_nodes=3 * size)
        assert diagram is not None
        one_at_most = size + 1
        wanted = {
            "at_most": one_at_most,
            "exactly": size,
            "at_least": 2**size - 1,
            "not at_most": 2**size - one_at_most,
        }
        assert diagram.count() == wanted[text.partition("_one")[0]]


def test_a_counting_rule_among_others_is_decided_as_looking_at_every_face_decides_it():
    names = [f"a{number}" for number in range(10)]
    schema = Schema.from_names(names)
    text = f"at_most_one({', '.join(names)})\nat_least_one(a0, not a1, a2)\nnot exactly_one(a3, not a4, a5)\na6 -> a7"
    rules = parse_rules(text, schema)
    (component,) = find_components(rules, schema)
    faces = torch.tensor(list(product([-1, 1], repeat=10)), dtype=torch.int8)
    by_name = dict(zip(names, faces.unbind(1), strict=True))
    kept = torch.stack([rule.evaluate(by_name) > 0 for rule in rules]).all(0)
    assert torch.equal(component.models, faces[kept] > 0)
