"""Drawing tools: a picture and its parsing mask, painted together so that the mask is exact by construction."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["PARTS", "Canvas", "Colour", "noise", "smooth", "tint"]

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

#: Class ids of CelebAMask-HQ. "left" is the person's own left, so it lies to the right of the picture: measured on 400
#: real masks, the mean column of class 4 is at 0.60 of the width and that of class 5 at 0.39.
PARTS = {
    name: number
    for number, name in enumerate(
        "background skin nose eyeglasses left_eye right_eye left_brow right_brow left_ear right_ear mouth "
        "upper_lip lower_lip hair hat earring necklace neck cloth".split()
    )
}


class Canvas:
    """A picture and its class ids. Every method paints both; ``part=None`` leaves the mask as it is."""

    def __init__(self, picture: Image.Image, mask: Image.Image) -> None:
        self.picture, self.mask = picture, mask
        self._draw = ImageDraw.Draw(picture, "RGBA")
        self._draw_mask = ImageDraw.Draw(mask)

    def polygon(self, points: Points, colour: Colour, part: str | None = None, alpha: int = 255) -> None:
        self._draw.polygon(points, fill=(*colour, alpha))
        if part is not None:
            self._draw_mask.polygon(points, fill=PARTS[part])

    def line(self, points: Points, colour: Colour, width: float, part: str | None = None, alpha: int = 255) -> None:
        thick = max(round(width), 1)
        joint = "curve" if thick > 3 else None
        self._draw.line(points, fill=(*colour, alpha), width=thick, joint=joint)
        if part is not None:
            self._draw_mask.line(points, fill=PARTS[part], width=thick, joint=joint)

    def disc(
        self, at: tuple[float, float], radius: float, colour: Colour, part: str | None = None, alpha: int = 255
    ) -> None:
        box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        self._draw.ellipse(box, fill=(*colour, alpha))
        if part is not None:
            self._draw_mask.ellipse(box, fill=PARTS[part])

    def darken(self, shadow: Image.Image, parts: Sequence[str], strength: float) -> None:
        """Darken by a soft grey image (255 = full shadow), only on ``parts``."""
        where = np.isin(np.asarray(self.mask), [PARTS[part] for part in parts])
        soft = (np.asarray(shadow, dtype=np.float32) * (strength * where)).astype(np.uint8)
        self.picture.paste((12, 8, 10), (0, 0), Image.fromarray(soft))


def smooth(
    points: NDArray[np.floating] | Sequence[Sequence[float]], closed: bool = False, rounds: int = 3
) -> NDArray[np.floating]:
    """Cut the corners of a polyline (Chaikin 1974) ``rounds`` times; an open line keeps its ends."""
    line = np.asarray(points, dtype=float)
    for _ in range(rounds):
        following = np.roll(line, -1, axis=0) if closed else line[1:]
        before = line if closed else line[:-1]
        cut = np.stack([0.75 * before + 0.25 * following, 0.25 * before + 0.75 * following], axis=1)
        cut = cut.reshape(-1, line.shape[1])
        line = cut if closed else np.concatenate([line[:1], cut, line[-1:]])
    return line


def noise(rng: Generator, size: tuple[int, int], cell: float) -> NDArray[np.float32]:
    """Smooth noise ``[height, width]``, about -1 to 1, with lumps of ``cell`` pixels."""
    width, height = size
    few = (max(int(width / cell), 2), max(int(height / cell), 2))
    grain = Image.fromarray(rng.normal(0, 0.5, (few[1], few[0])).astype(np.float32))
    return np.asarray(grain.resize(size, Image.Resampling.BICUBIC))


def tint(colour: Sequence[float], factor: float = 1.0, shift: Sequence[float] = (0, 0, 0)) -> Colour:
    """A colour made lighter or darker, and shifted; whole numbers from 0 to 255."""
    red, green, blue = (int(min(max(c * factor + s, 0), 255)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue
