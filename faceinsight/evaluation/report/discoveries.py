"""The comparisons of single attributes as a frame, as a sheet of the discoveries among them, and in notes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from statistics import median

import pandas as pd

from faceinsight.evaluation.report.sheet import Sheet
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison
from faceinsight.evaluation.statistics.resampling import ALPHA
from faceinsight.metrics.registry import find_metric

__all__ = ["attribute_facts", "attributes_frame", "detectable", "discoveries_sheet", "points"]

#: How many discoveries the sheet shows, and how many of one variant: a hopeless control differs everywhere.
SHOWN, SHOWN_OF_A_VARIANT = 15, 3


def attributes_frame(comparisons: Sequence[AttributeComparison]) -> pd.DataFrame:
    """Every comparison as one row of fractions, in columns named like the fields."""
    names = [each.name for each in fields(AttributeComparison)]
    return pd.DataFrame([asdict(each) for each in comparisons], columns=names)


def discoveries_sheet(comparisons: Sequence[AttributeComparison]) -> Sheet | None:
    """Return the largest discoveries in points, at most 15 and at most 3 of a variant; None where there is none."""
    header = ("attribute", "variant", "against", "metric", "difference", "q", "positives", "detectable")
    rows = [
        (
            each.attribute,
            each.variant,
            each.reference,
            find_metric(each.metric).attribute_title,
            f"{100 * each.difference:+.1f} [{100 * each.low:+.1f}, {100 * each.high:+.1f}]",
            f"{each.q:.3f}" if each.q >= 0.001 else "< 0.001",
            f"{each.positives:,}",
            points(each.detectable),
        )
        for each in largest(comparisons)
    ]
    title = f"Discoveries in single attributes (q < {ALPHA}), points [95 % interval], largest first"
    return Sheet(title, header, tuple(("", row) for row in rows)) if rows else None


def largest(comparisons: Sequence[AttributeComparison]) -> list[AttributeComparison]:
    """Return the discoveries that the sheet shows."""
    found = sorted((each for each in comparisons if each.discovered), key=lambda each: -abs(each.difference))
    taken: Counter[str] = Counter()
    chosen = []
    for each in found:
        taken[each.variant] += 1
        if taken[each.variant] <= SHOWN_OF_A_VARIANT:
            chosen.append(each)
    return chosen[:SHOWN]


def attribute_facts(comparisons: Sequence[AttributeComparison]) -> list[str]:
    """Return the notes: how many discoveries there are and whose, what could not have been found, what could not be
    tested.
    """
    if not comparisons:
        return []
    tests = sum(each.p == each.p for each in comparisons)
    found = Counter(each.variant for each in comparisons if each.discovered)
    rule = f"q < {ALPHA}, false discovery rate within a variant and metric"
    if not found:
        lines = [f"Single attributes: none of {tests:,} differences in AP or accuracy is a discovery ({rule})."]
    else:
        shares = ", ".join(f"{name} {count}" for name, count in found.most_common())
        more = found.total() - len(largest(comparisons))
        lines = [
            f"Single attributes: {found.total():,} discoveries among {tests:,} differences in AP or accuracy ({rule}): "
            f"{shares}." + (f" {more:,} more than shown stand in attributes.csv." if more else "")
        ]
    if sizes := detectable(comparisons):
        rarest, surest = list(sizes.items())[:3], min(sizes.items(), key=lambda each: each[1][1])
        named = ", ".join(f"{name} ({count}) {points(size)}" for name, (count, size) in [*rarest, surest])
        lines.append(
            "Smallest difference in one attribute's AP that is discovered four times in five if no other differs "
            f"(median over variants, points), for the rarest attributes (positive faces) and the surest: {named}."
        )
    untested = {each.attribute for each in comparisons if each.value == each.value and each.p != each.p}
    if untested:
        lines.append(f"Shown, or not shown, by a single identity, so not tested: {', '.join(sorted(untested))}.")
    return lines


def points(size: float) -> str:
    """Return the size of a difference between shares in points; above 100, no difference could have been found.

    >>> points(0.123), points(3.7)
    ('12.3', '> 100')
    """
    return f"{100 * size:.1f}" if size <= 1 else "> 100"


def detectable(
    comparisons: Sequence[AttributeComparison], metric: str = "average_precision"
) -> dict[str, tuple[int, float]]:
    """Attribute -> positive faces and smallest detectable difference (median over variants), the rarest first.

    A variant that does not differ from its reference at all, as one compared with its twin, has none and is left out.
    """
    sizes: dict[str, list[float]] = {}
    positives: dict[str, int] = {}
    for each in comparisons:
        if each.metric == metric and each.detectable > 0:
            sizes.setdefault(each.attribute, []).append(each.detectable)
            positives[each.attribute] = each.positives
    return {name: (positives[name], median(sizes[name])) for name in sorted(sizes, key=lambda each: positives[each])}
