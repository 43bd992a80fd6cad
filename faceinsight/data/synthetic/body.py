"""Neck and shoulders, clothes, and what hangs round a neck."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.canvas import Canvas, smooth, tint
from faceinsight.data.synthetic.head import Head, Number, Pose
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Light, Palette, any_colour

__all__ = ["body", "flat"]


def flat(points: Sequence[tuple[Number, Number]], z: Number = 0.0) -> np.ndarray:
    """Points of the plane at depth ``z``, in head coordinates."""
    return np.array([(u, v, z) for u, v in points], dtype=float)


def body(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light, rng: Generator) -> None:
    """Neck, shoulders, cloth, and what hangs round a neck."""
    still = Pose(0.35 * pose.yaw, 0.0, 0.35 * pose.roll, pose.scale, pose.centre)
    thick = 0.5 + 0.09 * head.male - 0.08 * head.child + 0.06 * max(head.fat, 0)
    wide = 1.75 + 0.3 * head.male - 0.3 * head.child
    base = 1.95
    dim = light.ambient + 0.5 * (1 - light.ambient)
    top = pose.project(flat([(-thick, 0.7), (thick, 0.7)], -0.15))
    low = still.project(
        flat(
            [
                (thick + 0.02, base - 0.2),
                (thick + 0.28, base + 0.05),
                (0.0, 3.2),
                (-thick - 0.28, base + 0.05),
                (-thick - 0.02, base - 0.2),
            ]
        )
    )
    canvas.polygon(top + low, tint(palette.skin, 0.92 * dim), "neck")
    lit = 1 if light.direction[0] > 0 else -1
    edge = [
        top[1 if lit > 0 else 0],
        low[0 if lit > 0 else 4],
        still.project(flat([(lit * 0.12, base + 0.2)]))[0],
        pose.project(flat([(lit * 0.2, 0.9)]))[0],
    ]
    canvas.polygon(edge, tint(palette.skin, 1.02), None, alpha=int(130 * abs(light.direction[0])))
    chin = Image.new("L", canvas.picture.size)
    v = np.linspace(0.3, head.chin, 16)
    half = head.half_width(v.astype(np.float32))
    jaw = np.concatenate([np.stack([half, v + 0.26, 0 * v], 1), np.stack([-half, v + 0.26, 0 * v], 1)[::-1]])
    ImageDraw.Draw(chin).polygon(pose.project(jaw), fill=255)
    canvas.darken(chin.filter(ImageFilter.BoxBlur(0.09 * pose.scale)), ("neck",), 0.62)
    if face["Double_Chin"]:
        x = np.linspace(-0.62, 0.62, 13)
        roll_ = np.stack([x, head.chin + 0.2 - 0.7 * x**2, 0 * x], 1)
        below = np.stack([x * 1.02, head.chin - 0.45 * np.abs(x) ** 1.5 - 0.1, 0 * x], 1)
        canvas.polygon(pose.project(np.concatenate([roll_, below[::-1]])), tint(palette.skin, 0.9 * dim), "neck")
        canvas.line(pose.project(roll_), tint(palette.skin, 0.5), 0.05 * pose.scale, alpha=190)
    _cloth(canvas, face, still, palette, thick, wide, base, rng)
    if face["Wearing_Necklace"]:
        _necklace(canvas, still, palette, thick, base, rng)


def _cloth(
    canvas: Canvas, face: Face, pose: Pose, palette: Palette, thick: Number, wide: Number, base: Number, rng: Generator
) -> None:
    kind = "shirt" if face["Wearing_Necktie"] else str(rng.choice(("crew", "v", "wide", "shirt")))
    dip = {"crew": 0.12, "v": 0.62, "wide": 0.34, "shirt": 0.3}[kind] + 0.04 * rng.normal()
    open_ = thick + {"crew": 0.06, "v": 0.1, "wide": 0.45, "shirt": 0.02}[kind]
    neckline = [
        (open_, base - 0.06),
        (0.55 * open_, base + dip * (0.55 if kind == "v" else 0.85)),
        (0, base + dip),
        (-0.55 * open_, base + dip * (0.55 if kind == "v" else 0.85)),
        (-open_, base - 0.06),
    ]
    if kind in {"crew", "wide"}:
        neckline = [(u, v) for u, v in smooth(neckline, rounds=2)]
    shoulder = [
        (-wide * 0.72, base + 0.13),
        (-wide, base + 0.38),
        (-wide * 1.1, 4.0),
        (wide * 1.1, 4.0),
        (wide, base + 0.38),
        (wide * 0.72, base + 0.13),
    ]
    canvas.polygon(pose.project(flat(neckline + shoulder)), palette.cloth, "cloth")
    if rng.random() < 0.3:
        _pattern(canvas, pose, palette, wide, rng)
    canvas.line(pose.project(flat(neckline)), tint(palette.cloth, 0.66), 0.05 * pose.scale, "cloth")
    for side in (-1, 1):
        fold = flat([(side * wide * 0.5, base + 0.2), (side * wide * 0.62, base + 0.9)])
        canvas.line(pose.project(fold), tint(palette.cloth, 0.75), 0.08 * pose.scale, None, alpha=120)
    if kind == "shirt":
        white = (
            tint((236, 236, 238), rng.uniform(0.75, 1.0))
            if face["Wearing_Necktie"] or rng.random() < 0.5
            else tint(palette.cloth, 1.15)
        )
        front = flat([(-thick, base - 0.1), (thick, base - 0.1), (0.34, 4.0), (-0.34, 4.0)])
        if face["Wearing_Necktie"]:
            canvas.polygon(pose.project(front), white, "cloth")
            _tie(canvas, pose, palette, base, rng)
        for side in (-1, 1):
            collar = flat(
                [
                    (side * (thick + 0.08), base - 0.3),
                    (side * 0.06, base + 0.12),
                    (side * 0.36, base + 0.38),
                    (side * (thick + 0.26), base),
                ]
            )
            canvas.polygon(pose.project(collar), white, "cloth")
            canvas.line(pose.project(collar[1:3]), tint(white, 0.7), 0.025 * pose.scale, "cloth")


def _pattern(canvas: Canvas, pose: Pose, palette: Palette, wide: Number, rng: Generator) -> None:
    layer = canvas.picture.copy()
    pen = ImageDraw.Draw(layer)
    step, upright = rng.uniform(0.1, 0.25), rng.random() < 0.5
    for at in np.arange(-wide * 1.1, wide * 1.1, step):
        ends = [(at, 1.5), (at, 4.0)] if upright else [(-2.5, 2.9 + at), (2.5, 2.9 + at)]
        pen.line(pose.project(flat(ends)), fill=palette.accent, width=max(int(0.4 * step * pose.scale), 1))
    cloth = Image.fromarray(((np.asarray(canvas.mask) == 18) * 255).astype(np.uint8))
    canvas.picture.paste(layer, (0, 0), cloth)


def _tie(canvas: Canvas, pose: Pose, palette: Palette, base: Number, rng: Generator) -> None:
    colour = any_colour(rng)
    knot = flat([(-0.13, base + 0.02), (0.13, base + 0.02), (0.085, base + 0.24), (-0.085, base + 0.24)])
    blade = flat([(-0.08, base + 0.22), (0.08, base + 0.22), (0.26, 4.0), (-0.26, 4.0)])
    canvas.polygon(pose.project(blade), colour, "cloth")
    for v in np.arange(base + 0.25, 3.2, 0.16):
        canvas.line(pose.project(flat([(-0.13, v), (0.13, v + 0.1)])), tint(colour, 0.7), 0.04 * pose.scale, "cloth")
    canvas.polygon(pose.project(knot), tint(colour, 0.86), "cloth")


def _necklace(canvas: Canvas, pose: Pose, palette: Palette, thick: Number, base: Number, rng: Generator) -> None:
    drop = rng.uniform(0.14, 0.36)
    t = np.linspace(-1, 1, 23)
    line = np.stack([(thick + 0.06) * t, base - 0.22 + drop * (1 - t**2), 0 * t], 1)
    points = pose.project(line)
    if rng.random() < 0.5:
        canvas.line(points, tint(palette.metal, 0.75), 0.045 * pose.scale, "necklace")
        canvas.line(points, palette.metal, 0.022 * pose.scale)
    else:
        for at in points:
            canvas.disc(at, 0.042 * pose.scale, palette.metal, "necklace")
            canvas.disc((at[0] - 0.01 * pose.scale, at[1] - 0.012 * pose.scale), 0.015 * pose.scale, (252, 252, 252))
    if rng.random() < 0.5:
        canvas.disc(
            (points[11][0], points[11][1] + 0.06 * pose.scale),
            0.075 * pose.scale,
            tint(palette.metal, 0.95),
            "necklace",
        )
