"""Bangs: locks that fall over the forehead."""

import numpy as np
from numpy.random import Generator
from PIL import ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, bend
from faceinsight.data.synthetic.haircut import Haircut
from faceinsight.data.synthetic.head import Array, Grid

__all__ = ["bangs"]

_LOCKS = 26


def bangs(layer: Canvas, grid: Grid, cut: Haircut, rng: Generator) -> None:
    """Draw a full, swept, parted or choppy fringe on the flat sheet; the layer's mask is a stencil."""
    stencil = ImageDraw.Draw(layer.mask)
    left, right = _edges(cut, rng)
    outlines = grid.flatten(np.concatenate([left, right[:, ::-1]], axis=1)).reshape(_LOCKS, -1).tolist()
    base = cut.inks(rng, 0.0, rng.uniform(0.72, 1.0, _LOCKS))
    fine = [grid.flatten((1 - share) * left + share * right) for share in (0.2, 0.4, 0.6, 0.8)]
    for number, outline in enumerate(outlines):
        layer.polygon(outline, tuple(base[number].tolist()))
        stencil.polygon(outline, fill=255)
        inks = cut.inks(rng, 0.0, rng.uniform(0.75, 1.12, 4))
        layer.strands(np.stack([line[number] for line in fine]), inks, np.full(4, 0.02 * grid.density))


def _edges(cut: Haircut, rng: Generator) -> tuple[Array, Array]:
    """Both edges of each lock, ``[lock, point, 2]`` from root to tip."""
    low, lead = -0.36 + 0.06 * rng.normal(), 1.0 if cut.part < 0 else -1.0
    at = rng.permutation(np.linspace(-0.86, 0.86, _LOCKS))
    ends = {
        "full": low - 0.03 * at**2,
        "swept": low - 0.12 + 0.28 * at * lead,
        "parted": low - 0.42 * np.exp(-(((at - cut.part) / 0.25) ** 2)) + 0.12 * at**2,
        "choppy": low - 0.08 + 0.13 * rng.normal(size=_LOCKS),
    }[cut.fringe] + 0.03 * rng.normal(size=_LOCKS)
    lean = {"swept": 0.3 * lead + 0 * at, "parted": 0.25 * np.sign(at - cut.part)}.get(
        cut.fringe, 0.05 * rng.normal(size=_LOCKS)
    )
    root = np.stack([0.8 * at - 0.5 * lean, 0 * at - 1.12], 1)
    tip = np.stack([at + 0.25 * lean, np.minimum(ends, -0.2)], 1)
    middle = np.stack([at - 0.1 * lean, (root[:, 1] + tip[:, 1]) / 2], 1)
    wide = rng.uniform(0.05, 0.09, (_LOCKS, 1)) * (1, 0)
    left, right = (cut.waved(bend(root + s * wide, middle + s * wide, tip)) for s in (-1, 1))
    return left, right
