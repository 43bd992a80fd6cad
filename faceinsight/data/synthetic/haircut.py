"""A haircut: how one picture's hair is cut, how it waves and what colours its strands have."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

from faceinsight.data.synthetic.canvas import Colour, tint
from faceinsight.data.synthetic.head import Array, Head, Number
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.shading import Light

__all__ = ["Haircut"]


@dataclass(frozen=True)
class Haircut:
    """The hair of one picture, in head units.

    Args:
        volume: how far it stands off the skull.
        spread: how far long hair falls beside the face.
        part: where it is parted, ``u``.
        wave: how far a strand swings; ``kinks`` how often, from ``phase`` on.
        sweep: for the left and the right of the picture, where hair beside the face begins, as a share of the face's
            half width: below 1 it hides cheek and temple, above it shows the ear.
        gathered: short in front and at the sides, with a knot on top.
        fringe: full, swept, parted or choppy, if there are bangs.
        contrast: how much strands differ; ``streaked`` is the share of them that are much lighter.
    """

    face: Face
    head: Head
    palette: Palette
    light: Light
    volume: float
    spread: float
    part: float
    wave: float
    kinks: float
    phase: float
    sweep: tuple[float, float]
    gathered: bool
    fringe: str
    contrast: float
    streaked: float

    @classmethod
    def draw(cls, face: Face, head: Head, palette: Palette, light: Light, rng: Generator) -> "Haircut":
        """Settle the style. Most belongs to the person; how it lies today belongs to the picture."""
        texture, own = face.person.texture, default_rng(face.person.seed + 2)
        wavy, long = texture == "wavy", face.length > 1
        volume = own.uniform(0.07, 0.36) * (1.3 if wavy else 0.85)
        if wavy and own.random() < (0.2 if long else 0.35):
            volume += own.uniform(0.15, 0.4)  # curls stand up
        spread = own.uniform(0.1, 0.75) * (1.3 if wavy else 1.0) + 0.7 * volume
        tucked = rng.random(2) < 0.3
        sweep = np.where(tucked, 1.03, own.uniform(0.68, 0.98) + rng.uniform(-0.08, 0.1, 2))
        return cls(
            face, head, palette, light,
            volume=float(volume if face.length else 0.015),
            spread=float(spread),
            part=float(own.choice((-0.4, -0.25, 0.0, 0.25, 0.4)) + 0.03 * rng.normal()),
            wave={"wavy": float(own.uniform(0.05, 0.11)), "plain": 0.016}.get(texture, 0.004),
            kinks=float(own.uniform(5, 12)) if wavy else 5.0,
            phase=float(own.uniform(0, 6.28)),
            sweep=(float(sweep[0]), float(sweep[1])),
            gathered=bool(face.length == 1 and not head.male and own.random() < 0.5),
            fringe=str(own.choice(("full", "swept", "parted", "choppy"))),
            contrast=float(own.uniform(0.08, 0.2)),
            streaked=float(own.choice((0.0, 0.12, 0.3), p=(0.6, 0.2, 0.2))),
        )  # fmt: skip

    def inks(self, rng: Generator, side: Array | Number, depth: Array) -> Array:
        """Colours of strands: lighter towards the light, darker deep inside, and each a little different."""
        factor = self.light.falls(side) * depth * (1 + self.contrast * np.clip(rng.normal(size=depth.shape), -2, 2))
        if self.streaked:
            factor = np.where(rng.random(depth.shape) < self.streaked, 1.4, 1.0) * factor
        return np.clip(factor[..., None] * np.array(self.palette.hair, dtype=float), 0, 255).astype(int)

    def ink(self, side: Number, depth: Number) -> Colour:
        """Return the colour of the mass under the strands."""
        return tint(self.palette.hair, float(self.light.falls(side)) * depth)

    def waved(self, lines: Array, shift: Array | Number = 0.0) -> Array:
        """Bend lines ``[..., point, axis]`` sideways, more towards their tips."""
        run = np.linspace(0, 1, lines.shape[-2])
        bent = lines.copy()
        phase = self.kinks * 2 * run + self.phase + np.asarray(shift)[..., None]
        bent[..., 0] += self.wave * np.sin(phase) * np.clip(3 * run - 0.3, 0, 1)
        return bent

    def hairline(self, u: Array) -> Array:
        """Lowest ``v`` covered by hair growing on the front of the head, per column."""
        head, face = self.head, self.face
        side = np.abs(u) / head.width
        line = -0.92 - 0.05 * head.child + 0.03 * np.sin(9 * u + self.phase) + 0.1 * (u - self.part) ** 2
        if face.person.receding:
            line = -1.1 - 0.2 * np.exp(-(((np.abs(u) - 0.42) / 0.2) ** 2))
        sideburn = 0.2 if face.length == 1 and head.male else 0.05
        return line + (sideburn - line) * np.clip((side - 0.74) / 0.2, 0, 1) ** 1.5
