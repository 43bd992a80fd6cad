"""What lies behind a face, more or less out of focus, and what comes between it and the camera."""

from functools import cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from faceinsight.data.synthetic.canvas import Canvas, Colour, noise, tint
from faceinsight.data.synthetic.palette import Palette, any_colour, any_skin

__all__ = ["background", "occlude"]

#: What may be found behind a face, and how often; several kinds occur together.
_CLUTTER = {"blobs": 0.3, "stripes": 0.12, "boxes": 0.3, "letters": 0.22, "people": 0.2}


def background(rng: Generator, size: int, palette: Palette) -> Image.Image:
    """Return a gradient with clutter before it: lights, boxes, stripes, letters of a sponsor's wall, other people.

    Now and then in the colours of this face's hair, skin or clothes, so that colour alone never tells a part.
    """
    image = _gradient(rng, size, palette)
    draw = ImageDraw.Draw(image, "RGBA")
    if rng.random() < 0.7:
        kinds = {"blobs": _blobs, "stripes": _stripes, "boxes": _boxes, "letters": _letters, "people": _people}
        for kind, share in _CLUTTER.items():
            if rng.random() < share:
                kinds[kind](draw, rng, size, palette)
    blur = float(rng.choice((0.0, 0.006, 0.015, 0.03, 0.05), p=(0.15, 0.2, 0.25, 0.25, 0.15))) * size
    return image.filter(ImageFilter.BoxBlur(blur)) if blur else image


def _gradient(rng: Generator, size: int, palette: Palette) -> Image.Image:
    lures = (palette.hair, palette.skin, palette.cloth)
    plain = rng.random()
    first = lures[rng.integers(3)] if plain < 0.2 else (8, 8, 10) if plain < 0.35 else any_colour(rng)
    second = tint(first, rng.uniform(0.5, 1.5)) if rng.random() < 0.65 else any_colour(rng)
    angle, small = rng.uniform(0, 2 * np.pi), 32
    y, x = np.mgrid[0:small, 0:small] / small - 0.5
    slope = 0.5 + np.cos(angle) * x + np.sin(angle) * y + rng.uniform(0.1, 0.9) * noise(rng, (small, small), 9)
    share = np.clip(slope, 0, 1)[..., None]
    image = Image.fromarray((np.array(first) * (1 - share) + np.array(second) * share).astype(np.uint8))
    return image.resize((size, size), Image.Resampling.BICUBIC)


def _faint(rng: Generator) -> tuple[int, int, int, int]:
    return (*any_colour(rng), int(rng.uniform(90, 255)))


def _blobs(draw: ImageDraw.ImageDraw, rng: Generator, size: int, palette: Palette) -> None:
    for _ in range(rng.integers(4, 16)):
        (x, y), radius = rng.uniform(0, 1, 2) * size, rng.uniform(0.02, 0.16) * size
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_faint(rng))


def _stripes(draw: ImageDraw.ImageDraw, rng: Generator, size: int, palette: Palette) -> None:
    step, lean, colour = rng.uniform(0.05, 0.22) * size, rng.uniform(-0.5, 0.5) * size, any_colour(rng)
    for start in np.arange(-size, 2 * size, step):
        draw.line([(start, 0), (start + lean, size)], fill=(*colour, 120), width=int(step * 0.45) + 1)


def _boxes(draw: ImageDraw.ImageDraw, rng: Generator, size: int, palette: Palette) -> None:
    for _ in range(rng.integers(2, 8)):
        left, upper = rng.uniform(-0.2, 1, 2) * size
        wide, high = rng.uniform(0.05, 0.5, 2) * size
        draw.rectangle((left, upper, left + wide, upper + high), fill=_faint(rng))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _letters(draw: ImageDraw.ImageDraw, rng: Generator, size: int, palette: Palette) -> None:
    """Draw a wall of words that mean nothing."""
    high, colour = int(rng.choice((0.08, 0.14, 0.24)) * size), any_colour(rng)
    for row in np.arange(rng.uniform(-0.1, 0.2) * size, size, high * rng.uniform(1.2, 2.5)):
        word = "".join(chr(65 + letter) for letter in rng.integers(0, 26, 16))
        draw.text((rng.uniform(-0.4, 0.1) * size, row), word, fill=colour, font=_font(max(high, 4)))


def _people(draw: ImageDraw.ImageDraw, rng: Generator, size: int, palette: Palette) -> None:
    """Heads and shoulders of passers-by, at the sides."""
    for _ in range(rng.integers(1, 4)):
        x, y = (0.5 + rng.choice((-1, 1)) * rng.uniform(0.3, 0.6)) * size, rng.uniform(0.2, 0.9) * size
        wide = rng.uniform(0.07, 0.2) * size
        cloth, hair, skin = any_colour(rng), tint(any_colour(rng), 0.5), any_skin(rng)
        draw.ellipse((x - 2.3 * wide, y + 1.2 * wide, x + 2.3 * wide, y + 7 * wide), fill=cloth)
        draw.ellipse((x - 1.2 * wide, y - 1.7 * wide, x + 1.2 * wide, y + 1.2 * wide), fill=hair)
        draw.ellipse((x - 0.9 * wide, y - 1.1 * wide, x + 0.9 * wide, y + 1.5 * wide), fill=skin)


def occlude(canvas: Canvas, rng: Generator, size: int) -> None:
    """Now and then a hand, a microphone or another thing in front: it belongs to the background class."""
    if rng.random() > 0.09:
        return
    side = int(rng.choice((-1, 1)))
    start = np.array([0.5 + side * rng.uniform(0.1, 0.5), 1.05]) * size
    kind = rng.choice(("hand", "bar", "blob"))
    if kind == "hand":
        _hand(canvas, rng, size, start, side)
    elif kind == "bar":  # a microphone's stand, a spoon
        end = np.array([rng.uniform(0.1, 0.9), rng.uniform(0.5, 0.9)]) * size
        colour = any_colour(rng)
        canvas.line([tuple(start), tuple(end)], colour, rng.uniform(0.02, 0.06) * size, "background")
        canvas.disc(tuple(end), rng.uniform(0.02, 0.07) * size, tint(colour, 0.8), "background")
    else:
        at = np.array([0.5 + side * rng.uniform(0.25, 0.45), rng.uniform(0.3, 0.95)]) * size
        angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        radius = size * rng.uniform(0.06, 0.16) * rng.uniform(0.7, 1.3, 10)
        ring = at + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        canvas.polygon(list(map(tuple, ring.tolist())), any_colour(rng), "background")


def _hand(canvas: Canvas, rng: Generator, size: int, start: np.ndarray, side: int) -> None:
    colour: Colour = any_skin(rng)
    palm = np.array([0.5 + side * rng.uniform(0.2, 0.42), rng.uniform(0.66, 0.95)]) * size
    canvas.line([tuple(start), tuple(palm)], tint(colour, 0.92), 0.15 * size, "background")
    canvas.disc(tuple(palm), 0.1 * size, colour, "background")
    turn = rng.uniform(-0.5, 0.5)
    for finger in range(4):
        angle = turn - np.pi / 2 + 0.24 * (finger - 1.5)
        tip = palm + np.array([np.cos(angle), np.sin(angle)]) * size * rng.uniform(0.15, 0.23)
        shade = tint(colour, 1.04 - 0.07 * finger)
        canvas.line([tuple(palm), tuple(tip)], shade, 0.048 * size, "background")
        canvas.disc(tuple(tip), 0.024 * size, shade, "background")
