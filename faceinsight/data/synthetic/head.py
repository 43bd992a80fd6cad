"""The head as a height field, and its pose.

Head coordinates: the origin lies between the eyes, ``u`` to the right of the picture, ``v`` down, ``z`` to the viewer;
the unit is about half a head's width (eyes at u = -0.4 and 0.4, chin near v = 1.5). A face is painted flat, front on,
on a grid over (u, v), and then turned: rows first (yaw), columns second (pitch), each with exact hiding of what lies
behind (a nose covers part of the far cheek). Roll, size and place are an affine map at the end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceinsight.data.synthetic.population import Face

__all__ = ["Array", "Grid", "Head", "Number", "Pose", "bump"]

Array = NDArray[Any]
Number = float | int

_TOP, _BOTTOM, _SIDE = -1.75, 1.95, 1.2


@dataclass(frozen=True)
class Grid:
    """The flat sheet on which a face is painted: ``density`` pixels per head unit."""

    density: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return round(2 * _SIDE * self.density), round((_BOTTOM - _TOP) * self.density)

    def axes(self) -> tuple[Array, Array]:
        """``u`` as a row and ``v`` as a column, to be broadcast."""
        width, height = self.size
        u = ((np.arange(width) + 0.5) / self.density - _SIDE).astype(np.float32)
        v = ((np.arange(height) + 0.5) / self.density + _TOP).astype(np.float32)
        return u[None, :], v[:, None]

    def pixels(self, points: Array) -> list[tuple[float, float]]:
        """Head coordinates ``[point, 2]`` to pixel coordinates on the sheet, as Pillow wants them."""
        return list(map(tuple, self.flatten(np.asarray(points)).tolist()))

    def flatten(self, points: Array) -> Array:
        """Head coordinates ``[..., 2 or 3]`` to pixels of the sheet ``[..., 2]``."""
        return (points[..., :2] - (-_SIDE, _TOP)) * self.density - 0.5


def bump(u: Array, v: Array, at: tuple[Number, Number], size: tuple[Number, Number]) -> Array:
    """Return a Gaussian hill of height 1."""
    return np.exp(-(((u - at[0]) / size[0]) ** 2)) * np.exp(-(((v - at[1]) / size[1]) ** 2))


class Head:
    """The numbers of one head, and its surface."""

    def __init__(self, face: Face) -> None:
        who, shape, trait = face.person, face.person.shape, face.person.trait
        child = who.age == "Child"
        fat = np.clip(trait["Chubby"] + 0.8, -0.8, 2.6) if trait["Chubby"] > 0 else 0.12 * trait["Chubby"]
        self.width = 0.92 + 0.04 * shape["width"] + 0.02 * who.male + 0.055 * fat
        self.chin = 1.5 + 0.06 * shape["length"] + 0.06 * who.male - 0.16 * child
        self.top = -1.42 - 0.04 * shape["length"] - 0.05 * child
        self.jaw = 2.25 + 0.25 * shape["jaw"] + 0.35 * who.male + 0.45 * fat
        self.taper = 1.62 + 0.14 * shape["chin"] + 0.12 * who.male + 0.08 * fat
        self.eyes = 0.4 + 0.02 * shape["eyes"]
        self.nose = float(
            np.clip(1.0 + 0.07 * shape["nose"] - 0.12 * child + 0.2 * (trait["Big_Nose"] + 0.5), 0.72, 1.6)
        )
        self.nose_tip = 0.51 + 0.03 * shape["length"] - 0.05 * child + 0.04 * (trait["Big_Nose"] > 0)
        self.mouth = 0.91 + 0.035 * shape["length"] - 0.07 * child
        self.fat = float(fat)
        self.male, self.child = who.male, child
        self.smile = 1.0 if face["Happy"] else 0.45 * face["Smiling"]
        if face["Surprised"]:
            self.chin += 0.07

    def half_width(self, v: Array) -> Array:
        """Return the outline: half the width of the face at height ``v`` (0 outside)."""
        above = np.clip(1 - np.abs(np.minimum(v, 0) / self.top) ** 2.35, 0, 1) ** 0.5
        below = np.clip(1 - (np.clip(v, 0, self.chin) / self.chin) ** self.jaw, 0, 1) ** (1 / self.taper)
        inside = (v > self.top) & (v < self.chin)
        return np.where(inside, self.width * np.where(v < 0, above, below), 0).astype(np.float32)

    def base(self, u: Array, v: Array) -> Array:
        """Return the skull without features: depth at (u, v), 0 on the outline and beyond."""
        half = np.maximum(self.half_width(v), 1e-3)
        deep = np.where(v < 0, np.clip(1 - np.abs(v / (self.top - 0.1)) ** 3, 0, 1) ** 0.5, 1 - 0.16 * (v / 1.5) ** 2)
        round_ = np.clip(1 - (u / half) ** 2, 0, 1) ** 0.55
        return (0.95 * deep * round_).astype(np.float32)

    def surface(self, u: Array, v: Array) -> Array:
        """Depth with brow, eye sockets, nose, cheeks, lips and chin."""
        side = np.abs(u)
        z = self.base(u, v)
        tip, broad = self.nose_tip, self.nose
        along = np.clip((v + 0.12) / (tip + 0.12), 0, 1)
        fall = 1 / (1 + np.exp((v - tip - 0.07) / 0.028))
        ridge = (0.05 + 0.27 * along**1.4) * fall * (v > -0.3)
        z = z + broad * ridge * np.exp(-((u / (0.085 + 0.075 * broad * along)) ** 2))
        z = z + 0.10 * broad * bump(side, v, (0.17 * broad, tip + 0.03), (0.075, 0.075))
        z = (
            z
            - 0.13 * bump(side, v, (self.eyes - 0.02, -0.03), (0.22, 0.14))
            + 0.06 * bump(side, v, (self.eyes, 0.0), (0.13, 0.09))
        )
        z = z + (0.07 if self.male else 0.035) * bump(side, v, (0.32, -0.24), (0.3, 0.09))
        cheek = 0.05 + 0.05 * self.smile + 0.035 * self.fat
        z = z + cheek * bump(side, v, (0.5, 0.4 - 0.06 * self.smile), (0.24, 0.22))
        z = (
            z
            + 0.07 * bump(u, v, (0.0, self.mouth), (0.36, 0.17))
            + 0.08 * bump(u, v, (0.0, self.chin - 0.2), (0.24, 0.13))
        )
        return (z * np.clip(self.base(u, v) / 0.12, 0, 1)).astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """Yaw and pitch (radians; positive yaw turns to the picture's right, positive pitch up), roll, size and place.

    Args:
        scale: pixels per head unit in the picture.
        centre: pixel of the head's origin.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    centre: tuple[float, float]

    def rotate(self, points: Array) -> Array:
        """Head coordinates ``[..., 3]`` to view coordinates after yaw and pitch."""
        u, v, z = points[..., 0], points[..., 1], points[..., 2]
        x, depth = np.cos(self.yaw) * u + np.sin(self.yaw) * z, np.cos(self.yaw) * z - np.sin(self.yaw) * u
        y = np.cos(self.pitch) * v - np.sin(self.pitch) * depth
        return np.stack([x, y, np.cos(self.pitch) * depth + np.sin(self.pitch) * v], axis=-1)

    def to_head(self, direction: Array) -> Array:
        """Return a direction in view coordinates (a light), in head coordinates."""
        basis = self.rotate(np.eye(3))
        return basis @ direction

    def affine(self) -> Array:
        """``[2, 3]``: view x, y, 1 to picture pixels (roll, size, place)."""
        cos, sin = np.cos(self.roll) * self.scale, np.sin(self.roll) * self.scale
        return np.array([[cos, -sin, self.centre[0]], [sin, cos, self.centre[1]]])

    def flatten(self, points: Array) -> Array:
        """Head coordinates ``[..., 3]`` to pixels of the picture ``[..., 2]``."""
        affine = self.affine()
        return self.rotate(points)[..., :2] @ affine[:, :2].T + affine[:, 2]

    def project(self, points: Array) -> list[tuple[float, float]]:
        """Head coordinates ``[point, 3]`` to pixels of the picture, as Pillow wants them."""
        return list(map(tuple, self.flatten(np.asarray(points, dtype=float)).tolist()))

    def turn(self, grid: Grid, z: Array) -> tuple[Array, Array]:
        """For every pixel of the turned sheet, the column and row of the flat sheet that is seen there.

        Occlusion is exact for a height field: along a row, what does not advance the running front is hidden.
        """
        u, v = grid.axes()
        width, height = grid.size
        columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        moved = _front(np.cos(self.yaw) * u + np.sin(self.yaw) * z, self.yaw >= 0)
        column = np.stack([np.interp(u[0], line, columns, left=-9, right=-9) for line in moved])
        at = np.clip(column, 0, width - 1.001)
        left = at.astype(np.intp)
        part = at - left
        across = np.arange(height)[:, None]
        deep = z[across, left] * (1 - part) + z[across, left + 1] * part
        depth = np.cos(self.yaw) * deep - np.sin(self.yaw) * np.interp(at, columns, u[0])
        fallen = _front((np.cos(self.pitch) * v - np.sin(self.pitch) * depth).T, self.pitch < 0)
        row = np.stack([np.interp(v[:, 0], line, rows, left=-9, right=-9) for line in fallen]).T
        low = np.clip(row, 0, height - 1).astype(np.intp)
        column = np.where(row < 0, -9, column[low, np.arange(width)[None, :]])
        return column.astype(np.float32), row.astype(np.float32)


def _front(moved: Array, forward: bool) -> Array:
    """Monotone positions along the last axis: hidden points take the position of what hides them."""
    if forward:
        return np.maximum.accumulate(moved, axis=1)
    return np.minimum.accumulate(moved[:, ::-1], axis=1)[:, ::-1]
