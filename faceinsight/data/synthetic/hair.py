"""Hair: a cap behind the face, the growth over the forehead, curtains behind and locks in front, all made of strands."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from faceinsight.data.synthetic.canvas import Canvas, Colour, noise, smooth, tint
from faceinsight.data.synthetic.head import Array, Grid, Head, Pose
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.scene import Light, Palette

__all__ = ["Haircut"]

Line = NDArray[np.floating]


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
        """Settle the style: volume, parting, waves, fringe."""
        texture = face.person.texture
        own = np.random.default_rng(face.person.seed + 2)
        volume = own.uniform(0.05, 0.2) * (1.25 if texture == "wavy" else 0.9)
        if texture == "wavy" and face.length == 1 and own.random() < 0.3:
            volume += 0.22  # curls stand up
        return cls(
            face, head, palette, light,
            volume=float(volume if face.length else 0.015),
            part=float(own.choice((-0.4, -0.25, 0.0, 0.25, 0.4)) + 0.03 * rng.normal()),
            wave={"wavy": own.uniform(0.045, 0.085), "plain": 0.014}.get(texture, 0.004),
            kinks=float(own.uniform(7, 12)) if texture == "wavy" else 5.0,
            phase=float(own.uniform(0, 6.28)),
            tucked=bool(rng.random() < 0.3),
            fringe=str(own.choice(("full", "swept", "parted", "choppy"))),
            contrast=float(own.uniform(0.1, 0.26)),
        )  # fmt: skip

    def _shade(self, rng: Generator, side: float, depth: float) -> Colour:
        """A strand's colour: lighter towards the light, darker deep inside, and each a little different."""
        sun = self.light.ambient + (1.1 - self.light.ambient) * np.clip(
            0.62 + 0.5 * side * self.light.direction[0], 0, 1.15
        )
        return tint(self.palette.hair, float(sun * depth * (1 + self.contrast * rng.normal())))

    def _wave(self, line: Line, shift: float = 0.0) -> Line:
        """Bend a line sideways, more towards its tip."""
        run = np.linspace(0, 1, len(line))
        bent = line.copy()
        bent[:, 0] += self.wave * np.sin(self.kinks * 2 * run + self.phase + shift) * np.clip(3 * run - 0.4, 0, 1)
        return bent

    def _ribbon(
        self, canvas: Canvas, pose: Pose, inner: Line, outer: Line, rng: Generator, depth: float, count: int
    ) -> None:
        """A mass of hair between two lines that run from root to tip."""
        inner, outer = smooth(inner, rounds=2), smooth(outer, rounds=2)
        inner, outer = self._wave(inner), self._wave(outer, 0.7)
        edge = np.concatenate([inner, outer[::-1]])
        side = float(np.sign(outer[:, 0].mean()))
        canvas.polygon(pose.project(edge), self._shade(rng, side, 0.72 * depth), "hair")
        for share in rng.permutation(np.linspace(-0.02, 1.02, count)):
            strand = (1 - share) * inner + share * outer
            strand = strand + self._wave(strand * 0, 2.5 * share + 0.6 * rng.normal())
            strand[:, 2] = 0
            strand[:, 2] = (1 - share) * inner[:, 2] + share * outer[:, 2]
            cut = len(strand) - rng.integers(0, max(len(strand) // 6, 1) + 1)
            round_ = 0.72 + 0.38 * np.sin(np.pi * np.clip(share, 0, 1)) ** 0.7
            canvas.line(
                pose.project(strand[:cut]),
                self._shade(rng, side, round_ * depth),
                rng.uniform(0.02, 0.05) * pose.scale,
                "hair",
            )

    def behind(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Long hair behind neck and shoulders."""
        if self.face.length < 2:
            return
        reach = 1.25 if self.face.length == 2 else 2.6
        wide = self.head.width + 0.1 + 0.8 * self.volume
        z = -0.35
        for side in (-1, 1):
            inner = np.array([(0, -1.2, z), (0, 0, z), (0, reach, z)], dtype=float)
            outer = np.array(
                [
                    (side * 0.5, -1.2, z),
                    (side * wide, -0.4, z),
                    (side * (wide + 0.1), 0.7, z),
                    (side * (wide + 0.02), reach, z),
                ]
            )
            self._ribbon(canvas, pose, np.repeat(inner, [1, 2, 1], 0), outer, rng, 0.62, 26)

    def cap(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """The skull with its hair, behind the face: always as wide as it is, however the face is turned."""
        head, part = self.head, "hair" if self.face.length else "skin"
        angles = np.linspace(np.pi * 1.04, -0.04 * np.pi, 37)
        rough = 1 + (
            0.05 if self.face.person.texture == "wavy" and self.face.length else 0.012 * self.face.length
        ) * rng.normal(size=37)
        side, up = (head.width + 0.5 * self.volume) / np.cos(pose.yaw), -head.top + self.volume * rough
        skull = np.stack(
            [
                side * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.86,
                0.1 - (up + 0.1) * np.clip(np.sin(angles), -0.2, 1) ** 1.0,
                np.full(37, -0.12),
            ],
            1,
        )
        if not self.face.length:
            canvas.polygon(pose.project(skull), tint(self.palette.skin, 0.45 + 0.35 * self.light.ambient), part)
            return
        canvas.polygon(pose.project(skull), self._shade(rng, 0, 0.6), part)
        for _ in range(150):
            where = rng.uniform(0, 36)
            low = np.array([np.interp(where, np.arange(37), skull[:, axis]) for axis in range(3)])
            root = low * (0.72, 0.72, 1) + (0.1 * self.part, 0, 0)
            lean = np.array([0.12 * rng.normal(), 0.05 * rng.normal(), 0]) * (0.4 + 8 * self.wave)
            strand = smooth(
                np.array([root, (root + low) / 2 + lean, low * rng.uniform(0.97, 1.03) + 0.3 * lean]), rounds=2
            )
            canvas.line(
                pose.project(strand),
                self._shade(rng, float(np.sign(low[0])), rng.uniform(0.7, 1.05)),
                rng.uniform(0.02, 0.045) * pose.scale,
                part,
            )

    def hairline(self, u: Array) -> Array:
        """Lowest ``v`` covered by hair growing on the front of the head, per column."""
        head, face = self.head, self.face
        side = np.abs(u) / head.width
        line = -0.9 - 0.05 * head.child + 0.03 * np.sin(9 * u + self.phase) + 0.1 * (u - self.part) ** 2
        if face["Receding_Hairline"] or (face.person.receding and face.length):
            line = -1.13 - 0.18 * np.exp(-(((np.abs(u) - 0.42) / 0.2) ** 2)) + 0 * u
        sideburn = 0.2 if face.length == 1 else 0.05
        return (line + (sideburn - line) * np.clip((side - 0.74) / 0.2, 0, 1) ** 1.5).astype(np.float32)

    def growth(self, canvas: Canvas, grid: Grid, rng: Generator) -> Array:
        """Hair on the front of the head, painted on the flat sheet; returns where it lies, 0 to 1."""
        u, v = grid.axes()
        if not self.face.length:
            return np.zeros((grid.size[1], grid.size[0]), dtype=np.float32)
        line = self.hairline(u)
        ragged = 0.02 + 0.6 * self.wave
        cover = v < line + ragged * noise(rng, grid.size, 0.05 * grid.density)
        layer = Image.new("RGB", grid.size, self._shade(rng, 0, 0.75))
        pen = ImageDraw.Draw(layer)
        reach = np.linspace(-1.02, 1.02, 240) * self.head.width
        ends = self.hairline(reach[None, :].astype(np.float32))[0]
        for index in rng.permutation(len(reach)):
            end = np.array([reach[index], ends[index] + 0.05 + 0.05 * rng.normal()])
            root = np.array([self.part + 0.35 * (end[0] - self.part), self.head.top - 0.05])
            middle = np.array(
                [
                    0.35 * root[0] + 0.65 * end[0] + 0.1 * np.sign(end[0] - self.part) * abs(end[1] + 0.9),
                    0.5 * root[1] + 0.5 * end[1],
                ]
            )
            strand = self._wave(smooth(np.stack([root, middle, end]), rounds=2), 2 * rng.normal() * 0.4)
            pen.line(
                grid.pixels(strand),
                fill=self._shade(rng, 0, rng.uniform(0.8, 1.1)),
                width=max(int(rng.uniform(0.012, 0.035) * grid.density), 1),
            )
        mask = Image.fromarray((cover * 255).astype(np.uint8))
        if self.face["Bangs"]:
            self._bangs(pen, mask, grid, rng)
        canvas.picture.paste(layer, (0, 0), mask)
        canvas.mask.paste(13, (0, 0), mask)
        return np.asarray(mask, dtype=np.float32) / 255

    def _bangs(self, pen: ImageDraw.ImageDraw, mask: Image.Image, grid: Grid, rng: Generator) -> None:
        """Locks that fall over the forehead: a full, swept, parted or choppy fringe."""
        stencil = ImageDraw.Draw(mask)
        low = -0.36 + 0.05 * rng.normal()
        for at in rng.permutation(np.linspace(-0.86, 0.86, 26)):
            end = {
                "full": low - 0.03 * at**2,
                "swept": low - 0.12 - 0.28 * at * np.sign(self.part + 0.01),
                "parted": low - 0.42 * np.exp(-(((at - self.part) / 0.25) ** 2)) + 0.12 * at**2,
                "choppy": low - 0.08 + 0.13 * rng.normal(),
            }[self.fringe] + 0.03 * rng.normal()
            lean = {"swept": 0.3 * -np.sign(self.part + 0.01), "parted": 0.25 * np.sign(at - self.part)}.get(
                self.fringe, 0.05 * rng.normal()
            )
            root, tip = np.array([0.8 * at - 0.5 * lean, -1.12]), np.array([at + 0.25 * lean, min(end, -0.22)])
            middle = np.array([at - 0.1 * lean, (root[1] + tip[1]) / 2])
            wide = rng.uniform(0.05, 0.09)
            left, right = (
                self._wave(smooth(np.stack([root + (s * wide, 0), middle + (s * wide, 0), tip]), rounds=2))
                for s in (-1, 1)
            )
            lock = grid.pixels(np.concatenate([left, right[::-1]]))
            pen.polygon(lock, fill=self._shade(rng, 0, rng.uniform(0.75, 1.0)))
            stencil.polygon(lock, fill=255)
            for share in (0.25, 0.5, 0.75):
                pen.line(
                    grid.pixels((1 - share) * left + share * right),
                    fill=self._shade(rng, 0, rng.uniform(0.7, 1.15)),
                    width=max(int(0.02 * grid.density), 1),
                )

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
            close = 1.02 if self.tucked else 0.86 + 0.04 * np.sin(self.phase + side)
            inner = np.array([
                (side * 0.62, -0.98, 0.5), (side * 0.8, -0.6, 0.38), (side * close * head.width, -0.1, 0.22), (side * (close + 0.03) * head.width, 0.5, 0.12),
                (side * 0.86 * head.width, 1.1, 0.05), (side * (0.8 if self.face.length == 2 else 0.72), reach, 0.0),
            ])  # fmt: skip
            outer = np.array([
                (side * 0.45, head.top - 0.4 * vol, 0.1), (side * 0.86 * wide, -0.95, 0.0), (side * wide, -0.3, -0.05), (side * (wide + 0.06), 0.5, -0.05),
                (side * (wide + 0.08), 1.1, -0.05), (side * (wide - 0.02), reach, -0.05),
            ])  # fmt: skip
            self._ribbon(canvas, pose, inner, outer, rng, 1.0, 46)
