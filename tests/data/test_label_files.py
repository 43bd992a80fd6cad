"""Labels and splits from files of their own."""

from pathlib import Path

import pytest
import torch

from faceinsight.data.label_files import read_labels, read_splits
from faceinsight.knowledge.schema import Schema
from tests.data.conftest import FACES

CSV = """image_id,Smiling,person,Bangs,Bald,partition
01.png,1,7,-1,1,0
02.png,-1,7,-1,1,1
3.png,0,8,1,-1,2
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(CSV)
    return path


def test_celebas_list_is_read_with_the_splits_of_another(root: Path, schema: Schema) -> None:
    read = read_labels(root / "list_attr_celeba.txt", schema)
    assert read.files == tuple(name for name, *_ in FACES)
    assert read.labels.tolist() == [list(labels) for *_, labels in FACES]
    assert read.split is None
    assert read.split_masks() == {}
    read = read_labels(root / "list_attr_celeba.txt", schema, root / "list_eval_partition.txt")
    masks = read.split_masks()
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"train": 6, "val": 3, "test": 3}
    assert torch.equal(sum(mask.int() for mask in masks.values()), torch.ones(12, dtype=torch.int32))


def test_a_csv_is_read_by_its_column_names(table: Path, schema: Schema) -> None:
    read = read_labels(table, schema)
    assert read.files == ("01.png", "02.png", "3.png")
    assert read.labels.dtype == torch.int8
    assert read.labels.tolist() == [[1, -1, 1], [1, -1, -1], [-1, 1, 0]]
    assert read.split == ("train", "val", "test")


def test_a_csv_without_splits_has_none(table: Path, schema: Schema) -> None:
    table.write_text(CSV.replace("partition", "part"))
    assert read_labels(table, schema).split is None


def test_an_attribute_called_split_is_no_split(table: Path) -> None:
    table.write_text("file,split,Bald\n1,1,-1\n")
    read = read_labels(table, Schema.from_names(["split", "Bald"]))
    assert (read.labels.tolist(), read.split) == ([[1, -1]], None)


def test_a_split_file_says_which_faces_and_in_which_order(table: Path, schema: Schema, tmp_path: Path) -> None:
    subset = tmp_path / "subset_split.csv"
    subset.write_text("file,split\n3.png,train\n01.png,valid\n")
    read = read_labels(table, schema, subset)
    assert (read.files, read.split) == (("3.png", "01.png"), ("train", "val"))
    assert read.labels[:, 0].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Bangs,", "Bang,", r"missing columns \['Bangs'\] of schema 'custom'; columns that the schema does not have: "),
        ("person", "Bald", "the header names a column twice"),
        ("8,1,-1,2", "8,2,-1,2", "Bangs of 3.png is 2; labels are 1, -1 or 0"),
        ("8,1,-1,2", "8,,-1,2", "Bangs of 3.png is ''; labels are 1, -1 or 0"),
        ("8,1,-1,2", "8,1,-1,2,5", "Expected 6 fields in line 4, saw 7"),
        ("-1,2\n", "-1,3\n", r"a split is train, val \(valid\) or test, or 0, 1, 2 for these; got \['3'\]"),
        ("3.png", "01.png", "01.png is listed twice"),
        ("-1", "0", "the labels are 0 and 1, but 0 means undefined here"),
    ],
)
def test_a_damaged_csv_is_named_with_the_entry(table: Path, schema: Schema, old: str, new: str, message: str) -> None:
    assert old in CSV
    table.write_text(CSV.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(table, schema)
    assert str(caught.value).startswith(str(table))


def test_splits_for_faces_without_labels_or_without_a_column_are_refused(
    table: Path, schema: Schema, tmp_path: Path
) -> None:
    splits = tmp_path / "splits.csv"
    splits.write_text("file,split\n9.png,train\n")
    with pytest.raises(ValueError, match=r"labels.csv says nothing about 1 \(9.png\) files"):
        read_labels(table, schema, splits)
    splits.write_text("file,fold\n9.png,1\n")
    with pytest.raises(ValueError, match=r"no column is called split or partition, got \['fold'\]"):
        read_splits(splits)


def test_an_empty_file_is_refused(table: Path, schema: Schema) -> None:
    table.write_text("")
    with pytest.raises(ValueError, match="the first line is the number of faces"):
        read_labels(table, schema)
    table.write_text("file,Bald,Bangs,Smiling\n")
    with pytest.raises(ValueError, match="No columns to parse"):
        read_labels(table, schema)
