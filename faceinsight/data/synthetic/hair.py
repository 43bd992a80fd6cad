"""Hair: a cap behind the face, growth over the forehead, curtains behind and locks in front, all made of strands."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, Colour, bend, noise, smooth, tint
from faceinsight.data.synthetic.head import Array, Grid, Head, Number, Pose
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Light, Palette

__all__ = ["Haircut"]


@dataclass(frozen=True)
class Haircut:
    """The hair of one picture; each method draws one layer, from the back to the front."""

    face: Face
    head: Head
    palette: Palette
    light: Light
    volume: float
    part: float
    wave: float
    kinks: float
    phase: float
    tucked: bool
    fringe: str
    contrast: float

    @classmethod
    def draw(cls, face: Face, head: Head, palette: Palette, light: Light, rng: Generator) -> "Haircut":
        """Settle the style: volume, parting, waves, fringe. All but tucking belongs to the person."""
        texture = face.person.texture
        own = default_rng(face.person.seed + 2)
        volume = own.uniform(0.05, 0.2) * (1.25 if texture == "wavy" else 0.9)
        if texture == "wavy" and face.length == 1 and own.random() < 0.3:
            volume += 0.22  # curls stand up
        return cls(
            face, head, palette, light,
            volume=float(volume if face.length else 0.015),
            part=float(own.choice((-0.4, -0.25, 0.0, 0.25, 0.4)) + 0.03 * rng.normal()),
            wave={"wavy": float(own.uniform(0.05, 0.095)), "plain": 0.014}.get(texture, 0.003),
            kinks=float(own.uniform(7, 12)) if texture == "wavy" else 5.0,
            phase=float(own.uniform(0, 6.28)),
            tucked=bool(rng.random() < 0.3),
            fringe=str(own.choice(("full", "swept", "parted", "choppy"))),
            contrast=float(own.uniform(0.1, 0.24)),
        )  # fmt: skip

    def _inks(self, rng: Generator, side: Array | Number, depth: Array) -> Array:
        """Colours of strands: lighter towards the light, darker deep inside, and each a little different."""
        turn = np.clip(0.62 + 0.5 * np.asarray(side) * self.light.direction[0], 0, 1.15)
        sun = self.light.ambient + (1.1 - self.light.ambient) * turn
        factor = sun * depth * (1 + self.contrast * np.clip(rng.normal(size=depth.shape), -2, 2))
        return np.clip(factor[..., None] * np.array(self.palette.hair, dtype=float), 0, 255).astype(int)

    def _ink(self, side: Number, depth: Number) -> Colour:
        sun = self.light.ambient + (1.1 - self.light.ambient) * float(
            np.clip(0.62 + 0.5 * side * self.light.direction[0], 0, 1.15)
        )
        return tint(self.palette.hair, sun * depth)

    def _wave(self, lines: Array, shift: Array | Number = 0.0) -> Array:
        """Bend lines ``[..., point, axis]`` sideways, more towards their tips."""
        run = np.linspace(0, 1, lines.shape[-2])
        bent = lines.copy()
        phase = self.kinks * 2 * run + self.phase + np.asarray(shift)[..., None]
        bent[..., 0] += self.wave * np.sin(phase) * np.clip(3 * run - 0.3, 0, 1)
        return bent

    def _ribbon(
        self, canvas: Canvas, pose: Pose, sides: tuple[Array, Array], rng: Generator, depth: Number, count: int
    ) -> None:
        """A mass of hair between two lines, ``inner`` and ``outer``, that run from root to tip."""
        inner, outer = (smooth(line, rounds=2) for line in sides)
        side = float(np.sign(outer[:, 0].mean()))
        edge = np.concatenate([self._wave(inner), self._wave(outer, 0.7)[::-1]])
        canvas.polygon(pose.project(edge), self._ink(side, 0.68 * depth), "hair")
        share = rng.permutation(np.linspace(0, 1, count))
        shape = share[:, None, None]
        lines = self._wave((1 - shape) * inner + shape * outer, 0.7 * share + 0.35 * rng.normal(size=count))
        lines = lines + rng.normal(0, 0.012, (count, 1, 3)) * (1, 0, 0)
        # strands end unevenly: points past the cut fall together on it
        keep = len(inner) - 1 - rng.integers(0, max(len(inner) // 7, 1) + 1, count)
        index = np.minimum(np.arange(len(inner))[None, :], keep[:, None])
        lines = np.take_along_axis(lines, index[..., None], axis=1)
        body = depth * (0.7 + 0.4 * np.sin(np.pi * share) ** 0.7)
        canvas.strands(
            pose.flatten(lines), self._inks(rng, side, body), rng.uniform(0.02, 0.05, count) * pose.scale, "hair"
        )

    def behind(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Long hair behind neck and shoulders."""
        if self.face.length < 2:
            return
        reach = 1.25 if self.face.length == 2 else 2.6
        wide, z = self.head.width + 0.1 + 0.8 * self.volume, -0.35
        for side in (-1, 1):
            inner = np.array([(0, -1.2, z), (0, -0.2, z), (0, 0.8, z), (0, reach, z)])
            outer = np.array([(0.5, -1.2, z), (wide, -0.4, z), (wide + 0.1, 0.7, z), (wide + 0.02, reach, z)]) * (
                side,
                1,
                1,
            )
            self._ribbon(canvas, pose, (inner, outer), rng, 0.6, 30)

    def cap(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """The skull with its hair, behind the face: always as wide as it is, however the face is turned."""
        head, count = self.head, 37
        angles = np.linspace(np.pi * 1.04, -0.04 * np.pi, count)
        cos, sin = np.cos(angles), np.clip(np.sin(angles), -0.2, 1)
        wavy = self.face.person.texture == "wavy"
        rough = 1 + (0.26 if wavy else 0.07) * (self.face.length > 0) * rng.normal(size=count)
        side, up = (head.width + 0.5 * self.volume) / np.cos(pose.yaw), -head.top + self.volume * rough
        skull = np.stack([side * np.sign(cos) * np.abs(cos) ** 0.86, 0.1 - (up + 0.1) * sin, np.full(count, -0.12)], 1)
        if not self.face.length:
            canvas.polygon(pose.project(skull), tint(self.palette.skin, 0.45 + 0.35 * self.light.ambient), "skin")
            return
        canvas.polygon(pose.project(skull), self._ink(0, 0.6), "hair")
        where = rng.uniform(0, count - 1, 150)
        tip = np.stack([np.interp(where, np.arange(count), skull[:, axis]) for axis in range(3)], 1)
        root = tip * (0.72, 0.72, 1) + (0.1 * self.part, 0, 0)
        lean = rng.normal(0, 1, (150, 3)) * (0.12, 0.05, 0) * (0.35 + 7 * self.wave)
        ends = tip * rng.uniform(0.97, 1.025, (150, 1)) + 0.3 * lean
        lines = bend(root, (root + tip) / 2 + lean, ends, 6)
        inks = self._inks(rng, np.sign(tip[:, 0]), rng.uniform(0.7, 1.05, 150))
        canvas.strands(pose.flatten(lines), inks, rng.uniform(0.02, 0.045, 150) * pose.scale, "hair")

    def hairline(self, u: Array) -> Array:
        """Lowest ``v`` covered by hair growing on the front of the head, per column."""
        head, face = self.head, self.face
        side = np.abs(u) / head.width
        line = -0.9 - 0.05 * head.child + 0.03 * np.sin(9 * u + self.phase) + 0.1 * (u - self.part) ** 2
        if face.person.receding:
            line = -1.1 - 0.2 * np.exp(-(((np.abs(u) - 0.42) / 0.2) ** 2))
        sideburn = 0.2 if face.length == 1 else 0.05
        return line + (sideburn - line) * np.clip((side - 0.74) / 0.2, 0, 1) ** 1.5

    def growth(self, canvas: Canvas, grid: Grid, rng: Generator) -> Array:
        """Hair on the front of the head, painted on the flat sheet; returns where it lies, 0 to 1."""
        u, v = grid.axes()
        if not self.face.length:
            return np.zeros(grid.size[::-1], dtype=np.float32)
        cover = v < self.hairline(u) + (0.02 + 0.5 * self.wave) * noise(rng, grid.size, 0.05 * grid.density)
        mask = Image.fromarray((cover * 255).astype(np.uint8))
        layer = Canvas(Image.new("RGB", grid.size, self._ink(0, 0.75)), mask)
        count = 220
        reach = rng.permutation(np.linspace(-1.02, 1.02, count)) * self.head.width
        end = np.stack([reach, self.hairline(reach) + 0.05 + 0.05 * rng.normal(size=count)], 1)
        root = np.stack([self.part + 0.35 * (reach - self.part), np.full(count, self.head.top - 0.05)], 1)
        swell = 0.1 * np.sign(reach - self.part) * np.abs(end[:, 1] + 0.9)
        middle = np.stack([0.35 * root[:, 0] + 0.65 * reach + swell, 0.5 * (root[:, 1] + end[:, 1])], 1)
        lines = self._wave(bend(root, middle, end), 0.6 * rng.normal(size=count))
        inks = self._inks(rng, 0.0, rng.uniform(0.8, 1.1, count))
        layer.strands(grid.flatten(lines), inks, rng.uniform(0.012, 0.035, count) * grid.density)
        if self.face["Bangs"]:
            self._bangs(layer, grid, rng)
        canvas.picture.paste(layer.picture, (0, 0), mask)
        canvas.mask.paste(13, (0, 0), mask)
        return np.asarray(mask, dtype=np.float32) / 255

    def _bangs(self, layer: Canvas, grid: Grid, rng: Generator) -> None:
        """Locks that fall over the forehead, a full, swept, parted or choppy fringe; the layer's mask is a stencil."""
        stencil = ImageDraw.Draw(layer.mask)
        count, low, lead = 26, -0.36 + 0.05 * rng.normal(), 1.0 if self.part < 0 else -1.0
        at = rng.permutation(np.linspace(-0.86, 0.86, count))
        ends = {
            "full": low - 0.03 * at**2,
            "swept": low - 0.12 + 0.28 * at * lead,
            "parted": low - 0.42 * np.exp(-(((at - self.part) / 0.25) ** 2)) + 0.12 * at**2,
            "choppy": low - 0.08 + 0.13 * rng.normal(size=count),
        }[self.fringe] + 0.03 * rng.normal(size=count)
        lean = {"swept": 0.3 * lead + 0 * at, "parted": 0.25 * np.sign(at - self.part)}.get(
            self.fringe, 0.05 * rng.normal(size=count)
        )
        root, tip = (
            np.stack([0.8 * at - 0.5 * lean, 0 * at - 1.12], 1),
            np.stack([at + 0.25 * lean, np.minimum(ends, -0.22)], 1),
        )
        middle = np.stack([at - 0.1 * lean, (root[:, 1] + tip[:, 1]) / 2], 1)
        wide = rng.uniform(0.05, 0.09, (count, 1)) * (1, 0)
        left, right = (self._wave(bend(root + s * wide, middle + s * wide, tip)) for s in (-1, 1))
        locks = grid.flatten(np.concatenate([left, right[:, ::-1]], axis=1)).reshape(count, -1).tolist()
        base = self._inks(rng, 0.0, rng.uniform(0.72, 1.0, count))
        fine = [grid.flatten((1 - share) * left + share * right) for share in (0.2, 0.4, 0.6, 0.8)]
        for number, lock in enumerate(locks):
            layer.polygon(lock, tuple(base[number].tolist()))
            stencil.polygon(lock, fill=255)
            inks = self._inks(rng, 0.0, rng.uniform(0.75, 1.12, 4))
            layer.strands(np.stack([line[number] for line in fine]), inks, np.full(4, 0.02 * grid.density))

    def locks(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Hair that frames the face and falls beside it."""
        if self.face.length < 2:
            return
        head, vol = self.head, self.volume
        reach = 1.2 if self.face.length == 2 else rng.uniform(1.9, 2.6)
        for side in (-1, 1):
            wide = head.width + 0.08 + 0.8 * vol
            # the near side of a turned head shows more hair; the far side hides behind the cheek
            wide = wide / max(np.cos(pose.yaw), 0.85) if side * pose.yaw < 0 else wide * (1 - 0.25 * abs(pose.yaw))
            close = head.width * (1.02 if self.tucked else 0.86 + 0.04 * np.sin(self.phase + side))
            tip = 0.8 if self.face.length == 2 else 0.72
            inner = [
                (0.62, -0.98, 0.5), (0.8, -0.6, 0.38), (close, -0.1, 0.22), (close + 0.03, 0.5, 0.12),
                (0.86 * head.width, 1.1, 0.05), (tip, reach, 0.0),
            ]  # fmt: skip
            outer = [
                (0.45, head.top - 0.4 * vol, 0.1), (0.86 * wide, -0.95, 0.0), (wide, -0.3, -0.05),
                (wide + 0.06, 0.5, -0.05), (wide + 0.08, 1.1, -0.05), (wide - 0.02, reach, -0.05),
            ]  # fmt: skip
            curves = np.array(inner) * (side, 1, 1), np.array(outer) * (side, 1, 1)
            self._ribbon(canvas, pose, curves, rng, 1.0, 54)
