"""Hair in layers, from the back to the front: a curtain behind the neck, the crown, growth on the head, locks.

Every layer is a mass with strands on it.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image

from faceinsight.data.synthetic.canvas import Canvas, bend, noise, smooth, tint
from faceinsight.data.synthetic.fringe import bangs
from faceinsight.data.synthetic.haircut import Haircut
from faceinsight.data.synthetic.head import Array, Grid, Number, Pose
from faceinsight.knowledge.face_parts import part_id

__all__ = ["behind", "crown", "growth", "locks"]


def _ribbon(
    canvas: Canvas, pose: Pose, cut: Haircut, sides: tuple[Array, Array], rng: Generator, depth: Number, count: int
) -> None:
    """Draw a mass of hair between two lines, ``inner`` and ``outer``, that run from root to tip."""
    inner, outer = (smooth(line, rounds=2) for line in sides)
    side = float(np.sign(outer[:, 0].mean()))
    edge = np.concatenate([cut.waved(inner), cut.waved(outer, 0.7)[::-1]])
    canvas.polygon(pose.project(edge), cut.ink(side, 0.68 * depth), "hair")
    share = rng.permutation(np.linspace(0, 1, count))
    shape = share[:, None, None]
    lines = cut.waved((1 - shape) * inner + shape * outer, 0.7 * share + 0.35 * rng.normal(size=count))
    lines = lines + rng.normal(0, 0.015, (count, 1, 3)) * (1, 0, 0)
    # strands end unevenly: points past the cut fall together on it
    keep = len(inner) - 1 - rng.integers(0, max(len(inner) // 7, 1) + 1, count)
    index = np.minimum(np.arange(len(inner))[None, :], keep[:, None])
    lines = np.take_along_axis(lines, index[..., None], axis=1)
    tress = 0.07 * np.sin(rng.uniform(9, 25) * share + cut.phase)  # strands lie together in tresses
    body = depth * (0.7 + 0.4 * np.sin(np.pi * share) ** 0.7 + tress)
    widths = rng.uniform(0.012, 0.045, count) * pose.scale
    canvas.strands(pose.flatten(lines), cut.inks(rng, side, body), widths, "hair")


def behind(canvas: Canvas, pose: Pose, cut: Haircut, rng: Generator) -> None:
    """Long hair behind neck and shoulders, or a knot on top of the head."""
    if cut.gathered:
        _knot(canvas, pose, cut, rng)
    if cut.face.length < 2:
        return
    reach = 1.25 if cut.face.length == 2 else 2.6
    wide, z = cut.head.width + 0.05 + cut.spread, -0.35
    for side in (-1, 1):
        inner = np.array([(0, -1.2, z), (0, -0.2, z), (0, 0.8, z), (0, reach, z)])
        outer = np.array(
            [(0.5, -1.2, z), (0.9 * wide, -0.4, z), (wide + 0.05, 0.7, z), (wide, reach, z)]
        ) * (side, 1, 1)  # fmt: skip
        _ribbon(canvas, pose, cut, (inner, outer), rng, 0.6, 30)


def _knot(canvas: Canvas, pose: Pose, cut: Haircut, rng: Generator) -> None:
    """Hair gathered above, seen over the crown."""
    at, radius = np.array([0.25 * cut.part, cut.head.top - rng.uniform(0.0, 0.2), -0.35]), rng.uniform(0.3, 0.5)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = at + radius * np.stack([np.cos(angles), 0.8 * np.sin(angles), 0 * angles], 1)
    canvas.polygon(pose.project(ring), cut.ink(0, 0.6), "hair")
    start, end = ring[rng.integers(0, 24, 40)], ring[rng.integers(0, 24, 40)]
    lines = bend(start, at + 0.8 * (0.5 * (start + end) - at), end, 6)
    inks = cut.inks(rng, 0.0, rng.uniform(0.7, 1.0, 40))
    canvas.strands(pose.flatten(lines), inks, np.full(40, 0.03 * pose.scale), "hair")


def crown(canvas: Canvas, pose: Pose, cut: Haircut, rng: Generator) -> None:
    """Draw the skull with its hair, behind the face: always as wide as it is, however the face is turned."""
    head, count, strands = cut.head, 37, 170
    angles = np.linspace(np.pi * 1.04, -0.04 * np.pi, count)
    cos, sin = np.cos(angles), np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** 0.85
    wavy = cut.face.person.texture == "wavy"
    rough = 1 + (0.22 if wavy else 0.07) * (cut.face.length > 0) * rng.normal(size=count)
    lopsided = 1 + 0.25 * np.sign(cut.part) * cos  # more of it on one side of the parting
    side = (head.width + (0.25 if cut.gathered else 0.6) * cut.volume) / np.cos(pose.yaw)
    up = -head.top + cut.volume * rough * lopsided * (0.4 if cut.gathered else 1.0)
    skull = np.stack([side * np.sign(cos) * np.abs(cos) ** 0.8, 0.1 - (up + 0.1) * sin, np.full(count, -0.15)], 1)
    if not cut.face.length:
        canvas.polygon(pose.project(skull), tint(cut.palette.skin, 0.45 + 0.35 * cut.light.ambient), "skin")
        return
    canvas.polygon(pose.project(skull), cut.ink(0, 0.6), "hair")
    where = rng.uniform(0, count - 1, strands)
    tip = np.stack([np.interp(where, np.arange(count), skull[:, axis]) for axis in range(3)], 1)
    root = tip * (0.72, 0.72, 1) + (0.1 * cut.part, 0, 0)
    lean = rng.normal(0, 1, (strands, 3)) * (0.12, 0.05, 0) * (0.35 + 7 * cut.wave)
    ends = tip * rng.uniform(0.97, 1.03, (strands, 1)) + 0.3 * lean
    lines = bend(root, (root + tip) / 2 + lean, ends, 6)
    inks = cut.inks(rng, np.sign(tip[:, 0]), rng.uniform(0.7, 1.05, strands))
    canvas.strands(pose.flatten(lines), inks, rng.uniform(0.012, 0.04, strands) * pose.scale, "hair")


def growth(canvas: Canvas, grid: Grid, cut: Haircut, rng: Generator) -> Array:
    """Hair on the front of the head, painted on the flat sheet; returns where it lies, 0 to 1."""
    u, v = grid.axes()
    if not cut.face.length:
        return np.zeros(grid.size[::-1], dtype=np.float32)
    ragged = (0.02 + 0.5 * cut.wave) * noise(rng, grid.size, 0.05 * grid.density)
    mask = Image.fromarray(((v < cut.hairline(u) + ragged) * 255).astype(np.uint8))
    layer = Canvas(Image.new("RGB", grid.size, cut.ink(0, 0.75)), mask)
    count = 190
    reach = rng.permutation(np.linspace(-1.02, 1.02, count)) * cut.head.width
    end = np.stack([reach, cut.hairline(reach) + 0.05 + 0.05 * rng.normal(size=count)], 1)
    root = np.stack([cut.part + 0.35 * (reach - cut.part), np.full(count, cut.head.top - 0.05)], 1)
    if cut.gathered:  # combed back from the face
        root = np.stack([0.45 * reach, np.full(count, cut.head.top - 0.05)], 1)
    swell = 0.1 * np.sign(reach - cut.part) * np.abs(end[:, 1] + 0.9)
    middle = np.stack([0.35 * root[:, 0] + 0.65 * reach + swell, 0.5 * (root[:, 1] + end[:, 1])], 1)
    lines = cut.waved(bend(root, middle, end), 0.6 * rng.normal(size=count))
    inks = cut.inks(rng, 0.0, rng.uniform(0.8, 1.1, count))
    layer.strands(grid.flatten(lines), inks, rng.uniform(0.012, 0.045, count) * grid.density)
    if cut.face["Bangs"]:
        bangs(layer, grid, cut, rng)
    canvas.picture.paste(layer.picture, (0, 0), mask)
    canvas.mask.paste(part_id("hair"), (0, 0), mask)
    return np.asarray(mask, dtype=np.float32) / 255


def locks(canvas: Canvas, pose: Pose, cut: Haircut, rng: Generator) -> None:
    """Hair that frames the face and falls beside it."""
    if cut.face.length < 2:
        return
    head, vol = cut.head, cut.volume
    reach = 1.2 if cut.face.length == 2 else rng.uniform(1.9, 2.6)
    tip = 0.8 if cut.face.length == 2 else 0.72
    for side, sweep in zip((-1, 1), cut.sweep, strict=True):
        wide = head.width + 0.05 + cut.spread
        # the near side of a turned head shows more hair; the far side hides behind the cheek
        wide = wide / max(np.cos(pose.yaw), 0.85) if side * pose.yaw < 0 else wide * (1 - 0.25 * abs(pose.yaw))
        close, shown = head.width * sweep, rng.uniform(0.75, 1.05)
        inner = [
            (0.5 * sweep, -1.0, 0.55), (0.82 * close, -0.6, 0.42), (close, -0.1, 0.22), (close + 0.02, 0.5, 0.12),
            (0.86 * close, 1.1, 0.05), (tip * sweep, reach * shown, 0.0),
        ]  # fmt: skip
        outer = [
            (0.45, head.top - 0.5 * vol, 0.1), (0.5 * (wide + 0.8), -0.95, 0.0), (0.92 * wide, -0.3, -0.05),
            (wide + 0.03, 0.5, -0.05), (wide + 0.05, 1.1, -0.05), (wide - 0.05, reach * shown, -0.05),
        ]  # fmt: skip
        curves = np.array(inner) * (side, 1, 1), np.array(outer) * (side, 1, 1)
        _ribbon(canvas, pose, cut, curves, rng, 1.0, 80)
