"""What surrounds a face: light, colours, background, and things that come between face and camera."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.canvas import Canvas, Colour, noise, tint
from faceinsight.data.synthetic.head import Array, Pose
from faceinsight.data.synthetic.population import Face

__all__ = ["Light", "Palette", "background", "draw_light", "draw_palette", "draw_pose", "occlude"]

#: From very light to very dark, at equal steps of ``Person.skin``.
_SKIN = np.array(
    [
        (244, 221, 206),
        (240, 205, 180),
        (228, 184, 150),
        (211, 162, 124),
        (184, 132, 94),
        (146, 98, 68),
        (108, 70, 48),
        (74, 47, 35),
    ],
    dtype=float,
)
_HAIR = {"black": (34, 29, 30), "brown": (92, 60, 38), "blond": (214, 178, 112), "gray": (172, 172, 174)}
_OTHER_HAIR = ((150, 62, 28), (124, 38, 34), (188, 98, 50), (205, 90, 150), (70, 110, 170), (95, 140, 95))
_LIPSTICK = ((190, 30, 50), (205, 70, 100), (150, 30, 70), (215, 90, 80), (120, 25, 45), (200, 60, 140))


@dataclass(frozen=True)
class Light:
    """A key light: direction to it in view coordinates (right, down, to the viewer), how much is ambient, colour."""

    direction: Array
    ambient: float
    colour: Array
    gloss: float


@dataclass(frozen=True)
class Palette:
    skin: Colour
    lips: Colour
    hair: Colour
    beard: Colour
    brow: Colour
    iris: Colour
    cloth: Colour
    accent: Colour
    metal: Colour


def any_colour(rng: Generator) -> Colour:
    """A colour for cloth and clutter: mostly muted, now and then loud."""
    grey = rng.uniform(25, 235)
    loud = rng.beta(1.0, 2.8)
    return tint(grey + loud * (rng.uniform(0, 255, 3) - grey))


def draw_pose(face: Face, rng: Generator, size: int) -> Pose:
    """Mostly near frontal, eyes a little above the middle, as an aligned portrait has them."""
    yaw = np.clip(rng.normal(0, 0.24), -0.62, 0.62)
    pitch, roll = np.clip(rng.normal(0, 0.09), -0.24, 0.24), np.clip(rng.normal(0, 0.06), -0.2, 0.2)
    scale = size * 0.238 * np.clip(rng.normal(1, 0.05), 0.87, 1.12)
    away = np.array([0.5 - 0.11 * np.sin(yaw), 0.475 + 0.1 * np.sin(pitch)]) + rng.normal(0, 0.014, 2)
    return Pose(float(yaw), float(pitch), float(roll), float(scale), (float(away[0] * size), float(away[1] * size)))


def draw_light(rng: Generator) -> Light:
    side, up = rng.normal(0, 0.6), rng.uniform(-0.1, 0.95)
    direction = np.array([np.sin(side), -np.sin(up), np.cos(side) * np.cos(up) + 0.15])
    warm = rng.normal(0, 0.045)
    return Light(
        direction=direction / np.linalg.norm(direction),
        ambient=float(rng.uniform(0.3, 0.68)),
        colour=np.array([1 + warm, 1.0, 1 - warm], dtype=np.float32),
        gloss=float(rng.uniform(0.02, 0.2)),
    )


def draw_palette(face: Face, rng: Generator) -> Palette:
    """Colours of this picture; the person's own come from the person's seed."""
    who = face.person
    own = np.random.default_rng(who.seed)
    place = (0.0 if face["Pale_Skin"] else 0.08 + 0.92 * who.skin) * (len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    skin = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * (1 + 0.03 * own.normal()) + own.normal(0, 1) * np.array([3, 0, -4])
    if face["Pale_Skin"]:
        skin = 0.8 * skin + 0.2 * np.array([246, 238, 236])
    hair = np.array(
        _OTHER_HAIR[own.choice(6, p=(0.42, 0.24, 0.28, 0.03, 0.02, 0.01))] if who.hair == "other" else _HAIR[who.hair],
        float,
    )
    hair = hair * (
        1 + {"black": 0.25, "gray": 0.14}.get(who.hair, 0.13) * np.clip(own.normal(), -1.6, 1.6)
    ) + own.normal(0, 3, 3)
    dark = np.array(((30, 26, 26), (70, 48, 34), (52, 38, 30))[own.integers(3)], float)
    share = {"gray": 0.55, "other": 0.2}.get(who.hair, 0.4)
    brow = share * hair + (1 - share) * dark
    beard = 0.85 * hair + 0.15 * dark if who.hair in {"black", "brown", "gray"} else 0.5 * hair + 0.5 * dark
    iris = ((62, 40, 26), (80, 54, 32), (92, 122, 92), (94, 132, 168), (110, 112, 116))[
        own.choice(5, p=(0.38, 0.27, 0.11, 0.17, 0.07))
    ]
    lips = skin * (0.86, 0.66, 0.66) + (14, 4, 6)
    if face["Wearing_Lipstick"]:
        lips = 0.22 * lips + 0.78 * np.array(_LIPSTICK[rng.integers(len(_LIPSTICK))], float)
    metal = ((214, 178, 82), (205, 208, 214), (238, 232, 224), (180, 60, 70), (60, 130, 150))[
        rng.choice(5, p=(0.4, 0.3, 0.14, 0.08, 0.08))
    ]
    return Palette(
        skin=tint(skin), lips=tint(lips), hair=tint(hair), beard=tint(beard), brow=tint(brow), iris=tint(iris),
        cloth=any_colour(rng), accent=any_colour(rng), metal=metal,
    )  # fmt: skip


def background(rng: Generator, size: int, palette: Palette) -> Image.Image:
    """A gradient with blobs, stripes, boxes or bokeh; sometimes in the colours of hair or skin."""
    lures = [palette.hair, palette.skin, palette.cloth]
    first = lures[rng.integers(3)] if rng.random() < 0.18 else any_colour(rng)
    second = tint(first, rng.uniform(0.5, 1.4)) if rng.random() < 0.6 else any_colour(rng)
    angle = rng.uniform(0, 2 * np.pi)
    small = 48
    y, x = np.mgrid[0:small, 0:small] / small - 0.5
    slope = np.clip(0.5 + np.cos(angle) * x + np.sin(angle) * y + 0.25 * noise(rng, (small, small), 12), 0, 1)[
        ..., None
    ]
    image = Image.fromarray((np.array(first) * (1 - slope) + np.array(second) * slope).astype(np.uint8))
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image, "RGBA")
    kind = rng.choice(("plain", "blobs", "stripes", "boxes", "mixed"), p=(0.36, 0.2, 0.08, 0.2, 0.16))
    if kind in {"stripes", "mixed"}:
        step, lean, colour = rng.uniform(0.05, 0.22) * size, rng.uniform(-0.5, 0.5) * size, any_colour(rng)
        for start in np.arange(-size, 2 * size, step):
            draw.line([(start, 0), (start + lean, size)], fill=(*colour, 120), width=int(step * 0.45) + 1)
    if kind in {"boxes", "mixed"}:
        for _ in range(rng.integers(3, 9)):
            left, upper = rng.uniform(-0.2, 1, 2) * size
            wide, high = rng.uniform(0.05, 0.45, 2) * size
            draw.rectangle(
                (left, upper, left + wide, upper + high), fill=(*any_colour(rng), int(rng.uniform(120, 255)))
            )
    if kind in {"blobs", "mixed"}:
        for _ in range(rng.integers(4, 16)):
            (x0, y0), radius = rng.uniform(0, 1, 2) * size, rng.uniform(0.02, 0.16) * size
            draw.ellipse(
                (x0 - radius, y0 - radius, x0 + radius, y0 + radius), fill=(*any_colour(rng), int(rng.uniform(60, 220)))
            )
    depth = float(rng.choice((0.0, 0.012, 0.03, 0.05), p=(0.2, 0.25, 0.3, 0.25))) * size
    return image.filter(ImageFilter.BoxBlur(depth)) if depth else image


def occlude(canvas: Canvas, rng: Generator, size: int) -> None:
    """Now and then a hand, a stick or another thing in front: it belongs to the background class."""
    if rng.random() > 0.075:
        return
    side = rng.choice((-1, 1))
    start = np.array([0.5 + side * rng.uniform(0.1, 0.5), 1.05]) * size
    kind = rng.choice(("hand", "bar", "blob"))
    if kind == "hand":
        colour = tint(_SKIN[rng.integers(len(_SKIN))], rng.uniform(0.8, 1.05))
        palm = np.array([0.5 + side * rng.uniform(0.16, 0.4), rng.uniform(0.66, 0.95)]) * size
        canvas.line([tuple(start), tuple(palm)], tint(colour, 0.92), 0.13 * size, "background")
        canvas.disc(tuple(palm), 0.085 * size, colour, "background")
        turn = rng.uniform(-0.5, 0.5)
        for finger in range(4):
            angle = turn - np.pi / 2 + 0.24 * (finger - 1.5)
            tip = palm + np.array([np.cos(angle), np.sin(angle)]) * size * rng.uniform(0.13, 0.2)
            shade = tint(colour, 1.04 - 0.07 * finger)
            canvas.line([tuple(palm), tuple(tip)], shade, 0.04 * size, "background")
            canvas.disc(tuple(tip), 0.02 * size, shade, "background")
    elif kind == "bar":
        end = np.array([rng.uniform(0, 1), rng.uniform(-0.1, 0.6)]) * size
        canvas.line([tuple(start), tuple(end)], any_colour(rng), rng.uniform(0.02, 0.06) * size, "background")
    else:
        at = np.array([0.5 + side * rng.uniform(0.2, 0.42), rng.uniform(0.3, 0.95)]) * size
        angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        radius = size * rng.uniform(0.06, 0.14) * rng.uniform(0.7, 1.3, 10)
        canvas.polygon(
            [(float(at[0] + r * np.cos(a)), float(at[1] + r * np.sin(a))) for a, r in zip(angles, radius, strict=True)],
            any_colour(rng),
            "background",
        )
