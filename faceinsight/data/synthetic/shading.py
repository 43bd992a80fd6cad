"""Light on the height field of a face: soft Lambert light, cast shadow, hollows and gloss."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.head import Array, Grid, Number

__all__ = ["Light", "draw_light", "shade"]


@dataclass(frozen=True)
class Light:
    """A key light: direction to it in view coordinates (right, down, to the viewer), how much is ambient, colour."""

    direction: Array
    ambient: float
    colour: Array
    gloss: float

    def falls(self, side: Array | Number) -> Array | Number:
        """How bright a thing is that faces ``side`` (-1 left to 1 right of the picture)."""
        turn = np.clip(0.62 + 0.5 * np.asarray(side) * self.direction[0], 0, 1.15)
        return self.ambient + (1.1 - self.ambient) * turn


def draw_light(rng: Generator) -> Light:
    """Mostly from above and before, as a flash or a sky; now and then hard and from one side."""
    side, up = rng.normal(0, 0.6), rng.uniform(-0.2, 0.95)
    direction = np.array([np.sin(side), -np.sin(up), np.cos(side) * np.cos(up) + 0.15])
    warm = rng.normal(0, 0.06)
    return Light(
        direction=direction / np.linalg.norm(direction),
        ambient=float(rng.uniform(0.4, 0.88)),
        colour=np.array([1 + warm, 1.0, 1 - warm], dtype=np.float32),
        gloss=float(rng.uniform(0.02, 0.26)),
    )


def _box(values: Array, radius: int) -> Array:
    """Box blur by running sums: Pillow's filters do not take float images."""
    span = 2 * radius + 1
    for _ in range(2):  # each round blurs the rows and turns the sheet
        total = np.cumsum(np.pad(values, ((radius + 1, radius), (0, 0)), mode="edge"), axis=0, dtype=np.float32)
        values = ((total[span:] - total[:-span]) / span).T
    return values


def shade(colours: Array, z: Array, grid: Grid, light: Light, direction: Array) -> Array:
    """Light falls on ``colours`` ``[height, width, 3]`` over the surface ``z``.

    ``direction`` points to the light, in head coordinates. Shadows on skin are redder than the light, for blood.
    """
    slope_v, slope_u = np.gradient(z * grid.density)
    length = np.sqrt(slope_u**2 + slope_v**2 + 1)
    facing = (-slope_u * direction[0] - slope_v * direction[1] + direction[2]) / length
    lit = np.clip((facing + 0.25) / 1.25, 0, 1) * (1 - 0.6 * _cast(z, grid, direction))
    hollow = np.clip(2.6 * (z - _box(z, max(int(0.12 * grid.density), 1))), -0.26, 0.07)
    amount = (light.ambient + (1.07 - light.ambient) * lit) * (1 + hollow)
    half = direction + np.array([0, 0, 1.0])
    half = half / np.linalg.norm(half)
    gleam = np.clip((-slope_u * half[0] - slope_v * half[1] + half[2]) / length, 0, 1)
    gleam = gleam**24 + 0.35 * gleam**8  # skin has a sharp sheen over a broad one
    warmth = 1 + (light.colour - 1) * lit[..., None]
    warmth = warmth + np.array([0.07, -0.01, -0.04], dtype=np.float32) * (1 - lit[..., None])
    return (colours * amount[..., None] * warmth + 200 * light.gloss * (gleam * lit)[..., None]).astype(np.float32)


def _cast(z: Array, grid: Grid, direction: Array) -> Array:
    """How far the surface hides the light from itself, 0 to 1: six steps towards the light."""
    shadow = np.zeros_like(z)
    for step in (0.05, 0.1, 0.16, 0.23, 0.31, 0.4):
        right, down = round(float(direction[0]) * step * grid.density), round(float(direction[1]) * step * grid.density)
        nearer = np.roll(z, (-down, -right), axis=(0, 1)) - (z + direction[2] * step)
        shadow = np.maximum(shadow, np.clip(nearer / 0.08, 0, 1))
    return _box(shadow, max(int(0.02 * grid.density), 1))
