"""What years and moods write on skin: wrinkles, folds, creases and a second chin."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from faceinsight.data.synthetic.head import Array, Grid, Head, Number
from faceinsight.data.synthetic.population import Face

__all__ = ["lines"]


class _Pen:
    """Draws lines given in head coordinates, in shades of darkness."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.image = grid, Image.new("L", grid.size)
        self._draw = ImageDraw.Draw(self.image)

    def line(self, points: Array | Sequence[tuple[Number, Number]], dark: Number, width: Number = 0.0) -> None:
        thick = max(int(width * self.grid.density), 1)
        self._draw.line(self.grid.pixels(np.array(points)), fill=int(min(dark, 255)), width=thick, joint="curve")

    def both(self, points: Sequence[tuple[Number, Number]], dark: Number, width: Number = 0.0) -> None:
        """On both halves of the face."""
        for side in (-1, 1):
            self.line(np.array(points) * (side, 1), dark, width)

    def darkness(self, blur: Number = 0.0) -> Array:
        image = self.image.filter(ImageFilter.GaussianBlur(blur * self.grid.density)) if blur else self.image
        return np.asarray(image, dtype=np.float32) / 255


def lines(head: Head, face: Face, grid: Grid, rng: Generator) -> list[tuple[Array, float]]:
    """Return maps of darkness ``[height, width]`` from 0 to 1, each with its strength: soft folds and fine wrinkles."""
    age = max(face.person.years - 30, 0) / 50
    soft, fine = _Pen(grid), _Pen(grid)
    _folds(soft, head, face, age)
    _forehead(soft, face, age, rng)
    for foot in range(int(5 * age)):  # crow's feet
        fall = 0.05 * (foot - 1.5)
        start = (head.eyes + 0.22, 0.02 + fall)
        fine.both([start, (start[0] + 0.13, start[1] + fall)], 190 * age + 40)
    if face["Double_Chin"]:
        x = np.linspace(-0.5, 0.5, 9)
        soft.line(np.stack([x, head.chin - 0.13 - 0.5 * x**2], 1), 255, 0.05)
    return [(soft.darkness(0.014), 0.46), (fine.darkness(), 0.35)]


def _folds(pen: _Pen, head: Head, face: Face, age: float) -> None:
    """From nose to mouth, jowls, under the eyes, and between knitted brows."""
    start = (0.17 * head.nose + 0.05, head.nose_tip - 0.02)
    end = (0.41 + 0.09 * head.smile, head.mouth + 0.02 + 0.12 * age)
    middle = (0.35 + 0.1 * head.smile, (start[1] + end[1]) / 2 - 0.03)
    pen.both([start, middle, end], 255 * min(0.25 + 0.55 * age + 0.5 * head.smile, 1), 0.035)
    if age > 0.35:
        pen.both([(0.44, head.mouth + 0.1), (0.5, head.mouth + 0.3)], 190 * age, 0.03)
    if face["Bags_Under_Eyes"]:
        low = [(head.eyes - 0.16, 0.11), (head.eyes - 0.03, 0.21), (head.eyes + 0.14, 0.16)]
        pen.both(low, 215, 0.03)
    if face["Angry"]:
        pen.both([(0.06, -0.34), (0.075, -0.16)], 235, 0.035)


def _forehead(pen: _Pen, face: Face, age: float, rng: Generator) -> None:
    raised = 1.5 if face["Surprised"] and face.person.age != "Child" else 0
    for row in range(int(4.9 * age + raised)):
        x = np.linspace(-0.5, 0.5, 9) * rng.uniform(0.8, 1.1)
        wave = -0.48 - 0.11 * row + 0.015 * rng.normal(size=9) + 0.05 * x**2
        pen.line(np.stack([x, wave], 1), 130 + 125 * min(age, 1), 0.022)
