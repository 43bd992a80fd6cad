"""What the library knows of a metric: everything that logs, statistics, tables and plots need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["MetricEntry"]

Level = Literal["attribute", "face", "group", "ordered group", "text"]

ARROWS = {"up": " ↑", "down": " ↓", "none": ""}


@dataclass(frozen=True, kw_only=True)
class MetricEntry:
    """A metric.

    Args:
        name: the key in logs and the column in files; of one level, no two metrics have the same.
        title: the short name in tables.
        function: of an ``attribute`` or a ``face``, ``function(probability, *needs, weights)``, and a keyword
            ``undefined`` if it needs labels; of a ``group``, ``function(predicted, true, *needs)``; of a ``text``,
            ``function(texts, answers)``, see :mod:`faceinsight.metrics.text`.
        direction: the better way, ``up`` or ``down``.
        level: ``attribute``: a number for each attribute, of which the mean is shown; ``face``: one number for whole
            faces; ``group``: one for each group of the schema; ``ordered group``: for groups in order alone, such as
            ages; ``text``: one for all texts that a model wrote.
        needs: what the function takes besides: ``labels`` and ``rules``, or the ``years`` of a group. Where it is
            lacking, the metric is left out.
        part: the place of the metric in what the function returns, for a function of several metrics, which is then
            called once for all of them.
        shown: ``interval``: estimated, compared and drawn with intervals; ``share``: a column of the reports on one
            checkpoint, without interval; ``log``: in training's and testing's logs alone.
        panel: the long name above a plot; the title by default.
        undecided: what a probability of exactly one half means, which a text gives that answers nothing: ``decided``:
            what the function makes of it; ``wrong``; or ``unmeasured``: the metric is left out.
        attribute_title: the name of the metric of a single attribute; empty for a metric that is not compared attribute
            by attribute.
        attribute_place: the place in the order of those that are.
        rests_on: the faces on which the metric of a single attribute rests: the ``labelled`` ones, or the rarer of
            those with and without it (``rarer``).

    >>> entry = MetricEntry(name="brier", title="Brier", function=abs, direction="down", level="attribute")
    >>> entry.heading, entry.panel_heading
    ('Brier ↓', 'Brier, % ↓')
    """

    name: str
    title: str
    function: Callable[..., Any]
    direction: Literal["up", "down", "none"]
    level: Level
    needs: tuple[str, ...] = ()
    part: int | None = None
    shown: Literal["interval", "share", "log"] = "log"
    panel: str = ""
    undecided: Literal["decided", "wrong", "unmeasured"] = "decided"
    attribute_title: str = ""
    attribute_place: int = 0
    rests_on: Literal["labelled", "rarer"] = "labelled"

    @property
    def heading(self) -> str:
        """Return the title with an arrow in the better direction."""
        return self.title + ARROWS[self.direction]

    @property
    def panel_heading(self) -> str:
        """Return the long name with unit and arrow."""
        return f"{self.panel or self.title}, %{ARROWS[self.direction]}"
