"""CelebA's layout: read by name, and whatever is wrong is named."""

import os
from pathlib import Path

import pytest
import torch

from faceinsight.data.sources.celeba import CelebA
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema
from tests.data.conftest import write

ATTRIBUTES, PARTITION, IDENTITY = "list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    os.utime(path, (0, 0))  # a file of the same length may have been written within one tick of the clock


def test_the_official_split_is_read(root: Path, schema: Schema) -> None:
    table = CelebA(root=root, schema=schema).table()
    assert (len(table), table.files[0], table.root.name) == (12, "01.png", "img_align_celeba")
    assert table.labels[6].tolist() == [-1, 1, 0]
    assert [len(table.rows(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    assert table.identity.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 7]
    assert table.mask_root is None


def test_columns_are_matched_by_name_in_any_order_and_others_left_out(root: Path, schema: Schema) -> None:
    source = CelebA(root=root, schema=Schema.from_names(["Smiling", "Bald"]))
    assert torch.equal(source.table().labels, CelebA(root=root, schema=schema).table().labels[:, [2, 0]])
    assert source.unused_columns == ("Bangs",)
    assert "columns that schema 'custom' does not have: Bangs" in source.notes()


def test_a_missing_column_is_named_beside_the_unknown_ones(root: Path) -> None:
    source = CelebA(root=root, schema=Schema.from_names(["Bald", "Fringe", "Smiling"]))
    with pytest.raises(ValueError, match=r"\['Fringe'\].*'custom'.*\['Bangs'\]"):
        source.table()


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    message = (
        r"lacks list_attr_celeba.txt, list_eval_partition.txt, img_align_celeba. "
        r"CelebA is given out at https://mmlab"
    )
    with pytest.raises(FileNotFoundError, match=message):
        CelebA(root=tmp_path).prepare()
    with pytest.raises(FileNotFoundError, match=r"lacks list_attr_celeba.txt, subset_split.csv"):
        CelebA(root=tmp_path, split="subset", mask_folder="masks").prepare()


def test_the_owners_own_folders_are_looked_into(root: Path, schema: Schema) -> None:
    for folder, name in (("Anno", ATTRIBUTES), ("Eval", PARTITION), ("Anno", IDENTITY), ("Img", "img_align_celeba")):
        (root / folder).mkdir(exist_ok=True)
        (root / name).rename(root / folder / name)
    assert len(CelebA(root=root, schema=schema).table()) == 12


def test_a_subset_restricts_the_faces_and_gives_the_splits(root: Path, schema: Schema) -> None:
    (root / "subset_split.csv").write_text("file,split\n03.png,valid\n01.png,train\n11.png,test\n")
    table = CelebA(root=root, schema=schema).table()
    assert (table.files, table.split) == (("03.png", "01.png", "11.png"), ("val", "train", "test"))
    assert table.labels.tolist() == [[-1, 1, 1], [1, -1, 1], [-1, 1, 1]]
    assert table.identity.tolist() == [2, 1, 7]
    assert len(CelebA(root=root, schema=schema, split="official").table()) == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,split\n01.png,dev\n", r"a split is train, val \(valid\) or test, .* got \['dev'\]"),
        ("name,part\n01.png,train\n", r"no column is called split or partition, got \['part'\]"),
        ("file,split\n01.png,train\n01.png,test\n", "01.png is listed twice"),
        ("file,split\n77.png,train\n", r"list_attr_celeba.txt says nothing about 1 \(77.png\) files"),
        ("", "No columns to parse"),
    ],
)
def test_a_wrong_subset_is_explained(root: Path, schema: Schema, text: str, message: str) -> None:
    (root / "subset_split.csv").write_text(text)
    (root / "img_align_celeba" / "77.png").touch()
    with pytest.raises(ValueError, match=message):
        CelebA(root=root, schema=schema).table()


def test_listed_images_that_are_not_there_are_counted_and_named(root: Path, schema: Schema) -> None:
    for name in ("02.png", "12.png"):
        (root / "img_align_celeba" / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"\(02.png, 12.png\) of 12 .*'skip'"):
        CelebA(root=root, schema=schema).table()
    source = CelebA(root=root, schema=schema, missing_images="skip")
    with pytest.warns(UserWarning, match=r"\(02.png, 12.png\) of 12 .*left out"):
        table = source.table()
    assert len(table) == 10
    assert table.labels[1].tolist() == [-1, 1, 1]
    assert "listed images that are not on disk, left out: 2 (02.png, 12.png)" in source.notes()


def test_files_that_are_not_listed_are_not_read(root: Path, schema: Schema) -> None:
    (root / "img_align_celeba" / "extra.png").touch()
    assert "extra.png" not in CelebA(root=root, schema=schema).table().files


def test_masks_are_found_or_named(root: Path, schema: Schema) -> None:
    assert CelebA(root=root, schema=schema, mask_folder="masks").table().mask_root == root / "masks"
    (root / "masks" / "05.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"\(05.png\) of 12 parsing masks"):
        CelebA(root=root, schema=schema, mask_folder="masks").table()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (ATTRIBUTES, "01.png  1", "01.png  2", "Bald of 01.png is 2; labels are 1, -1 or 0"),
        (ATTRIBUTES, "01.png  1 -1", "01.png  1 yes", "Bangs of 01.png is .yes.; labels are 1, -1 or 0"),
        (ATTRIBUTES, "12.png -1 -1  1\n", "12.png -1 -1", "Smiling of 12.png is ''; labels are"),
        (ATTRIBUTES, "12.png -1 -1  1\n", "", "11 rows, but its first line says 12; get the file again"),
        (ATTRIBUTES, "02.png  1", "02.png  1 1", "Expected 4 fields in line 4, saw 5"),
        (ATTRIBUTES, "01.png  1", "01.png  1 1", "each line has a file name and 3 values, got 4"),
        (ATTRIBUTES, "02.png", "01.png", "01.png is listed twice"),
        (ATTRIBUTES, "12\n", "file\n", "the first line is the number of faces, got 'file'"),
        (ATTRIBUTES, "Bald Bangs", "Bald Bald Bangs", "the header names a column twice"),
        (PARTITION, "05.png 0", "05.png 3", r"a partition is 0 \(train\), 1 \(validation\) or 2 \(test\), got \[3\]"),
        (IDENTITY, "05.png 3", "05.png x", "05.png has 'x', a whole number is wanted"),
        (IDENTITY, "05.png 3\n", "", r"identity_CelebA.txt says nothing about 1 \(05.png\) files"),
        (IDENTITY, "07.png 4", "07.png 3", "identity 3 has faces in train and val"),
    ],
)
def test_a_damaged_list_is_named_with_the_entry(
    root: Path, schema: Schema, file: str, old: str, new: str, message: str
) -> None:
    change(root / file, old, new)
    with pytest.raises(ValueError, match=message):
        CelebA(root=root, schema=schema).table()


def test_labels_written_as_0_and_1_are_not_taken_for_undefined(root: Path, schema: Schema) -> None:
    (root / ATTRIBUTES).write_text((root / ATTRIBUTES).read_text().replace("-1", " 0"))
    with pytest.raises(ValueError, match="0 means undefined here"):
        CelebA(root=root, schema=schema).table()


def test_a_changed_file_is_parsed_again(root: Path, schema: Schema) -> None:
    assert CelebA(root=root, schema=schema).table().labels[0, 0] == 1
    change(root / ATTRIBUTES, "01.png  1", "01.png -1")
    assert CelebA(root=root, schema=schema).table().labels[0, 0] == -1


def test_a_listed_name_that_leads_out_of_the_folder_is_refused(root: Path, schema: Schema) -> None:
    for name in (ATTRIBUTES, PARTITION, IDENTITY):
        change(root / name, "01.png", "../x.png")
    (root / "x.png").touch()
    with pytest.raises(ValueError, match=r"'../x.png' leads out of"):
        CelebA(root=root, schema=schema).table()


def test_the_real_sample_is_read(celeba_root: Path) -> None:
    source = CelebA(root=celeba_root)
    table = source.table()
    assert [len(table.rows(split)) for split in ("train", "val", "test")] == [7096, 964, 970]
    assert source.notes()[0].startswith("list_attr_celeba.txt is the public annotation of CelebA")
    lines = (celeba_root / ATTRIBUTES).read_text().splitlines()
    for row in (0, 4567, len(table) - 1):
        number = int(table.files[row].removesuffix(".jpg"))
        words = lines[number + 1].split()  # two lines stand before the first face
        assert words[0] == table.files[row]
        named = dict(zip(lines[1].split(), map(int, words[1:]), strict=True))
        assert [named[name] for name in table.schema.names] == table.labels[row].tolist()


def as_csv(path: Path, header: str, skip: int = 0) -> None:
    """Turn a list into the CSV that Kaggle's copy has."""
    lines = [",".join(line.split()) for line in path.read_text().splitlines()[skip:]]
    write(path.with_suffix(".csv"), [header, *lines])
    path.unlink()


def test_kaggles_copy_is_read_without_identities_and_says_so(root: Path, schema: Schema) -> None:
    wanted = CelebA(root=root, schema=schema).table()
    as_csv(root / "list_attr_celeba.txt", "image_id," + ",".join(schema.names), skip=2)
    as_csv(root / "list_eval_partition.txt", "image_id,partition")
    (root / "identity_CelebA.txt").unlink()
    (root / "img_align_celeba").rename(root / "images")
    (root / "img_align_celeba").mkdir()
    (root / "images").rename(root / "img_align_celeba" / "img_align_celeba")
    source = CelebA(root=root, schema=schema)
    with pytest.warns(UserWarning, match="no identity_CelebA.txt"):
        table = source.table()
    assert (table.files, table.split) == (wanted.files, wanted.split)
    assert torch.equal(table.labels, wanted.labels)
    assert table.identity.tolist() == list(range(12))
    assert (table.root / table.files[0]).is_file()
    assert any("its own identity" in note for note in source.notes())


def test_torchvisions_folder_is_looked_into(root: Path, schema: Schema) -> None:
    wanted = CelebA(root=root, schema=schema).table()
    (root.parent / "torch").mkdir()
    root.rename(root.parent / "torch" / "celeba")
    table = CelebA(root=root.parent / "torch", schema=schema).table()
    assert (table.files, table.identity.tolist()) == (wanted.files, wanted.identity.tolist())


@pytest.mark.parametrize("folder", ["img_align_celeba", "img_align_celeba_png"])
def test_copies_of_the_images_in_another_format_are_found(folder: str, root: Path, schema: Schema) -> None:
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"):
        (root / name).write_text((root / name).read_text().replace(".png", ".jpg"))
    if folder != "img_align_celeba":
        (root / "img_align_celeba").rename(root / folder)
    source = CelebA(root=root, schema=schema)
    table = source.table()
    assert table.files[:2] == ("01.png", "02.png")
    assert table.identity.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 7]
    assert any("another format" in note for note in source.notes())


def test_labels_of_0_and_1_are_refused_or_said(root: Path, schema: Schema) -> None:
    path = root / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("-1", " 0"))
    with pytest.raises(InputError, match=r"list_attr_celeba\.txt: .*0 and 1"):
        CelebA(root=root, schema=schema).table()
    assert CelebA(root=root, schema=schema, undefined=0).table().labels.min() == 0
    assert CelebA(root=root, schema=schema, undefined=-1).table().labels.unique().tolist() == [-1, 1]
