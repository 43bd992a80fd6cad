"""What mining proposes: implications between two attributes with their numbers, as a table, as data and as rules."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["LEVEL", "MinedRule", "MinedRules"]

#: The level of each confidence's interval.
LEVEL = 0.95


@dataclass(frozen=True)
class MinedRule:
    """One proposal and the numbers behind it.

    Args:
        rule: in the rule language: ``A -> B`` or ``A -> not B``.
        faces: on which both attributes are defined.
        shown: those of them that show A.
        kept: those of them that keep the rule.
        support: ``kept / faces``.
        confidence: ``kept / shown``; ``low`` to ``high`` is its 95 % interval (Wilson).
        lift: ``confidence`` over the share of all the faces on which the consequent holds; 1 by chance.
        p: of the exact one-sided test that A and the consequent are independent.
        q: the same, corrected over all candidates.
    """

    rule: str
    faces: int
    shown: int
    kept: int
    support: float
    confidence: float
    low: float
    high: float
    lift: float
    p: float
    q: float

    def described(self, table: str | None) -> str:
        """Return the numbers in words, as a rule's source."""
        return (
            f"mined{f' from {table}' if table else ''}: kept by {self.kept:,} of {self.shown:,} faces "
            f"({self.confidence:.2%}, {LEVEL:.0%} interval {self.low:.2%} to {self.high:.2%}), lift {self.lift:.2f}, "
            f"support {self.support:.2%} of {self.faces:,} faces, q {probability(self.q)}"
        )


@dataclass(frozen=True)
class MinedRules:
    """What :func:`~faceinsight.knowledge.lint.mining.mine` proposes.

    ``print`` shows it as a table, ``frame`` gives it as data (with p and q), ``rules`` as rules.

    Args:
        schema: the attributes.
        proposals: the highest lift first.
        tested: how many candidates the p-values are corrected for.
        following: how many more passed, but follow from the proposals and from what was known.
        table: what the label table is called.
    """

    schema: Schema
    proposals: tuple[MinedRule, ...]
    tested: int
    following: int
    table: str | None = None

    def __len__(self) -> int:
        return len(self.proposals)

    @cached_property
    def rules(self) -> RuleSet:
        """The proposals as statistical rules with their numbers as sources; ``rules.save(path)`` writes them.

        ``RuleSet.load`` reads them back with ``strength="all"`` only.
        """
        entries = [{"rule": each.rule, "source": each.described(self.table)} for each in self.proposals]
        return RuleSet.parse(entries, self.schema, "statistical")

    def frame(self) -> pd.DataFrame:
        """One row a proposal, its columns as :class:`MinedRule`."""
        return pd.DataFrame(
            [asdict(each) for each in self.proposals], columns=[each.name for each in fields(MinedRule)]
        )

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        title = f"{len(self)} statistical rules proposed over {self.schema.name!r}"
        table = Table(title=title, title_justify="left")
        table.add_column("rule", overflow="fold")
        for heading in ("support", escape(f"confidence [{LEVEL:.0%}]"), "broken", "lift"):
            table.add_column(heading, justify="right")
        for each in self.proposals:
            confidence = f"{each.confidence:.2%} [{100 * each.low:.2f}, {100 * each.high:.2f}]"
            broken, lift = f"{each.shown - each.kept:,}", f"{each.lift:.2f}"
            table.add_row(escape(each.rule), f"{each.support:.2%}", escape(confidence), broken, lift)
        lines = [
            f"{self.tested:,} candidates tested; {self.following:,} more passed but follow from these in a chain",
            "They describe these photographs and their annotators, not people; none is on unless you ask for it.",
        ]
        return Group(table, *map(Text, lines))

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        written = StringIO()
        Console(file=written, width=120, color_system=None, force_jupyter=False).print(self)
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def probability(q: float) -> str:
    """Return a p-value as text; the smallest that a float holds is no zero.

    >>> probability(0.0), probability(0.0123)
    ('< 1e-300', '0.012')
    """
    return "< 1e-300" if q < 1e-300 else f"{q:.2g}"
