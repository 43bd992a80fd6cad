"""An ablation's table: one frame with every number, and two sheets to read (scores, differences) in four formats.

The frame and the CSV hold fractions as they were computed; the sheets show per cent and points, to two digits.
Variants that failed or have not run yet stand in their place and say so.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.text import Text

from faceinsight.evaluation.sheet import Sheet, markdown, to_latex, to_markdown, to_rich
from faceinsight.evaluation.statistics import ALPHA, METRICS, Bootstrap, Comparison, Estimate
from faceinsight.files import replacing, write_text

__all__ = [
    "METRIC_TITLES",
    "Report",
    "VariantResult",
    "comparisons_sheet",
    "notes",
    "print_report",
    "scores_sheet",
    "to_frame",
    "write_report",
]

#: How each metric is called in a sheet, and which way is better.
METRIC_TITLES = {
    "accuracy": "accuracy ↑",
    "balanced_accuracy": "balanced ↑",
    "average_precision": "mAP ↑",
    "auroc": "AUROC ↑",
    "violation_rate": "violations ↓",
    "logical_accuracy": "logical ↑",
    "exact_match": "exact ↑",
}

Status = Literal["finished", "partial", "failed", "missing"]


@dataclass(frozen=True)
class VariantResult:
    """One row of an ablation.

    Args:
        name, group: as in the experiment's file; rows of one group stand together, such as "added alone".
        reference: the variant it is compared with.
        seeds: of the finished runs.
        errors: seed -> message of the failed runs.
        waiting: seeds that have not run.
        estimates: metric -> estimate over the finished runs.
        comparisons: metric -> difference from the reference.
        parameters: trained parameters.
        seconds: mean wall time of a finished run.
    """

    name: str
    group: str = ""
    reference: str | None = None
    seeds: tuple[int, ...] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    waiting: tuple[int, ...] = ()
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    parameters: int | None = None
    seconds: float | None = None

    @property
    def status(self) -> Status:
        if not self.seeds:
            return "failed" if self.errors else "missing"
        return "partial" if self.errors or self.waiting else "finished"


@dataclass(frozen=True)
class Report:
    """The rows of an ablation in the table's order, and what they were measured on.

    Args:
        bootstrap: None as long as no run has finished.
        compared: the metrics whose differences are shown; the first is the primary one.
        constant: names of the attributes that no ranking metric could include.
        remarks: further lines for the notes, such as how well the trunks do.
    """

    variants: tuple[VariantResult, ...]
    bootstrap: Bootstrap | None = None
    compared: tuple[str, ...] = ("accuracy", "average_precision", "violation_rate")
    constant: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.compared if name not in METRICS]:
            raise ValueError(f"cannot compare {unknown[0]!r}; the metrics are {', '.join(METRICS)}")

    @property
    def measured(self) -> list[str]:
        """The metrics that some variant has."""
        return [name for name in METRICS if any(name in each.estimates for each in self.variants)]


def to_frame(report: Report) -> pd.DataFrame:
    """Every number of the report, one row a variant: scores, intervals, differences, p-values, as fractions."""
    rows = []
    for variant in report.variants:
        row: dict[str, Any] = {
            "variant": variant.name,
            "group": variant.group,
            "reference": variant.reference or "",
            "status": variant.status,
            "seeds": len(variant.seeds),
        }
        for name in report.measured:
            estimate, difference = variant.estimates.get(name), variant.comparisons.get(name)
            row |= {
                name if part == "value" else f"{name}_{part}": getattr(estimate, part, None)
                for part in ("value", "low", "high")
            }
            row |= {
                f"{name}_{column}": getattr(difference, part, None)
                for column, part in (
                    ("difference", "difference"),
                    ("difference_low", "low"),
                    ("difference_high", "high"),
                    ("p", "p"),
                    ("p_holm", "p_holm"),
                    ("detectable", "detectable"),
                )
            }
        row |= {"parameters": variant.parameters, "seconds": variant.seconds}
        row["error"] = "; ".join(f"seed {seed}: {first_line(text)}" for seed, text in variant.errors.items())
        rows.append(row)
    return pd.DataFrame(rows).astype({"parameters": "Int64"})


def scores_sheet(report: Report) -> Sheet:
    """Every variant's scores in per cent."""
    header = ("variant", "seeds", *(METRIC_TITLES[name] for name in report.measured), "trained", "seconds")
    rows = []
    for variant in report.variants:
        scores = [
            percent(variant.estimates[name].value) if name in variant.estimates else "–" for name in report.measured
        ]
        cost = (count(variant.parameters), "–" if variant.seconds is None else f"{variant.seconds:,.0f}")
        rows.append((variant.group, (variant.name, seeds_cell(variant), *scores, *cost)))
    return Sheet("Scores in %", header, tuple(rows))


def comparisons_sheet(report: Report) -> Sheet:
    """Every variant's difference from its reference in points, with interval and Holm-corrected p."""
    shown = [name for name in report.compared if name in report.measured]
    header = ["variant", "against"]
    for name in shown:
        header += [METRIC_TITLES[name], "p"]
    rows = []
    for variant in report.variants:
        if variant.reference is None:
            continue
        cells = [variant.name, variant.reference]
        for name in shown:
            cells += difference_cells(variant.comparisons.get(name))
        rows.append((variant.group, tuple(cells)))
    return Sheet("Differences in points [95 % interval], Holm-corrected p", tuple(header), tuple(rows))


def notes(report: Report) -> list[str]:
    """What a reader must know beside the sheets: the ceiling, the test's power, what is left out, what failed."""
    lines = [] if report.bootstrap is None else facts(report, report.bootstrap)
    lines += report.remarks
    if report.constant:
        lines.append(f"Constant among the test labels, so in no ranking metric: {', '.join(report.constant)}.")
    for variant in report.variants:
        lines += [f"{variant.name}, seed {seed}, failed: {first_line(text)}" for seed, text in variant.errors.items()]
        if variant.waiting:
            lines.append(f"{variant.name}: not run yet for seed {', '.join(map(str, variant.waiting))}.")
    return lines


def facts(report: Report, bootstrap: Bootstrap) -> list[str]:
    """The notes about the test faces and the bootstrap."""
    identities = f" of {bootstrap.clusters:,} identities" if bootstrap.clusters != bootstrap.faces else ""
    lines = [f"{bootstrap.faces:,} test faces{identities}; {bootstrap.resamples:,} paired resamples of them."]
    if bootstrap.label_violation_rate is not None:
        rate = percent(bootstrap.label_violation_rate)
        lines.append(
            f"The labels themselves break a logical rule on {rate} % of the faces; a perfect copy of them would too."
        )
    powers = []
    for name in report.compared:
        if known := [each.comparisons[name].detectable for each in report.variants if name in each.comparisons]:
            powers.append(f"{METRIC_TITLES[name][:-2]} {percent(median(known))}")
    if powers:
        lines.append(
            f"Smallest difference that one test on these faces finds four times in five (median, points): "
            f"{', '.join(powers)}."
        )
        family = sum(name.comparisons != {} for name in report.variants)
        lines.append(f"* Holm-corrected p < {ALPHA} among {family} comparisons of that metric.")
    if powers and bootstrap.smallest_p >= ALPHA:
        lines.append(
            f"{bootstrap.resamples:,} resamples are too few for so many comparisons: the smallest possible corrected p "
            f"is {bootstrap.smallest_p:.3f}."
        )
    return lines


def print_report(report: Report, console: Console) -> None:
    """Print both sheets and the notes."""
    for sheet in (scores_sheet(report), comparisons_sheet(report)):
        console.print(to_rich(sheet))
        console.print()
    for line in notes(report):
        console.print(Text(line))


def write_report(report: Report, folder: str | os.PathLike[str], name: str = "table") -> tuple[Path, ...]:
    """Write ``name.csv``, ``name.md`` and ``name.tex``, each whole or not at all; returns their paths."""
    csv, text, tex = paths = tuple(Path(folder) / f"{name}.{suffix}" for suffix in ("csv", "md", "tex"))
    sheets = [scores_sheet(report), comparisons_sheet(report)]
    with replacing(csv) as temporary:
        to_frame(report).to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    remarks = "".join(f"- {markdown(line)}\n" for line in notes(report))
    write_text(text, "\n".join([*map(to_markdown, sheets), remarks]))
    write_text(tex, "\n".join([*map(to_latex, sheets), "".join(f"% {line}\n" for line in notes(report))]))
    return paths


def percent(share: float) -> str:
    """A share in per cent, or a dash where there is none.

    >>> percent(0.8421), percent(float("nan"))
    ('84.21', '–')
    """
    return "–" if share != share else f"{100 * share:.2f}"


def count(number: int | None) -> str:
    """A number of parameters, short.

    >>> count(1_234_567), count(12_300), count(0), count(None)
    ('1.23 M', '12.3 k', '0', '–')
    """
    if number is None:
        return "–"
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def seeds_cell(variant: VariantResult) -> str:
    """How many runs stand behind a row: "3", "2 of 3", "failed" or "not run"."""
    if not variant.seeds:
        return "failed" if variant.errors else "not run"
    planned = len(variant.seeds) + len(variant.errors) + len(variant.waiting)
    return str(planned) if planned == len(variant.seeds) else f"{len(variant.seeds)} of {planned}"


def difference_cells(comparison: Comparison | None) -> list[str]:
    """A difference with its interval, and its corrected p with a star where it is significant."""
    if comparison is None or comparison.difference != comparison.difference:
        return ["–", "–"]
    value, low, high = (f"{100 * each:+.2f}" for each in (comparison.difference, comparison.low, comparison.high))
    return [f"{value} [{low}, {high}]", f"{comparison.p_holm:.3f}{'*' if comparison.significant else ' '}"]


def first_line(text: str) -> str:
    r"""An error's first line with text in it.

    >>> first_line("ValueError: 3 faces\nTraceback ...")
    'ValueError: 3 faces'
    """
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
