"""The linter: rules that say nothing, say it twice or contradict each other, and how often given labels break them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from faceinsight.knowledge.components import (
    ComponentTooLargeError,
    connected,
    is_satisfiable,
    minimal_conflict,
    models_of,
)
from faceinsight.knowledge.formula import Formula, Iff, Not
from faceinsight.knowledge.rules import RuleSet

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

__all__ = ["Finding", "LabelCheck", "LintReport", "lint"]

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
class LabelCheck:
    """How given labels keep the rules.

    Args:
        decided: for each rule, the faces whose defined labels decide it.
        broken: for each rule, the faces that break it.
        faces_decided: faces on which at least one rule is decided.
        faces_broken: faces that break at least one rule.
    """

    decided: tuple[int, ...]
    broken: tuple[int, ...]
    faces_decided: int
    faces_broken: int

    @property
    def share(self) -> tuple[float, ...]:
        """For each rule, the broken share of the faces on which it is decided (nan where there is none)."""
        pairs = zip(self.broken, self.decided, strict=True)
        return tuple(broken / decided if decided else float("nan") for broken, decided in pairs)

    @property
    def total_share(self) -> float:
        """The share of faces that break at least one rule, of those on which any is decided."""
        return self.faces_broken / self.faces_decided if self.faces_decided else float("nan")


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

    def frame(self) -> "pd.DataFrame":
        """One row a rule: rule, strength, source, findings, and with labels decided, broken, share."""
        import pandas as pd

        kinds: list[dict[str, None]] = [{} for _ in self.rules]
        for finding in self.findings:
            for index in finding.rules:
                kinds[index][finding.kind] = None
        frame = pd.DataFrame(
            {
                "rule": self.rules.texts,
                "strength": [rule.strength for rule in self.rules],
                "source": [rule.source for rule in self.rules],
                "findings": [", ".join(each) for each in kinds],
            }
        )
        if self.labels is not None:
            frame["decided"], frame["broken"] = self.labels.decided, self.labels.broken
            frame["share"] = self.labels.share
        return frame

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{len(self.rules)} rules over {self.rules.schema.name!r}", title_justify="left")
        counted = ("decided", "broken", "share") if self.labels else ()
        table.add_column("rule", overflow="fold")
        for heading in ("strength", "findings"):
            table.add_column(heading)
        for heading in counted:
            table.add_column(heading, justify="right")
        for _, row in self.frame().iterrows():
            numbers = [f"{row['decided']:,}", f"{row['broken']:,}", f"{row['share']:.2%}"] if counted else []
            table.add_row(escape(row["rule"]), row["strength"], row["findings"], *numbers)
        lines = [f"{finding.kind}: {finding.message}" for finding in self.findings] or ["the rules are sound"]
        if self.labels is not None:
            lines.append(
                f"{self.labels.faces_broken:,} of {self.labels.faces_decided:,} faces "
                f"({self.labels.total_share:.2%}) break at least one rule"
            )
        return Group(table, *map(Text, lines))

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        written = StringIO()
        Console(file=written, width=120, color_system=None, force_jupyter=False).print(self)
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def lint(rules: RuleSet, labels: Tensor | None = None) -> LintReport:
    """Check ``rules`` against each other and, where given, against ``labels``.

    Args:
        labels: ``[face, attr]``, three-valued or boolean; see :meth:`Schema.check_labels`.

    >>> from faceinsight.knowledge.schema import Schema
    >>> schema = Schema.from_names(["Bald", "Bangs", "Smiling"])
    >>> for finding in lint(RuleSet.parse(["Bald -> not Bangs", "not (Bald and Bangs)"], schema)).findings:
    ...     print(finding.kind, finding.rules, finding.message)
    duplicate (1,) 'not (Bald and Bangs)' says the same as 'Bald -> not Bangs'
    """
    findings = [finding for members in connected(rules.formulas) for finding in _component(rules.formulas, members)]
    return LintReport(rules, tuple(findings), None if labels is None else _check(rules, labels))


def _check(rules: RuleSet, labels: Tensor) -> LabelCheck:
    verdicts = rules.verdicts(labels)
    decided, broken = verdicts != 0, verdicts < 0
    return LabelCheck(
        decided=tuple(decided.sum(0).tolist()),
        broken=tuple(broken.sum(0).tolist()),
        faces_decided=int(decided.any(1).sum()),
        faces_broken=int(broken.any(1).sum()),
    )


def _component(formulas: Sequence[Formula], members: tuple[int, ...]) -> list[Finding]:
    mine = [formulas[index] for index in members]
    try:
        if not is_satisfiable(mine):
            conflict = minimal_conflict(mine)
            rules = tuple(index for index in members if any(formulas[index] is each for each in conflict))
            return [Finding("unsatisfiable", rules, f"no face can satisfy {_listed(conflict)}")]
        return [*_superfluous(formulas, members), *_constants(mine, members)]
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


def _constants(formulas: Sequence[Formula], members: tuple[int, ...]) -> list[Finding]:
    names = tuple(dict.fromkeys(name for formula in formulas for name in formula.names))
    seen = {(name, value): False for name in names for value in (True, False)}
    for models in models_of(formulas, names):
        for name, column in zip(names, models.unbind(1), strict=True):
            seen[name, True] |= bool(column.any())
            seen[name, False] |= not column.all()
    found = []
    for (name, value), possible in seen.items():
        if not possible:
            about = tuple(index for index, formula in zip(members, formulas, strict=True) if name in formula.names)
            only = "no" if value else "yes"
            found.append(Finding("constant", about, f"the rules leave {name!r} only one value: {only}"))
    return found


def _same(one: Formula, other: Formula) -> bool:
    return set(one.names) == set(other.names) and not is_satisfiable([Not(Iff(one, other))])


def _listed(formulas: Sequence[Formula]) -> str:
    return " together with ".join(repr(str(formula)) for formula in formulas)
