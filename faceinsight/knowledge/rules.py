"""Rules over named attributes: what must hold of every face, and what mostly does.

A rule's strength says which of the two it is. *Logical* rules hold by the meaning of the words (nobody is bald and
has bangs); they are on by default. *Statistical* rules are regularities of some photographs (in CelebA neckties are
worn by men); they are off by default, because enforcing them enforces the bias.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import yaml
from jaxtyping import Bool, Int8
from torch import Tensor

from faceinsight.errors import InputError, named
from faceinsight.files import plain_yaml, read_text, write_text
from faceinsight.knowledge.logic.components import Component, find_components, is_satisfiable
from faceinsight.knowledge.logic.formula import Formula, Not, columns
from faceinsight.knowledge.logic.language import RuleSyntaxError, UnknownNameError, parse_rules, with_notes
from faceinsight.knowledge.schema import Group, Schema, catalog_names, read_catalog, short

if TYPE_CHECKING:
    from faceinsight.knowledge.lint.findings import LintReport

__all__ = ["Rule", "RuleSet", "Strength", "group_rules"]

Strength = Literal["logical", "statistical"]

#: Rules as a person writes them: text with one rule a line, or a list of such texts or of ``{rule: ..., source: ...}``.
RuleText = str | Sequence[str | Mapping[str, str]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        text: the rule in the rule language.
        formula: the same, to compute with.
        strength: ``logical`` (by meaning) or ``statistical`` (a regularity of some data).
        source: why it is believed, or where it was measured.
    """

    text: str
    formula: Formula
    strength: Strength = "logical"
    source: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class RuleSet:
    """Rules over the attributes of one schema, all of which should hold together.

    >>> schema = Schema.from_names(["Bald", "Bangs", "Smiling"])
    >>> rules = RuleSet.parse("Bald -> not Bangs", schema)
    >>> rules.violations(torch.tensor([[1, 1, 1], [1, 0, 1], [-1, -1, 1]], dtype=torch.int8)).tolist()
    [[True], [False], [False]]
    """

    schema: Schema
    rules: tuple[Rule, ...] = ()

    def __hash__(self) -> int:  # a schema's groups are a mapping, which has no hash of its own
        return hash((self.schema.names, self.texts))

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    @property
    def texts(self) -> tuple[str, ...]:
        """Each rule as text."""
        return tuple(rule.text for rule in self.rules)

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """Each rule's formula."""
        return tuple(rule.formula for rule in self.rules)

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The connected components, each with its models; attributes that no rule mentions are in none.

        Raises:
            UnsatisfiableError: some rules cannot hold together; a minimal conflict is named.
            ComponentTooLargeError: the rules join so many attributes that no diagram of them is small enough.
        """
        return find_components(self.formulas, self.schema)

    @cached_property
    def singly(self) -> tuple["RuleSet", ...]:
        """Each rule as a set of its own, made once: what is known about these sets is kept with them."""
        return tuple(RuleSet(self.schema, (rule,)) for rule in self.rules)

    def verdicts(self, labels: Tensor, *, undefined: int | float | None = None) -> Int8[Tensor, "face rule"]:
        """For each face and rule: 1 it holds, -1 it is broken, 0 the undefined labels leave it open.

        Args:
            labels, undefined: see :meth:`Schema.check_labels`.
        """
        by_name = columns(self.schema, self.schema.check_labels(labels, undefined=undefined))
        judged = [rule.formula.evaluate(by_name) for rule in self.rules]
        return torch.stack(judged, dim=1) if judged else labels.new_zeros(len(labels), 0, dtype=torch.int8)

    def violations(self, labels: Tensor, *, undefined: int | float | None = None) -> Bool[Tensor, "face rule"]:
        """Which rules each face breaks; a rule is broken only where the defined labels decide that it is.

        Args:
            labels: ``[face, attr]`` as :meth:`Schema.check_labels` takes them: 1, -1, 0 undefined, or booleans.
            undefined: the value of undefined labels; needed where labels have zeros and ones and no -1.

        Raises:
            InputError: labels of 0 and 1, or other values.
        """
        return self.verdicts(labels, undefined=undefined) < 0

    def lint(
        self,
        labels: Tensor | None = None,
        *,
        files: Sequence[str] | None = None,
        by: Mapping[str, Mapping[str, Tensor]] | None = None,
        undefined: int | float | None = None,
    ) -> "LintReport":
        """Return what is wrong with the rules, and with ``labels`` how often each is broken; see
        ``knowledge/lint/findings.py``.
        """
        # the linter builds on rules, and rules are asked for it: the one of the two that is imported late
        from faceinsight.knowledge.lint.findings import lint

        return lint(self, labels, files=files, by=by, undefined=undefined)

    def to_text(self) -> str:
        """One rule a line; :meth:`parse` reads it back (strengths and sources are in :meth:`to_dict`)."""
        return "\n".join(self.texts)

    def to_dict(self) -> dict[str, list[dict[str, str]]]:
        """Plain data by attribute name, laid out like a catalog's ``rules``; :meth:`from_dict` reads it back."""
        data: dict[str, list[dict[str, str]]] = {}
        for rule in self.rules:
            entry = {"rule": rule.text} | ({"source": rule.source} if rule.source else {})
            data.setdefault(rule.strength, []).append(entry)
        return data

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rules as a readable YAML file by attribute name; :meth:`load` reads it back."""
        write_text(path, yaml.safe_dump({"rules": self.to_dict()}, sort_keys=False, allow_unicode=True, width=120))

    @classmethod
    def parse(cls, text: RuleText, schema: Schema, strength: Strength = "logical") -> "RuleSet":
        """Read rules in the rule language (see ``knowledge/logic/language.py``).

        Args:
            text: one rule a line, or a list of such texts or of mappings with ``rule`` and ``source``.
            schema: the attributes that the rules may speak of.
            strength: the strength of all of them.

        Raises:
            RuleSyntaxError: with line, column and what was expected; in a list the entry is named too.
            UnknownNameError: names that the schema does not have: the first, and the others as its notes.
        """
        return cls._parsed(text, schema, strength)

    @classmethod
    def _parsed(cls, text: object, schema: Schema, strength: Strength) -> "RuleSet":
        """As :meth:`parse`, of whatever a file holds."""
        if isinstance(text, str):
            return cls(schema, tuple(Rule(str(formula), formula, strength) for formula in parse_rules(text, schema)))
        if not isinstance(text, Sequence):
            raise InputError(f"{strength} rules are a text or a list, got {short(text)}")
        rules: list[Rule] = []
        unknown: list[UnknownNameError] = []
        for number, entry in enumerate(text, 1):
            try:
                rules += _entry(entry, number, schema, strength)
            except UnknownNameError as error:
                unknown.append(error)
        if unknown:
            raise with_notes(unknown)
        return cls(schema, tuple(rules))

    @classmethod
    def from_dict(cls, data: object, schema: Schema, strength: Literal["logical", "all"] = "all") -> "RuleSet":
        """Build the rules from a catalog's ``rules`` or from :meth:`to_dict`, logical ones first."""
        if not isinstance(data, Mapping):
            raise InputError(f"'rules' are a mapping of 'logical' and 'statistical' to lists, got {short(data)}")
        if unknown := data.keys() - {"logical", "statistical"}:
            raise InputError(f"unknown rule strengths {sorted(unknown)}; rules are 'logical' or 'statistical'")
        rules = cls._parsed(data.get("logical") or (), schema, "logical").rules
        if strength == "all":
            rules += cls._parsed(data.get("statistical") or (), schema, "statistical").rules
        return cls(schema, rules)

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike[str],
        strength: Literal["logical", "all"] = "logical",
        schema: Schema | None = None,
    ) -> "RuleSet":
        """Load the rules of a catalog, of a YAML file, or of a text file with one rule a line.

        A catalog's groups come first, as one rule each; a group that no face could break (``Male`` and ``not Male``)
        gives none.

        Args:
            name_or_path: a catalog of this library by name, a YAML file laid out like one, or what :meth:`save`
                wrote; any other file is read as rule text.
            strength: ``all`` adds the statistical rules.
            schema: the attributes; needed unless the file has its own, and then the rules are read over these.
        """
        with named(name_or_path):
            return cls._loaded(name_or_path, strength, schema)

    @classmethod
    def _loaded(
        cls, name_or_path: str | os.PathLike[str], strength: Literal["logical", "all"], schema: Schema | None
    ) -> "RuleSet":
        """As :meth:`load`; errors need not name the file."""
        path = Path(name_or_path)
        if str(name_or_path) not in catalog_names() and path.exists():
            text = read_text(path)
            data = plain_yaml(text, path, as_text=True) if path.suffix in (".yaml", ".yml") else text
            if not isinstance(data, Mapping):  # rule text, or a YAML list of it
                return cls._parsed(data or (), _needed(schema, path), "logical")
            if "attributes" not in data:
                return cls.from_dict(data.get("rules") or {}, _needed(schema, path), strength)
        catalog = read_catalog(str(name_or_path))
        groups = Schema.from_dict(catalog).groups.values()
        schema = schema or Schema.from_dict(catalog)
        return cls(
            schema, group_rules(groups, schema) + cls.from_dict(catalog.get("rules") or {}, schema, strength).rules
        )


def group_rules(groups: Iterable[Group], schema: Schema) -> tuple[Rule, ...]:
    """Each group as one logical rule; a group that no face could break (``Male`` and ``not Male``) gives none."""
    entries = [{"rule": group.rule, "source": f"group {group.name}"} for group in groups]
    return tuple(rule for rule in RuleSet.parse(entries, schema) if is_satisfiable([Not(rule.formula)]))


def _entry(entry: object, number: int, schema: Schema, strength: Strength) -> list[Rule]:
    if isinstance(entry, str):
        return _entry({"rule": entry}, number, schema, strength)
    fields = entry if isinstance(entry, Mapping) else {}
    if not {"rule"} <= fields.keys() <= {"rule", "source"} or not all(
        isinstance(each, str) for each in fields.values()
    ):
        raise InputError(
            f"{strength} rule {number}: an entry is a text, or has 'rule' and 'source'; got {short(entry)}"
        )
    try:
        formulas = parse_rules(fields["rule"], schema)
    except RuleSyntaxError as error:
        whose, notes = f"{strength} rule {number}, ", getattr(error, "__notes__", [])
        error.args, notes[:] = (f"{whose}{error}",), [f"{whose}{note}" for note in notes]
        raise
    return [Rule(str(formula), formula, strength, fields.get("source")) for formula in formulas]


def _needed(schema: Schema | None, path: Path) -> Schema:
    if schema is None:
        raise InputError(f"{path} has rules but no attributes of its own; pass schema=")
    return schema
