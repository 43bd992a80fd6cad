"""Neck, shoulders and clothes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.canvas import Canvas, smooth, tint
from faceinsight.data.synthetic.head import Array, Head, Number, Pose
from faceinsight.data.synthetic.jewellery import necklace
from faceinsight.data.synthetic.palette import Palette, any_colour
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.shading import Light
from faceinsight.knowledge.face_parts import part_id

__all__ = ["body"]

#: How deep the neckline of each garment reaches, and how far it stands off the neck.
_NECKLINES = {"crew": (0.12, 0.06), "v": (0.62, 0.1), "wide": (0.34, 0.45), "shirt": (0.3, 0.02), "high": (-0.2, 0.03)}


@dataclass(frozen=True)
class _Build:
    """Half the width of neck and shoulders, and where the neck ends; ``pose`` follows the head only a little."""

    pose: Pose
    thick: float
    wide: float
    base: float

    @classmethod
    def draw(cls, head: Head, face: Face, pose: Pose, rng: Generator) -> "_Build":
        seen = face["Wearing_Necklace"] or face["Wearing_Necktie"]
        return cls(
            pose=Pose(0.35 * pose.yaw, 0.0, 0.35 * pose.roll, pose.scale, pose.centre),
            thick=0.57 + 0.1 * head.male - 0.08 * head.child + 0.06 * max(head.fat, 0),
            wide=(1.75 + 0.3 * head.male - 0.3 * head.child) * rng.uniform(0.9, 1.15),
            base=float(np.clip(rng.normal(1.56 if seen else 1.68, 0.06 if seen else 0.16), 1.4, 2.1)),
        )


def _flat(points: Sequence[tuple[Number, Number]], z: Number = 0.0) -> Array:
    """Points of the plane at depth ``z``, in head coordinates."""
    return np.array([(u, v, z) for u, v in points], dtype=float)


def body(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light, rng: Generator) -> None:
    """Neck, shoulders, cloth, and what hangs round a neck."""
    build = _Build.draw(head, face, pose, rng)
    _neck(canvas, head, face, pose, build, palette, light)
    _clothes(canvas, face, build, palette, rng)
    if face["Wearing_Necklace"]:
        necklace(canvas, build.pose, palette, build.thick, build.base, rng)


def _neck(
    canvas: Canvas, head: Head, face: Face, pose: Pose, build: _Build, palette: Palette, light: Light
) -> None:  # fmt: skip
    """Draw the neck in the shadow of the chin, lit from its side; a second chin if there is one."""
    thick, base = build.thick, build.base
    dim = light.ambient + 0.5 * (1 - light.ambient)
    top = pose.project(_flat([(-thick, 0.7), (thick, 0.7)], -0.15))
    right = [(thick + 0.02, base - 0.2), (thick + 0.28, base + 0.05)]
    low = build.pose.project(_flat([*right, (0.0, 3.2), *[(-u, v) for u, v in right[::-1]]]))
    canvas.polygon(top + low, tint(palette.skin, 0.92 * dim), "neck")
    lit = 1 if light.direction[0] > 0 else -1
    edge = [top[lit > 0], low[0 if lit > 0 else 4], build.pose.project(_flat([(lit * 0.12, base + 0.2)]))[0],
            pose.project(_flat([(lit * 0.2, 0.9)]))[0]]  # fmt: skip
    canvas.polygon(edge, tint(palette.skin, 1.02), None, alpha=int(130 * abs(light.direction[0])))
    chin, v = Image.new("L", canvas.picture.size), np.linspace(0.3, head.chin, 16)
    half = head.half_width(v.astype(np.float32))
    jaw = np.concatenate([np.stack([half, v + 0.26, 0 * v], 1), np.stack([-half, v + 0.26, 0 * v], 1)[::-1]])
    ImageDraw.Draw(chin).polygon(pose.project(jaw), fill=255)
    canvas.darken(chin.filter(ImageFilter.BoxBlur(0.09 * pose.scale)), ("neck",), 0.62)
    if face["Double_Chin"]:
        x = np.linspace(-0.62, 0.62, 13)
        fold = np.stack([x, head.chin + 0.2 - 0.7 * x**2, 0 * x], 1)
        below = np.stack([x * 1.02, head.chin - 0.45 * np.abs(x) ** 1.5 - 0.1, 0 * x], 1)
        canvas.polygon(pose.project(np.concatenate([fold, below[::-1]])), tint(palette.skin, 0.9 * dim), "neck")
        canvas.line(pose.project(fold), tint(palette.skin, 0.5), 0.05 * pose.scale, alpha=190)


def _clothes(canvas: Canvas, face: Face, build: _Build, palette: Palette, rng: Generator) -> None:
    kind = "shirt" if face["Wearing_Necktie"] else str(rng.choice(list(_NECKLINES)))
    deep, off = _NECKLINES[kind]
    base, wide, scale, dip, open_ = (
        build.base,
        build.wide,
        build.pose.scale,
        deep + 0.04 * rng.normal(),
        build.thick + off,
    )
    half = [(open_, base - 0.06), (0.55 * open_, base + dip * (0.55 if kind == "v" else 0.85))]
    neckline = [*half, (0, base + dip), *[(-u, v) for u, v in half[::-1]]]
    if kind in {"crew", "wide", "high"}:
        neckline = [(u, v) for u, v in smooth(neckline, rounds=2)]
    shoulder = [(0.72 * wide, base + 0.04), (wide, base + 0.24), (1.1 * wide, 4.0)]
    outline = neckline + [(-u, v) for u, v in shoulder] + shoulder[::-1]
    canvas.polygon(build.pose.project(_flat(outline)), palette.cloth, "cloth")
    if rng.random() < 0.3:
        _pattern(canvas, build, palette, rng)
    canvas.line(build.pose.project(_flat(neckline)), tint(palette.cloth, 0.66), 0.05 * scale, "cloth")
    for side in (-1, 1):
        fold = _flat([(side * wide * 0.5, base + 0.2), (side * wide * 0.62, base + 0.9)])
        canvas.line(build.pose.project(fold), tint(palette.cloth, 0.75), 0.08 * scale, None, alpha=120)
    if kind == "shirt":
        _shirt(canvas, face, build, palette, rng)


def _shirt(canvas: Canvas, face: Face, build: _Build, palette: Palette, rng: Generator) -> None:
    """Draw a collar, white or of the cloth, and the tie."""
    thick, base, tie = build.thick, build.base, face["Wearing_Necktie"]
    pale = tint((236, 236, 238), rng.uniform(0.75, 1.0))
    colour = pale if tie or rng.random() < 0.5 else tint(palette.cloth, 1.15)
    if tie:
        front = _flat([(-thick, base - 0.1), (thick, base - 0.1), (0.34, 4.0), (-0.34, 4.0)])
        canvas.polygon(build.pose.project(front), colour, "cloth")
        _tie(canvas, build, rng)
    outline = [(thick + 0.08, base - 0.3), (0.06, base + 0.12), (0.36, base + 0.38), (thick + 0.26, base)]
    for side in (-1, 1):
        collar = _flat(outline) * (side, 1, 1)
        canvas.polygon(build.pose.project(collar), colour, "cloth")
        canvas.line(build.pose.project(collar[1:3]), tint(colour, 0.7), 0.025 * build.pose.scale, "cloth")


def _pattern(canvas: Canvas, build: _Build, palette: Palette, rng: Generator) -> None:
    """Stripes, upright or across."""
    layer, wide = canvas.picture.copy(), build.wide
    pen, step, upright = ImageDraw.Draw(layer), rng.uniform(0.1, 0.25), rng.random() < 0.5
    for at in np.arange(-wide * 1.1, wide * 1.1, step):
        ends = [(at, 1.3), (at, 4.0)] if upright else [(-2.5, 2.7 + at), (2.5, 2.7 + at)]
        width = max(int(0.4 * step * build.pose.scale), 1)
        pen.line(build.pose.project(_flat(ends)), fill=palette.accent, width=width)
    cloth = Image.fromarray(((np.asarray(canvas.mask) == part_id("cloth")) * 255).astype(np.uint8))
    canvas.picture.paste(layer, (0, 0), cloth)


def _tie(canvas: Canvas, build: _Build, rng: Generator) -> None:
    colour, base, scale = any_colour(rng), build.base, build.pose.scale
    knot = _flat([(-0.13, base + 0.02), (0.13, base + 0.02), (0.085, base + 0.24), (-0.085, base + 0.24)])
    blade = _flat([(-0.08, base + 0.22), (0.08, base + 0.22), (0.26, 4.0), (-0.26, 4.0)])
    canvas.polygon(build.pose.project(blade), colour, "cloth")
    for v in np.arange(base + 0.25, 3.2, 0.16):
        stripe = build.pose.project(_flat([(-0.13, v), (0.13, v + 0.1)]))
        canvas.line(stripe, tint(colour, 0.7), 0.04 * scale, "cloth")
    canvas.polygon(build.pose.project(knot), tint(colour, 0.86), "cloth")
