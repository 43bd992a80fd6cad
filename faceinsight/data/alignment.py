"""A face cut out of its photograph so that its eyes and nose lie where a model expects them.

Source: dlib's face chips, http://dlib.net, ``dlib/image_transforms/interpolation.h``; FairFace's pictures are such
chips with a margin of 0.25.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

__all__ = ["Points", "aligned"]

#: Points of a picture, across and down from its upper left corner, in pixels.
Points = Sequence[tuple[float, float]]

#: Where the five landmarks of an upright face are, in shares of its size: the outer and inner corner of the eye at the
#: right of the picture, those of the eye at the left, and the point under the nose.
FIVE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)


def aligned(picture: Image.Image, landmarks: Points, *, image_size: int, margin: float) -> Image.Image:
    """Return a square in which a face stands upright, black where the picture ends.

    Args:
        picture: RGB.
        landmarks: five, in the order of :data:`FIVE`.
        image_size: side of the square in pixels.
        margin: on each side of the face, as a share of the face.
    """
    turn, start = similarity([((x + margin), (y + margin)) for x, y in FIVE], landmarks)
    turn *= (1 + 2 * margin) / image_size  # from the square's pixels to the picture's
    corners = [turn * image_size * each + start for each in (0, 1, 1j, 1 + 1j)]
    left, right = (around([each.real for each in corners])[side] for side in (0, 1))
    upper, lower = (around([each.imag for each in corners])[side] for side in (0, 1))
    part = picture.crop((left, upper, right, lower))
    shrink = max(abs(turn), 1.0)  # by a filter against aliasing, before the turn, which has none
    small = part.resize(
        (max(round(part.width / shrink), 1), max(round(part.height / shrink), 1)), Image.Resampling.BICUBIC
    )
    across, down = small.width / part.width, small.height / part.height
    matrix = (
        turn.real * across, -turn.imag * across, (start.real - left) * across,
        turn.imag * down, turn.real * down, (start.imag - upper) * down,
    )  # fmt: skip
    return small.transform((image_size, image_size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def similarity(one: Points, other: Points) -> tuple[complex, complex]:
    """Return the turn and scale, and the shift, that bring points nearest to others, by least squares.

    With points as complex numbers it is ``other = turn * one + shift``.

    >>> similarity([(0.0, 0.0), (1.0, 0.0)], [(5.0, 5.0), (5.0, 7.0)])
    (2j, (5+5j))
    """
    there, here = (np.array([complex(*point) for point in points]) for points in (other, one))
    centred = here - here.mean()
    turn = complex(np.vdot(centred, there - there.mean()) / np.vdot(centred, centred).real)
    return turn, complex(there.mean() - turn * here.mean())


def around(values: Sequence[float]) -> tuple[int, int]:
    """Return whole numbers below and above all values, with room for a filter."""
    return math.floor(min(values)) - 3, math.ceil(max(values)) + 3
