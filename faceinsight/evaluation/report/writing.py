"""An ablation's table: one frame with every number, and sheets to read in four formats.

The frames and the CSV files hold fractions as they were computed.
"""

import os
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from faceinsight.evaluation.report.discoveries import attributes_frame, discoveries_sheet
from faceinsight.evaluation.report.results import Report, VariantResult
from faceinsight.evaluation.report.sheet import Sheet, markdown, to_latex, to_markdown, to_rich
from faceinsight.evaluation.report.tables import comparisons_sheet, first_line, notes, scores_sheet
from faceinsight.files import PlainData, replacing, write_text

__all__ = [
    "Report",
    "VariantResult",
    "comparisons_sheet",
    "notes",
    "print_report",
    "scores_sheet",
    "to_frame",
    "write_report",
]


def to_frame(report: Report) -> pd.DataFrame:
    """Every number of the report, one row a variant: scores, intervals, differences, p-values, as fractions."""
    rows = []
    for variant in report.variants:
        row: PlainData = {
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
        row |= {name: variant.shares.get(name) for name in report.shares}
        row |= {"parameters": variant.parameters, "seconds": variant.seconds}
        row["error"] = "; ".join(f"seed {seed}: {first_line(text)}" for seed, text in variant.errors.items())
        rows.append(row)
    return pd.DataFrame(rows).astype({"parameters": "Int64"})


def sheets(report: Report) -> list[Sheet]:
    """Scores, differences, and the discoveries in single attributes if there are any."""
    found = discoveries_sheet(report.attributes)
    return [scores_sheet(report), comparisons_sheet(report), *([] if found is None else [found])]


def print_report(report: Report, console: Console) -> None:
    """Print the sheets and the notes."""
    for sheet in sheets(report):
        console.print(to_rich(sheet))
        console.print()
    for line in notes(report):
        console.print(Text(line))


def write_report(report: Report, folder: str | os.PathLike[str], name: str = "table") -> tuple[Path, ...]:
    """Write ``name.csv``, ``name.md`` and ``name.tex``, each whole or not at all; returns their paths.

    ``attributes.csv``, a row for each variant, metric and attribute, is written where attributes were compared.
    """
    csv, text, tex = paths = tuple(Path(folder) / f"{name}.{suffix}" for suffix in ("csv", "md", "tex"))
    write_csv(csv, to_frame(report))
    remarks = "".join(f"- {markdown(line)}\n" for line in notes(report))
    write_text(text, "\n".join([*map(to_markdown, sheets(report)), remarks]))
    write_text(tex, "\n".join([*map(to_latex, sheets(report)), "".join(f"% {line}\n" for line in notes(report))]))
    if not report.attributes:
        return paths
    attributes = Path(folder) / "attributes.csv"
    write_csv(attributes, attributes_frame(report.attributes))
    return (*paths, attributes)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
