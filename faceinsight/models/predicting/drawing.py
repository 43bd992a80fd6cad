"""A prediction and an explanation as pictures."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from faceinsight.data.images import whole_picture
from faceinsight.data.inspection.sheet import as_pictures, colour_masks
from faceinsight.knowledge.face_parts import FACE_PARTS, PALETTE
from faceinsight.knowledge.logic.language import parse_expression

if TYPE_CHECKING:
    from faceinsight.models.predicting.explanation import Explanation
    from faceinsight.models.predicting.face_prediction import FacePrediction

__all__ = ["plot_explanation", "plot_prediction"]

INK, SOFT, GRID = "#222222", "#6b6b6b", "#e8e8e8"
YES, NO, PLAIN = "#33658a", "#b9c9d6", "#c8553d"

#: How many labels of one group are drawn.
MAX_LABELS = 4


def plot_prediction(face: "FacePrediction", attributes: int) -> Figure:
    """Draw the photograph, the parser's map, the groups, the strongest attributes, and what the rules changed."""
    groups = group_bars(face)
    names = strongest(face, attributes)
    rows = max(len(groups), len(names), 18)
    figure = blank(9.6, 1.3 + 0.19 * rows)
    panels = figure.subplot_mosaic([["photo", "groups", "names"], ["map", "groups", "names"]], width_ratios=[1, 1, 1])
    show_photograph(panels["photo"], face)
    show_map(panels["map"], face)
    draw_bars(panels["groups"], [(words(text), value, None) for text, value, _, _ in groups], "groups, probability")
    for place, (_, _, chosen, mentioned) in enumerate(groups):
        mark(panels["groups"], place, chosen=chosen, drawn=origin(face, mentioned) not in main_origins(face))
    sigmoid = dict(zip(face.schema.names, face.logits.sigmoid().tolist(), strict=True))
    bars = [(words(name), face.probabilities[name], sigmoid[name]) for name in names]
    draw_bars(panels["names"], bars, "strongest attributes, probability")
    for place, name in enumerate(names):
        mark(panels["names"], place, chosen=face.attributes[name], drawn=origin(face, [name]) not in main_origins(face))
    figure.supxlabel(legend(face), fontsize=7, color=SOFT, x=0.01, ha="left", parse_math=False)
    return figure


def mark(panel: Axes, place: int, *, chosen: bool, drawn: bool) -> None:
    """Make a bar dark and its name bold where the face has it; slant a name that was learnt from other pictures."""
    label = panel.get_yticklabels()[place]
    if chosen:
        panel.patches[place].set_facecolor(YES)
        label.set_fontweight("bold")
    if drawn:
        label.set_fontstyle("italic")
        label.set_color(SOFT)


def origin(face: "FacePrediction", names: Sequence[str]) -> str | None:
    """Return the kind of pictures that the first of some attributes was learnt from."""
    return face.schema.origin(names[0])


def main_origins(face: "FacePrediction") -> tuple[str | None, ...]:
    """Return the kinds of pictures of which names stand upright: the first that the schema names, and unknown ones."""
    return None, *list(face.schema.learnt_from)[:1]


def legend(face: "FacePrediction") -> str:
    """Return what the colours mean, and what the rules changed."""
    lines = ["bold: in the most probable face that keeps the rules    red mark: the sigmoid, before the rules"]
    if len(kinds := list(face.schema.learnt_from)) > 1:
        lines.append(f"upright names were learnt from {kinds[0]}, slanted grey ones from {' and '.join(kinds[1:])}")
    if face.facts:
        lines.append(f"given: {'; '.join(face.facts)}")
    if face.broken_rules:
        changed = ", ".join(f"{words(name)} to {yes_no(yes)}" for name, yes in face.changed.items())
        lines.append(f"one by one, the attributes would break: {'; '.join(face.broken_rules)}")
        lines.append(f"the rules turned: {changed}")
    elif face.changed:
        turned = ", ".join(f"{words(name)} to {yes_no(yes)}" for name, yes in face.changed.items())
        lines.append(f"turned by what is given: {turned}")
    else:
        lines.append("the rules turned nothing")
    lines.append("labels are what annotators saw in pictures, not what the people would say of themselves")
    return "\n".join(plain(part) for line in lines for part in textwrap.wrap(line, 150, max_lines=3))


def plot_explanation(explanation: "Explanation", shown: int = 14) -> Figure:
    """Draw the patches over the photograph, the strongest contributions as bars, and what each rule moved."""
    face = explanation.face
    terms = {"average face": explanation.base, "language model": explanation.reading}
    if explanation.patches is not None:
        terms["picture (patches)"] = float(explanation.patches.sum())
    terms |= {f"part: {words(name)}": value for name, value in explanation.parts.items()}
    terms |= {f"neighbour: {words(name)}": value for name, value in explanation.neighbours.items()}
    ordered = sorted(terms.items(), key=lambda each: -abs(each[1]))
    bars = ordered[:shown]
    if rest := [value for _, value in ordered[shown:]]:
        bars.append((f"{len(rest)} others", sum(rest)))
    figure = blank(9.6, 3.6)
    photo, contributions, rules = figure.subplots(1, 3, width_ratios=[1, 1.1, 1])
    show_picture(photo, picture_of(face), plain(face.name))
    if explanation.patches is not None:
        show_patches(photo, explanation.patches)
    signed_bars(contributions, bars, f"{words(explanation.name)}: what its logit {explanation.logit:+.2f} is made of")
    moved = sorted(explanation.rules.items(), key=lambda each: -abs(each[1]))[:8]
    moved = [(text, 100 * value) for text, value in moved if abs(value) >= 0.0005]
    title = (
        f"{explanation.before_rules:.1%} before the rules, {explanation.probability:.1%} with them\n"
        "moved by each rule, the others there, in points"
    )
    signed_bars(rules, [("\n".join(textwrap.wrap(text, 34)), value) for text, value in moved], title)
    if not moved:
        rules.text(0.5, 0.5, "no rule moves it", transform=rules.transAxes, ha="center", fontsize=8, color=SOFT)
    return figure


def blank(width: float, height: float) -> Figure:
    """Return an empty figure that no window knows of."""
    figure = Figure(figsize=(width, height), dpi=110, layout=ConstrainedLayoutEngine(wspace=0.03))
    FigureCanvasAgg(figure)
    return figure


def words(name: str) -> str:
    """Return an attribute's name with spaces."""
    return plain(name.replace("_", " "))


def yes_no(yes: bool) -> str:
    return "yes" if yes else "no"


def plain(text: str) -> str:
    """Return text that every font has: other characters than ASCII are escaped."""
    return text.encode("ascii", "backslashreplace").decode()


def picture_of(face: "FacePrediction") -> np.ndarray:
    """Return the picture as the model sees it, as bytes with the colours last."""
    return as_pictures(face.image[None].cpu())[0].numpy()


def show_picture(panel: Axes, pixels: np.ndarray, title: str) -> None:
    """Show a picture without axes; a long title keeps its end."""
    panel.imshow(pixels, interpolation="lanczos")
    panel.set_axis_off()
    panel.set_title(title if len(title) < 36 else f"...{title[-33:]}", fontsize=8, color=INK, parse_math=False)


def show_photograph(panel: Axes, face: "FacePrediction") -> None:
    """Show the whole photograph with the face's box, or the picture that is the face."""
    if face.found is None:
        show_picture(panel, picture_of(face), plain(face.name))
        return
    photograph = whole_picture(face.picture)
    pixels = photograph.copy()
    pixels.thumbnail((600, 600))
    box, scale = face.found.box, pixels.width / photograph.width
    show_picture(panel, np.asarray(pixels), f"{plain(face.name)}, face {face.found.number}")
    panel.set_autoscale_on(False)
    corner, width, height = (scale * box.left, scale * box.top), scale * box.width, scale * box.height
    panel.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=PLAIN, linewidth=1.6))


def show_map(panel: Axes, face: "FacePrediction") -> None:
    """Show the parser's map over the picture, and name its parts."""
    if face.segmentation is None:
        panel.set_axis_off()
        return
    pixels = picture_of(face)
    ids = np.array(Image.fromarray(face.segmentation.numpy()).resize(pixels.shape[1::-1], Image.Resampling.NEAREST))
    if ids.max() >= len(PALETTE):  # a parser of other parts: there are no colours for them
        show_picture(panel, ids, "parsing map")
        return
    over = colour_masks(torch.from_numpy(pixels)[None], torch.from_numpy(ids)[None])[0].numpy()
    show_picture(panel, over, "what the parser saw")
    sizes = np.bincount(ids.ravel(), minlength=len(PALETTE))
    seen = [part for part in np.argsort(-sizes) if part and sizes[part] > 0.002 * ids.size][:10]
    handles = [panel.plot([], [], "s", color=np.array(PALETTE[part]) / 255, markersize=5)[0] for part in seen]
    named = [FACE_PARTS[part].replace("_", " ") for part in seen]
    panel.legend(
        handles, named, fontsize=6, ncols=3, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0), handlelength=1
    )


def group_bars(face: "FacePrediction") -> list[tuple[str, float, bool, tuple[str, ...]]]:
    """Return the likeliest labels of each group.

    Of each what stands beside the bar, its length, whether the face has it, and the attributes that it is made of.
    """
    bars = []
    for name, labels in face.group_probabilities.items():
        best = sorted(labels, key=lambda label: -labels[label])[:MAX_LABELS]
        if (mine := face.groups[name]) is not None and mine not in best:
            best[-1] = mine
        made_of = face.schema.groups[name].labels
        bars += [
            (f"{name}: {label}", labels[label], label == mine, parse_expression(made_of[label], face.schema).names)
            for label in best
        ]
    return bars


def strongest(face: "FacePrediction", number: int) -> list[str]:
    """Return the attributes outside the groups that are likeliest, or that the rules changed, in order."""
    grouped = {
        name
        for group in face.schema.groups.values()
        for expression in group.labels.values()
        for name in parse_expression(expression, face.schema).names
    }
    others = [name for name in face.schema.names if name not in grouped]
    first = sorted(others, key=lambda name: (name not in face.changed, -face.probabilities[name]))[:number]
    return sorted(first, key=lambda name: -face.probabilities[name])


def draw_bars(panel: Axes, bars: list[tuple[str, float, float | None]], title: str) -> None:
    """Draw probabilities as bars from the top down, with their numbers, and a mark where one is given."""
    style(panel, title)
    places = range(len(bars))
    panel.barh(places, [value for _, value, _ in bars], height=0.7, color=NO)
    for place, (_, value, mark) in enumerate(bars):
        panel.text(1.02, place, f"{value:.0%}", va="center", fontsize=6.5, color=SOFT)
        if mark is not None:
            panel.plot([mark, mark], [place - 0.4, place + 0.4], color=PLAIN, linewidth=1.4)
    panel.set_yticks(places, [text for text, _, _ in bars], fontsize=7, parse_math=False)
    panel.set_xlim(0, 1)
    panel.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=6.5)
    panel.set_ylim(max(len(bars), 1) - 0.4, -0.6)


def signed_bars(panel: Axes, bars: list[tuple[str, float]], title: str) -> None:
    """Draw what adds to the right and what takes away to the left, with numbers."""
    style(panel, title)
    places = range(len(bars))
    panel.barh(places, [value for _, value in bars], height=0.7, color=[YES if v > 0 else PLAIN for _, v in bars])
    for place, (_, value) in enumerate(bars):
        panel.annotate(
            f"{value:+.2f}", (max(value, 0), place), (3, 0), textcoords="offset points", va="center", fontsize=6.5
        )
    panel.axvline(0, color=INK, linewidth=0.6)
    panel.set_yticks(places, [text for text, _ in bars], fontsize=7, parse_math=False)
    panel.tick_params(axis="x", labelsize=6.5)
    values = [0.0, *(value for _, value in bars)]
    room = 0.2 * (max(values) - min(values) or 1)
    panel.set_xlim(min(values) - room, max(values) + room)
    panel.set_ylim(max(len(bars), 8) - 0.4, -0.6)


def style(panel: Axes, title: str) -> None:
    """Leave of a panel's frame what is needed."""
    panel.set_title(title, fontsize=8, color=INK, parse_math=False)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.xaxis.grid(True, color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)


def show_patches(panel: Axes, patches: Float64[Tensor, "rows columns"]) -> None:
    """Lay what each patch adds over the picture: blue for, red against."""
    values = patches.numpy()
    most = max(float(np.abs(values).max()), 1e-6)
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    norm = TwoSlopeNorm(0, -most, most)
    panel.imshow(values, cmap="RdBu", norm=norm, alpha=0.45, extent=(left, right, bottom, top), interpolation="nearest")
    rows, columns = values.shape
    for (row, column), value in np.ndenumerate(values):
        x = left + (column + 0.5) / columns * (right - left)
        y = top + (row + 0.5) / rows * (bottom - top)
        if rows * columns <= 64:
            panel.text(x, y, f"{value:+.1f}", ha="center", va="center", fontsize=6, color=INK)
