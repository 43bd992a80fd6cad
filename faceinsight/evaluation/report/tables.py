"""An ablation's report as sheets to read (scores, differences) and the notes that belong to them.

The sheets show per cent and points, to two digits. Variants that failed or have not run yet stand in their place and
say so.
"""

import math
from statistics import median

from faceinsight.evaluation.report.discoveries import attribute_facts
from faceinsight.evaluation.report.results import Report, VariantResult
from faceinsight.evaluation.report.sheet import Sheet
from faceinsight.evaluation.statistics.bootstrap import Bootstrap, Comparison
from faceinsight.evaluation.statistics.resampling import ALPHA
from faceinsight.metrics.registry import COLUMNS, find_metric

__all__ = ["METRIC_TITLES", "SHARE_TITLES", "comparisons_sheet", "first_line", "notes", "scores_sheet"]

#: The headings of metrics with and without an interval, as version 0.1.0 named them.
METRIC_TITLES = {name: entry.heading for name, entry in COLUMNS.items() if entry.shown == "interval"}
SHARE_TITLES = {name: entry.heading for name, entry in COLUMNS.items() if entry.shown == "share"}


def scores_sheet(report: Report) -> Sheet:
    """Every variant's scores in per cent."""
    header = ["variant", *(find_metric(name).heading for name in (*report.measured, *report.shares)), "seconds"]
    if report.trained:
        header[1:1], header[-1:-1] = ["seeds"], ["trained"]
    rows = []
    for variant in report.variants:
        scores = [
            percent(variant.estimates[name].value) if name in variant.estimates else "–" for name in report.measured
        ]
        scores += [percent(variant.shares.get(name, math.nan)) for name in report.shares]
        cells = [variant.name, *scores, "–" if variant.seconds is None else f"{variant.seconds:,.0f}"]
        if report.trained:
            cells[1:1], cells[-1:-1] = [seeds_cell(variant)], [count(variant.parameters)]
        rows.append((variant.group, tuple(cells)))
    return Sheet("Scores in %", tuple(header), tuple(rows))


def comparisons_sheet(report: Report) -> Sheet:
    """Every variant's difference from its reference in points, with interval and Holm-corrected p."""
    shown = [name for name in report.compared if name in report.measured]
    header = ["variant", "against"]
    for name in shown:
        header += [find_metric(name).heading, "p"]
    rows = []
    for variant in report.variants:
        if variant.reference is None:
            continue
        cells = [variant.name, variant.reference]
        for name in shown:
            cells += difference_cells(variant.comparisons.get(name), trained=report.trained)
        rows.append((variant.group, tuple(cells)))
    return Sheet("Differences in points [95 % interval], Holm-corrected p", tuple(header), tuple(rows))


def notes(report: Report) -> list[str]:
    """Return what a reader must know beside the sheets: the ceiling, the test's power, what is left out, what
    failed.
    """
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
    """Return the notes about the test faces and the bootstrap."""
    identities = f" of {bootstrap.clusters:,} identities" if bootstrap.clusters != bootstrap.faces else ""
    if bootstrap.clusters == 1:
        identities = " of one identity, so faces were resampled and nothing is said about other people"
    lines = [f"{bootstrap.faces:,} test faces{identities}; {bootstrap.resamples:,} paired resamples of them."]
    if bootstrap.label_violation_rate is not None:
        rate = percent(bootstrap.label_violation_rate)
        lines.append(
            f"The labels themselves break a logical rule on {rate} % of the faces; a perfect copy of them would too."
        )
    powers = []
    for name in report.compared:
        if known := [each.comparisons[name].detectable for each in report.variants if name in each.comparisons]:
            powers.append(f"{find_metric(name).title} {percent(median(known))}")
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
    if report.trained and any(len(each.seeds) == 1 for each in report.variants):
        lines.append(
            "One seed: its intervals are over test faces, and how much another training would differ is not in "
            "them; such a row has no star. Run two seeds or more."
        )
    return lines + attribute_facts(bootstrap.attributes)


def percent(share: float) -> str:
    """Return a share in per cent, or a dash where there is none.

    >>> percent(0.8421), percent(float("nan"))
    ('84.21', '–')
    """
    return "–" if share != share else f"{100 * share:.2f}"


def count(number: int | None) -> str:
    """Return a number of parameters, short.

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
    """Return how many runs a row rests on: "3", "2 of 3", "failed" or "not run"."""
    if not variant.seeds:
        return "failed" if variant.errors else "not run"
    planned = len(variant.seeds) + len(variant.errors) + len(variant.waiting)
    return str(planned) if planned == len(variant.seeds) else f"{len(variant.seeds)} of {planned}"


def difference_cells(comparison: Comparison | None, *, trained: bool) -> list[str]:
    """Return a difference with its interval, and its corrected p with a star where :meth:`Comparison.starred` says
    so.
    """
    if comparison is None or comparison.difference != comparison.difference:
        return ["–", "–"]
    value, low, high = (f"{100 * each:+.2f}" for each in (comparison.difference, comparison.low, comparison.high))
    return [f"{value} [{low}, {high}]", f"{comparison.p_holm:.3f}{'*' if comparison.starred(trained=trained) else ' '}"]


def first_line(text: str) -> str:
    r"""Return an error's first line with text in it.

    >>> first_line("ValueError: 3 faces\nTraceback ...")
    'ValueError: 3 faces'
    """
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
