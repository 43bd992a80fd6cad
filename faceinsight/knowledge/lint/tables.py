"""How the linter's report prints: its tables and its sentences."""

from math import isnan
from typing import TYPE_CHECKING

from faceinsight.knowledge.lint.label_check import LabelCheck

if TYPE_CHECKING:
    from rich.console import RenderableType

    from faceinsight.knowledge.lint.findings import LintReport

__all__ = ["report_tables"]


def report_tables(report: "LintReport") -> "RenderableType":
    """Return the report as rich prints it."""
    from rich.console import Group
    from rich.text import Text

    tables = [rule_table(report)]
    if report.labels is not None:
        tables += [slice_table(report, name) for name in report.labels.by]
        tables += [example_table(report)] if any(report.labels.examples) else []
    return Group(*tables, *map(Text, sentences(report)))


def sentences(report: "LintReport") -> list[str]:
    """Return what is to be said beside the tables."""
    found = [f"{finding.kind}: {finding.message}" for finding in report.findings] or ["the rules are sound"]
    return found + ([] if report.labels is None else label_sentences(report.labels))


def label_sentences(labels: LabelCheck) -> list[str]:
    """How many faces break a rule, and the ceilings that follow."""
    said = [
        f"{labels.faces_broken:,} of {labels.faces_decided:,} faces ({percent(labels.total_share)}) "
        "break at least one rule"
    ]
    if labels.faces_inconsistent:
        said.append(
            f"ceiling of a model that always keeps the rules: exact match {percent(labels.exact_match_ceiling)}, "
            f"accuracy {percent(labels.accuracy_ceiling)} (labels to change at least: {labels.changes:,})"
        )
    return said


def rule_table(report: "LintReport") -> "RenderableType":
    """Every rule, what was found of it, and with labels how many faces break it."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{len(report.rules)} rules over {report.rules.schema.name!r}", title_justify="left")
    table.add_column("rule", overflow="fold")
    for heading in ("strength", "findings"):
        table.add_column(heading)
    for heading in ("decided", "broken", "share") if report.labels else ():
        table.add_column(heading, justify="right")
    for _, row in report.frame().iterrows():
        counted = report.labels is not None
        numbers = [f"{row['decided']:,}", f"{row['broken']:,}", percent(row["share"])] if counted else []
        table.add_row(escape(row["rule"]), row["strength"], row["findings"], *numbers)
    return table


def slice_table(report: "LintReport", name: str) -> "RenderableType":
    """Return the broken share of each rule in each part of the faces."""
    from rich.markup import escape
    from rich.table import Table

    assert report.labels is not None
    table = Table(title=f"broken share by {name}", title_justify="left")
    table.add_column("rule", overflow="fold")
    for part, check in report.labels.by[name].items():
        table.add_column(f"{escape(part)}\n{check.faces_decided:,}", justify="right")
    for rule, row in report.by_frame(name).iterrows():
        table.add_row(escape(str(rule)), *map(percent, row), end_section=rule == report.rules.texts[-1])
    return table


def example_table(report: "LintReport") -> "RenderableType":
    """Return a few faces that break each rule that is broken."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("rule", "is broken by, for example")
    for _, row in report.frame().iterrows():
        if row["examples"]:
            table.add_row(escape(row["rule"]), escape(row["examples"]))
    return table


def percent(share: float) -> str:
    """Return a share in percent, or a dash where there is none."""
    return "-" if isnan(share) else f"{share:.2%}"
