"""Eyes, brows, nose and mouth, painted front on. Their shapes carry the expression."""

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, Colour, smooth, tint
from faceinsight.data.synthetic.head import Grid, Head, Number
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Palette

__all__ = ["brows", "eyes", "mouth", "nose"]


def eyes(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Both eyes: white, iris, pupil, highlight, lids and lashes."""
    shape, trait = face.person.shape, face.person.trait
    half = (0.188 + 0.009 * shape["eye_size"]) * (1.06 if head.child else 1.0)
    gape = 0.1 + 0.008 * shape["eye_size"] + 0.014 * head.child
    if face["Narrow_Eyes"]:
        gape *= 0.56 - 0.05 * trait["Narrow_Eyes"]
    gape *= {"Surprised": 1.4, "Happy": 0.8, "Angry": 0.84, "Sad": 0.86}.get(face.expression, 1.0) * rng.uniform(
        0.9, 1.08
    )
    gaze = np.array([rng.normal(0, 0.022), rng.normal(0, 0.008)])
    for side, part in ((1, "left_eye"), (-1, "right_eye")):
        lids = _Lids(head, shape["tilt"], side, half, gape, face.expression == "Sad")
        _eye(canvas, grid, palette, face, lids, gaze, part)


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


def _eye(canvas: Canvas, grid: Grid, palette: Palette, face: Face, lids: _Lids, gaze: np.ndarray, part: str) -> None:
    unit, made_up = grid.density, face["Heavy_Makeup"]
    box = grid.pixels(lids.outline)
    opening = Image.new("L", canvas.picture.size)
    ImageDraw.Draw(opening).polygon(box, fill=255)
    ball = canvas.picture.copy()
    pen = ImageDraw.Draw(ball)
    pen.polygon(box, fill=tint((226, 220, 216), 0.75 + 0.25 * float(np.mean(palette.skin)) / 220))
    at = grid.pixels(np.array([[lids.centre + gaze[0], gaze[1] - 0.012]]))[0]
    iris = 0.094 * unit
    for radius, colour in ((iris, tint(palette.iris, 0.55)), (iris * 0.84, palette.iris), (iris * 0.45, (10, 8, 8))):
        pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=colour)
    shade = [(x, y + 0.03 * unit) for x, y in grid.pixels(lids.upper)]
    pen.line(shade, fill=tint(palette.skin, 0.5), width=max(int(0.03 * unit), 1))
    spark = iris * 0.24
    pen.ellipse(
        (
            at[0] - iris * 0.4 - spark,
            at[1] - iris * 0.4 - spark,
            at[0] - iris * 0.4 + spark,
            at[1] - iris * 0.4 + spark,
        ),
        fill=(250, 250, 250),
    )
    canvas.picture.paste(ball, (0, 0), opening)
    ImageDraw.Draw(canvas.mask).polygon(box, fill={"left_eye": 4, "right_eye": 5}[part])
    female = not face["Male"]
    crease = lids.upper[1:-1] - (0, 0.05 + 0.02 * (lids.gape > 0.07))
    canvas.line(grid.pixels(crease), tint(palette.skin, 0.62), 0.018 * unit, alpha=170)
    canvas.line(
        grid.pixels(lids.lower[2:]),
        tint(palette.skin, 0.62),
        (0.024 if made_up else 0.014) * unit,
        alpha=230 if made_up else 150,
    )
    lash = tint(palette.skin, 0.22) if not (female or made_up) else (24, 16, 16)
    canvas.line(box[:13], lash, (0.046 if made_up else 0.034 if female else 0.026) * unit)
    if made_up:
        corner = lids.upper[-1]
        wing = np.stack([lids.upper[-3], corner, corner + np.array((lids.side * 0.075, -0.055))])
        canvas.line(grid.pixels(wing), (22, 14, 16), 0.034 * unit)


def brows(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Two tapering strokes of hair; thick, arched, raised or knitted."""
    trait, shape = face.person.trait, face.person.shape
    thick = 0.034 + 0.007 * shape["brow"] + 0.012 * head.male - (0.008 if face["Heavy_Makeup"] else 0)
    if face["Bushy_Eyebrows"]:
        thick = 0.066 + 0.012 * min(trait["Bushy_Eyebrows"], 1.5)
    arch = 0.035 + (0.075 + 0.015 * min(trait["Arched_Eyebrows"], 1.5) if face["Arched_Eyebrows"] else 0)
    up = (
        -0.235
        - 0.012 * shape["tilt"]
        - 0.09 * face["Surprised"]
        - 0.025 * face["Arched_Eyebrows"]
        + 0.035 * face["Angry"]
    )
    knit = {"Angry": 0.1, "Sad": -0.095, "Surprised": -0.02}.get(face.expression, 0.0) * rng.uniform(0.8, 1.2)
    own = default_rng(face.person.seed + 1)
    for side, part in ((1, "left_brow"), (-1, "right_brow")):
        t = np.linspace(0, 1, 10)
        x = side * (head.eyes - 0.215 - 0.03 * face["Angry"] + 0.03 * face["Sad"] + 0.45 * t)
        y = up + knit * (1 - t) ** 1.3 - arch * np.sin(np.pi * t**1.35) + 0.05 * t**2
        body = thick * np.interp(t, (0, 0.12, 0.6, 1), (0.65, 1, 0.85, 0.2))
        outline = np.concatenate([np.stack([x, y - body], 1), np.stack([x, y + body], 1)[::-1]])
        canvas.polygon(grid.pixels(outline), palette.brow, part, alpha=150 if not face["Heavy_Makeup"] else 205)
        where = own.random(34)
        low = np.stack(
            [np.interp(where, t, x), np.interp(where, t, y) + np.interp(where, t, body) * own.uniform(-0.8, 1, 34)], 1
        )
        tip = low + np.stack([np.full(34, side * 0.05), -0.05 + 0.07 * where], 1)
        inks = np.clip(own.uniform(0.6, 1.15, (34, 1)) * np.array(palette.brow), 0, 255).astype(int)
        canvas.strands(grid.flatten(np.stack([low, tip], 1)), inks, np.full(34, 0.012 * grid.density))


def nose(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette) -> None:
    """Nostrils and the line under the wings; the rest of a nose is light and shade."""
    broad, tip = head.nose, head.nose_tip
    right = np.array(
        [
            (0.055, -0.1),
            (0.075, 0.12),
            (0.12 * broad, tip - 0.14),
            (0.245 * broad, tip),
            (0.24 * broad, tip + 0.085),
            (0.1 * broad, tip + 0.13),
        ]
    )
    outline = smooth(np.concatenate([right, (right * (-1, 1))[::-1]]), closed=True, rounds=2)
    ImageDraw.Draw(canvas.mask).polygon(grid.pixels(outline), fill=2)
    dark = tint(palette.skin, 0.33)
    for side in (-1, 1):
        hole = np.array(
            [(0.045, tip + 0.085), (0.1 * broad, tip + 0.06), (0.15 * broad, tip + 0.085), (0.1 * broad, tip + 0.115)]
        ) * (side, 1)
        canvas.polygon(grid.pixels(smooth(hole, closed=True, rounds=2)), dark, alpha=225)
        wing = np.array(
            [
                (0.19 * broad, tip - 0.07),
                (0.245 * broad, tip + 0.02),
                (0.215 * broad, tip + 0.09),
                (0.15 * broad, tip + 0.1),
            ]
        ) * (side, 1)
        canvas.line(grid.pixels(smooth(wing, rounds=2)), tint(palette.skin, 0.55), 0.018 * grid.density, alpha=150)


def mouth(canvas: Canvas, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Lips, and what an open mouth shows: teeth, tongue, darkness."""
    shape, trait = face.person.shape, face.person.trait
    half = 0.31 + 0.018 * shape["mouth"] + 0.1 * head.smile - 0.07 * face["Surprised"] - 0.03 * head.child
    lift = 0.03 + 0.1 * head.smile - (0.085 if face["Sad"] else 0) - (0.045 if face["Angry"] else 0)
    full = 1.0 + 0.07 * shape["mouth"] + (0.42 + 0.12 * min(trait["Big_Lips"], 1.5) if face["Big_Lips"] else 0)
    full *= (
        (0.8 if head.male else 0.95)
        * (1 - 0.14 * head.smile)
        * (0.75 if face["Angry"] else 1)
        * (0.82 if face.person.age == "Senior" else 1)
    )
    gap = 0.0
    if face["Mouth_Slightly_Open"]:
        gap = {"Surprised": rng.uniform(0.2, 0.36), "Happy": rng.uniform(0.11, 0.22)}.get(
            face.expression, rng.uniform(0.06, 0.13)
        )
    t = np.linspace(-1, 1, 21)
    curve = head.mouth + lift * (0.45 - t**2)
    arch, x = np.clip(1 - t**2, 0, 1), half * t
    bow = 1 - 0.2 * np.exp(-((t / 0.16) ** 2))
    top, low = curve - 0.35 * gap * arch**0.7, curve + 0.65 * gap * arch**0.7
    upper = top - 0.088 * full * arch**0.75 * bow
    lower = low + 0.115 * full * arch**0.7

    def area(above: np.ndarray, below: np.ndarray) -> list[tuple[float, float]]:
        return grid.pixels(np.concatenate([np.stack([x, above], 1), np.stack([x, below], 1)[::-1]]))

    lips = palette.lips
    canvas.polygon(area(upper, curve + 0.008), tint(lips, 0.86), "upper_lip")
    canvas.polygon(area(curve - 0.008, lower), lips, "lower_lip")
    if gap:
        _inside(canvas, grid, area(top, low), (x, top, low), face, rng)
    else:
        canvas.line(grid.pixels(np.stack([x, curve], 1)), tint(lips, 0.42), 0.022 * grid.density)
    shine = tint(lips, 1.28 if face["Wearing_Lipstick"] else 1.12)
    gleam = np.stack([x[6:15], (0.55 * low + 0.45 * lower)[6:15]], 1)
    canvas.line(grid.pixels(gleam), shine, 0.025 * grid.density, alpha=120)
    under = np.stack([x[5:16], lower[5:16] + 0.035], 1)
    canvas.line(grid.pixels(under), tint(palette.skin, 0.6), 0.035 * grid.density, alpha=70)
    for end in (0, -1):
        canvas.disc(
            grid.pixels(np.array([[x[end], curve[end]]]))[0], 0.02 * grid.density, tint(palette.skin, 0.45), alpha=150
        )


def _inside(
    canvas: Canvas,
    grid: Grid,
    outline: list[tuple[float, float]],
    lines: tuple[np.ndarray, ...],
    face: Face,
    rng: Generator,
) -> None:
    x, top, low = lines
    canvas.polygon(outline, (58, 18, 20), "mouth")
    deep = float((low - top).max())
    tooth: Colour = tint((238, 234, 222), rng.uniform(0.82, 1.0))
    share = rng.uniform(0.5, 0.85) if face["Smiling"] else rng.uniform(0.0, 0.4)
    if share > 0.1:
        edge = np.minimum(top + share * min(deep, 0.2) * np.clip(1 - (x / x[-1]) ** 2, 0, 1) ** 0.4, low)
        inner = slice(2, -2)
        band = np.concatenate([np.stack([x[inner], top[inner]], 1), np.stack([x[inner], edge[inner]], 1)[::-1]])
        canvas.polygon(grid.pixels(band), tooth)
        for gap in np.linspace(-0.6, 0.6, 7) * x[-1]:
            seam = np.array([(gap, np.interp(gap, x, top)), (gap, np.interp(gap, x, edge))])
            canvas.line(grid.pixels(seam), tint(tooth, 0.78), 1, alpha=110)
    if deep > 0.12 and share < 0.7:
        tongue = np.stack([x[5:16], (0.3 * top + 0.7 * low)[5:16]], 1)
        canvas.polygon(
            grid.pixels(np.concatenate([tongue, np.stack([x[5:16], low[5:16] - 0.01], 1)[::-1]])), (170, 78, 80)
        )
