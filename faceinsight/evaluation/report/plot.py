"""An ablation as a picture: a row for every variant, a panel for every metric; points with 95 % intervals and seeds."""

import os
from collections.abc import Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from faceinsight.evaluation.report.writing import Report, VariantResult
from faceinsight.evaluation.statistics.bootstrap import ALPHA
from faceinsight.files import replacing
from faceinsight.metrics.registry import INTERVALS, find_metric

__all__ = ["PANEL_TITLES", "plot_report", "save_plot"]

#: Each metric with an interval by the heading of its panel, as version 0.1.0 named them.
PANEL_TITLES = {name: find_metric(name).panel_heading for name in INTERVALS}

INK, SOFT, FAINT, GRID = "#222222", "#6b6b6b", "#9a9a9a", "#e8e8e8"
POINT, REFERENCE = "#33658a", "#c8553d"


def plot_report(
    report: Report,
    metrics: Sequence[str] = ("average_precision", "accuracy", "violation_rate"),
    *,
    reference: str | None = None,
) -> Figure:
    """Draw the report's variants in the table's order, one panel a metric.

    A variant far outside the others (majority class) is an arrow at the panel's edge with its value, so that it does
    not press the others together. As long as nothing is finished, the rows say so in an empty panel.

    Args:
        metrics: those that no variant has are left out.
        reference: the variant whose scores run through the panels as a line; by default the one that most others are
            compared with.
    """
    shown = [name for name in metrics if name in report.measured] or list(metrics[:1])
    reference = usual_reference(report) if reference is None else reference
    heights, groups = row_heights(report)
    layout = ConstrainedLayoutEngine(wspace=0.06)
    figure = Figure(figsize=(9.0, 1.1 + 0.25 * (max(heights, default=0) + 1)), dpi=100, layout=layout)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, metric in zip(panels, shown, strict=True):
        style_panel(panel, find_metric(metric).panel_heading)
        fill_panel(panel, report, metric, heights, reference)
    label_rows(panels[0], report, heights, groups)
    legend = "bar: 95 % interval over faces" + ("   small dots: seeds" if report.trained else "")
    if any(each.comparisons for each in report.variants):
        legend += f"   filled: differs from its reference (Holm-corrected p < {ALPHA})   hollow: not shown to differ"
    figure.supxlabel(legend, fontsize=7.5, color=SOFT)
    return figure


def save_plot(report: Report, path: str | os.PathLike[str], **options: Any) -> None:
    """Draw a report into a file, whole or not at all; the suffix is the format (png, pdf, svg).

    Args:
        options: of :func:`plot_report`.
    """
    figure = plot_report(report, **options)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=200)


def usual_reference(report: Report) -> str | None:
    """Return the variant that most others are compared with."""
    named = [each.reference for each in report.variants if each.reference is not None]
    return max(named, key=named.count, default=None)


def row_heights(report: Report) -> tuple[list[float], dict[float, str]]:
    """Return each variant's height from the top down, and those of the groups' names above them."""
    heights: list[float] = []
    groups: dict[float, str] = {}
    height, group = 0.0, ""
    for variant in report.variants:
        if variant.group != group:
            height += 0.3 if heights else 0.0
            groups[height] = group = variant.group
            height += 1
        heights.append(height)
        height += 1
    return heights, groups


def fill_panel(panel: Axes, report: Report, metric: str, heights: Sequence[float], reference: str | None) -> None:
    """One metric: a line for the reference, and every variant that has the metric."""
    rows = [(each, height) for each, height in zip(report.variants, heights, strict=True) if metric in each.estimates]
    if not rows:
        panel.xaxis.set_visible(False)
        return
    low, high = visible_range([variant for variant, _ in rows], metric)
    panel.set_xlim(low, high)
    for variant, height in rows:
        if variant.name == reference:
            panel.axvline(100 * variant.estimates[metric].value, color=REFERENCE, linewidth=0.8, alpha=0.55, zorder=1)
        colour = REFERENCE if variant.name == reference else POINT
        if low <= 100 * variant.estimates[metric].value <= high:
            draw_variant(panel, variant, metric, height, colour, seeds=report.trained)
        else:
            draw_outside(panel, 100 * variant.estimates[metric].value, height, colour)
    truth = None if report.bootstrap is None else report.bootstrap.label_violation_rate
    if metric == "violation_rate" and truth is not None and low <= 100 * truth <= high:
        panel.axvline(100 * truth, color=SOFT, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        panel.annotate("labels", (100 * truth, 1), (2, 0), xycoords=panel.get_xaxis_transform(),
                       textcoords="offset points", va="top", fontsize=7.5, color=SOFT)  # fmt: skip


def visible_range(variants: Sequence[VariantResult], metric: str) -> tuple[float, float]:
    """Return the range of a panel: of all intervals and seeds, without the variants that would more than double it."""
    kept = list(variants)
    while len(kept) > 3:
        centre = median(each.estimates[metric].value for each in kept)
        farthest = max(kept, key=lambda each: abs(each.estimates[metric].value - centre))
        others = [each for each in kept if each is not farthest]
        if width(kept, metric) <= 2.2 * width(others, metric) or len(variants) - len(others) > len(variants) // 4:
            break
        kept = others
    low, high = extent(kept, metric)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def extent(variants: Sequence[VariantResult], metric: str) -> tuple[float, float]:
    """From the lowest to the highest interval end or seed, in per cent."""
    estimates = [each.estimates[metric] for each in variants]
    ends = [end for each in estimates for end in (each.low, each.high, *each.by_seed.values())]
    return 100 * min(ends), 100 * max(ends)


def width(variants: Sequence[VariantResult], metric: str) -> float:
    low, high = extent(variants, metric)
    return high - low


def draw_variant(
    panel: Axes, variant: VariantResult, metric: str, height: float, colour: str, *, seeds: bool = True
) -> None:
    """Draw a point, its interval, and its seeds as small dots beneath."""
    estimate, comparison = variant.estimates[metric], variant.comparisons.get(metric)
    filled = comparison is None or comparison.starred(trained=seeds)
    dots = [100 * value for value in estimate.by_seed.values()] if seeds else []
    panel.scatter(dots, [height + 0.27] * len(dots), s=7, color=colour, alpha=0.5, linewidths=0, zorder=2)
    panel.plot([100 * estimate.low, 100 * estimate.high], [height, height], color=colour, linewidth=1.3, zorder=3)
    panel.plot(100 * estimate.value, height, "o", color=colour, markersize=4.8, zorder=4, markeredgewidth=1.2,
               markerfacecolor=colour if filled else "white")  # fmt: skip


def draw_outside(panel: Axes, value: float, height: float, colour: str) -> None:
    """Draw an arrow at the edge, with the value that lies beyond it."""
    left = value < panel.get_xlim()[0]
    panel.annotate(f"◂ {value:.1f}" if left else f"{value:.1f} ▸", (0.0 if left else 1.0, height), va="center",
                   xycoords=panel.get_yaxis_transform(), ha="left" if left else "right", fontsize=8,
                   color=colour)  # fmt: skip


def style_panel(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=9, color=INK, loc="left")
    panel.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    panel.tick_params(axis="x", labelsize=8, colors=INK, length=3)
    panel.tick_params(axis="y", which="both", length=0, pad=6)
    panel.grid(axis="x", color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ("top", "left", "right"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(FAINT)


def label_rows(panel: Axes, report: Report, heights: Sequence[float], groups: dict[float, str]) -> None:
    """Draw the names left of the first panel, the groups' above them; what has no score says why."""
    panel.set_yticks(list(heights), [each.name for each in report.variants], fontsize=8.5, color=INK)
    panel.set_yticks(list(groups), list(groups.values()), minor=True, fontsize=8, fontweight="bold", color=SOFT)
    panel.set_ylim(max(heights) + 0.7, -0.7)
    for variant, height in zip(report.variants, heights, strict=True):
        if not variant.estimates:
            panel.text(0.01, height, "failed" if variant.status == "failed" else "not run yet", va="center",
                       transform=panel.get_yaxis_transform(), fontsize=8, fontstyle="italic", color=SOFT)  # fmt: skip
