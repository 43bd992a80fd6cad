"""Nose and mouth, painted front on: nostrils, lips, and what an open mouth shows."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, Colour, smooth, tint
from faceinsight.data.synthetic.head import Array, Grid, Head
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face
from faceinsight.knowledge.face_parts import part_id

__all__ = ["mouth", "nose"]


def nose(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette) -> None:
    """Nostrils and the line under the wings; the rest of a nose is light and shade."""
    b, tip = head.nose, head.nose_tip
    right = np.array(
        [(0.095, -0.06), (0.11, 0.12), (0.17 * b, tip - 0.14), (0.28 * b, tip), (0.28 * b, tip + 0.08),
         (0.12 * b, tip + 0.14)]
    )  # fmt: skip
    outline = smooth(np.concatenate([right, (right * (-1, 1))[::-1]]), closed=True, rounds=2)
    ImageDraw.Draw(canvas.mask).polygon(grid.pixels(outline), fill=part_id("nose"))
    dark = tint(palette.skin, 0.33)
    hole = np.array([(0.045, tip + 0.09), (0.1 * b, tip + 0.065), (0.15 * b, tip + 0.09), (0.1 * b, tip + 0.115)])
    wing = np.array([(0.21 * b, tip - 0.07), (0.265 * b, tip + 0.02), (0.235 * b, tip + 0.09), (0.16 * b, tip + 0.1)])
    for side in (-1, 1):
        canvas.polygon(grid.pixels(smooth(hole * (side, 1), closed=True, rounds=2)), dark, alpha=215)
        edge = grid.pixels(smooth(wing * (side, 1), rounds=2))
        canvas.line(edge, tint(palette.skin, 0.55), 0.018 * grid.density, alpha=150)


@dataclass(frozen=True)
class _Lips:
    """Four curves from corner to corner over ``x``, from the upper lip's upper edge to the lower lip's lower edge."""

    x: Array
    upper: Array
    top: Array
    low: Array
    lower: Array
    middle: Array

    def area(self, above: Array, below: Array, ends: int = 0) -> Array:
        """Return the outline between two curves, less ``ends`` points at either corner."""
        kept = slice(ends, len(self.x) - ends)
        x = self.x[kept]
        return np.concatenate([np.stack([x, above[kept]], 1), np.stack([x, below[kept]], 1)[::-1]])


def _lips(head: Head, face: Face, rng: Generator) -> _Lips:
    shape, trait = face.person.shape, face.person.trait
    half = 0.31 + 0.02 * shape["mouth"] + 0.09 * head.smile - 0.07 * face["Surprised"] - 0.03 * head.child
    lift = 0.03 + 0.1 * head.smile - (0.085 if face["Sad"] else 0) - (0.045 if face["Angry"] else 0)
    full = 1.32 + 0.09 * shape["mouth"] + (0.42 + 0.12 * min(trait["Big_Lips"], 1.5) if face["Big_Lips"] else 0)
    full *= (0.84 if head.male else 0.98) * (1 - 0.14 * head.smile)
    full *= (0.75 if face["Angry"] else 1) * (0.82 if face.person.age == "Senior" else 1)
    gap = 0.0
    if face["Mouth_Slightly_Open"]:
        ajar = {"Surprised": (0.16, 0.32), "Happy": (0.09, 0.19)}.get(face.expression, (0.05, 0.11))
        gap = rng.uniform(*ajar)
    t = np.linspace(-1, 1, 21)
    curve = head.mouth + lift * (0.45 - t**2)
    arch = np.clip(1 - t**2, 0, 1)
    bow = 1 - 0.2 * np.exp(-((t / 0.16) ** 2))
    top, low = curve - 0.35 * gap * arch**0.7, curve + 0.65 * gap * arch**0.7
    upper, lower = top - 0.088 * full * arch**0.75 * bow, low + 0.115 * full * arch**0.7
    return _Lips(half * t, upper, top, low, lower, curve)


def mouth(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Lips, and what an open mouth shows: teeth, tongue, darkness."""
    lips, unit, red = _lips(head, face, rng), grid.density, palette.lips
    canvas.polygon(grid.pixels(lips.area(lips.upper, lips.middle + 0.008)), tint(red, 0.84), "upper_lip")
    canvas.polygon(grid.pixels(lips.area(lips.middle - 0.008, lips.lower)), red, "lower_lip")
    if face["Mouth_Slightly_Open"]:
        _inside(canvas, grid, lips, face, rng)
    else:
        canvas.line(grid.pixels(np.stack([lips.x, lips.middle], 1)), tint(red, 0.42), 0.022 * unit)
    gleam = np.stack([lips.x, 0.55 * lips.low + 0.45 * lips.lower], 1)[6:15]
    canvas.line(grid.pixels(gleam), tint(red, 1.3 if face["Wearing_Lipstick"] else 1.14), 0.03 * unit, alpha=120)
    under = np.stack([lips.x, lips.lower + 0.035], 1)[5:16]
    canvas.line(grid.pixels(under), tint(palette.skin, 0.6), 0.035 * unit, alpha=70)
    for end in (0, -1):
        corner = grid.pixels(np.array([[lips.x[end], lips.middle[end]]]))[0]
        canvas.disc(corner, 0.02 * unit, tint(palette.skin, 0.45), alpha=150)


def _inside(canvas: Canvas, grid: Grid, lips: _Lips, face: Face, rng: Generator) -> None:
    """Darkness, then the upper teeth, and in a wide mouth the tongue."""
    canvas.polygon(grid.pixels(lips.area(lips.top, lips.low)), (58, 18, 20), "mouth")
    deep = float((lips.low - lips.top).max())
    share = rng.uniform(0.5, 1.0) if face["Smiling"] else rng.uniform(0.0, 0.45)
    if share > 0.1:
        _teeth(canvas, grid, lips, share * min(deep, 0.2), tint((240, 234, 222), rng.uniform(0.8, 1.02)))
    if deep > 0.12 and share < 0.7:
        tongue = lips.area(0.3 * lips.top + 0.7 * lips.low, lips.low - 0.01, ends=5)
        canvas.polygon(grid.pixels(tongue), (170, 78, 80))


def _teeth(canvas: Canvas, grid: Grid, lips: _Lips, long: float, white: Colour) -> None:
    half = lips.x[-1]
    edge = np.minimum(lips.top + long * np.clip(1 - (lips.x / half) ** 2, 0, 1) ** 0.4, lips.low)
    canvas.polygon(grid.pixels(lips.area(lips.top, edge, ends=2)), white)
    for u in np.linspace(-0.6, 0.6, 7) * half:
        seam = np.array([(u, np.interp(u, lips.x, lips.top)), (u, np.interp(u, lips.x, edge))])
        canvas.line(grid.pixels(seam), tint(white, 0.8), 1, alpha=90)
