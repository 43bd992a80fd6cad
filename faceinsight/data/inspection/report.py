"""The report on a data set: plain data that prints well."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from faceinsight.knowledge.lint.label_check import LabelCheck

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

__all__ = ["DataReport"]


@dataclass(frozen=True)
class DataReport:
    """What :func:`check` found; printed with rich it is a table, ``frame`` gives the attributes as data.

    Args:
        description: the table in one line.
        faces: split -> faces.
        people: split -> identities.
        positive: attribute -> faces that show it.
        negative: attribute -> faces that do not.
        undefined: attribute -> faces without this label.
        constant: attribute -> how it never varies in training.
        rules: the logical rules that the labels were held against.
        noise: the labels against these; None without rules.
        broken: file problems found; None where files were not read.
        notes: what else the source has to say.
        mask_shares: part of the face -> its share of the masks' pixels; None without masks.
    """

    description: str
    faces: dict[str, int]
    people: dict[str, int]
    positive: dict[str, int]
    negative: dict[str, int]
    undefined: dict[str, int]
    constant: dict[str, str]
    rules: tuple[str, ...]
    noise: LabelCheck | None
    broken: tuple[str, ...] | None
    notes: tuple[str, ...]
    mask_shares: dict[str, float] | None = None

    def frame(self) -> "pd.DataFrame":
        """One row an attribute: positive, negative, undefined, prevalence among the defined, share undefined."""
        import pandas as pd

        counts = {"positive": self.positive, "negative": self.negative, "undefined": self.undefined}
        frame = pd.DataFrame(counts)
        defined = frame["positive"] + frame["negative"]
        frame["prevalence"] = frame["positive"] / defined
        frame["undefined share"] = frame["undefined"] / (defined + frame["undefined"])
        return frame

    def lines(self) -> list[str]:
        """Return the report's sentences, tables apart."""
        lines = [*self.notes]
        if self.mask_shares is not None:
            shares = ", ".join(f"{part} {share:.1%}" for part, share in self.mask_shares.items())
            lines.append(f"shares of the masks' pixels: {shares}")
        if self.constant:
            lines.append("constant in training: " + ", ".join(f"{name} ({how})" for name, how in self.constant.items()))
        if self.noise is not None:
            lines.append(
                f"{self.noise.faces_broken:,} of {self.noise.faces_decided:,} faces ({self.noise.total_share:.2%}) "
                "break at least one logical rule in the labels themselves: the ceiling of logical accuracy is "
                f"{1 - self.noise.total_share:.2%}"
            )
        if self.broken is not None:
            lines.append(
                f"faces that cannot be read: {len(self.broken):,}" if self.broken else "every file can be read"
            )
            lines.extend(f"  {each}" for each in self.broken)
        return lines

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        tables = [split_table(self), attribute_table(self)]
        if self.noise is not None and self.rules:
            tables.append(noise_table(self.rules, self.noise))
        return Group(Text(self.description), *tables, *map(Text, self.lines()))

    def __str__(self) -> str:
        from rich.console import Console

        written = StringIO()
        Console(file=written, width=120, color_system=None, force_jupyter=False).print(self)
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def split_table(report: DataReport) -> "RenderableType":
    """Faces and people of each split."""
    from rich.table import Table

    table = Table("split", title_justify="left")
    for heading in ("faces", "people"):
        table.add_column(heading, justify="right")
    for split, faces in report.faces.items():
        table.add_row(split, f"{faces:,}", f"{report.people[split]:,}")
    return table


def attribute_table(report: DataReport) -> "RenderableType":
    """Prevalence and undefined share of each attribute."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("attribute")
    for heading in ("positive", "prevalence", "undefined"):
        table.add_column(heading, justify="right")
    for name, row in report.frame().iterrows():
        positive, share = f"{int(row['positive']):,}", f"{row['prevalence']:.1%}"
        table.add_row(escape(str(name)), positive, share, f"{row['undefined share']:.1%}")
    return table


def noise_table(rules: Sequence[str], noise: LabelCheck) -> "RenderableType":
    """How many faces break each rule."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("logical rule")
    for heading in ("faces that break it", "share"):
        table.add_column(heading, justify="right")
    for rule, broken, decided, share in zip(rules, noise.broken, noise.decided, noise.share, strict=True):
        table.add_row(escape(rule), f"{broken:,}", f"{share:.2%}" if decided else "not decided")
    return table
