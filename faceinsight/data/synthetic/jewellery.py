"""Earrings and necklaces."""

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.canvas import Canvas, tint
from faceinsight.data.synthetic.head import Head, Number, Pose
from faceinsight.data.synthetic.palette import Palette

__all__ = ["earrings", "necklace"]


def earrings(canvas: Canvas, head: Head, pose: Pose, palette: Palette, rng: Generator) -> None:
    """Studs, hoops or drops at both lobes, or at the one that a turned head shows."""
    kind = str(rng.choice(("stud", "hoop", "drop", "long"), p=(0.2, 0.3, 0.3, 0.2)))
    unit = pose.scale * rng.uniform(0.75, 1.35)
    for side in (-1, 1):
        if side * pose.yaw > 0.3:
            continue
        x, y = pose.project(np.array([(side * (head.width + 0.05), 0.58, -0.08)]))[0]
        _earring(canvas, kind, x, y, unit, palette)
        canvas.disc((x - 0.02 * unit, y - 0.02 * unit), 0.03 * unit, (255, 255, 250))


def _earring(canvas: Canvas, kind: str, x: float, y: float, unit: float, palette: Palette) -> None:
    metal, dark = palette.metal, tint(palette.metal, 0.8)
    if kind == "stud":
        canvas.disc((x, y), 0.085 * unit, dark, "earring")
    elif kind == "hoop":
        turn = np.linspace(0, 2 * np.pi, 22)
        ring = np.stack([x + 0.16 * unit * np.cos(turn), y + 0.19 * unit * (1 + np.sin(turn))], 1)
        canvas.line(list(map(tuple, ring.tolist())), metal, 0.05 * unit, "earring")
    else:
        long = 0.2 if kind == "drop" else 0.42
        canvas.line([(x, y), (x, y + long * unit)], dark, (0.04 if kind == "drop" else 0.1) * unit, "earring")
        canvas.disc((x, y + (long + 0.07) * unit), 0.1 * unit, metal, "earring")


def necklace(canvas: Canvas, pose: Pose, palette: Palette, thick: Number, base: Number, rng: Generator) -> None:
    """Draw a chain or beads round a neck of half width ``thick`` that ends at ``base``, sometimes with a pendant."""
    unit, t = pose.scale, np.linspace(-1, 1, 23)
    drop = rng.uniform(0.14, 0.36)
    points = pose.project(np.stack([(thick + 0.06) * t, base - 0.22 + drop * (1 - t**2), 0 * t], 1))
    if rng.random() < 0.5:
        canvas.line(points, tint(palette.metal, 0.75), 0.045 * unit, "necklace")
        canvas.line(points, palette.metal, 0.022 * unit)
    else:
        for x, y in points:
            canvas.disc((x, y), 0.042 * unit, palette.metal, "necklace")
            canvas.disc((x - 0.01 * unit, y - 0.012 * unit), 0.015 * unit, (252, 252, 252))
    if rng.random() < 0.5:
        x, y = points[11]
        canvas.disc((x, y + 0.06 * unit), 0.075 * unit, tint(palette.metal, 0.95), "necklace")
