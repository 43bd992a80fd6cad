"""Where drawn faces stand in their pictures: as aligned photographs do."""

import dataclasses

import numpy as np
import pytest

from faceinsight.data.synthetic import renderer
from faceinsight.data.synthetic.framing import _aligned, _landmarks, draw_pose
from faceinsight.data.synthetic.head import Head, Pose
from faceinsight.data.synthetic.population import face
from faceinsight.data.synthetic.renderer import render
from faceinsight.knowledge.face_parts import part_id

#: Measured on 725 photographs of CelebAMask-HQ: mean row of a part's centre, and its share of the picture, in percent.
REAL = {
    "skin": (55, 25.7),
    "nose": (57, 2.1),
    "left_eye": (47, 0.2),
    "left_brow": (41, 0.4),
    "upper_lip": (72, 0.4),
    "lower_lip": (76, 0.7),
    "hair": (35, 30.4),
}


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return np.stack([np.asarray(render(face(5, 3 * index), 48)[1]) for index in range(60)])


@pytest.mark.parametrize("part", REAL)
def test_a_part_lies_where_it_lies_in_aligned_photographs(part: str, masks: np.ndarray) -> None:
    where = masks == part_id(part)
    centres = [100 * np.nonzero(shown)[0].mean() / 48 for shown in where if shown.any()]
    row, share = REAL[part]
    assert abs(np.mean(centres) - row) < 4
    assert 0.55 * share < 100 * where.mean() < 1.7 * share


def test_the_alignment_finds_a_known_turn_size_and_place() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    angle, scale, place = 0.3, 2.5, np.array([4.0, -1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found_scale, found_angle, found_place = _aligned(points, scale * points @ turn.T + place)
    assert found_scale == pytest.approx(scale)
    assert found_angle == pytest.approx(angle)
    np.testing.assert_allclose(found_place, place, atol=1e-9)


def test_eyes_stay_at_their_height_however_the_head_is_turned() -> None:
    someone = next(f for f in (face(0, i) for i in range(50)) if not f["Wearing_Necklace"])
    head, rng = Head(someone), np.random.default_rng(1)
    rows, yaws = [], []
    for _ in range(60):
        pose = draw_pose(head, someone, rng, 100)
        u, v = np.array([-head.eyes, head.eyes]), np.zeros(2)
        rows.append(pose.flatten(np.stack([u, v, head.surface(u, v)], 1))[:, 1].mean())
        yaws.append(abs(pose.yaw))
    assert np.std(rows) < 4
    assert 0.12 < np.mean(np.array(yaws) > 0.3) < 0.5


def test_the_far_half_of_a_turned_face_is_narrower() -> None:
    near_first = _landmarks(Head(face(0, 0)), 0.6, 0.0)[:, 0]  # turned to the picture's right
    assert near_first[2] - near_first[0] > 1.5 * (near_first[1] - near_first[2])


@pytest.mark.parametrize(("yaw", "near", "far"), [(0.6, "right_eye", "left_eye"), (-0.6, "left_eye", "right_eye")])
def test_the_far_eye_of_a_turned_face_is_foreshortened_in_the_mask(
    yaw: float, near: str, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "draw_pose", lambda head, someone, rng, size: _posed(yaw, size))
    sizes = []
    for index in range(0, 40, 4):
        someone = face(1, index)
        plain = {**someone.attributes, "Eyeglasses": False, "Bangs": False, "Wearing_Hat": False}
        mask = np.asarray(render(dataclasses.replace(someone, attributes=plain, length=1))[1])
        sizes.append([(mask == part_id(part)).sum() for part in (near, far)])
    near_area, far_area = np.sum(sizes, axis=0)
    assert near_area > 1.3 * far_area > 0


def _posed(yaw: float, size: int) -> Pose:
    return Pose(yaw, 0.0, 0.0, 0.29 * size, (0.5 * size - 0.29 * size * float(np.sin(yaw)) * 0.8, 0.48 * size))
