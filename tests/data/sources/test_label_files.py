"""Labels and splits from files of their own."""

import math
import os
from pathlib import Path

import pytest
import torch

from faceinsight.data.sources.label_files import read_labels, read_splits
from faceinsight.errors import InputError
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
    with pytest.raises(ValueError, match=r"labels.csv .*1 \(9.png\)"):
        read_labels(table, schema, splits)
    splits.write_text("file,fold\n9.png,1\n")
    with pytest.raises(ValueError, match=r"split or partition, got \['fold'\]"):
        read_splits(splits)


def test_an_empty_file_is_refused(table: Path, schema: Schema) -> None:
    table.write_text("")
    with pytest.raises(ValueError, match="the first line is the number of faces"):
        read_labels(table, schema)
    table.write_text("file,Bald,Bangs,Smiling\n")
    with pytest.raises(ValueError, match="No columns to parse"):
        read_labels(table, schema)


def test_booleans_in_a_csv_are_yes_and_no(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("\ufefffile,Bald,Bangs\na.jpg,True,1\nb.jpg,False,-1\n")
    assert read_labels(path, Schema.from_names(["Bald", "Bangs"])).labels.tolist() == [[1, 1], [-1, -1]]


def test_one_column_of_0_and_1_is_refused_and_named_or_said(tmp_path: Path) -> None:
    path, schema = tmp_path / "labels.csv", Schema.from_names(["Bald", "Bangs"])
    path.write_text("file,Bald,Bangs\na.jpg,1,1\nb.jpg,0,-1\n")
    with pytest.raises(InputError, match=r"labels\.csv: .*'Bald' are 0 and 1"):
        read_labels(path, schema)
    assert read_labels(path, schema, undefined=0).labels.tolist() == [[1, 1], [0, -1]]
    assert read_labels(path, schema, undefined=-1).labels.tolist() == [[1, 1], [-1, 0]]


def test_empty_cells_are_undefined_where_that_is_said(tmp_path: Path) -> None:
    path, schema = tmp_path / "labels.csv", Schema.from_names(["Bald", "Bangs"])
    path.write_text("file,Bald,Bangs\na.jpg,1,\nb.jpg,0,NA\nc.jpg,nan,1.0\n")
    with pytest.raises(InputError, match="labels are"):
        read_labels(path, schema)
    assert read_labels(path, schema, undefined=math.nan).labels.tolist() == [[1, 0], [-1, 0], [0, 1]]
    path.write_text("file,Bald,Bangs\na.jpg,1,x\nb.jpg,0,\n")
    with pytest.raises(InputError, match=r"Bangs of a.jpg is 'x'"):
        read_labels(path, schema, undefined=math.nan)


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "", "0123", "1e5"])
def test_names_are_taken_as_they_are_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"file,Bald\n{name},1\nb.jpg,-1\n")
    if name:
        assert read_labels(path, Schema.from_names(["Bald"])).files == (name, "b.jpg")
    else:
        with pytest.raises(InputError, match="line 2 names no file"):
            read_labels(path, Schema.from_names(["Bald"]))


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_a_wrong_separator_is_named(sign: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,Bald,Bangs\na.jpg,1,1\nb.jpg,1,-1\n".replace(",", sign))
    for read in (lambda: read_labels(path, Schema.from_names(["Bald", "Bangs"])), lambda: read_splits(path)):
        with pytest.raises(InputError, match=r"labels\.csv: .*save it with commas"):
            read()
    path.write_text("2\nBald,Bangs\na.jpg,1,1\nb.jpg,1,-1\n")
    with pytest.raises(InputError, match="save it with blanks"):
        read_labels(path, Schema.from_names(["Bald", "Bangs"]))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_named_with_the_file(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,Bald\nrené.jpg,1\nb.jpg,-1\n", encoding=encoding)
    with pytest.raises(InputError, match=r"labels\.csv.* save it as UTF-8"):
        read_labels(path, Schema.from_names(["Bald"]))


def test_a_list_with_a_byte_order_mark_is_read(root: Path, schema: Schema) -> None:
    wanted = read_labels(root / "list_attr_celeba.txt", schema, root / "list_eval_partition.txt")
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (root / name).write_bytes(b"\xef\xbb\xbf" + (root / name).read_bytes())
    read = read_labels(root / "list_attr_celeba.txt", schema, root / "list_eval_partition.txt")
    assert (read.files, read.split) == (wanted.files, wanted.split)
    assert torch.equal(read.labels, wanted.labels)


def test_a_pipe_as_a_list_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="a pipe"):
        read_labels(tmp_path / "labels.csv", Schema.from_names(["Bald"]))
