"""What people wear: clothes, neckties, necklaces, earrings, glasses and hats (and the neck and ears they sit on)."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.canvas import Canvas, Colour, smooth, tint
from faceinsight.data.synthetic.head import Head, Pose
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Light, Palette, any_colour

__all__ = ["body", "earrings", "ears", "glasses", "hat"]


def _flat(points: list[tuple[float, float]], z: float = 0.0) -> np.ndarray:
    return np.array([(u, v, z) for u, v in points], dtype=float)


def body(canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light, rng: Generator) -> None:
    """Neck, shoulders, cloth, and what hangs round a neck."""
    still = Pose(0.35 * pose.yaw, 0.0, 0.35 * pose.roll, pose.scale, pose.centre)
    thick = 0.5 + 0.09 * head.male - 0.08 * head.child + 0.06 * max(head.fat, 0)
    wide = 1.75 + 0.3 * head.male - 0.3 * head.child
    base = 1.95
    dim = light.ambient + 0.5 * (1 - light.ambient)
    top = pose.project(_flat([(-thick, 0.7), (thick, 0.7)], -0.15))
    low = still.project(
        _flat(
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
        still.project(_flat([(lit * 0.12, base + 0.2)]))[0],
        pose.project(_flat([(lit * 0.2, 0.9)]))[0],
    ]
    canvas.polygon(edge, tint(palette.skin, 1.02), None, alpha=int(130 * abs(light.direction[0])))
    chin = Image.new("L", canvas.picture.size)
    v = np.linspace(0.3, head.chin, 16)
    half = head.half_width(v.astype(np.float32))
    jaw = np.concatenate([np.stack([half, v + 0.26, 0 * v], 1), np.stack([-half, v + 0.26, 0 * v], 1)[::-1]])
    ImageDraw.Draw(chin).polygon(pose.project(jaw), fill=255)
    canvas.darken(chin.filter(ImageFilter.GaussianBlur(0.07 * pose.scale)), ("neck",), 0.62)
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
    canvas: Canvas, face: Face, pose: Pose, palette: Palette, thick: float, wide: float, base: float, rng: Generator
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
    canvas.polygon(pose.project(_flat(neckline + shoulder)), palette.cloth, "cloth")
    if rng.random() < 0.3:
        _pattern(canvas, pose, palette, wide, rng)
    canvas.line(pose.project(_flat(neckline)), tint(palette.cloth, 0.66), 0.05 * pose.scale, "cloth")
    for side in (-1, 1):
        fold = _flat([(side * wide * 0.5, base + 0.2), (side * wide * 0.62, base + 0.9)])
        canvas.line(pose.project(fold), tint(palette.cloth, 0.75), 0.08 * pose.scale, None, alpha=120)
    if kind == "shirt":
        white = (
            tint((236, 236, 238), rng.uniform(0.75, 1.0))
            if face["Wearing_Necktie"] or rng.random() < 0.5
            else tint(palette.cloth, 1.15)
        )
        front = _flat([(-thick, base - 0.1), (thick, base - 0.1), (0.34, 4.0), (-0.34, 4.0)])
        if face["Wearing_Necktie"]:
            canvas.polygon(pose.project(front), white, "cloth")
            _tie(canvas, pose, palette, base, rng)
        for side in (-1, 1):
            collar = _flat(
                [
                    (side * (thick + 0.08), base - 0.3),
                    (side * 0.06, base + 0.12),
                    (side * 0.36, base + 0.38),
                    (side * (thick + 0.26), base),
                ]
            )
            canvas.polygon(pose.project(collar), white, "cloth")
            canvas.line(pose.project(collar[1:3]), tint(white, 0.7), 0.025 * pose.scale, "cloth")


def _pattern(canvas: Canvas, pose: Pose, palette: Palette, wide: float, rng: Generator) -> None:
    layer = canvas.picture.copy()
    pen = ImageDraw.Draw(layer)
    step, upright = rng.uniform(0.1, 0.25), rng.random() < 0.5
    for at in np.arange(-wide * 1.1, wide * 1.1, step):
        ends = [(at, 1.5), (at, 4.0)] if upright else [(-2.5, 2.9 + at), (2.5, 2.9 + at)]
        pen.line(pose.project(_flat(ends)), fill=palette.accent, width=max(int(0.4 * step * pose.scale), 1))
    cloth = Image.fromarray(((np.asarray(canvas.mask) == 18) * 255).astype(np.uint8))
    canvas.picture.paste(layer, (0, 0), cloth)


def _tie(canvas: Canvas, pose: Pose, palette: Palette, base: float, rng: Generator) -> None:
    colour = any_colour(rng)
    knot = _flat([(-0.13, base + 0.02), (0.13, base + 0.02), (0.085, base + 0.24), (-0.085, base + 0.24)])
    blade = _flat([(-0.08, base + 0.22), (0.08, base + 0.22), (0.26, 4.0), (-0.26, 4.0)])
    canvas.polygon(pose.project(blade), colour, "cloth")
    for v in np.arange(base + 0.25, 3.2, 0.16):
        canvas.line(pose.project(_flat([(-0.13, v), (0.13, v + 0.1)])), tint(colour, 0.7), 0.04 * pose.scale, "cloth")
    canvas.polygon(pose.project(knot), tint(colour, 0.86), "cloth")


def _necklace(canvas: Canvas, pose: Pose, palette: Palette, thick: float, base: float, rng: Generator) -> None:
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
        at = pose.project(_flat([(side * (head.width + 0.06), 0.56)], -0.02))[0]
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
    """Frames, lenses (clear, tinted or dark), a reflection, and the arms. As in CelebAMask-HQ the class covers the lenses."""
    frame: Colour = ((22, 20, 22), (90, 52, 28), (196, 168, 96), (190, 192, 198), (140, 30, 40), (40, 60, 120))[
        rng.choice(6, p=(0.42, 0.2, 0.12, 0.14, 0.06, 0.06))
    ]
    wide, high = rng.uniform(0.27, 0.34), rng.uniform(0.19, 0.29)
    power, thick = float(rng.choice((2.0, 2.6, 4.5))), rng.uniform(0.03, 0.075)
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


def hat(canvas: Canvas, head: Head, pose: Pose, volume: float, rng: Generator) -> None:
    """A baseball cap, a beanie, a brimmed hat or a beret."""
    kind, colour = str(rng.choice(("cap", "beanie", "brim", "beret"), p=(0.36, 0.28, 0.26, 0.1))), any_colour(rng)
    wide, low = head.width + 0.08 + 0.5 * volume, -0.66
    tall = {"cap": -1.66, "beanie": -1.78, "brim": -1.78, "beret": -1.5}[kind] - 0.3 * volume
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
        reach, out = (1.55, 0.84) if kind == "cap" else (1.5, 1.62)
        edge = np.stack(
            [out * wide * x, low + 0.14 - 0.1 * x**2 + 0 * x, 0.1 + reach * np.sqrt(np.clip(1 - x**2, 0, 1)) * 0.92], 1
        )
        rim = np.concatenate([edge, front[::-1] * (0.84 if kind == "cap" else 1.0, 1, 1)]) if kind == "cap" else edge
        if kind == "brim":
            back = np.stack([out * wide * x[::-1], low - 0.1 + 0.06 * x[::-1] ** 2, 0 * x], 1)
            rim = np.concatenate([edge, back])
        canvas.polygon(pose.project(rim), tint(colour, 0.82), "hat")
        canvas.line(pose.project(edge), tint(colour, 0.6), 0.04 * pose.scale, "hat")
