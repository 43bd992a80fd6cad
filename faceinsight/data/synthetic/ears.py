"""Ears, set at the sides of the skull and seen whole when the head is turned away from them."""

import numpy as np

from faceinsight.data.synthetic.canvas import Canvas, smooth, tint
from faceinsight.data.synthetic.head import Array, Head, Pose
from faceinsight.data.synthetic.palette import Palette
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.shading import Light

__all__ = ["ears"]

#: The rim from the temple round to below the lobe: how far out, and ``v``.
_RIM = np.array(
    [(0, -0.1), (0.1, -0.18), (0.2, -0.1), (0.21, 0.1), (0.16, 0.32), (0.1, 0.5), (0.02, 0.52), (-0.04, 0.32)]
)


def ears(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light) -> None:
    """Both ears; a turned head's far ear is hidden by the face that is drawn later."""
    size = 1.12 + 0.07 * face.person.shape["ears"]
    for side, part in ((1, "left_ear"), (-1, "right_ear")):
        at = side * (head.width - 0.03)
        lit = float(light.falls(side))
        rim = smooth(_placed(size * _RIM, at, side), closed=True, rounds=2)
        bowl = smooth(_placed(size * _RIM * (0.55, 0.62) + (0.04, 0.05), at, side), closed=True, rounds=2)
        canvas.polygon(pose.project(rim), tint(palette.skin, 0.93 * lit, (8, -3, -3)), part)
        canvas.polygon(pose.project(bowl), tint(palette.skin, 0.66 * lit))


def _placed(flat: Array, at: float, side: int) -> Array:
    """Return an ear lies half outwards and half backwards."""
    out = flat[:, 0]
    return np.stack([at + side * 0.75 * out, flat[:, 1] + 0.06, -0.05 - 0.8 * out], 1)
