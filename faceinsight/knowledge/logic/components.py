"""The rules' connected components and their models: every way a face can be without breaking a rule.

Two attributes belong together when some rule speaks of both. Components are independent of each other given the rules,
so whatever is counted, summed or maximised over consistent faces is done one component at a time. Its models stand in a
decision diagram; those of a small component can be listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int8, Int64
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.logic.diagram import MAX_NODES, DecisionDiagram, DiagramTooLargeError, compiled
from faceinsight.knowledge.logic.formula import Formula
from faceinsight.knowledge.logic.ordering import good_order
from faceinsight.knowledge.schema import Schema

__all__ = [
    "MAX_MODELS",
    "Component",
    "ComponentTooLargeError",
    "UnsatisfiableError",
    "connected",
    "find_components",
    "is_satisfiable",
    "minimal_conflict",
]

#: Up to this many models a component can list; our choice.
MAX_MODELS = 2**16


class UnsatisfiableError(InputError):
    """Rules that no face can satisfy together.

    Attributes:
        rules: a minimal conflict: without any one of these the others can hold.
    """

    def __init__(self, rules: Sequence[Formula]) -> None:
        self.rules = tuple(map(str, rules))
        listed = "".join(f"\n    {rule}" for rule in self.rules)
        super().__init__(f"no face can satisfy these rules together; drop or change one of them:{listed}")


class ComponentTooLargeError(InputError):
    """A component whose models are too many and too unlike each other to stand in a decision diagram.

    Attributes:
        attributes: how many attributes the rules join.
        glue: the rule without which the component falls into the smallest parts.
    """

    def __init__(self, formulas: Sequence[Formula], limit: str) -> None:
        self.attributes, (self.glue, rest) = len(_names(formulas)), _glue(formulas)
        super().__init__(
            f"{len(formulas)} rules join {self.attributes} attributes into one component with more than {limit}; "
            f"it hangs together most by {self.glue!r}: without that rule its largest part has {rest} attributes. "
            "Drop or split rules"
        )


@dataclass(frozen=True, eq=False)
class Component:
    """Attributes that rules join, and every consistent assignment of them.

    Args:
        attributes: their names, in the schema's order.
        index: their positions on the schema's ``attr`` axis.
        diagram: the consistent assignments.
        rules: which rules of the set made it.
    """

    attributes: tuple[str, ...]
    index: Int64[Tensor, " attr"]
    diagram: DecisionDiagram
    rules: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.attributes)

    @cached_property
    def count(self) -> int:
        """How many models there are, exactly."""
        return self.diagram.count()

    @cached_property
    def place(self) -> Int64[Tensor, " attr"]:
        """Which of :attr:`attributes` each level of the diagram decides."""
        return torch.tensor([self.attributes.index(name) for name in self.diagram.order])

    @cached_property
    def models(self) -> Bool[Tensor, "model attr"]:
        """One row a consistent assignment, its columns as :attr:`attributes`; sorted as binary numbers.

        Raises:
            InputError: there are more than ``MAX_MODELS``.
        """
        if self.count > MAX_MODELS:
            raise InputError(
                f"the {len(self)} attributes that {self.attributes[0]!r} is joined with have {self.count:,} consistent "
                f"states, more than {MAX_MODELS:,}, too many to list; they stand in the component's diagram"
            )
        return self.diagram.models()[:, self.place.argsort()].unique(dim=0)

    def fewest_changes(self, labels: Int8[Tensor, "face attr"]) -> Int64[Tensor, " face"]:
        """In how many defined labels each face differs from the nearest model.

        Args:
            labels: 1, -1, or 0 undefined, for :attr:`attributes`.
        """
        return self.diagram.fewest_changes(labels.index_select(1, self.place))


def find_components(formulas: Sequence[Formula], schema: Schema, max_nodes: int = MAX_NODES) -> tuple[Component, ...]:
    """Split the formulas into components and compile each.

    Args:
        max_nodes: how many nodes a diagram may have.

    Raises:
        UnsatisfiableError: some component has no model; a minimal conflict is named.
        ComponentTooLargeError: some component needs more nodes.

    >>> from faceinsight.knowledge.logic.language import parse_rules
    >>> schema = Schema.from_names(["Bald", "Smiling", "Bangs"])
    >>> (component,) = find_components(parse_rules("Bald -> not Bangs", schema), schema)
    >>> component.attributes, component.models.int().tolist()
    (('Bald', 'Bangs'), [[0, 0], [0, 1], [1, 0]])
    """
    return tuple(_component(formulas, rules, schema, max_nodes) for rules in connected(formulas))


def connected(formulas: Sequence[Formula]) -> list[tuple[int, ...]]:
    """Return the indices of the formulas of each component; components in the order of their first formula."""
    groups: list[tuple[set[str], list[int]]] = []
    for index, formula in enumerate(formulas):
        names, members = set(formula.names), [index]
        apart = []
        for group in groups:
            if names.isdisjoint(group[0]):
                apart.append(group)
            else:
                names, members = names | group[0], group[1] + members
        groups = [*apart, (names, members)]
    return sorted(tuple(sorted(members)) for _, members in groups)


def is_satisfiable(formulas: Sequence[Formula]) -> bool:
    """Whether all the formulas can be true of one face.

    Raises:
        ComponentTooLargeError: some of them join too many attributes to tell.
    """
    return all(_diagram(part, _names(part), MAX_NODES) is not None for part in _parts(formulas))


def minimal_conflict(formulas: Sequence[Formula]) -> list[Formula]:
    """Of formulas that cannot all hold, some that cannot either, but could without any one of them.

    Formulas are left out one after the other for as long as the rest still conflict.
    """
    kept = list(formulas)
    for formula in formulas:
        rest = [other for other in kept if other is not formula]
        if not is_satisfiable(rest):
            kept = rest
    return kept


def _component(formulas: Sequence[Formula], rules: tuple[int, ...], schema: Schema, max_nodes: int) -> Component:
    members = [formulas[rule] for rule in rules]
    names = tuple(sorted(_names(members), key=schema.index))
    diagram = _diagram(members, names, max_nodes)
    if diagram is None:
        raise UnsatisfiableError(minimal_conflict(members))
    return Component(names, torch.tensor([schema.index(name) for name in names], dtype=torch.int64), diagram, rules)


def _diagram(formulas: Sequence[Formula], names: Sequence[str], max_nodes: int) -> DecisionDiagram | None:
    try:
        return compiled(formulas, good_order(formulas, names), max_nodes)
    except DiagramTooLargeError as error:
        raise ComponentTooLargeError(formulas, str(error)) from None


def _names(formulas: Sequence[Formula]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for formula in formulas for name in formula.names))


def _parts(formulas: Sequence[Formula]) -> list[list[Formula]]:
    return [[formulas[index] for index in members] for members in connected(formulas)]


def _glue(formulas: Sequence[Formula]) -> tuple[str, int]:
    """Return the formula whose leaving makes the largest part smallest, and how many attributes that part has."""
    largest = {}
    for formula in formulas:
        rest = [other for other in formulas if other is not formula]
        largest[formula] = max((len(_names(part)) for part in _parts(rest)), default=0)
    glue = min(largest, key=lambda formula: largest[formula])
    return str(glue), largest[glue]
