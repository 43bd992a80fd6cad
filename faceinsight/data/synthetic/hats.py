"""Hats: baseball caps, knitted caps, brimmed hats, berets, hoods and headscarves."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.canvas import Canvas, Colour, tint
from faceinsight.data.synthetic.head import Array, Head, Number, Pose
from faceinsight.data.synthetic.palette import any_colour
from faceinsight.data.synthetic.population import Face

__all__ = ["hat"]

_KINDS = {"cap": 0.3, "beanie": 0.24, "brim": 0.22, "beret": 0.08, "hood": 0.16}
_TOP = {"cap": -1.62, "beanie": -1.72, "brim": -1.78, "beret": -1.66, "hood": -1.62}


@dataclass(frozen=True)
class _Hat:
    """One hat: half its width, where its edge runs over the forehead, where its top is, its colour."""

    kind: str
    wide: float
    low: float
    tall: float
    colour: Colour

    @property
    def front(self) -> Array:
        """The edge over the forehead, from one side to the other."""
        x = np.linspace(1, -1, 15)
        arch = np.sqrt(np.clip(1 - x**2, 0, 1))
        return np.stack([self.wide * x, self.low + 0.06 * (1 - x**2), 0.92 * arch], 1)


def hat(canvas: Canvas, head: Head, face: Face, pose: Pose, volume: Number, rng: Generator) -> None:
    """Draw a hat that sits on hair standing ``volume`` off the skull. A hood shows some hair, and would hide
    earrings.
    """
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    if kind == "hood" and face["Wearing_Earrings"]:
        kind = "beanie"
    low = rng.uniform(-1.05, -0.85) if kind == "hood" else rng.uniform(-0.8, -0.45)
    puff = 0.3 * min(float(volume), 0.3)
    worn = _Hat(kind, head.width + 0.07 + puff, low, _TOP[kind] - puff, any_colour(rng))
    _bowl(canvas, pose, worn, rng)
    if kind == "hood":
        _hood(canvas, pose, worn, rng)
    elif kind != "cap":
        band = np.concatenate([worn.front, worn.front[::-1] - (0, 0.26 if kind == "beanie" else 0.17, 0.0)])
        canvas.polygon(pose.project(band), tint(worn.colour, 0.72) if kind != "brim" else any_colour(rng), "hat")
    if kind in {"cap", "brim"}:
        _brim(canvas, pose, worn, rng)


def _bowl(canvas: Canvas, pose: Pose, worn: _Hat, rng: Generator) -> None:
    """Draw what covers the skull, with seams or knitting and a sheen."""
    power = {"brim": 3.4, "beret": 2.0}.get(worn.kind, 2.3)
    angles, puff = np.linspace(np.pi, 0, 25), 1.25 if worn.kind == "beret" else 1.0
    cos, sin = np.cos(angles), np.sin(angles)
    across = puff * worn.wide / np.cos(pose.yaw) * np.sign(cos) * np.abs(cos) ** (2 / power)
    arch = np.stack([across, worn.low - (worn.low - worn.tall) * sin ** (2 / power), 0 * cos], 1)
    canvas.polygon(pose.project(np.concatenate([arch, worn.front])), worn.colour, "hat")
    run = np.linspace(0, 1, 6)
    for share in np.linspace(-0.8, 0.8, 9 if worn.kind == "beanie" else 3):
        across, deep = worn.wide * share * (1 - 0.5 * run), 0.8 * np.sqrt(1 - share**2) * (1 - run)
        seam = np.stack([across, worn.low + run * (worn.tall + 0.06 - worn.low), deep], 1)
        canvas.line(pose.project(seam), tint(worn.colour, 0.78), 0.025 * pose.scale, "hat", alpha=160)
    across = rng.uniform(-0.6, 0.6) * worn.wide + 0.15 * np.sin(3 * run)
    sheen = np.stack([across, worn.low - 0.1 + run * (worn.tall + 0.35 - worn.low), 0 * run + 0.5], 1)
    canvas.line(pose.project(sheen), tint(worn.colour, 1.25), 0.2 * pose.scale, None, alpha=70)


def _brim(canvas: Canvas, pose: Pose, worn: _Hat, rng: Generator) -> None:
    """Draw a cap's peak before the forehead, or a brim all round."""
    x = np.linspace(1, -1, 15)
    bow = np.sqrt(np.clip(1 - x**2, 0, 1))
    if worn.kind == "cap":
        out, dip, forth = 0.8 * worn.wide, worn.low + 0.02 + 0.27 * bow, 0.35 + 1.2 * bow
        back = worn.front[::-1] * (0.8, 1, 1)
    else:
        out, dip, forth = rng.uniform(1.3, 1.65) * worn.wide, worn.low + 0.14 - 0.1 * x**2, 0.1 + 1.38 * bow
        back = np.stack([out * x[::-1], worn.low - 0.1 + 0.06 * x**2, 0 * x], 1)
    edge = np.stack([out * x, dip, forth], 1)
    canvas.polygon(pose.project(np.concatenate([edge, back])), tint(worn.colour, 0.7), "hat")
    canvas.line(pose.project(edge), tint(worn.colour, 0.6), 0.04 * pose.scale, "hat")


def _hood(canvas: Canvas, pose: Pose, worn: _Hat, rng: Generator) -> None:
    """Draw a hood or a headscarf on down both cheeks."""
    reach, tight = rng.uniform(1.4, 2.4), rng.uniform(0.74, 0.9)
    for side in (-1, 1):
        inner = np.array([(0.55, worn.low, 0.55), (tight, -0.2, 0.3), (0.97 * tight, 0.6, 0.15), (0.62, reach, 0.1)])
        outer = np.array([(1.2, reach, 0), (1.3, 0.7, -0.1), (1.2, -0.4, -0.1), (0.8, worn.tall + 0.2, 0.0)])
        cheek = np.concatenate([inner, outer]) * (side * worn.wide, 1, 1)
        canvas.polygon(pose.project(cheek), tint(worn.colour, 0.9), "hat")
        canvas.line(pose.project(inner * (side * worn.wide, 1, 1)), tint(worn.colour, 0.65), 0.04 * pose.scale, "hat")
