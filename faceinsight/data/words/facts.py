"""What is known of a face, ready to be said: the concepts of a schema, its choices, and what follows from what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from faceinsight.data.words.phrases import concept_of
from faceinsight.errors import InputError
from faceinsight.knowledge.logic.clauses import Clause, prime_implicates
from faceinsight.knowledge.logic.formula import Atom, Formula, Not
from faceinsight.knowledge.logic.language import parse_expression
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Group, Schema

__all__ = ["Choice", "Facts", "Population", "SchemaWords"]

#: Whether each concept is true of one face; what is not known of it is not there.
Facts = Mapping[str, bool]


@dataclass(frozen=True)
class Choice:
    """A group of a schema as a question with several answers.

    Args:
        name: the group's.
        options: concept and value of each label.
        exhaustive: whether one of them is true of every face.
    """

    name: str
    options: tuple[tuple[str, bool], ...]
    exhaustive: bool


@dataclass(frozen=True)
class SchemaWords:
    """A schema and its rules, in terms of concepts.

    Args:
        concepts: for each attribute, its concept and whether the attribute says that it is true.
        choices: the groups whose labels are concepts.
        clauses: what always holds; see :mod:`faceinsight.knowledge.logic.clauses`.
    """

    concepts: Mapping[str, tuple[str, bool]]
    choices: tuple[Choice, ...]
    clauses: tuple[Clause, ...]

    @classmethod
    def of(cls, rules: RuleSet) -> "SchemaWords":
        """Return the words of the rules' schema; the rules, groups included, say what follows from what."""
        concepts = {name: concept_of(name) for name in rules.schema.names}
        choices = (choice(group, rules.schema, concepts) for group in rules.schema.groups.values())
        turned = (over_concepts(clause, concepts) for each in rules.formulas for clause in prime_implicates(each))
        clauses = sorted({clause for clause in turned if clause is not None}, key=sorted)
        return cls(concepts, tuple(each for each in choices if each is not None), tuple(clauses))

    def facts(self, attributes: Mapping[str, bool]) -> Facts:
        """Return the facts that attribute values amount to; attributes that are not given stay unknown.

        Raises:
            InputError: two attributes that say the same say opposite things, as ``Male`` and ``Female`` may.

        >>> from faceinsight.knowledge.rules import RuleSet
        >>> words = SchemaWords.of(RuleSet.load("celeba"))
        >>> words.facts({"No_Beard": True, "Bald": False})
        {'beard': False, 'bald': False}
        """
        found: dict[str, bool] = {}
        for name, value in attributes.items():
            concept, positive = self.concepts[name]
            if found.setdefault(concept, value == positive) != (value == positive):
                raise InputError(f"{name} = {value} contradicts another attribute that speaks of {concept!r} too")
        return found

    def implied(self, stated: Facts) -> dict[str, bool]:
        """Return what follows from ``stated`` by the rules, one after the other, and is not stated itself.

        >>> from faceinsight.knowledge.rules import RuleSet
        >>> SchemaWords.of(RuleSet.load("synthfaces")).implied({"happy": True})["smiling"]
        True
        """
        known = dict(stated)
        before = -1
        while len(known) > before:
            before = len(known)
            for clause in self.clauses:
                if not any(known.get(name) is shown for name, shown in clause):
                    left = [literal for literal in clause if literal[0] not in known]
                    if len(left) == 1:  # all others are false
                        known.update(left)
        return {name: value for name, value in known.items() if name not in stated}


@dataclass(frozen=True)
class Population:
    """Faces of one kind to write about.

    Args:
        words: of the schema that their facts were made with.
        faces: the facts of each.
        weight: how often it is written about one of these, beside the other populations.
    """

    words: SchemaWords
    faces: Sequence[Facts]
    weight: float = 1.0


def choice(group: Group, schema: Schema, concepts: Mapping[str, tuple[str, bool]]) -> Choice | None:
    """Return the group as a choice, or None where a label is more than an attribute or its opposite."""
    options: list[tuple[str, bool]] = []
    for expression in group.labels.values():
        literal = literal_of(parse_expression(expression, schema))
        if literal is None:
            return None
        concept, positive = concepts[literal[0]]
        options.append((concept, literal[1] == positive))
    return Choice(group.name, tuple(options), group.kind != "at_most_one")


def literal_of(formula: Formula) -> tuple[str, bool] | None:
    """Return the attribute, and whether it is to be true, of a formula that is no more than that."""
    if isinstance(formula, Not):
        return (formula.operand.name, False) if isinstance(formula.operand, Atom) else None
    return (formula.name, True) if isinstance(formula, Atom) else None


def over_concepts(clause: Iterable[tuple[str, bool]], concepts: Mapping[str, tuple[str, bool]]) -> Clause | None:
    """Return a clause over attributes as one over concepts; None where that always holds."""
    literals = {(concepts[name][0], shown == concepts[name][1]) for name, shown in clause}
    return None if any((name, not shown) in literals for name, shown in literals) else frozenset(literals)
