"""The linter: rules that say nothing, say it twice or contradict each other, and how often given labels break them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from faceinsight.files import PlainData
from faceinsight.knowledge.lint.label_check import LabelCheck, Slices, check_labels
from faceinsight.knowledge.lint.tables import report_tables
from faceinsight.knowledge.logic.components import (
    ComponentTooLargeError,
    connected,
    find_components,
    is_satisfiable,
    minimal_conflict,
)
from faceinsight.knowledge.logic.formula import Formula, Iff, Not
from faceinsight.knowledge.rules import RuleSet

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

__all__ = ["Finding", "LintReport", "lint"]

#: What labels add to a rule's row.
COUNTED = ("decided", "broken", "share", "examples")

FindingKind = Literal["unsatisfiable", "vacuous", "duplicate", "redundant", "constant", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Args:
        kind: ``unsatisfiable``: the rules cannot all hold. ``vacuous``: no face can break the rule. ``duplicate``: an
            earlier rule says the same. ``redundant``: the other rules already say it. ``constant``: the rules leave
            an attribute one value only. ``unchecked``: too many attributes joined to tell.
        rules: the rules it is about, as positions in the set.
        message: the finding in words.
    """

    kind: FindingKind
    rules: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class LintReport:
    """What :func:`lint` found; ``print`` shows it as a table, ``frame`` gives it as data."""

    rules: RuleSet
    findings: tuple[Finding, ...]
    labels: LabelCheck | None = None

    @property
    def ok(self) -> bool:
        """Whether the rules themselves are without a finding (labels that break them are not the rules' fault)."""
        return not self.findings

    def rows(self) -> list[PlainData]:
        """One mapping a rule: rule, strength, source, findings, and with labels decided, broken, share, examples."""
        found = [{each.kind: None for each in self.findings if rule in each.rules} for rule in range(len(self.rules))]
        rows: list[PlainData] = [
            {"rule": rule.text, "strength": rule.strength, "source": rule.source, "findings": [*kinds]}
            for rule, kinds in zip(self.rules, found, strict=True)
        ]
        if self.labels is not None:
            columns = (self.labels.decided, self.labels.broken, self.labels.share, self.labels.examples)
            for row, values in zip(rows, zip(*columns, strict=True), strict=True):
                row |= zip(COUNTED, values, strict=True)
        return rows

    def frame(self) -> "pd.DataFrame":
        """Return the same as a table, lists written out."""
        import pandas as pd

        columns = ["rule", "strength", "source", "findings", *(COUNTED if self.labels else ())]
        frame = pd.DataFrame(self.rows(), columns=columns)
        for name in {"findings", "examples"} & {*columns}:
            frame[name] = frame[name].map(", ".join)
        return frame

    def by_frame(self, name: str) -> "pd.DataFrame":
        """Return the broken shares by part: one row a rule and one for any of them, one column a part of the faces.

        Args:
            name: one of those that divide the labels.
        """
        import pandas as pd

        parts = {} if self.labels is None else self.labels.by[name]
        columns = {part: [*check.share, check.total_share] for part, check in parts.items()}
        return pd.DataFrame(columns, index=[*self.rules.texts, "at least one"])

    def to_dict(self) -> PlainData:
        """Return the whole report as plain data, for JSON; what is not known is None."""
        data = {
            "schema": self.rules.schema.name,
            "sound": self.ok,
            "rules": self.rows(),
            "findings": [asdict(finding) for finding in self.findings],
            "labels": None if self.labels is None else self.labels.to_dict(),
        }
        return _without_nan(data)

    def __rich__(self) -> "RenderableType":
        return report_tables(self)

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        written = StringIO()
        Console(file=written, width=120, color_system=None, force_jupyter=False).print(self)
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def lint(
    rules: RuleSet,
    labels: Tensor | None = None,
    *,
    files: Sequence[str] | None = None,
    by: Mapping[str, Slices] | None = None,
    undefined: int | float | None = None,
) -> LintReport:
    """Check ``rules`` against each other and, where given, against ``labels``.

    Args:
        labels, files, by, undefined: see :func:`~faceinsight.knowledge.lint.label_check.check_labels`.

    >>> from faceinsight.knowledge.schema import Schema
    >>> schema = Schema.from_names(["Bald", "Bangs", "Smiling"])
    >>> for finding in lint(RuleSet.parse(["Bald -> not Bangs", "not (Bald and Bangs)"], schema)).findings:
    ...     print(finding.kind, finding.rules, finding.message)
    duplicate (1,) 'not (Bald and Bangs)' says the same as 'Bald -> not Bangs'
    """
    findings = [finding for members in connected(rules.formulas) for finding in _component(rules, members)]
    checked = None if labels is None else check_labels(rules, labels, files=files, by=by, undefined=undefined)
    return LintReport(rules, tuple(findings), checked)


def _component(rules: RuleSet, members: tuple[int, ...]) -> list[Finding]:
    formulas = rules.formulas
    mine = [formulas[index] for index in members]
    try:
        if not is_satisfiable(mine):
            conflict = minimal_conflict(mine)
            about = tuple(index for index in members if any(formulas[index] is each for each in conflict))
            return [Finding("unsatisfiable", about, f"no face can satisfy {_listed(conflict)}")]
        return [*_superfluous(formulas, members), *_constants(rules, members)]
    except ComponentTooLargeError as error:
        return [Finding("unchecked", members, str(error))]


def _superfluous(formulas: Sequence[Formula], members: tuple[int, ...]) -> list[Finding]:
    """Rules that could go; each is measured against what is left when the ones found before it are gone."""
    found, kept = [], list(members)
    for index in reversed(members):  # of two rules that say the same, the later one is the duplicate
        rule, others = formulas[index], [other for other in kept if other != index]
        if not is_satisfiable([Not(rule)]):
            found.append(Finding("vacuous", (index,), f"no face can break {str(rule)!r}"))
        elif twin := [other for other in others if _same(rule, formulas[other])]:
            found.append(Finding("duplicate", (index,), f"{str(rule)!r} says the same as {str(formulas[twin[0]])!r}"))
        elif not is_satisfiable([*(formulas[other] for other in others), Not(rule)]):
            found.append(Finding("redundant", (index,), f"{str(rule)!r} already follows from the other rules"))
        else:
            continue
        kept = others
    return found[::-1]


def _constants(rules: RuleSet, members: tuple[int, ...]) -> list[Finding]:
    found = []
    for component in find_components([rules.formulas[index] for index in members], rules.schema):
        one = torch.eye(len(component), dtype=torch.int8)
        for value, word in ((1, "no"), (-1, "yes")):  # where no model has the value, the other one is left
            for place in component.fewest_changes(value * one).nonzero().flatten().tolist():
                name = component.attributes[place]
                about = tuple(index for index in members if name in rules.formulas[index].names)
                found.append(Finding("constant", about, f"the rules leave {name!r} only one value: {word}"))
    return found


def _same(one: Formula, other: Formula) -> bool:
    return set(one.names) == set(other.names) and not is_satisfiable([Not(Iff(one, other))])


def _without_nan(value: Any) -> Any:
    """Plain data as JSON takes it: None for nan."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and isnan(value) else value


def _listed(formulas: Sequence[Formula]) -> str:
    return " together with ".join(repr(str(formula)) for formula in formulas)
