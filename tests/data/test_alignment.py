"""Eyes and nose land where a model expects them."""

import math

import numpy as np
import pytest
from PIL import Image

from faceinsight.data.alignment import FIVE, aligned, similarity


def spots(angle: float, size: float, across: float = 300, down: float = 250) -> tuple[Image.Image, list]:
    """Return a picture with a white spot at each landmark of a face of this size and turn."""
    turn = complex(math.cos(angle), math.sin(angle)) * size
    points = [turn * complex(x - 0.5, y - 0.5) + complex(across, down) for x, y in FIVE]
    rows, columns = np.mgrid[:500, :600] + 0.5
    light = sum(np.exp(-((columns - p.real) ** 2 + (rows - p.imag) ** 2) / 2 / (0.03 * size) ** 2) for p in points)
    grey = Image.fromarray((255 * np.minimum(light, 1)).astype(np.uint8))
    return grey.convert("RGB"), [(p.real, p.imag) for p in points]


@pytest.mark.parametrize(("degrees", "size"), [(0, 60), (0, 300), (25, 200), (90, 120), (180, 220)])
def test_landmarks_lie_at_their_places_at_every_size_and_turn(degrees: float, size: float) -> None:
    picture, points = spots(math.radians(degrees), size)
    square = np.asarray(aligned(picture, points, image_size=150, margin=0.25).convert("L")).astype(float)
    assert square.shape == (150, 150)
    for x, y in FIVE:
        column, row = 150 * (x + 0.25) / 1.5, 150 * (y + 0.25) / 1.5
        around = square[int(row) - 5 : int(row) + 6, int(column) - 5 : int(column) + 6]
        weights = around - around.min()
        rows, columns = np.mgrid[:11, :11] + 0.5
        assert int(row) - 5 + (rows * weights).sum() / weights.sum() == pytest.approx(row, abs=1)
        assert int(column) - 5 + (columns * weights).sum() / weights.sum() == pytest.approx(column, abs=1)


def test_a_face_at_the_edge_is_black_where_the_picture_ends() -> None:
    picture = Image.new("RGB", (100, 100), (255, 255, 255))
    points = [(100 * x - 50, 100 * y) for x, y in FIVE]
    square = np.asarray(aligned(picture, points, image_size=150, margin=0.25))
    assert not square[75, :60].any()
    assert square[75, -40:].min() > 250


def test_the_similarity_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    turn, shift = similarity([*map(tuple, one.tolist())], [*map(tuple, other.tolist())])
    rows = [[x, -y, 1, 0] for x, y in one] + [[y, x, 0, 1] for x, y in one]
    wanted = np.linalg.lstsq(np.array(rows), np.concatenate([other[:, 0], other[:, 1]]), rcond=None)[0]
    assert [turn.real, turn.imag, shift.real, shift.imag] == pytest.approx(wanted.tolist())
