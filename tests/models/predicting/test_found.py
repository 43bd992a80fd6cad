"""Which pictures a file, a folder, a pattern or a list stands for."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.errors import InputError
from faceinsight.models.predicting import found
from faceinsight.models.predicting.found import find_pictures, printable


def save(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="PNG")
    return str(path)


def test_a_folder_stands_for_the_pictures_below_it_in_the_order_of_their_paths(tmp_path: Path) -> None:
    wanted = [save(tmp_path / name) for name in ("a/2.png", "a/b/1.JPG", "a-c/3.webp", "z.png")]
    for left_out in ("notes.txt", ".hidden.png", ".cache/5.png"):
        save(tmp_path / left_out)
    assert find_pictures(tmp_path) == (wanted, [])
    assert find_pictures(str(tmp_path)) == (wanted, [])


def test_a_cycle_of_links_ends_and_a_folder_that_is_reached_twice_is_read_once(tmp_path: Path) -> None:
    one = save(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert find_pictures(tmp_path) == ([one], [])


def test_a_pattern_is_sorted_and_brackets_in_a_files_own_name_are_no_pattern(tmp_path: Path) -> None:
    files = [save(tmp_path / name) for name in ("1.png", "2.png", "x/3.png")]
    assert find_pictures(f"{tmp_path}/*.png") == (files[:2], [])
    assert find_pictures(f"{tmp_path}/**/*.png")[0] == files
    own = save(tmp_path / "face[1].png")
    assert find_pictures(own) == ([own], [])


def test_a_list_holds_files_folders_and_pictures_and_a_missing_file_is_left_for_the_reader(tmp_path: Path) -> None:
    one, picture, pixels = save(tmp_path / "x" / "1.png"), Image.new("L", (3, 3)), np.zeros((3, 3), np.uint8)
    listed, unlisted = find_pictures([tmp_path / "x", picture, "missing.png", pixels])
    assert unlisted == []
    assert listed[0] == one
    assert listed[1] is picture
    assert listed[2] == "missing.png"
    assert listed[3] is pixels
    assert len(find_pictures(torch.zeros(5, 3, 8, 8))[0]) == 5


@pytest.mark.parametrize("source", ["", "missing.png", "no/*.png", [], {"a": 1}, 3, None, b"photo.jpg"])
def test_a_source_that_stands_for_nothing_is_refused(source: object) -> None:
    with pytest.raises(InputError):
        find_pictures(source)


def test_a_folder_without_pictures_is_refused_with_the_endings_that_count(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"\.jpg"):
        find_pictures(tmp_path)


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, closed = save(tmp_path / "1.png"), Path(save(tmp_path / "closed" / "2.png")).parent
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(found.os, "scandir", refusing)
    listed, (broken,) = find_pictures(tmp_path)
    assert listed == [one]
    assert broken.name == str(closed)
    assert "Permission denied" in str(broken)


def test_names_are_printed_on_one_line_in_utf_8() -> None:
    assert printable("a\nb\r\x1b[31m.jpg") == "a\\nb\\r\\x1b[31m.jpg"
    assert printable("né 😀.jpg") == "né 😀.jpg"
    assert printable(os.fsdecode(b"\xff.jpg")) == "\\xff.jpg"
    printable(os.fsdecode(b"\xff.jpg")).encode()
