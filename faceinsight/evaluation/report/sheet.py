"""A table as text and its formats: the terminal (rich), Markdown and LaTeX."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

__all__ = ["Sheet", "to_latex", "to_markdown", "to_rich"]


@dataclass(frozen=True)
class Sheet:
    """A table as text, before it takes a format: ``rows`` are (group, cells)."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def grouped(self) -> Iterable[tuple[str | None, tuple[str, ...]]]:
        """Return the rows, with the group named where a new one begins and None elsewhere."""
        before = None
        for group, cells in self.rows:
            yield (group if group != before else None), cells
            before = group


def to_rich(sheet: Sheet) -> Table:
    """Return a sheet for the terminal; readable at 160 columns."""
    table = Table(title=sheet.title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for position, name in enumerate(sheet.header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=position > 1)
    for group, cells in sheet.grouped():
        if group:
            table.add_row()
            table.add_row(Text(group, style="dim"))
        table.add_row(*map(Text, cells), style="bold" if any(cell.endswith("*") for cell in cells) else None)
    return table


def to_markdown(sheet: Sheet) -> str:
    """Return a sheet as a Markdown table under its title; groups are bold rows."""
    lines = [
        f"**{sheet.title}**",
        "",
        markdown_row(map(markdown, sheet.header)),
        "|:--|" + "--:|" * (len(sheet.header) - 1),
    ]
    for group, cells in sheet.grouped():
        if group:
            lines.append(markdown_row((f"**{markdown(group)}**", *[""] * (len(cells) - 1))))
        lines.append(markdown_row(map(markdown, cells)))
    return "\n".join(lines) + "\n"


def to_latex(sheet: Sheet) -> str:
    r"""Return a sheet as a LaTeX tabular with the rules of booktabs (``\usepackage{booktabs}``)."""
    width = len(sheet.header)
    lines = [rf"% {sheet.title}", rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule", latex_row(sheet.header)]
    for position, (group, cells) in enumerate(sheet.grouped()):
        if group is not None or position == 0:
            lines.append(r"\midrule")
        if group:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex(group)}}}}} \\")
        lines.append(latex_row(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def markdown(text: str) -> str:
    """Text that Markdown does not read as a column's end or as emphasis."""
    return re.sub(r"([|*_])", r"\\\1", text.strip())


def markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


#: What LaTeX reads as a command, and how it is written instead.
LATEX = {each: "\\" + each for each in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "[": "{[}",
    "]": "{]}",
}


def latex(text: str) -> str:
    r"""Text as LaTeX prints it; a minus before a digit becomes a real minus.

    >>> print(latex("full & 5_o_Clock -0.2"))
    full \& 5\_o\_Clock $-$0.2
    """
    escaped = "".join(LATEX.get(each, each) for each in text.strip())
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def latex_row(cells: Iterable[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"
