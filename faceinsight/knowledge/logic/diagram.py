"""Ordered decision diagrams: the consistent faces of a component too large to write them all down.

A diagram decides one attribute after the other. Partial assignments that leave the same to be satisfied share a node,
so that its size grows with how much a prefix must remember, not with the number of consistent faces; sums and maxima
over all of them are one pass through its levels (see ``modules/logic/layered.py``).

Sources:
    Bryant 1986, Graph-Based Algorithms for Boolean Function Manipulation (the diagram, its reduction)
    Huang and Darwiche 2004, Using DPLL for efficient OBDD construction (from the top, equal residues shared)

Choices of this library: residues are formulas, so counting rules (``exactly_one``) need no clauses, and one that only
counts attributes is remembered as its counter, so that its diagram grows linearly with them; every path visits
every level (quasi-reduced), so that a level is one gather; nodes from which nothing can be satisfied are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int8, Int64
from torch import Tensor
from torch.nn import functional as F

from faceinsight.errors import InputError
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
    counted_literals,
)

__all__ = ["MAX_NODES", "DecisionDiagram", "DiagramTooLargeError", "compiled", "restricted"]

#: Above this many nodes a diagram is given up; our choice (a batch of 256 takes some seconds there).
MAX_NODES = 2**18

#: A formula, or what is left of it once it is decided.
Residue = Formula | bool


@dataclass(frozen=True)
class Tally:
    """What is left of a rule that only counts attributes.

    Args:
        rule: its number.
        seen: how many of its literals have been true; 2 stands for any more.
        left: how many are not decided yet.
    """

    rule: int
    seen: int
    left: int


class DiagramTooLargeError(InputError):
    """A diagram with more than ``MAX_NODES`` nodes."""


@dataclass(frozen=True, eq=False)
class DecisionDiagram:
    """Which assignments of some attributes satisfy their rules.

    Args:
        order: the attributes in the order in which they are decided.
        low: for each of them, where each node of its level leads if the attribute is absent: a node of the next level,
            or one more than the last of them if nothing can be satisfied then. The last level leads to a single node.
        high: the same if it is present.
    """

    order: tuple[str, ...]
    low: tuple[Int64[Tensor, " _"], ...]
    high: tuple[Int64[Tensor, " _"], ...]

    @property
    def nodes(self) -> int:
        """How many nodes all levels have together; the work of one pass is proportional to it."""
        return sum(map(len, self.low))

    def count(self) -> int:
        """How many assignments satisfy the rules, exactly."""
        counts = [1]
        for low, high in zip(reversed(self.low), reversed(self.high), strict=True):
            counts.append(0)
            counts = [counts[no] + counts[yes] for no, yes in zip(low.tolist(), high.tolist(), strict=True)]
        return counts[0]

    def models(self) -> Bool[Tensor, "model attr"]:
        """Every assignment that satisfies the rules, its columns in :attr:`order`."""
        node, models = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 0, dtype=torch.bool)
        for level, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            below = len(self.low[level + 1]) if level + 1 < len(self.low) else 1
            grown = [F.pad(models, (0, 1), value=value) for value in (False, True)]
            node, models = torch.cat([low[node], high[node]]), torch.cat(grown)
            node, models = node[node < below], models[node < below]
        return models

    def fewest_changes(self, labels: Int8[Tensor, "face attr"]) -> Int64[Tensor, " face"]:
        """In how many defined labels each face differs from the nearest assignment that satisfies the rules.

        Args:
            labels: 1, -1, or 0 undefined, in :attr:`order`.
        """
        value = torch.zeros(1, len(labels), dtype=torch.int64)
        dead = torch.full((1, len(labels)), len(self.order) + 1)
        for low, high, own in zip(reversed(self.low), reversed(self.high), reversed(labels.unbind(1)), strict=True):
            below = torch.cat([value, dead])
            value = torch.minimum(below[high] + (own < 0), below[low] + (own > 0))
        return value[0]


def restricted(formula: Formula, name: str, value: bool) -> Residue:
    """Return what is left of a formula once one attribute is known.

    >>> from faceinsight.knowledge.logic.language import parse_expression
    >>> from faceinsight.knowledge.schema import Schema
    >>> rule = parse_expression("A -> exactly_one(B, C)", Schema.from_names(["A", "B", "C"]))
    >>> print(restricted(rule, "A", True), restricted(rule, "A", False))
    exactly_one(B, C) True
    """
    if name not in formula.names:
        return formula
    match formula:
        case Atom():
            return value
        case Not(operand):
            return _not(restricted(operand, name, value))
        case Implies(left, right):
            return _any([_not(restricted(left, name, value)), restricted(right, name, value)])
        case Iff(left, right):
            return _equal(restricted(left, name, value), restricted(right, name, value))
        case And(operands):
            return _all(restricted(operand, name, value) for operand in operands)
        case Or(operands) | AtLeastOne(operands):
            return _any(restricted(operand, name, value) for operand in operands)
        case AtMostOne(operands):
            return _one([restricted(operand, name, value) for operand in operands], or_none=True)
        case ExactlyOne(operands):
            return _one([restricted(operand, name, value) for operand in operands], or_none=False)
    raise TypeError(f"{formula!r} is no formula of the rule language")


def _not(part: Residue) -> Residue:
    if isinstance(part, bool):
        return not part
    return part.operand if isinstance(part, Not) else Not(part)


def _all(parts: Iterable[Residue]) -> Residue:
    kept: list[Formula] = []
    for part in parts:
        if part is False:
            return False
        if part is not True:
            kept += part.operands if isinstance(part, And) else [part]
    return (And(tuple(kept)) if len(kept) > 1 else kept[0]) if kept else True


def _any(parts: Iterable[Residue]) -> Residue:
    kept: list[Formula] = []
    for part in parts:
        if part is True:
            return True
        if part is not False:
            kept += part.operands if isinstance(part, Or) else [part]
    return (Or(tuple(kept)) if len(kept) > 1 else kept[0]) if kept else False


def _equal(left: Residue, right: Residue) -> Residue:
    if isinstance(left, bool):
        return right if left else _not(right)
    if isinstance(right, bool):
        return left if right else _not(left)
    return Iff(left, right)


def _one(parts: Sequence[Residue], *, or_none: bool) -> Residue:
    """One of the parts is true and no other; or none is."""
    certain = sum(part is True for part in parts)
    left = tuple(part for part in parts if not isinstance(part, bool))
    if certain:
        return certain == 1 and _all(_not(part) for part in left)
    if len(left) < 2:
        return or_none or (left[0] if left else False)
    return AtMostOne(left) if or_none else ExactlyOne(left)


def compiled(formulas: Sequence[Formula], order: Sequence[str], max_nodes: int = MAX_NODES) -> DecisionDiagram | None:
    """Return the diagram of all formulas together in a given order; None if they cannot hold together.

    Args:
        order: all attributes of the formulas; see ``knowledge/logic/ordering.py``.

    Raises:
        DiagramTooLargeError: more than ``max_nodes`` nodes before the reduction.
    """
    low, high = [], []
    numbers = {0: 0}  # what each kept node of the level below is called after the reduction
    for no, yes in reversed(_descended(formulas, order, max_nodes)):
        dead = len(set(numbers.values()))
        pairs: dict[tuple[int, int], int] = {}
        merged: dict[int, int] = {}
        for node, ends in enumerate(zip(no, yes, strict=True)):
            pair = (numbers.get(ends[0], dead), numbers.get(ends[1], dead))
            if pair != (dead, dead):
                merged[node] = pairs.setdefault(pair, len(pairs))
        low.append(torch.tensor([pair[0] for pair in pairs], dtype=torch.int64))
        high.append(torch.tensor([pair[1] for pair in pairs], dtype=torch.int64))
        numbers = merged
    return DecisionDiagram(tuple(order), tuple(low[::-1]), tuple(high[::-1])) if numbers else None


def _descended(formulas: Sequence[Formula], order: Sequence[str], max_nodes: int) -> list[tuple[list[int], list[int]]]:
    """For each level where its nodes lead, -1 where a formula has become false; not reduced yet."""
    place = {name: position for position, name in enumerate(order)}
    beginning: list[list[Formula]] = [[] for _ in order]
    for formula in formulas:
        beginning[min(place[name] for name in formula.names)].append(formula)
    table = _Residues(formulas)
    states: dict[frozenset[int], int] = {frozenset(): 0}
    steps, total = [], 0
    for name, begun in zip(order, beginning, strict=True):
        new = frozenset().union(*(table.begun(formula) for formula in begun))
        following: dict[frozenset[int], int] = {}
        step: tuple[list[int], list[int]] = ([], [])
        for state in states:
            for ends, value in zip(step, (False, True), strict=True):
                left = table.restricted(state | new, name, value)
                ends.append(-1 if left is None else following.setdefault(left, len(following)))
        steps.append(step)
        states = following
        if (total := total + len(states)) > max_nodes:
            raise DiagramTooLargeError(f"{max_nodes:,} nodes in a decision diagram")
    return steps


class _Residues:
    """Residues by number, and what each becomes; equal ones have one number.

    Args:
        formulas: the rules; of those that only count, every literal is kept by its name.
    """

    def __init__(self, formulas: Sequence[Formula]) -> None:
        self.residues: list[Formula | Tally] = []
        self.numbers: dict[Formula | Tally, int] = {}
        self.known: dict[tuple[int, str, bool], frozenset[int] | None] = {}
        self.counting = {
            id(formula): (rule, *counted)
            for rule, formula in enumerate(formulas)
            if (counted := counted_literals(formula)) is not None
        }
        self.counted_by_rule = {rule: (literals, holds) for rule, literals, holds in self.counting.values()}

    def begun(self, formula: Formula) -> frozenset[int]:
        """Return the numbers of a rule's conjuncts before anything is decided."""
        if id(formula) not in self.counting:
            return self.conjuncts(formula)
        rule, literals, _ = self.counting[id(formula)]
        return frozenset([self.number(Tally(rule, 0, len(literals)))])

    def number(self, residue: Formula | Tally) -> int:
        """Return the number of a residue, a new one if it is new."""
        if residue not in self.numbers:
            self.numbers[residue] = len(self.residues)
            self.residues.append(residue)
        return self.numbers[residue]

    def counted(self, tally: Tally, name: str, value: bool) -> frozenset[int] | None:
        """Return what is left of a counting rule; None if it is broken."""
        literals, holds = self.counted_by_rule[tally.rule]
        if name not in literals:
            return frozenset([self.number(tally)])
        seen, left = min(tally.seen + (literals[name] == value), 2), tally.left - 1
        possible = set(range(seen, min(seen + left, 2) + 1))
        if possible <= holds:
            return frozenset()
        return frozenset([self.number(Tally(tally.rule, seen, left))]) if possible & holds else None

    def conjuncts(self, formula: Formula) -> frozenset[int]:
        """Return the numbers of a formula's conjuncts."""
        parts = formula.operands if isinstance(formula, And) else (formula,)
        found: set[int] = set()
        for part in parts:
            if isinstance(part, And):
                found |= self.conjuncts(part)
                continue
            found.add(self.number(part))
        return frozenset(found)

    def restricted(self, state: frozenset[int], name: str, value: bool) -> frozenset[int] | None:
        """Return what is left of a conjunction; None if it is false."""
        left: set[int] = set()
        for number in state:
            key = (number, name, value)
            if key not in self.known:
                self.known[key] = self.following(self.residues[number], name, value)
            part = self.known[key]
            if part is None:
                return None
            left |= part
        return frozenset(left)

    def following(self, residue: Formula | Tally, name: str, value: bool) -> frozenset[int] | None:
        """Return what a residue becomes once one attribute is known; None if it is false."""
        if isinstance(residue, Tally):
            return self.counted(residue, name, value)
        left = restricted(residue, name, value)
        return (frozenset() if left else None) if isinstance(left, bool) else self.conjuncts(left)
