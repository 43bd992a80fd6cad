"""Faces that are boxes in their pictures: named, cut out, and part of what cached features are known by."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.data.dataset import FaceReader, broken_files
from faceinsight.data.face_box import FaceBox, file_and_box
from faceinsight.data.images import BrokenImageError, read_image, read_mask
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema


def table_of(root: Path, *files: str, **fields: object) -> FaceTable:
    labels = torch.zeros(len(files), 1, dtype=torch.int8)
    split = ("train",) * len(files)
    schema = Schema.from_names(["Bald"])
    return replace(FaceTable(schema, root, files, labels, split, torch.arange(len(files))), **fields)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture of 12 x 10 pixels, each of another colour, and a mask whose classes are its columns."""
    values = np.random.default_rng(0).integers(1, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "two.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.tile(np.arange(12, dtype=np.uint8), (10, 1))).save(tmp_path / "masks" / "two.png")
    return tmp_path


@pytest.mark.parametrize("box", [FaceBox(3, 4, 5, 6), FaceBox(-3, 0, 1, 1)])
@pytest.mark.parametrize("file", ["a.jpg", "folder/a b#1.jpg", "a.jpg#xywh=1,2,3,4"])
def test_a_name_gives_its_file_and_box_again(file: str, box: FaceBox) -> None:
    assert file_and_box(box.name_in(file)) == (file, box)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpg#xywh=1,2,3", "#xywh=1,2,3,4", "a.jpg#xywh=1,2,3,4.jpg"])
def test_other_names_are_whole_pictures(name: str) -> None:
    assert file_and_box(name) == (name, None)


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel wide and high"):
        FaceBox(0, 0, 0, 4)


def test_a_box_is_cut_out_of_picture_and_mask_and_black_outside(root: Path) -> None:
    pixels = np.array(Image.open(root / "two.png")).transpose(2, 0, 1)
    inside = read_image(root / "two.png", image_size=4, edges=(3, 2, 7, 6)).numpy()
    assert np.array_equal(inside, pixels[:, 2:6, 3:7])
    beyond = read_image(root / "two.png", image_size=4, edges=(-1, 8, 3, 12)).numpy()
    assert np.array_equal(beyond[:, :2, 1:], pixels[:, 8:, :3])
    assert not beyond[:, 2:].any()
    assert not beyond[:, :, 0].any()
    assert read_mask(root / "masks" / "two.png", image_size=4, edges=(3, 2, 7, 6))[0].tolist() == [3, 4, 5, 6]


def test_faces_of_one_picture_are_read_apart_with_their_masks(root: Path) -> None:
    table = table_of(root, "two.png#xywh=0,0,4,4", "two.png#xywh=6,4,4,4", "two.png", mask_root=root / "masks")
    reader = FaceReader(image_size=4)
    assert [reader.mask(table, row)[0, 0].item() for row in range(2)] == [0, 6]
    pixels = np.array(Image.open(root / "two.png")).transpose(2, 0, 1)
    for _ in range(2):  # the second time from what was kept
        assert np.array_equal(reader.image(table, 0), pixels[:, :4, :4])
        assert np.array_equal(reader.image(table, 1), pixels[:, 4:8, 6:10])
    assert not torch.equal(reader.image(table, 1), reader.image(replace(table, margin=0.5), 1))


def test_a_box_outside_its_picture_is_a_broken_face(root: Path) -> None:
    table = table_of(root, "two.png#xywh=0,0,4,4", "two.png#xywh=12,0,4,4")
    with pytest.raises(BrokenImageError, match=r"two.png: .*\(12, 0, 16, 4\).*12 x 10"):
        FaceReader(image_size=4).image(table, 1)
    assert list(broken_files(table)) == [1]


def test_the_fingerprint_tells_boxes_and_margins_apart(root: Path) -> None:
    reader = FaceReader(image_size=4)
    boxed = table_of(root, "two.png#xywh=0,0,4,4")
    tables = [boxed, replace(boxed, margin=0.25), table_of(root, "two.png#xywh=0,0,4,5"), table_of(root, "two.png")]
    assert len({reader.fingerprint(table) for table in tables}) == 4


def test_the_fingerprint_of_whole_pictures_is_what_it_was_before_there_were_boxes(root: Path) -> None:
    reader = FaceReader(image_size=4)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (root / "two.png", root / "masks" / "two.png")]
    known = json.dumps([reader.settings, [["two.png", *digests]]], sort_keys=True)
    table = table_of(root, "two.png", mask_root=root / "masks")
    assert reader.fingerprint(table) == hashlib.sha256(known.encode()).hexdigest()
