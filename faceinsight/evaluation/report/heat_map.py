"""Which attributes each variant is better or worse at, as a picture: attributes down, variants across, points of AP."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from faceinsight.errors import InputError
from faceinsight.evaluation.report.discoveries import detectable, points
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison
from faceinsight.evaluation.statistics.resampling import ALPHA
from faceinsight.files import replacing
from faceinsight.metrics.registry import find_metric

__all__ = ["plot_attributes", "save_attributes"]

INK, SOFT, GRID = "#222222", "#6b6b6b", "#e3e3e3"
COLOURS = colormaps["RdBu"]

#: How much of its colour a cell keeps that is no discovery.
PALE = 0.3

#: Inches of a cell, of what stands left of the cells and above and below them, and of the narrowest figure.
WIDE, HIGH, LEFT, ABOVE, NARROWEST = 0.46, 0.19, 3.0, 2.6, 5.2

Points = Float[np.ndarray, "attr variant"]


def plot_attributes(comparisons: Sequence[AttributeComparison], metric: str = "average_precision") -> Figure:
    """Draw the differences of one metric: blue is better than the reference, red worse, pale is no discovery.

    Discoveries carry their number. The colours end at the largest difference of the median variant, so that a hopeless
    control does not pale the others. The rarest attributes stand first, each with its positive test faces and the
    smallest difference that would be discovered four times in five if no other differed (median over variants).
    Attributes without the metric (constant ones) are left out.

    Raises:
        InputError: nothing was compared in this metric.
    """
    shown = [each for each in comparisons if each.metric == metric and each.difference == each.difference]
    if not shown:
        raise InputError(f"no attribute was compared in {metric!r}; give paired_bootstrap names and references")
    positives = {each.attribute: each.positives for each in sorted(shown, key=lambda each: each.positives)}
    variants = {each.variant: each.reference for each in shown}
    cells = {(each.attribute, each.variant): each for each in shown}
    grid = [[cells[name, variant] for variant in variants] for name in positives]
    size = (max(NARROWEST, LEFT + WIDE * len(variants)), ABOVE + HIGH * len(positives))
    figure = Figure(figsize=size, dpi=100, layout=ConstrainedLayoutEngine(h_pad=0.05, w_pad=0.05))
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    points = np.array([[100 * each.difference for each in row] for row in grid])
    scale = fill(panel, points, np.array([[each.discovered for each in row] for row in grid]))
    add_scale(figure, panel, scale, find_metric(metric).attribute_title)
    label_columns(panel, variants)
    label_rows(panel, positives, {name: size for name, (_, size) in detectable(shown, metric).items()})
    return figure


def save_attributes(comparisons: Sequence[AttributeComparison], path: str | os.PathLike[str]) -> None:
    """Draw the differences in AP into a file, whole or not at all; writes none as long as nothing was compared."""
    if not any(each.metric == "average_precision" and each.value == each.value for each in comparisons):
        return
    figure = plot_attributes(comparisons)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=200)


def fill(panel: Axes, points: Points, found: Bool[np.ndarray, "attr variant"]) -> Normalize:
    """Return the cells and the numbers of the discoveries; returns the scale of the colours."""
    limit = max(float(np.median(np.abs(points).max(0))), 0.1)
    scale = Normalize(-limit, limit)
    colour = COLOURS(np.clip(scale(points), 0, 1))[..., :3]
    panel.imshow(np.where(found[..., None], colour, 1 - PALE * (1 - colour)), aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(found).tolist():
        dark = abs(points[row, column]) > 0.6 * limit
        panel.text(column, row, f"{points[row, column]:+.1f}", ha="center", va="center", fontsize=6.5,
                   color="white" if dark else INK)  # fmt: skip
    panel.set_xticks(np.arange(1, points.shape[1]) - 0.5, minor=True)
    panel.set_yticks(np.arange(1, points.shape[0]) - 0.5, minor=True)
    panel.grid(which="minor", color=GRID, linewidth=0.6)
    panel.tick_params(which="both", length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)
    return scale


def add_scale(figure: Figure, panel: Axes, scale: Normalize, title: str) -> None:
    """Draw what the colours mean, below the cells."""
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), ax=panel, location="bottom", extend="both", pad=0.01,
                          aspect=9 * figure.get_figwidth() - 20, fraction=0.02)  # fmt: skip
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, colors=INK, length=2)
    figure.supxlabel(f"{title} minus the reference's, points\npale, without a number: no discovery (q ≥ {ALPHA})",
                     fontsize=7.5, color=SOFT)  # fmt: skip


def label_columns(panel: Axes, variants: Mapping[str, str]) -> None:
    """Draw the variants above their columns, each over the one it is compared with."""
    panel.xaxis.tick_top()
    names = [f"{variant}\nagainst {reference}" for variant, reference in variants.items()]
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=7.5, color=INK, multialignment="left")


def label_rows(panel: Axes, positives: Mapping[str, int], sizes: Mapping[str, float]) -> None:
    """Draw the attributes left of their rows, with how many faces show them and what could have been found."""
    panel.set_yticks(range(len(positives)), positives, fontsize=7.5, color=INK)
    panel.tick_params(axis="y", pad=72)
    for row, (name, count) in enumerate(positives.items()):
        size = points(sizes[name]) if name in sizes else "–"
        for offset, text in ((-38, f"{count:,}"), (-6, size)):
            panel.annotate(text, (0, row), (offset, 0), xycoords=panel.get_yaxis_transform(), va="center", ha="right",
                           textcoords="offset points", fontsize=7, color=SOFT)  # fmt: skip
    for offset, text in ((-46, "positive faces"), (-14, "detectable, points")):
        panel.annotate(text, (0, 1), (offset, 4), xycoords="axes fraction", textcoords="offset points", rotation=90,
                       ha="center", va="bottom", fontsize=7, color=SOFT)  # fmt: skip
