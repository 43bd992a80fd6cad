"""Stubble, moustaches and beards: where hair grows on a face, and how it looks there."""

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.canvas import blend, noise
from faceinsight.data.synthetic.head import Array, Grid, Head, Number, bump
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face

__all__ = ["facial_hair"]


def facial_hair(sheet: Array, head: Head, face: Face, grid: Grid, palette: Palette, rng: Generator) -> None:
    """Paint the beard of this picture on the skin ``[height, width, 3]``; it stays skin in the mask."""
    if face.beard == "none":
        return
    cover = _cover(head, face.beard, *grid.axes())
    ragged = cover + rng.uniform(0.15, 0.4) * noise(rng, grid.size, 0.05 * grid.density)
    colour = np.array(palette.beard, dtype=np.float32)
    grain = noise(rng, grid.size, max(0.025 * grid.density, 1.0))
    if face.beard in {"light", "heavy"}:
        dense = 0.30 if face.beard == "light" else 0.55
        cool = 0.6 * colour + 0.4 * np.array((70, 72, 80), dtype=np.float32)
        blend(sheet, np.clip(ragged * 1.6, 0, 1) * np.clip(0.75 + 0.6 * grain, 0, 1), cool, dense)
        return
    edge = rng.uniform(2.0, 5.0)  # shaved to a line, or grown as it will
    solid = np.clip((ragged - 0.28) * edge, 0, 1) * (rng.uniform(0.75, 0.96) if face.beard != "strap" else 0.85)
    grey = rng.uniform(0.0, 0.5) * (face.person.years > 45) * np.clip(grain + 0.3, 0, 1)
    streak = colour * (1 + 0.45 * grain[..., None]) + 120 * grey[..., None]
    sheet += solid[..., None] * (streak - sheet)


def _soft(signed: Array, edge: Number = 0.05) -> Array:
    """1 where ``signed`` is positive, 0 where it is negative, with a soft edge."""
    return np.clip(0.5 + signed / edge, 0, 1).astype(np.float32)


def _cover(head: Head, beard: str, u: Array, v: Array) -> Array:
    """Where hair grows, 0 to 1 and soft at its edge, for one beard."""
    side, mouth, nose = np.abs(u), head.mouth, head.nose_tip + 0.12
    half = np.maximum(head.half_width(v), 1e-3)
    lip = _soft(0.42 - side) * _soft(v - nose) * _soft(mouth + 0.03 + 0.12 * side - v)
    lip = lip * _soft(v - nose - 0.16 * (side - 0.15))
    chin = _soft(0.33 - side) * _soft(v - mouth - 0.2, 0.06)
    ring = _soft(0.46 - side) * _soft(side - 0.33) * _soft(v - mouth + 0.1)
    jaw = _soft(v - np.maximum(0.46 + 0.5 * (0.88 - side), mouth - 0.28 - 0.3 * side), 0.1)
    jaw = jaw * (1 - bump(u, v, (0, mouth + 0.02), (0.36, 0.14)) ** 0.5 * (v < mouth + 0.17))  # not on the lips
    burns = _soft(side - half + 0.2) * _soft(v + 0.25) * _soft(0.72 - v, 0.1)
    low = np.clip((v - mouth) / (head.chin - mouth), 0, 1)
    wanted = {
        "light": np.maximum(jaw, 0.9 * lip),
        "heavy": np.maximum(jaw, lip),
        "mustache": lip,
        "goatee": chin,
        "circle": np.maximum(np.maximum(lip, chin), ring),
        "sideburns": burns,
        "full": np.maximum(np.maximum(jaw, lip), burns),
        "strap": _soft(v - head.chin * 0.4) * _soft(side / half + low**2 - 0.86, 0.1),
    }
    return wanted[beard]
