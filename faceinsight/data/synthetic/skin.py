"""The skin of a face, painted front on: tone, freckles, blush, make-up, age lines, stubble and beards."""

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.canvas import noise
from faceinsight.data.synthetic.head import Array, Grid, Head, Number, bump
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Palette

__all__ = ["skin"]


def skin(head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> Array:
    """Skin colours ``[height, width, 3]`` in 0..255, before light falls on them."""
    u, v = grid.axes()
    own = default_rng(face.person.seed)
    base = np.array(palette.skin, dtype=np.float32)
    light = float(base.mean()) / 255
    mottle = 1 + (0.012 if face["Heavy_Makeup"] else 0.03) * noise(rng, grid.size, 0.12 * grid.density)
    sheet = base * mottle[..., None]
    _blend(sheet, _blood(head, u, v), base * (1.0, 0.72, 0.68), 0.22)
    if own.random() < 0.09 and light > 0.5:
        _freckle(sheet, grid, own, base)
    _make_up(sheet, head, face, u, v, palette, rng)
    for shade, strength in _lines(head, face, grid, rng):
        sheet *= 1 - strength * shade[..., None]
    if face["Bags_Under_Eyes"]:
        under = bump(np.abs(u), v, (head.eyes - 0.01, 0.17), (0.16, 0.07))
        _blend(sheet, under, base * (0.66, 0.52, 0.58), min(0.42 + 0.15 * face.person.trait["Bags_Under_Eyes"], 0.75))
    _facial_hair(sheet, head, face, grid, palette, rng)
    if face["Bald"] and own.random() < 0.5:  # a shaved scalp shows where the hair was
        scalp = np.clip((-0.86 + 0.5 * np.abs(u) ** 4 - v) / 0.15, 0, 1)
        _blend(sheet, scalp.astype(np.float32), np.array(palette.brow, dtype=np.float32), 0.22)
    return sheet


def _blend(sheet: Array, where: Array, colour: Array, strength: Number) -> None:
    sheet += (strength * where)[..., None] * (colour.astype(np.float32) - sheet)


def _blood(head: Head, u: Array, v: Array) -> Array:
    side = np.abs(u)
    return np.clip(
        bump(side, v, (0.5, 0.45), (0.25, 0.2))
        + 0.9 * bump(u, v, (0, head.nose_tip), (0.15, 0.12))
        + 0.5 * bump(u, v, (0, head.chin - 0.15), (0.2, 0.1)),
        0,
        1,
    )


def _freckle(sheet: Array, grid: Grid, rng: Generator, base: Array) -> None:
    """Freckles, moles: not an attribute, but easily taken for stubble."""
    u, v = grid.axes()
    spots = np.clip((noise(rng, grid.size, 0.028 * grid.density) - 0.42) * 4, 0, 1)
    _blend(sheet, spots * np.clip(1.3 * bump(u, v, (0, 0.35), (0.75, 0.45)), 0, 1), base * (0.72, 0.55, 0.45), 0.75)


def _make_up(sheet: Array, head: Head, face: Face, u: Array, v: Array, palette: Palette, rng: Generator) -> None:
    side, base = np.abs(u), np.array(palette.skin, dtype=np.float32)
    pink = np.array((226, 92, 104), dtype=np.float32) * (0.45 + 0.55 * base.mean() / 220)
    if face["Rosy_Cheeks"]:
        _blend(sheet, bump(side, v, (0.55, 0.43), (0.23, 0.18)), pink, rng.uniform(0.5, 0.75))
    elif face["Heavy_Makeup"]:
        _blend(sheet, bump(side, v, (0.64, 0.38), (0.2, 0.12)), pink, rng.uniform(0.12, 0.3))
    if face["Heavy_Makeup"]:
        shadow = ((70, 48, 52), (96, 60, 88), (60, 74, 110), (120, 72, 50), (50, 50, 56))[rng.integers(5)]
        lid = bump(side, v, (head.eyes + 0.03, -0.075), (0.19, 0.075))
        _blend(sheet, np.clip(1.25 * lid, 0, 1), np.array(shadow, dtype=np.float32), rng.uniform(0.55, 0.85))


def _lines(head: Head, face: Face, grid: Grid, rng: Generator) -> list[tuple[Array, float]]:
    """Wrinkles, folds and creases as darkness maps with their strengths."""
    who = face.person
    age = max(who.years - 30, 0) / 50
    soft, fine = (Image.new("L", grid.size) for _ in range(2))
    pen, thin = ImageDraw.Draw(soft), ImageDraw.Draw(fine)
    unit = grid.density
    fold = int(255 * min(0.25 + 0.55 * age + 0.5 * head.smile, 1))
    for side in (-1, 1):
        start, end = (
            (0.17 * head.nose + 0.05, head.nose_tip - 0.02),
            (0.42 + 0.09 * head.smile, head.mouth + 0.02 + 0.12 * age),
        )
        middle = (0.36 + 0.1 * head.smile, (start[1] + end[1]) / 2 - 0.03)
        curve = np.array([start, middle, end]) * (side, 1)
        pen.line(grid.pixels(curve), fill=fold, width=max(int(0.035 * unit), 1), joint="curve")
        for foot in range(int(5 * age)):
            at = np.array([head.eyes + 0.24, 0.02 + 0.05 * (foot - 1.5)])
            thin.line(
                grid.pixels(at + np.array([(0, 0), (0.13, 0.05 * (foot - 1.5))]) * (side, 1)),
                fill=int(190 * age) + 40,
                width=1,
            )
        if age > 0.35:
            jowl = np.array([(0.44, head.mouth + 0.1), (0.5, head.mouth + 0.3)]) * (side, 1)
            pen.line(grid.pixels(jowl), fill=int(190 * age), width=max(int(0.03 * unit), 1))
        if face["Bags_Under_Eyes"]:
            crease = np.array([(head.eyes - 0.17, 0.12), (head.eyes - 0.03, 0.225), (head.eyes + 0.15, 0.17)]) * (
                side,
                1,
            )
            pen.line(grid.pixels(crease), fill=215, width=max(int(0.03 * unit), 1), joint="curve")
        if face["Angry"]:
            frown = np.array([(0.06, -0.34), (0.075, -0.16)]) * (side, 1)
            pen.line(grid.pixels(frown), fill=235, width=max(int(0.035 * unit), 1))
    rows = int(4.9 * age + (1.5 if face["Surprised"] else 0) * (who.age != "Child"))
    for row in range(rows):
        x = np.linspace(-0.5, 0.5, 9) * rng.uniform(0.8, 1.1)
        wave = -0.48 - 0.11 * row + 0.015 * rng.normal(size=9) + 0.05 * x**2
        pen.line(
            grid.pixels(np.stack([x, wave], 1)), fill=int(130 + 125 * min(age, 1)), width=max(int(0.022 * unit), 1)
        )
    if face["Double_Chin"]:
        x = np.linspace(-0.5, 0.5, 9)
        pen.line(grid.pixels(np.stack([x, head.chin - 0.13 - 0.5 * x**2], 1)), fill=255, width=max(int(0.05 * unit), 1))
    blurred = soft.filter(ImageFilter.GaussianBlur(0.014 * unit))
    return [(np.asarray(blurred, dtype=np.float32) / 255, 0.46), (np.asarray(fine, dtype=np.float32) / 255, 0.35)]


def _facial_hair(sheet: Array, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    if face.beard == "none":
        return
    u, v = grid.axes()
    cover = _beard_cover(head, face.beard, u, v)
    ragged = cover + 0.22 * noise(rng, grid.size, 0.05 * grid.density)
    colour = np.array(palette.beard, dtype=np.float32)
    grain = noise(rng, grid.size, max(0.025 * grid.density, 1.0))
    if face.beard in {"light", "heavy"}:
        dense = 0.30 if face.beard == "light" else 0.55
        cool = 0.6 * colour + 0.4 * np.array((70, 72, 80), dtype=np.float32)
        _blend(sheet, np.clip(ragged * 1.6, 0, 1) * np.clip(0.75 + 0.6 * grain, 0, 1), cool, dense)
        return
    solid = np.clip((ragged - 0.28) * 4, 0, 1) * (0.93 if face.beard != "strap" else 0.85)
    streak = colour * (1 + 0.38 * grain[..., None])
    sheet += solid[..., None] * (streak - sheet)


def _beard_cover(head: Head, beard: str, u: Array, v: Array) -> Array:
    """Where hair grows, 0 to 1 and soft at its edge, for one beard."""
    side, mouth, nose = np.abs(u), head.mouth, head.nose_tip + 0.12
    half = np.maximum(head.half_width(v), 1e-3)

    def soft(signed: Array, edge: Number = 0.05) -> Array:
        return np.clip(0.5 + signed / edge, 0, 1).astype(np.float32)

    lip = (
        soft(0.43 - side)
        * soft(v - nose)
        * soft(mouth + 0.03 + 0.12 * side - v)
        * soft(v - nose - 0.16 * (side - 0.15))
    )
    chin = soft(0.33 - side) * soft(v - mouth - 0.2, 0.06)
    ring = soft(0.47 - side) * soft(side - 0.33) * soft(v - mouth + 0.1)
    jaw = soft(v - np.maximum(0.46 + 0.5 * (0.9 - side), mouth - 0.3 - 0.3 * side), 0.1)
    hole = 1 - bump(u, v, (0, mouth + 0.02), (0.36, 0.14)) ** 0.5 * (v < mouth + 0.17)
    burns = soft(side - half + 0.2) * soft(v + 0.25) * soft(0.72 - v, 0.1)
    strap = soft(v - head.chin * 0.4) * soft(
        side / half + np.clip((v - mouth) / (head.chin - mouth), 0, 1) ** 2 - 0.86, 0.1
    )
    wanted = {
        "light": np.maximum(jaw * hole, 0.9 * lip),
        "heavy": np.maximum(jaw * hole, lip),
        "mustache": lip,
        "goatee": chin,
        "circle": np.maximum(np.maximum(lip, chin), ring),
        "sideburns": burns,
        "full": np.maximum(np.maximum(jaw * hole, lip), burns),
        "strap": strap,
    }
    return wanted[beard]
