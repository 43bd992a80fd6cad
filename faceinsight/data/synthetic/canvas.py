"""Drawing tools: a picture and its parsing mask, painted together so that the mask is exact by construction."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from faceinsight.data.synthetic.head import Array, Number
from faceinsight.knowledge.face_parts import part_id

__all__ = ["Canvas", "Colour", "bend", "blend", "noise", "smooth", "tint"]

Colour = tuple[int, int, int]
Points = Sequence[tuple[Number, Number]] | Sequence[Number]


class Canvas:
    """A picture and its class ids. Every method paints both; ``part=None`` leaves the mask as it is."""

    def __init__(self, picture: Image.Image, mask: Image.Image) -> None:
        self.picture, self.mask = picture, mask
        self._draw = ImageDraw.Draw(picture, "RGBA")
        self._solid = ImageDraw.Draw(picture)
        self._draw_mask = ImageDraw.Draw(mask)

    def polygon(self, points: Points, colour: Colour, part: str | None = None, alpha: int = 255) -> None:
        self._draw.polygon(points, fill=(*colour, alpha))
        if part is not None:
            self._draw_mask.polygon(points, fill=part_id(part))

    def line(self, points: Points, colour: Colour, width: Number, part: str | None = None, alpha: int = 255) -> None:
        thick = max(round(width), 1)
        joint = "curve" if thick > 3 else None
        self._draw.line(points, fill=(*colour, alpha), width=thick, joint=joint)
        if part is not None:
            self._draw_mask.line(points, fill=part_id(part), width=thick, joint=joint)

    def strands(self, lines: Array, colours: Array, widths: Array, part: str | None = None) -> None:
        """Many thin lines at once: pixels ``[strand, point, 2]``, colours ``[strand, 3]``, widths ``[strand]``."""
        flat, inks, thick = lines.reshape(len(lines), -1).tolist(), colours.tolist(), np.maximum(np.rint(widths), 1)
        for line, ink, width in zip(flat, inks, thick.astype(int).tolist(), strict=True):
            self._solid.line(line, fill=tuple(ink), width=width)
            if part is not None:
                self._draw_mask.line(line, fill=part_id(part), width=width)

    def disc(
        self, at: tuple[Number, Number], radius: Number, colour: Colour, part: str | None = None, alpha: int = 255
    ) -> None:
        box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        self._draw.ellipse(box, fill=(*colour, alpha))
        if part is not None:
            self._draw_mask.ellipse(box, fill=part_id(part))

    def darken(self, shadow: Image.Image, parts: Sequence[str], strength: Number) -> None:
        """Darken by a soft grey image (255 = full shadow), only on ``parts``."""
        where = np.isin(np.asarray(self.mask), [part_id(part) for part in parts])
        soft = (np.asarray(shadow, dtype=np.float32) * (strength * where)).astype(np.uint8)
        self.picture.paste((12, 8, 10), (0, 0), Image.fromarray(soft))


def smooth(points: Array | Sequence[Sequence[Number]], closed: bool = False, rounds: int = 3) -> Array:
    """Cut the corners of a polyline (Chaikin 1974) ``rounds`` times; an open line keeps its ends."""
    line = np.asarray(points, dtype=float)
    for _ in range(rounds):
        first, second = (line, np.concatenate([line[1:], line[:1]])) if closed else (line[:-1], line[1:])
        cut = np.empty((2 * len(first), line.shape[1]))
        cut[0::2], cut[1::2] = 0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second
        line = cut if closed else np.concatenate([line[:1], cut, line[-1:]])
    return line


def bend(start: Array, middle: Array, end: Array, points: int = 8) -> Array:
    """Many quadratic Bezier curves at once: three ``[curve, axis]`` give ``[curve, point, axis]``."""
    t = np.linspace(0, 1, points)[None, :, None]
    return (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * middle[:, None] + t**2 * end[:, None]


def blend(sheet: Array, where: Array, colour: Array, strength: Number) -> None:
    """Bring colours ``[height, width, 3]`` towards one colour, in place, by ``strength * where``."""
    sheet += (strength * where)[..., None] * (colour.astype(np.float32) - sheet)


def noise(rng: Generator, size: tuple[int, int], cell: Number) -> Array:
    """Smooth noise ``[height, width]``, about -1 to 1, with lumps of ``cell`` pixels."""
    width, height = size
    few = (max(int(width / cell), 2), max(int(height / cell), 2))
    grain = Image.fromarray(rng.normal(0, 0.5, (few[1], few[0])).astype(np.float32))
    return np.asarray(grain.resize(size, Image.Resampling.BICUBIC))


def tint(colour: Sequence[Number] | Array, factor: Number = 1.0, shift: Sequence[Number] = (0, 0, 0)) -> Colour:
    """Return a colour made lighter or darker, and shifted; whole numbers from 0 to 255."""
    red, green, blue = (int(min(max(c * factor + s, 0), 255)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue
