"""Rules as clauses, closed under resolution along an ordering of the attributes.

A clause says that at least one of its literals is true, a literal that a face has an attribute or that it lacks it.
Clauses that are closed along an ordering are backtrack-free: values of the first attributes that break no clause over
them can always be completed, one attribute after the other, without ever changing one that is set.

Sources:
    Dechter and Rish 1994, Directional Resolution: the Davis-Putnam procedure, revisited
    Quine 1952, prime implicates of a formula; here from its truth table
"""

from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.logic.components import (
    ComponentTooLargeError,
    UnsatisfiableError,
    connected,
    minimal_conflict,
)
from faceinsight.knowledge.logic.formula import Formula

__all__ = ["MAX_CLAUSES", "Clause", "directional_closure", "prime_implicates"]

#: At least one literal is true; ``("Bald", False)`` is "not Bald". Without literals it is false.
Clause = frozenset[tuple[str, bool]]

#: Above this many attributes a rule's truth table (three values each) is refused; our choice.
MAX_NAMES = 14

#: Above this many clauses of one component the closure is given up; our choice.
MAX_CLAUSES = 2**12


def prime_implicates(formula: Formula) -> set[Clause]:
    """All shortest clauses that the formula implies; together they say the same as the formula.

    A clause is broken by all faces that agree with the opposite of its literals, so the shortest clauses are the
    largest such sets of faces on which the formula is false.

    Raises:
        InputError: more than ``MAX_NAMES`` attributes.

    >>> from faceinsight.knowledge.logic.language import parse_rules
    >>> from faceinsight.knowledge.schema import Schema
    >>> (rule,) = parse_rules("Bald -> not (Bangs or Wavy)", Schema.from_names(["Bald", "Bangs", "Wavy"]))
    >>> sorted(sorted(clause) for clause in prime_implicates(rule))
    [[('Bald', False), ('Bangs', False)], [('Bald', False), ('Wavy', False)]]
    """
    names = formula.names
    if len(names) > MAX_NAMES:
        raise InputError(f"{str(formula)!r} speaks of {len(names)} attributes, more than {MAX_NAMES}; split the rule")
    broken = falsified(formula)
    for axis in range(len(names)):  # a third value, "either": the formula is false with both
        both = broken.narrow(axis, 0, 1) & broken.narrow(axis, 1, 1)
        broken = torch.cat([broken, both], dim=axis)
    prime = broken.clone()
    for axis in range(len(names)):
        prime.narrow(axis, 0, 2).logical_and_(~broken.narrow(axis, 2, 1))
    return {
        frozenset((name, value == 0) for name, value in zip(names, values, strict=True) if value < 2)
        for values in prime.nonzero().tolist()
    }


def falsified(formula: Formula) -> Tensor:
    """Return a boolean truth table with one axis of 2 for each of the formula's attributes: where it is false."""
    size = (2,) * len(formula.names)
    faces = torch.tensor(list(product([-1, 1], repeat=len(size))), dtype=torch.int8)
    return (formula.evaluate(dict(zip(formula.names, faces.unbind(1), strict=True))) < 0).reshape(size)


def directional_closure(formulas: Sequence[Formula], order: Sequence[str]) -> list[Clause]:
    """Return the formulas as clauses, with all that follows by resolving on each clause's last attribute.

    Args:
        formulas: what shall hold together.
        order: all their attributes; those that come first are settled first.

    Returns:
        clauses in the order of their last attributes; none contains another.

    Raises:
        UnsatisfiableError: the formulas cannot hold together; a minimal conflict is named.
        ComponentTooLargeError: some component has more than ``MAX_CLAUSES`` clauses in this ordering.

    >>> from faceinsight.knowledge.logic.language import parse_rules
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = parse_rules("(A -> C) and (B -> not C)", Schema.from_names(["A", "B", "C"]))
    >>> [sorted(clause) for clause in directional_closure(rules, ["A", "B", "C"])]  # A and B are not both true
    [[('A', False), ('B', False)], [('B', False), ('C', False)], [('A', False), ('C', True)]]
    """
    place = {name: position for position, name in enumerate(order)}
    parts = ([formulas[index] for index in members] for members in connected(formulas))
    clauses = [clause for part in parts for clause in _closed(part, place)]
    return sorted(clauses, key=lambda clause: sorted(((place[name], yes) for name, yes in clause), reverse=True))


def _closed(formulas: Sequence[Formula], place: dict[str, int]) -> set[Clause]:
    """Return the closure of one component."""
    clauses = shortest(clause for formula in formulas for clause in prime_implicates(formula))
    names = {name for formula in formulas for name in formula.names}
    for name in sorted(names, key=place.__getitem__, reverse=True):
        last = [clause for clause in clauses if max((place[each] for each, _ in clause), default=-1) == place[name]]
        yes, no = ([clause for clause in last if (name, value) in clause] for value in (True, False))
        resolvents = {(one | other) - {(name, True), (name, False)} for one, other in product(yes, no)}
        clauses = shortest(clauses | {each for each in resolvents if not is_tautology(each)})
        if frozenset() in clauses:
            raise UnsatisfiableError(minimal_conflict(formulas))
        if len(clauses) > MAX_CLAUSES:
            raise ComponentTooLargeError(formulas, f"{MAX_CLAUSES:,} clauses in this ordering")
    return clauses


def shortest(clauses: Iterable[Clause]) -> set[Clause]:
    """Return the clauses that contain no other one of them, and so say the same as all of them."""
    kept: set[Clause] = set()
    for clause in sorted(set(clauses), key=len):
        if not any(other <= clause for other in kept):
            kept.add(clause)
    return kept


def is_tautology(clause: Clause) -> bool:
    """Whether every face satisfies the clause."""
    return any((name, not value) in clause for name, value in clause)
