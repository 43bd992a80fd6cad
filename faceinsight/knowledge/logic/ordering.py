"""In which order to decide the attributes that rules join.

Whoever decides one attribute after the other must remember, at each cut, what the attributes before it still mean to
those behind it. A good order keeps that little: rules end soon after they begin.

Sources:
    Rudell 1993, Dynamic variable ordering for ordered binary decision diagrams (sifting)
    Aloul, Markov and Sakallah 2003, FORCE: a fast and easy-to-implement variable-ordering heuristic

Not in the paper: orders are compared by their burden, see :func:`burdens`, not by the diagrams they give, so that
hundreds can be compared at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceinsight.knowledge.logic.formula import Formula, counted_literals

__all__ = ["good_order", "greedy_order"]

#: Rounds of FORCE, and of sifting; both stop before when nothing changes.
ROUNDS = 30

#: A burden below this for each attribute is light enough: a diagram of that size costs next to nothing.
LIGHT = 32


@dataclass(frozen=True)
class RuleGraph:
    """The attributes of each rule.

    Args:
        members: for each rule its attributes, the last repeated to fill the row.
        rules_of: for each attribute its rules, the last repeated to fill the row.
        counting: which rules only count their attributes, so that a counter is remembered and not who was counted.
    """

    members: NDArray[np.int64]
    rules_of: NDArray[np.int64]
    counting: NDArray[np.bool_]

    @classmethod
    def of(cls, formulas: Sequence[Formula], names: Sequence[str]) -> "RuleGraph":
        """Attributes and rules by number; every name must stand in some formula."""
        numbers = {name: number for number, name in enumerate(names)}
        members = [[numbers[name] for name in formula.names] for formula in formulas]
        rules_of: list[list[int]] = [[] for _ in names]
        for rule, attributes in enumerate(members):
            for attribute in attributes:
                rules_of[attribute].append(rule)
        return cls(
            _filled(members),
            _filled(rules_of),
            np.array([counted_literals(formula) is not None for formula in formulas]),
        )


def good_order(formulas: Sequence[Formula], names: Sequence[str]) -> tuple[str, ...]:
    r"""Return an order in which little must be remembered: the best of a few, each attribute then moved to its best
    place.

    >>> from faceinsight.knowledge.logic.language import parse_rules
    >>> from faceinsight.knowledge.schema import Schema
    >>> schema = Schema.from_names(["a", "b", "c", "d", "e", "f"])
    >>> good_order(parse_rules("a or d\n d or b\n b or e\n e or c\n c or f", schema), schema.names)
    ('a', 'd', 'b', 'e', 'c', 'f')
    """
    graph = RuleGraph.of(formulas, names)
    numbers = {name: number for number, name in enumerate(names)}
    greedy = [numbers[name] for name in greedy_order(formulas, names)]
    orders = [each for first in (range(len(names)), greedy) for each in (np.array(first), _force(graph, first))]
    two = np.stack(orders)[burdens(graph, np.stack(orders)).argsort(kind="stable")[:2]]
    sifted = np.stack([_sifted(graph, order) for order in two])
    return tuple(names[number] for number in sifted[int(burdens(graph, sifted).argmin())])


def greedy_order(formulas: Sequence[Formula], names: Sequence[str]) -> list[str]:
    """Next comes the attribute that completes most formulas, then the one in most begun formulas, then in most."""
    rules_of: dict[str, list[int]] = {name: [] for name in names}
    undecided = [len(formula.names) for formula in formulas]
    whole = list(undecided)
    for number, formula in enumerate(formulas):
        for name in formula.names:
            if name in rules_of:
                rules_of[name].append(number)
    order: list[str] = []
    left = dict.fromkeys(names)

    def worth(name: str) -> tuple[int, int, int]:
        mine = rules_of[name]
        completed, begun = 0, 0
        for rule in mine:
            completed += undecided[rule] == 1
            begun += undecided[rule] < whole[rule]
        return completed, begun, len(mine)

    while left:
        order.append(max(left, key=worth))
        del left[order[-1]]
        for rule in rules_of[order[-1]]:
            undecided[rule] -= 1
    return order


def burdens(graph: RuleGraph, orders: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each order, 2 to the number of things to remember, summed over its cuts.

    An attribute is remembered from where it is decided to where the last of its rules ends. A rule that only counts
    needs one thing, its counter, from where it begins to where it ends.

    Args:
        orders: ``[order, attr]``, each row all attributes by number.
    """
    place = np.argsort(orders, axis=1)
    standing = place[:, graph.members]
    ends = standing.max(-1)
    needed = np.where(graph.counting, -1, ends)[:, graph.rules_of].max(-1)
    remembered = open_at_cuts(place, np.maximum(needed, place))
    counters = open_at_cuts(standing.min(-1)[:, graph.counting], ends[:, graph.counting], orders.shape[1])
    with np.errstate(over="ignore"):  # beyond 1,024 things any order is as bad as another
        return (2.0 ** (remembered + counters)).sum(1)


def open_at_cuts(begins: NDArray[np.int64], ends: NDArray[np.int64], cuts: int | None = None) -> NDArray[np.int64]:
    """How many of some intervals are open after each place of an order: begun there or before, and not ended yet.

    Args:
        begins, ends: ``[order, interval]``, places.
        cuts: places of the order; as many as intervals by default.
    """
    size = begins.shape[1] if cuts is None else cuts
    rows = np.arange(len(begins))[:, None] * size
    begun, ended = (
        np.bincount((rows + places).ravel(), minlength=len(begins) * size).reshape(-1, size)
        for places in (begins, ends)
    )
    return (begun - ended).cumsum(1)


def _force(graph: RuleGraph, first: Sequence[int]) -> NDArray[np.int64]:
    """Attributes sorted by the mean centre of their rules, again and again; the best order met."""
    order = np.array(first)
    met = [order]
    for _ in range(ROUNDS):
        place = np.argsort(order)
        centres = place[graph.members].mean(-1)
        order = np.argsort(centres[graph.rules_of].mean(-1), kind="stable")
        if (order == met[-1]).all():
            break
        met.append(order)
    return met[int(burdens(graph, np.stack(met)).argmin())]


def _sifted(graph: RuleGraph, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each attribute moved to the place where the burden is least, until none moves or the burden is light."""
    least = burdens(graph, order[None])[0]
    for _ in range(ROUNDS):
        before = least
        for attribute in order.copy():
            if least <= LIGHT * len(order):
                return order
            rest = order[order != attribute]
            tried = np.stack([np.insert(rest, place, attribute) for place in range(len(order))])
            found = burdens(graph, tried)
            if found.min() < least:
                least, order = found.min(), tried[int(found.argmin())]
        if least == before:
            break
    return order


def _filled(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    width = max(map(len, rows))
    return np.array([[*row, *[row[-1]] * (width - len(row))] for row in rows], dtype=np.int64)
