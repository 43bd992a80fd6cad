"""Formulas: sentences about one face, built from attribute names, true, false or undecided.

Truth is three-valued, in the library's own label values: ``1`` true, ``-1`` false, ``0`` undecided. The connectives are
Kleene's strong ones (Kleene 1952, section 64): with these values *not* is the negative, *and* the minimum, *or* the
maximum, ``<->`` the product, all exact in int8. A formula is decided as soon as the known labels decide it: ``A or B``
is true for a face that shows A whatever B is. It works connective by connective, so ``A or not A`` stays undecided
while A is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import ClassVar

import torch
from jaxtyping import Int8
from torch import Tensor

from faceinsight.knowledge.schema import Schema, quoted

__all__ = [
    "And",
    "AtLeastOne",
    "AtMostOne",
    "Atom",
    "ExactlyOne",
    "Formula",
    "Iff",
    "Implies",
    "Labels",
    "Not",
    "Or",
    "Truth",
    "columns",
    "counted_literals",
]

#: Attribute name -> its label for each face: 1 yes, -1 no, 0 undefined.
Labels = Mapping[str, Int8[Tensor, "*face"]]

#: For each face: 1 true, -1 false, 0 undecided.
Truth = Int8[Tensor, "*face"]


def columns(schema: Schema, labels: Int8[Tensor, "*face attr"]) -> dict[str, Int8[Tensor, "*face"]]:
    """Return the labels by attribute name, as :meth:`Formula.evaluate` reads them; views, nothing is copied."""
    return dict(zip(schema.names, labels.unbind(-1), strict=True))


class Formula(ABC):
    """One sentence of the rule language; ``str`` writes it back as the language reads it.

    >>> rule = Implies(Atom("Bald"), Not(Atom("Bangs")))
    >>> print(rule, rule.names)
    Bald -> not Bangs ('Bald', 'Bangs')
    >>> labels = torch.tensor([[1, 1], [1, 0], [-1, 0]], dtype=torch.int8)
    >>> rule.evaluate(columns(Schema.from_names(["Bald", "Bangs"]), labels))
    tensor([-1,  0,  1], dtype=torch.int8)
    """

    #: How tightly the connective binds; a part that binds less tightly is written in parentheses.
    precedence: ClassVar[int] = 6

    @property
    @abstractmethod
    def parts(self) -> tuple["Formula", ...]:
        """The formulas that this one is built from."""

    @abstractmethod
    def evaluate(self, labels: Labels) -> Truth:
        """Return the truth for each face: 1 true, -1 false, 0 undecided.

        Args:
            labels: attribute name -> its label for each face (1, -1, 0 undefined); see :func:`columns`.
        """

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes the formula speaks of, each once, in the order of their first mention."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.names))

    def _written(self, part: "Formula", at_least: int) -> str:
        return str(part) if part.precedence >= at_least else f"({part})"


@dataclass(frozen=True)
class Atom(Formula):
    """The face shows the attribute."""

    name: str

    @property
    def parts(self) -> tuple[Formula, ...]:
        return ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def evaluate(self, labels: Labels) -> Truth:
        return labels[self.name]

    def __str__(self) -> str:
        return quoted(self.name)


@dataclass(frozen=True)
class Not(Formula):
    """The operand is false."""

    precedence: ClassVar[int] = 5
    operand: Formula

    @property
    def parts(self) -> tuple[Formula, ...]:
        return (self.operand,)

    def evaluate(self, labels: Labels) -> Truth:
        return -self.operand.evaluate(labels)

    def __str__(self) -> str:
        return f"not {self._written(self.operand, 5)}"


@dataclass(frozen=True)
class _Binary(Formula):
    """Two sides; the names say which is which."""

    left: Formula
    right: Formula

    @property
    def parts(self) -> tuple[Formula, ...]:
        return (self.left, self.right)


class Implies(_Binary):
    """Whenever the left side is true, so is the right; ``a -> b -> c`` reads ``a -> (b -> c)``."""

    precedence: ClassVar[int] = 2

    def evaluate(self, labels: Labels) -> Truth:
        return torch.maximum(-self.left.evaluate(labels), self.right.evaluate(labels))

    def __str__(self) -> str:
        return f"{self._written(self.left, 3)} -> {self._written(self.right, 2)}"


class Iff(_Binary):
    """Both sides are true or both are false."""

    precedence: ClassVar[int] = 1

    def evaluate(self, labels: Labels) -> Truth:
        return self.left.evaluate(labels) * self.right.evaluate(labels)

    def __str__(self) -> str:
        return f"{self._written(self.left, 1)} <-> {self._written(self.right, 2)}"


@dataclass(frozen=True)
class _Many(Formula):
    """Any number of operands, in the order written."""

    operands: tuple[Formula, ...]

    @property
    def parts(self) -> tuple[Formula, ...]:
        return self.operands

    def _fold(self, join: Callable[[Tensor, Tensor], Tensor], labels: Labels) -> Truth:
        return reduce(join, (operand.evaluate(labels) for operand in self.operands))


class And(_Many):
    """Every operand is true; two or more of them."""

    precedence: ClassVar[int] = 4

    def evaluate(self, labels: Labels) -> Truth:
        return self._fold(torch.minimum, labels)

    def __str__(self) -> str:
        return " and ".join(self._written(operand, 5) for operand in self.operands)


class Or(_Many):
    """At least one operand is true; two or more of them."""

    precedence: ClassVar[int] = 3

    def evaluate(self, labels: Labels) -> Truth:
        return self._fold(torch.maximum, labels)

    def __str__(self) -> str:
        return " or ".join(self._written(operand, 4) for operand in self.operands)


class _Counting(_Many):
    """A statement about how many operands are true."""

    word: ClassVar[str]

    def _counts(self, labels: Labels) -> tuple[Tensor, Tensor]:
        """How many operands are true for certain, and how many may be."""
        values = [operand.evaluate(labels) for operand in self.operands]
        certain = reduce(torch.add, ((value > 0).to(torch.int16) for value in values))
        possible = reduce(torch.add, ((value >= 0).to(torch.int16) for value in values))
        return certain, possible

    def __str__(self) -> str:
        return f"{self.word}({', '.join(map(str, self.operands))})"


class AtLeastOne(_Counting):
    """One operand or more is true."""

    word: ClassVar[str] = "at_least_one"

    def evaluate(self, labels: Labels) -> Truth:
        return self._fold(torch.maximum, labels)


class AtMostOne(_Counting):
    """No two operands are true."""

    word: ClassVar[str] = "at_most_one"

    def evaluate(self, labels: Labels) -> Truth:
        certain, possible = self._counts(labels)
        return (possible <= 1).to(torch.int8) - (certain >= 2).to(torch.int8)


class ExactlyOne(_Counting):
    """One operand is true and no other."""

    word: ClassVar[str] = "exactly_one"

    def evaluate(self, labels: Labels) -> Truth:
        certain, possible = self._counts(labels)
        decided_true = (certain == 1) & (possible == 1)
        return decided_true.to(torch.int8) - ((certain >= 2) | (possible == 0)).to(torch.int8)


#: Of how many operands may be true, two standing for any more, where a counting formula holds.
HOLDS: dict[type, frozenset[int]] = {
    AtLeastOne: frozenset({1, 2}),
    AtMostOne: frozenset({0, 1}),
    ExactlyOne: frozenset({1}),
}


def counted_literals(formula: Formula) -> tuple[dict[str, bool], frozenset[int]] | None:
    """Read a formula as a statement about how many of some literals are true; None if it is none.

    Returns:
        the attributes, each with whether it is counted where it is there (or where it is not), and of which counts the
        formula holds, 2 standing for any more.

    >>> counted_literals(Not(AtMostOne((Atom("a"), Not(Atom("b"))))))
    ({'a': True, 'b': False}, frozenset({2}))
    >>> counted_literals(AtMostOne((Atom("a"), Atom("a"))))
    """
    inner = formula.operand if isinstance(formula, Not) else formula
    if (holds := HOLDS.get(type(inner))) is None:
        return None
    literals = {}
    for part in inner.parts:
        atom = part.operand if isinstance(part, Not) else part
        if not isinstance(atom, Atom) or atom.name in literals:
            return None
        literals[atom.name] = atom is part
    return literals, holds if inner is formula else frozenset({0, 1, 2}) - holds
