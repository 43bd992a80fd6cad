"""The skin of a face, painted front on: tone, blotches, freckles, blush and make-up."""

import numpy as np
from numpy.random import Generator, default_rng

from faceinsight.data.synthetic.age import lines
from faceinsight.data.synthetic.beard import facial_hair
from faceinsight.data.synthetic.canvas import blend, noise
from faceinsight.data.synthetic.head import Array, Grid, Head, bump
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face

__all__ = ["skin"]

_EYE_SHADOW = ((70, 48, 52), (96, 60, 88), (60, 74, 110), (120, 72, 50), (50, 50, 56))


def skin(head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> Array:
    """Skin colours ``[height, width, 3]`` in 0..255, before light falls on them."""
    u, v = grid.axes()
    own = default_rng(face.person.seed)
    base = np.array(palette.skin, dtype=np.float32)
    smooth_skin = 0.4 if face["Heavy_Makeup"] else 1.0
    fine = 1 + smooth_skin * 0.03 * noise(rng, grid.size, 0.1 * grid.density)
    sheet = base * fine[..., None]
    blotches = smooth_skin * rng.uniform(0.02, 0.09) * noise(rng, grid.size, 0.35 * grid.density)
    sheet *= 1 + blotches[..., None] * np.array([0.3, 1.0, 0.9], dtype=np.float32)  # redder here, paler there
    blend(sheet, _blood(head, u, v), base * (1.0, 0.72, 0.68), own.uniform(0.1, 0.35))
    if own.random() < 0.09 and base.mean() > 127:
        _freckle(sheet, grid, own, base)
    _make_up(sheet, head, face, u, v, base, rng)
    for shade, strength in lines(head, face, grid, rng):
        sheet *= 1 - strength * shade[..., None]
    _round_the_eyes(sheet, head, face, u, v, base, own)
    facial_hair(sheet, head, face, grid, palette, rng)
    if face["Bald"] and own.random() < 0.5:  # a shaved scalp shows where the hair was
        scalp = np.clip((-0.8 + 0.5 * np.abs(u) ** 4 - v) / 0.4, 0, 1)
        blend(sheet, scalp.astype(np.float32), np.array(palette.brow, dtype=np.float32), own.uniform(0.08, 0.3))
    return sheet


def _round_the_eyes(sheet: Array, head: Head, face: Face, u: Array, v: Array, base: Array, own: Generator) -> None:
    """Eye sockets are a little darker in everyone, and much darker under tired eyes."""
    side = np.abs(u)
    blend(
        sheet, bump(side, v, (head.eyes - 0.04, -0.02), (0.23, 0.14)), base * (0.68, 0.55, 0.54), own.uniform(0.1, 0.4)
    )
    if face["Bags_Under_Eyes"]:
        under = bump(side, v, (head.eyes - 0.01, 0.16), (0.16, 0.07))
        strength = min(0.42 + 0.15 * face.person.trait["Bags_Under_Eyes"], 0.75)
        blend(sheet, under, base * (0.66, 0.52, 0.58), strength)


def _blood(head: Head, u: Array, v: Array) -> Array:
    side = np.abs(u)
    cheeks, tip = bump(side, v, (0.5, 0.42), (0.25, 0.2)), bump(u, v, (0, head.nose_tip), (0.15, 0.12))
    return np.clip(cheeks + 0.9 * tip + 0.5 * bump(u, v, (0, head.chin - 0.15), (0.2, 0.1)), 0, 1)


def _freckle(sheet: Array, grid: Grid, rng: Generator, base: Array) -> None:
    """Freckles, moles: not an attribute, but easily taken for stubble."""
    u, v = grid.axes()
    spots = np.clip((noise(rng, grid.size, 0.028 * grid.density) - 0.42) * 4, 0, 1)
    where = spots * np.clip(1.3 * bump(u, v, (0, 0.35), (0.75, 0.45)), 0, 1)
    blend(sheet, where, base * (0.72, 0.55, 0.45), 0.75)


def _make_up(sheet: Array, head: Head, face: Face, u: Array, v: Array, base: Array, rng: Generator) -> None:
    side = np.abs(u)
    pink = np.array((226, 92, 104), dtype=np.float32) * (0.45 + 0.55 * base.mean() / 220)
    if face["Rosy_Cheeks"]:
        blend(sheet, bump(side, v, (0.53, 0.41), (0.23, 0.18)), pink, rng.uniform(0.5, 0.75))
    elif face["Heavy_Makeup"]:
        blend(sheet, bump(side, v, (0.62, 0.36), (0.2, 0.12)), pink, rng.uniform(0.12, 0.3))
    if face["Heavy_Makeup"]:
        shadow = np.array(_EYE_SHADOW[rng.integers(5)], dtype=np.float32)
        lid = bump(side, v, (head.eyes + 0.03, -0.075), (0.19, 0.075))
        blend(sheet, np.clip(1.25 * lid, 0, 1), shadow, rng.uniform(0.55, 0.85))
