"""Clauses against every face looked at one by one."""

import random
from collections.abc import Iterable
from itertools import product

import pytest

from faceinsight.knowledge.logic import clauses as clauses_module
from faceinsight.knowledge.logic.clauses import Clause, directional_closure, prime_implicates
from faceinsight.knowledge.logic.components import ComponentTooLargeError, UnsatisfiableError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from tests.knowledge.random_rules import SCHEMA, Face, consistent_faces, random_rules


def satisfies(face: Face, clauses: Iterable[Clause]) -> bool:
    values = dict(zip(SCHEMA.names, face, strict=True))
    return all(any(values[name] == wanted for name, wanted in clause) for clause in clauses)


@pytest.mark.parametrize("seed", range(30))
def test_the_prime_implicates_say_the_same_as_the_rule_and_none_can_be_shorter(seed: int) -> None:
    rule = RuleSet(SCHEMA, random_rules(seed).rules[:1])
    faces, clauses = consistent_faces(rule), prime_implicates(rule.formulas[0])
    assert [face for face in product([False, True], repeat=len(SCHEMA)) if satisfies(face, clauses)] == faces
    for clause in clauses:
        for literal in clause:
            assert not all(satisfies(face, [clause - {literal}]) for face in faces)


def test_a_rule_that_always_holds_has_no_clause_and_one_that_never_does_the_empty_one() -> None:
    always, never = RuleSet.parse("a or not a\na and not a", SCHEMA).formulas
    assert prime_implicates(always) == set()
    assert prime_implicates(never) == {frozenset()}


@pytest.mark.parametrize("seed", range(40))
def test_attributes_set_in_order_without_breaking_a_clause_can_always_be_completed(seed: int) -> None:
    rules = random_rules(seed)
    faces = consistent_faces(rules)
    order = random.Random(seed).sample(SCHEMA.names, len(SCHEMA))
    if not faces:
        with pytest.raises(UnsatisfiableError):
            directional_closure(rules.formulas, order)
        return
    clauses = directional_closure(rules.formulas, order)
    places = [SCHEMA.names.index(name) for name in order]
    for length in range(len(order) + 1):
        settled = set(order[:length])
        over = [clause for clause in clauses if {name for name, _ in clause} <= settled]
        begun = {tuple(face[place] for place in places[:length]) for face in faces}
        for values in product([False, True], repeat=length):
            face = [False] * len(SCHEMA)
            for place, value in zip(places, values, strict=False):
                face[place] = value
            assert satisfies(tuple(face), over) == (values in begun)


def test_contradictory_rules_are_named() -> None:
    rules = RuleSet.parse("a -> b\nb -> c\nd -> e\na\nnot c", SCHEMA)
    with pytest.raises(UnsatisfiableError) as error:
        directional_closure(rules.formulas, SCHEMA.names)
    assert set(error.value.rules) == {"a -> b", "b -> c", "a", "not c"}


def test_too_many_clauses_and_too_wide_a_rule_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clauses_module, "MAX_CLAUSES", 3)
    with pytest.raises(ComponentTooLargeError, match="more than 3 clauses"):
        directional_closure(RuleSet.parse("exactly_one(a, b, c, d)", SCHEMA).formulas, SCHEMA.names)
    wide = Schema.from_names([f"x{number}" for number in range(15)])
    (rule,) = RuleSet.parse(f"at_least_one({', '.join(wide.names)})", wide).formulas
    with pytest.raises(ValueError, match="15 attributes, more than 14"):
        prime_implicates(rule)
