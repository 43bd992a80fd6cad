"""How the drawn faces look: only what can be measured; the rest was looked at."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from faceinsight.data.synthetic import hats
from faceinsight.data.synthetic.canvas import bend, smooth
from faceinsight.data.synthetic.head import Grid, Head, Pose
from faceinsight.data.synthetic.population import Face, face
from faceinsight.data.synthetic.renderer import render
from faceinsight.knowledge.face_parts import part_id

FACES = 40


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Face, np.ndarray, np.ndarray]]:
    made = []
    for index in range(FACES):
        picture, mask = render(face(0, index))
        made.append((face(0, index), np.asarray(picture), np.asarray(mask)))
    return made


def test_a_picture_is_rgb_and_its_mask_holds_the_known_classes(
    drawn: list[tuple[Face, np.ndarray, np.ndarray]],
) -> None:
    for _, picture, mask in drawn:
        assert picture.shape == (96, 96, 3)
        assert mask.shape == (96, 96)
        assert mask.max() <= 18
        assert picture.std() > 8


def test_the_same_face_is_drawn_the_same_twice() -> None:
    first, second = render(face(2, 9)), render(face(2, 9))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_left_is_the_persons_left_as_in_celebamask(drawn: list[tuple[Face, np.ndarray, np.ndarray]]) -> None:
    seen = 0
    for _, _, mask in drawn:
        for left, right in ((4, 5), (6, 7)):
            if (mask == left).any() and (mask == right).any():
                seen += 1
                assert np.nonzero(mask == left)[1].mean() > np.nonzero(mask == right)[1].mean()
    assert seen > FACES / 2


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Eyeglasses", "eyeglasses"),
        ("Wearing_Hat", "hat"),
        ("Wearing_Necklace", "necklace"),
        ("Wearing_Earrings", "earring"),
    ],
)
def test_a_part_is_in_the_mask_when_the_attribute_says_so(name: str, part: str) -> None:
    shown = absent = 0
    for index in range(0, 400, 3):
        someone = face(0, index)
        if absent >= 4 and not someone[name]:
            continue
        found = bool((np.asarray(render(someone)[1]) == part_id(part)).any())
        if someone[name]:
            shown += found
        else:
            assert not found
            absent += 1
        if shown >= 4 and absent >= 4:
            break
    assert shown >= 4


def test_bald_heads_have_no_hair_and_others_do(drawn: list[tuple[Face, np.ndarray, np.ndarray]]) -> None:
    for someone, _, mask in drawn:
        if someone["Bald"]:
            assert not (mask == part_id("hair")).any()
        elif not someone["Wearing_Hat"]:
            assert (mask == part_id("hair")).mean() > 0.01


def test_an_open_mouth_shows_its_inside(drawn: list[tuple[Face, np.ndarray, np.ndarray]]) -> None:
    inside = {True: [], False: []}
    for someone, _, mask in drawn:
        inside[someone["Mouth_Slightly_Open"]].append((mask == part_id("mouth")).sum())
    assert max(inside[False]) == 0
    assert np.median(inside[True]) >= 8


def test_a_necklace_lies_within_the_picture() -> None:
    wearing = [f for f in (face(0, index) for index in range(200)) if f["Wearing_Necklace"]][:12]
    masks = [np.asarray(render(f, 64)[1]) for f in wearing]
    assert len(masks) == 12
    assert np.mean([(mask == part_id("necklace")).any() for mask in masks]) > 0.8


def test_a_hood_never_hides_earrings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hats, "_KINDS", {"hood": 1.0})
    wearing = (f for f in (face(0, index) for index in range(4000)) if f["Wearing_Hat"] and f["Wearing_Earrings"])
    masks = [np.asarray(render(f, 64)[1]) for f in itertools.islice(wearing, 6)]
    assert len(masks) == 6
    assert sum((mask == part_id("earring")).any() for mask in masks) >= 5


def test_one_attribute_alone_changes_the_picture_where_it_should() -> None:
    someone = next(f for f in (face(0, i) for i in range(50)) if not f["Eyeglasses"] and not f["Blurry"])
    wearing = dataclasses.replace(someone, attributes={**someone.attributes, "Eyeglasses": True})
    (plain, plain_mask), (changed, mask) = render(someone), render(wearing)
    touched = np.asarray(mask) == part_id("eyeglasses")
    difference = np.abs(np.asarray(plain, int) - np.asarray(changed, int)).max(axis=2)
    assert touched.any()
    assert difference[touched].mean() > 5 * difference[~touched].mean()
    assert np.array_equal(np.asarray(plain_mask)[~touched], np.asarray(mask)[~touched])


def test_another_size_shows_the_same_face() -> None:
    small, large = (np.asarray(render(face(0, 4), size)[1]) for size in (64, 128))
    again = np.asarray(Image.fromarray(large).resize((64, 64), Image.Resampling.NEAREST))
    assert (small == again).mean() > 0.9


def test_a_head_that_looks_straight_ahead_is_not_moved() -> None:
    grid = Grid(40.0)
    z = Head(face(0, 0)).surface(*grid.axes())
    column, row = Pose(0.0, 0.0, 0.0, 40.0, (0.0, 0.0)).turn(grid, z)
    width, height = grid.size
    np.testing.assert_allclose(column, np.broadcast_to(np.arange(width), (height, width)), atol=1e-2)
    np.testing.assert_allclose(row, np.broadcast_to(np.arange(height)[:, None], (height, width)), atol=1e-2)


@pytest.mark.parametrize("angles", [(0.4, 0.0), (-0.5, 0.15), (0.2, -0.2), (0.0, 0.2)])
def test_turning_shows_the_nearest_point_on_each_ray(angles: tuple[float, float]) -> None:
    """By brute force: project every surface point; what is seen at a pixel is the projected point with most depth."""
    grid = Grid(24.0)
    u, v = grid.axes()
    z = Head(face(0, 0)).surface(u, v)
    pose = Pose(*angles, 0.0, 24.0, (0.0, 0.0))
    column, row = pose.turn(grid, z)
    fine = 6  # points per pixel side
    width, height = grid.size
    x, y = np.meshgrid(np.arange(0, width - 1, 1 / fine), np.arange(0, height - 1, 1 / fine))
    i, j = x.astype(int), y.astype(int)
    a, b = x - i, y - j
    depth = (z[j, i] * (1 - a) + z[j, i + 1] * a) * (1 - b) + (z[j + 1, i] * (1 - a) + z[j + 1, i + 1] * a) * b
    points = np.stack([u[0, 0] + x / 24, v[0, 0] + y / 24, depth], axis=-1).reshape(-1, 3)
    view = pose.rotate(points)
    at = np.rint(grid.flatten(view)).astype(int)
    kept = ((at >= 0) & (at < (width, height))).all(axis=1)
    order = np.argsort(view[kept, 2], kind="stable")  # the nearest is written last
    seen = np.full((height, width, 2), np.nan)
    seen[at[kept][order, 1], at[kept][order, 0]] = np.stack([x.ravel(), y.ravel()], 1)[kept][order]
    inside = (column > 1) & (row > 1) & ~np.isnan(seen[..., 0])
    off = np.hypot(column - seen[..., 0], row - seen[..., 1])[inside]
    assert inside.mean() > 0.6
    assert np.quantile(off, 0.9) < 1.0


def test_smoothing_keeps_the_ends_of_a_line_and_stays_within_its_hull() -> None:
    line = smooth([(0, 0), (1, 2), (3, 0)], rounds=2)
    assert tuple(line[0]) == (0, 0)
    assert tuple(line[-1]) == (3, 0)
    assert line[:, 1].max() < 2


def test_bent_strands_run_from_root_to_tip() -> None:
    root, middle, tip = np.zeros((3, 2)), np.ones((3, 2)), np.full((3, 2), 4.0)
    lines = bend(root, middle, tip, 5)
    np.testing.assert_allclose(lines[:, 0], root)
    np.testing.assert_allclose(lines[:, -1], tip)
    np.testing.assert_allclose(lines[:, 2], 0.25 * 0 + 0.5 * 1 + 0.25 * 4)
