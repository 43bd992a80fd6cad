"""RAF-DB's layout: one expression for every aligned face, the split in the name."""

from pathlib import Path

import pytest
from PIL import Image

from faceinsight.data.sources import source
from faceinsight.data.sources.rafdb import RAFDB
from faceinsight.knowledge.schema import Schema

LINES = ["train_00001.jpg 5", "train_00002.jpg 1", "train_00003.jpg 7", "test_0001.jpg 4", "test_0002.jpg 6"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training faces and two test faces."""
    for folder in ("EmoLabel", "Image/aligned"):
        (tmp_path / folder).mkdir(parents=True)
    for line in LINES:
        name = line.split()[0].replace(".jpg", "_aligned.jpg")
        Image.new("RGB", (16, 16)).save(tmp_path / "Image" / "aligned" / name)
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(LINES) + "\n")
    return tmp_path


def test_every_face_has_the_expression_of_its_class(root: Path) -> None:
    table = source("rafdb", root).table()
    assert [table.schema.names[row.argmax()] for row in table.labels] == [
        "Sadness",
        "Surprise",
        "Neutral",
        "Happiness",
        "Anger",
    ]
    assert ((table.labels == 1).sum(1) == 1).all()
    assert not (table.labels == 0).any()


def test_the_names_give_the_official_test_faces(root: Path) -> None:
    table = RAFDB(root=root).table()
    assert table.files[0] == "train_00001_aligned.jpg"
    assert [split == "test" for split in table.split] == [False, False, False, True, True]


def test_one_training_face_in_twenty_validates(root: Path) -> None:
    names = [f"train_{number:05}" for number in range(1, 2001)]
    (root / "EmoLabel" / "list_patition_label.txt").write_text("".join(f"{name}.jpg 1\n" for name in names))
    for name in names:
        (root / "Image" / "aligned" / f"{name}_aligned.jpg").touch()
    split = RAFDB(root=root).table().split
    assert 70 < split.count("val") < 130
    assert split.count("test") == 0


def test_what_the_set_does_not_know_is_undefined_and_said(root: Path) -> None:
    wanted = RAFDB(root=root, schema=Schema.from_names(["Bald", "Anger"]))
    assert wanted.table().labels.tolist() == [[0, -1], [0, -1], [0, -1], [0, -1], [0, 1]]
    assert "attributes that RAF-DB does not know are undefined: Bald" in wanted.notes()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("jpg 5", "jpg 8", r"label\.txt: expression of train_00001\.jpg is 8; known are 1, 2, 3, 4, 5, 6, 7"),
        ("jpg 5", "jpg sad", r"label\.txt: train_00001\.jpg has 'sad', a whole number is wanted"),
        ("train_00002", "train_00001", r"label\.txt: train_00001\.jpg is listed twice"),
        ("train_00002", "00002", r"label\.txt: a name begins with train_ or test_, got '00002\.jpg'"),
        ("train_00001", "train_00009", r"1 \(train_00009_aligned\.jpg\) of 5 listed images .*'skip' leaves them out"),
    ],
)
def test_a_damaged_list_is_refused_with_its_entry(root: Path, before: str, after: str, message: str) -> None:
    path = root / "EmoLabel" / "list_patition_label.txt"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        RAFDB(root=root).table()


def test_missing_pictures_are_left_out_where_that_is_asked_for(root: Path) -> None:
    (root / "Image" / "aligned" / "train_00002_aligned.jpg").unlink()
    wanted = RAFDB(root=root, missing_images="skip")
    with pytest.warns(UserWarning, match=r"train_00002_aligned\.jpg\) of 5 .*left out"):
        table = wanted.table()
    assert [table.schema.names[row.argmax()] for row in table.labels[:2]] == ["Sadness", "Neutral"]
    assert "listed images that are not on disk, left out: 1 (train_00002_aligned.jpg)" in wanted.notes()


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    message = r"lacks EmoLabel/list_patition_label.txt, Image/aligned. RAF-DB is given out on request at http://"
    with pytest.raises(FileNotFoundError, match=message):
        RAFDB(root=tmp_path).prepare()
