"""What people wear on their heads: earrings, glasses and hats (and the ears that the first hang from)."""

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.body import flat
from faceinsight.data.synthetic.canvas import Canvas, Colour, smooth, tint
from faceinsight.data.synthetic.head import Head, Number, Pose
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Light, Palette, any_colour

__all__ = ["earrings", "ears", "glasses", "hat"]


def ears(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light) -> None:
    """Both ears; a turned head's far ear is hidden by the face that is drawn later."""
    size = 1 + 0.06 * face.person.shape["ears"]
    for side, part in ((1, "left_ear"), (-1, "right_ear")):
        at = side * (head.width - 0.04)
        lit = light.ambient + (1 - light.ambient) * np.clip(0.55 + 0.5 * side * light.direction[0], 0, 1)
        rim = (
            np.array(
                [
                    (0, -0.12),
                    (0.1, -0.2),
                    (0.2, -0.12),
                    (0.2, 0.08),
                    (0.15, 0.3),
                    (0.1, 0.48),
                    (0.02, 0.5),
                    (-0.04, 0.3),
                ]
            )
            * size
        )
        outline = smooth(
            np.stack([at + side * rim[:, 0], rim[:, 1] + 0.05, np.full(8, -0.05)], 1), closed=True, rounds=2
        )
        canvas.polygon(pose.project(outline), tint(palette.skin, 0.95 * lit, (6, -2, -2)), part)
        bowl = np.stack(
            [at + side * (0.35 + 0.55 * rim[:, 0] / 0.2 * 0.2), 0.62 * rim[:, 1] + 0.1, np.full(8, -0.05)], 1
        )
        bowl[:, 0] = at + side * (0.04 + 0.55 * rim[:, 0])
        canvas.polygon(pose.project(smooth(bowl, closed=True, rounds=2)), tint(palette.skin, 0.68 * lit))


def earrings(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, rng: Generator) -> None:
    """Studs, hoops or drops at both lobes, or at the one that a turned head shows."""
    kind, size = rng.choice(("stud", "hoop", "drop"), p=(0.25, 0.35, 0.4)), rng.uniform(0.8, 1.25)
    for side in (-1, 1):
        if side * pose.yaw > 0.3:
            continue
        at = pose.project(flat([(side * (head.width + 0.06), 0.56)], -0.02))[0]
        unit = pose.scale * size
        if kind == "stud":
            canvas.disc(at, 0.085 * unit, tint(palette.metal, 0.8), "earring")
        elif kind == "hoop":
            ring = [
                (at[0] + 0.14 * unit * np.cos(a), at[1] + 0.17 * unit + 0.17 * unit * np.sin(a))
                for a in np.linspace(0, 2 * np.pi, 22)
            ]
            canvas.line(ring, palette.metal, 0.05 * unit, "earring")
        else:
            canvas.line([at, (at[0], at[1] + 0.2 * unit)], tint(palette.metal, 0.8), 0.04 * unit, "earring")
            canvas.disc((at[0], at[1] + 0.27 * unit), 0.1 * unit, palette.metal, "earring")
        canvas.disc((at[0] - 0.02 * unit, at[1] - 0.02 * unit), 0.03 * unit, (255, 255, 250))


def glasses(canvas: Canvas, head: Head, pose: Pose, rng: Generator) -> None:
    """Frames, lenses (clear, tinted or dark), a reflection, and the arms. The class covers the lenses,
    as in CelebAMask-HQ.
    """
    frame: Colour = ((22, 20, 22), (90, 52, 28), (196, 168, 96), (190, 192, 198), (140, 30, 40), (40, 60, 120))[
        rng.choice(6, p=(0.42, 0.2, 0.12, 0.14, 0.06, 0.06))
    ]
    wide, high = rng.uniform(0.27, 0.34), rng.uniform(0.19, 0.29)
    power, thick = float(rng.choice((2.0, 2.6, 4.5))), rng.uniform(0.045, 0.085)
    dark = rng.random() < 0.22
    lens: Colour = tint((30, 30, 36), rng.uniform(0.6, 1.6)) if dark else (225, 235, 240)
    cover = int(rng.uniform(165, 235)) if dark else int(rng.uniform(8, 60))
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    cos, sin = np.cos(angles), np.sin(angles)
    for side in (-1, 1):
        u = side * (head.eyes + 0.015) + wide * np.sign(cos) * np.abs(cos) ** (2 / power)
        v = 0.035 + high * np.sign(sin) * np.abs(sin) ** (2 / power)
        rim = np.stack([u, v, 0.98 - 0.36 * u**2], 1)
        points = pose.project(rim)
        canvas.polygon(points, lens, "eyeglasses", alpha=cover)
        if rng.random() < 0.55:
            slide = rng.uniform(-0.5, 0.3)
            glare = np.array([(slide, -0.75), (slide + 0.3, -0.75), (slide - 0.1, 0.7), (slide - 0.4, 0.7)]) * (
                wide * 0.8,
                high,
            )
            middle = side * (head.eyes + 0.015)
            shine = np.stack([middle + glare[:, 0], 0.035 + glare[:, 1], np.full(4, 0.98 - 0.36 * middle**2)], 1)
            canvas.polygon(pose.project(shine), (255, 255, 255), None, alpha=int(rng.uniform(40, 130)))
        canvas.line([*points, points[0], points[1]], frame, thick * pose.scale, "eyeglasses")
        outer = side * (head.eyes + wide)
        arm = np.array([(outer, -0.05, 0.98 - 0.36 * outer**2), (side * (head.width + 0.03), -0.06, 0.1)])
        if side * pose.yaw < 0.25:
            canvas.line(pose.project(arm), tint(frame, 0.85), 0.8 * thick * pose.scale, "eyeglasses")
    inner = head.eyes + 0.015 - wide
    bridge = smooth(np.array([(-inner, 0.0, 0.97), (0, -0.06, 1.02), (inner, 0.0, 0.97)]), rounds=2)
    canvas.line(pose.project(bridge), frame, thick * pose.scale, "eyeglasses")


def hat(canvas: Canvas, head: Head, pose: Pose, volume: Number, rng: Generator) -> None:
    """A baseball cap, a beanie, a brimmed hat or a beret."""
    kind, colour = str(rng.choice(("cap", "beanie", "brim", "beret"), p=(0.36, 0.28, 0.26, 0.1))), any_colour(rng)
    wide, low = head.width + 0.08 + 0.5 * volume, -0.66
    tall = {"cap": -1.66, "beanie": -1.78, "brim": -1.78, "beret": -1.66}[kind] - 0.3 * volume
    power = {"brim": 3.4, "beret": 2.0}.get(kind, 2.3)
    angles = np.linspace(np.pi, 0, 25)
    puff = 1.25 if kind == "beret" else 1.0
    arch = np.stack(
        [
            puff * wide / np.cos(pose.yaw) * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** (2 / power),
            low - (low - tall) * np.sin(angles) ** (2 / power),
            np.full(25, 0.0),
        ],
        1,
    )
    x = np.linspace(1, -1, 15)
    front = np.stack([wide * x, low + 0.06 * (1 - x**2), 0.92 * np.sqrt(np.clip(1 - x**2, 0, 1))], 1)
    canvas.polygon(pose.project(np.concatenate([arch, front])), colour, "hat")
    for share in np.linspace(-0.8, 0.8, 9 if kind == "beanie" else 3):  # knitting or seams
        seam = np.stack(
            [
                wide * share * np.linspace(1, 0.5, 6),
                np.linspace(low, tall + 0.06, 6),
                0.8 * np.sqrt(1 - share**2) * np.linspace(1, 0, 6),
            ],
            1,
        )
        canvas.line(pose.project(seam), tint(colour, 0.78), 0.025 * pose.scale, "hat", alpha=160)
    side = 0.5 * wide
    sheen = np.stack(
        [-side + 0.15 * np.sin(np.linspace(0, 3, 8)), np.linspace(low - 0.1, tall + 0.25, 8), np.full(8, 0.5)], 1
    )
    canvas.line(pose.project(sheen), tint(colour, 1.25), 0.16 * pose.scale, None, alpha=70)
    if kind in {"beanie", "brim", "beret"}:
        band = np.concatenate([front, front[::-1] - (0, 0.26 if kind == "beanie" else 0.17, 0.0)])
        canvas.polygon(pose.project(band), tint(colour, 0.72) if kind != "brim" else any_colour(rng), "hat")
    if kind in {"cap", "brim"}:
        peak, bow = kind == "cap", np.sqrt(np.clip(1 - x**2, 0, 1))
        out = (0.8 if peak else 1.6) * wide
        dip = low + (0.02 + 0.27 * bow if peak else 0.14 - 0.1 * x**2)
        edge = np.stack([out * x, dip, 0.35 + 1.2 * bow if peak else 0.1 + 1.38 * bow], 1)
        back = front[::-1] * (0.8, 1, 1) if peak else np.stack([out * x[::-1], low - 0.1 + 0.06 * x**2, 0 * x], 1)
        rim = np.concatenate([edge, back])
        canvas.polygon(pose.project(rim), tint(colour, 0.7), "hat")
        canvas.line(pose.project(edge), tint(colour, 0.6), 0.04 * pose.scale, "hat")
