"""Eyes and brows, painted front on. Their shapes carry half of the expression."""

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, tint
from faceinsight.data.synthetic.head import Array, Grid, Head, Number
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face
from faceinsight.knowledge.face_parts import part_id

__all__ = ["brows", "eyes"]

_IRIS = 0.078  # an iris is 11.7 mm wide, the pupils 63 mm apart


def eyes(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Both eyes: white, iris, pupil, highlight, lids and lashes."""
    shape, trait = face.person.shape, face.person.trait
    half = (0.165 + 0.01 * shape["eye_size"]) * (1.06 if head.child else 1.0)
    gape = 0.078 + 0.01 * shape["eye_size"] + 0.014 * head.child
    if face["Narrow_Eyes"]:
        gape *= 0.56 - 0.05 * trait["Narrow_Eyes"]
    mood = {"Surprised": 1.4, "Happy": 0.8, "Angry": 0.84, "Sad": 0.86}.get(face.expression, 1.0)
    gape *= mood * rng.uniform(0.85, 1.1)
    gaze = np.array([np.clip(rng.normal(0, 0.03), -0.06, 0.06), rng.normal(0, 0.01)])
    spark = rng.uniform(-0.5, 0.5)
    for side, part in ((1, "left_eye"), (-1, "right_eye")):
        lids = _Lids(head, shape["tilt"], side, half, gape, face.expression == "Sad")
        _ball(canvas, grid, palette, lids, gaze, spark)
        ImageDraw.Draw(canvas.mask).polygon(grid.pixels(lids.outline), fill=part_id(part))
        _skin_of_lids(canvas, grid, palette, face, lids)


class _Lids:
    """The upper and the lower lid of one eye as curves."""

    def __init__(self, head: Head, tilt: Number, side: int, half: Number, gape: Number, sad: bool) -> None:
        t = np.linspace(-1, 1, 13)  # from the inner to the outer corner
        lean = -0.012 * (tilt + 0.6) * t + (0.022 * t if sad else 0)
        arch = np.clip(1 - np.abs(t) ** 2.1, 0, 1) ** 0.8
        x = side * (head.eyes + half * t)
        self.side, self.half, self.gape, self.centre = side, half, gape, side * head.eyes
        self.upper = np.stack([x, lean - gape * arch * (1 - 0.12 * t)], 1)
        self.lower = np.stack([x, lean + 0.72 * gape * arch * (1 + 0.15 * t)], 1)
        self.outline = np.concatenate([self.upper, self.lower[::-1]])


def _ball(canvas: Canvas, grid: Grid, palette: Palette, lids: _Lids, gaze: Array, spark: float) -> None:
    """Draw what is seen between the lids: white in their shadow, an iris with its rim, a pupil, a highlight."""
    unit, outline = grid.density, grid.pixels(lids.outline)
    opening = Image.new("L", canvas.picture.size)
    ImageDraw.Draw(opening).polygon(outline, fill=255)
    ball = canvas.picture.copy()
    pen = ImageDraw.Draw(ball)
    pen.polygon(outline, fill=tint((214, 206, 202), 0.72 + 0.28 * float(np.mean(palette.skin)) / 220))
    x, y = grid.pixels(np.array([[lids.centre + gaze[0], gaze[1] - 0.012]]))[0]
    iris = _IRIS * unit
    rings = ((iris, tint(palette.iris, 0.5)), (iris * 0.84, tint(palette.iris, 0.9)), (iris * 0.45, (10, 8, 8)))
    for radius, colour in rings:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    shadow = [(a, b + 0.025 * unit) for a, b in grid.pixels(lids.upper)]
    pen.line(shadow, fill=tint(palette.skin, 0.42), width=max(int(0.03 * unit), 1))
    radius, x, y = iris * 0.24, x + iris * spark, y - iris * 0.35
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(245, 245, 245))
    canvas.picture.paste(ball, (0, 0), opening)


def _skin_of_lids(canvas: Canvas, grid: Grid, palette: Palette, face: Face, lids: _Lids) -> None:
    """Crease, lower lid and lashes; paint on them."""
    unit, made_up = grid.density, face["Heavy_Makeup"]
    crease = lids.upper[1:-1] - (0, 0.045 + 0.02 * (lids.gape > 0.06))
    canvas.line(grid.pixels(crease), tint(palette.skin, 0.6), 0.022 * unit, alpha=150)
    width, alpha = (0.024, 230) if made_up else (0.016, 150)
    canvas.line(grid.pixels(lids.lower[2:]), tint(palette.skin, 0.58), width * unit, alpha=alpha)
    lash = (24, 16, 16) if made_up or not face["Male"] else tint(palette.skin, 0.28)
    width = 0.046 if made_up else 0.026 if face["Male"] else 0.034
    canvas.line(grid.pixels(lids.upper), lash, width * unit)
    if made_up:
        corner = lids.upper[-1]
        wing = np.stack([lids.upper[-3], corner, corner + np.array((lids.side * 0.075, -0.055))])
        canvas.line(grid.pixels(wing), (22, 14, 16), 0.034 * unit)


def brows(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Two tapering strokes of hair; thick, arched, raised or knitted."""
    trait, shape = face.person.trait, face.person.shape
    thick = 0.043 + 0.007 * shape["brow"] + 0.012 * head.male - (0.006 if face["Heavy_Makeup"] else 0)
    if face["Bushy_Eyebrows"]:
        thick = 0.066 + 0.012 * min(trait["Bushy_Eyebrows"], 1.5)
    arch = 0.035 + (0.075 + 0.015 * min(trait["Arched_Eyebrows"], 1.5) if face["Arched_Eyebrows"] else 0)
    up = -0.215 - 0.014 * shape["tilt"]
    up += 0.035 * face["Angry"] - 0.09 * face["Surprised"] - 0.025 * face["Arched_Eyebrows"]
    knit = {"Angry": 0.1, "Sad": -0.095, "Surprised": -0.02}.get(face.expression, 0.0) * rng.uniform(0.8, 1.2)
    own, t = default_rng(face.person.seed + 1), np.linspace(0, 1, 10)
    dense = int(own.uniform(95, 190)) + 40 * face["Heavy_Makeup"]
    y = up + knit * (1 - t) ** 1.3 - arch * np.sin(np.pi * t**1.35) + 0.05 * t**2
    body = thick * np.interp(t, (0, 0.12, 0.6, 1), (0.65, 1, 0.85, 0.2))
    for side, part in ((1, "left_brow"), (-1, "right_brow")):
        x = side * (head.eyes - 0.24 - 0.03 * face["Angry"] + 0.03 * face["Sad"] + 0.5 * t)
        outline = np.concatenate([np.stack([x, y - body], 1), np.stack([x, y + body], 1)[::-1]])
        canvas.polygon(grid.pixels(outline), palette.brow, part, alpha=dense)
        where = own.random(34)
        middle = np.interp(where, t, y) + np.interp(where, t, body) * own.uniform(-0.8, 1, 34)
        low = np.stack([np.interp(where, t, x), middle], 1)
        tip = low + np.stack([np.full(34, side * 0.05), -0.05 + 0.07 * where], 1)
        inks = np.clip(own.uniform(0.6, 1.15, (34, 1)) * np.array(palette.brow), 0, 255).astype(int)
        canvas.strands(grid.flatten(np.stack([low, tip], 1)), inks, np.full(34, 0.012 * grid.density))
