"""Glasses and sunglasses: frames, lenses, reflections and arms."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.canvas import Canvas, Colour, smooth, tint
from faceinsight.data.synthetic.head import Array, Head, Pose

__all__ = ["glasses"]

_FRAMES = ((22, 20, 22), (90, 52, 28), (196, 168, 96), (190, 192, 198), (140, 30, 40), (40, 60, 120))


@dataclass(frozen=True)
class _Glasses:
    """One pair: half width and height of a lens, its superellipse's power, the rim's width, colours."""

    wide: float
    high: float
    power: float
    thick: float
    frame: Colour
    lens: Colour
    cover: int

    @classmethod
    def draw(cls, rng: Generator) -> "_Glasses":
        frame: Colour = _FRAMES[rng.choice(6, p=(0.42, 0.2, 0.12, 0.14, 0.06, 0.06))]
        dark = rng.random() < 0.3
        large = 1.15 if dark else 1.0
        return cls(
            wide=large * rng.uniform(0.27, 0.34), high=large * rng.uniform(0.18, 0.29),
            power=float(rng.choice((2.0, 2.6, 4.5))), thick=rng.uniform(0.02, 0.085), frame=frame,
            lens=tint((30, 28, 30), rng.uniform(0.3, 1.8)) if dark else (225, 235, 240),
            cover=int(rng.uniform(175, 250)) if dark else int(rng.uniform(5, 55)),
        )  # fmt: skip


def _on_face(flat: Array) -> Array:
    """Points ``[point, 2]`` brought to where glasses sit before the face."""
    return np.column_stack([flat, 0.98 - 0.36 * flat[:, 0] ** 2])


def glasses(canvas: Canvas, head: Head, pose: Pose, rng: Generator) -> None:
    """One pair. The class covers the lenses, as in CelebAMask-HQ."""
    pair, unit, low = _Glasses.draw(rng), pose.scale, 0.035 + 0.03 * np.clip(rng.normal(), -1, 2)
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    cos, sin = np.cos(angles), np.sin(angles)
    round_ = np.stack(
        [np.sign(cos) * np.abs(cos) ** (2 / pair.power), np.sign(sin) * np.abs(sin) ** (2 / pair.power)], 1
    )
    inner = max(head.eyes + 0.015 - pair.wide, 0.05)
    for side in (-1, 1):
        middle = np.array([side * (inner + pair.wide), low])
        points = pose.project(_on_face(middle + round_ * (pair.wide, pair.high)))
        canvas.polygon(points, pair.lens, "eyeglasses", alpha=pair.cover)
        if rng.random() < 0.6:
            _reflection(canvas, pose, pair, middle, rng)
        canvas.line([*points, points[0], points[1]], pair.frame, pair.thick * unit, "eyeglasses")
        if side * pose.yaw < 0.25:
            outer = _on_face(np.array([(side * (inner + 2 * pair.wide), low - 0.08)]))[0]
            arm = np.array([outer, (side * (head.width + 0.03), -0.06, 0.0)])
            canvas.line(pose.project(arm), tint(pair.frame, 0.85), 0.8 * pair.thick * unit, "eyeglasses")
    bridge = smooth(np.array([(-inner, low - 0.035, 0.97), (0, low - 0.1, 1.02), (inner, low - 0.035, 0.97)]), rounds=2)
    canvas.line(pose.project(bridge), pair.frame, pair.thick * unit, "eyeglasses")


def _reflection(canvas: Canvas, pose: Pose, pair: _Glasses, middle: Array, rng: Generator) -> None:
    """Draw a slanted band of light, as of a window."""
    slide, broad = rng.uniform(-0.5, 0.3), rng.uniform(0.15, 0.5)
    band = np.array([(slide, -0.75), (slide + broad, -0.75), (slide + broad - 0.4, 0.7), (slide - 0.4, 0.7)])
    shine = _on_face(middle + band * (0.8 * pair.wide, pair.high))
    canvas.polygon(pose.project(shine), (255, 255, 255), None, alpha=int(rng.uniform(25, 130)))
