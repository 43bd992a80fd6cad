"""A table of faces says what is wrong with it before anything is trained."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceinsight.data.batch import FaceBatch
from faceinsight.data.sources.utkface import UTKFace
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "Bangs"])
TABLE = FaceTable(
    schema=SCHEMA,
    root=Path("faces"),
    files=("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
    labels=torch.tensor([[1, -1], [-1, 1], [0, 1], [-1, -1]], dtype=torch.int8),
    split=("train", "test", "train", "val"),
    identity=torch.tensor([5, 6, 5, 7]),
)


def test_rows_of_a_split_are_in_order() -> None:
    assert TABLE.rows("train").tolist() == [0, 2]
    assert TABLE.rows("test").tolist() == [1]
    assert len(TABLE) == 4


def test_a_table_describes_itself_in_one_line() -> None:
    assert TABLE.describe() == (
        "4 faces of 3 people (train 2, val 1, test 1); 2 attributes of 'custom', 12.5% of the labels undefined"
    )


def test_no_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="faces has no rows"):
        FaceTable(SCHEMA, Path("faces"), (), torch.empty(0, 2, dtype=torch.int8), (), torch.empty(0, dtype=torch.int64))


def test_fields_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one row for each face.*'split': 3"):
        replace(TABLE, split=TABLE.split[:3])


def test_a_file_named_twice_is_named() -> None:
    with pytest.raises(ValueError, match=r"'b.jpg' is named again"):
        replace(TABLE, files=("a.jpg", "b.jpg", "b.jpg", "d.jpg"))


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"'test'\], got \['valid'\]"):
        replace(TABLE, split=("train", "test", "train", "valid"))


def test_an_identity_in_two_splits_is_named() -> None:
    with pytest.raises(ValueError, match=r"identity 5 .*test and train"):
        replace(TABLE, identity=torch.tensor([5, 5, 5, 7]))


def test_labels_outside_the_three_values_are_refused() -> None:
    labels = TABLE.labels.clone()
    labels[2, 1] = 2
    with pytest.raises(ValueError, match=r"got 2 for 'Bangs' of face 2"):
        replace(TABLE, labels=labels)


def test_an_empty_split_is_named_when_it_is_asked_for() -> None:
    table = TABLE.select(torch.tensor([0, 2, 3]))
    assert table.rows("val").tolist() == [2]
    with pytest.raises(ValueError, match=r"the 3 faces of faces .*'test'"):
        table.rows("test")


def test_selected_rows_keep_what_belongs_to_them() -> None:
    table = TABLE.select(torch.tensor([3, 0]))
    assert table.files == ("d.jpg", "a.jpg")
    assert table.split == ("val", "train")
    assert table.identity.tolist() == [7, 5]
    assert table.labels.tolist() == [[-1, -1], [1, -1]]


def test_a_mask_is_named_like_its_image() -> None:
    table = replace(TABLE, files=("a.jpg", "b.c.jpeg", "folder/c.jpg", "d"))
    assert [table.mask_name(row) for row in range(4)] == ["a.png", "b.c.png", "folder/c.png", "d.png"]


def test_batches_are_joined_in_order_and_moved_whole() -> None:
    def batch(start: int) -> FaceBatch:
        index = torch.arange(start, start + 2)
        labels = torch.ones(2, 3, dtype=torch.int8)
        return FaceBatch(None, labels, index, features={"image": index.float()[:, None]})

    joined = FaceBatch.cat([batch(0), batch(7)]).to("cpu")
    assert joined.index.tolist() == [0, 1, 7, 8]
    assert joined.features["image"].flatten().tolist() == [0, 1, 7, 8]
    assert joined.images is None
    assert joined.masks is None


def test_file_names_that_are_not_utf_8_are_refused_and_named(tmp_path: Path) -> None:
    for name in (b"26_1_2_ren\xe9.jpg", b"26_1_2_line\nend.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
        with pytest.raises(InputError, match=r"the file name .* rename it"):
            UTKFace(root=tmp_path).table()
        (tmp_path / os.fsdecode(name)).unlink()
