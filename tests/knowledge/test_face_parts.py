"""The parts of a face: CelebAMask-HQ's own ids and colours."""

import pytest

from faceinsight.knowledge.face_parts import FACE_PARTS, MIRRORED, PALETTE, part_id


def test_the_parts_and_colours_are_those_of_celebamask_hq() -> None:
    assert len(FACE_PARTS) == len(PALETTE) == len(set(PALETTE)) == 19
    assert [FACE_PARTS[number] for number in (0, 4, 10, 13, 18)] == ["background", "left_eye", "mouth", "hair", "cloth"]
    assert PALETTE[part_id("hair")] == (0, 0, 204)


def test_each_part_is_found_at_its_own_id() -> None:
    assert [part_id(name) for name in FACE_PARTS] == list(range(19))


def test_in_a_mirror_eyes_brows_and_ears_change_places_and_nothing_else_does() -> None:
    assert MIRRORED == (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)


def test_a_part_that_is_none_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(ValueError, match=r"'hatt'; did you mean 'hat' or 'hair'"):
        part_id("hatt")
    with pytest.raises(ValueError, match=r"mean 'background' or .*'cloth'"):
        part_id("zzz")
