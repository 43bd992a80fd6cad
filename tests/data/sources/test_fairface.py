"""FairFace's layout: one value of each category for every face."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from faceinsight.data.sources import source
from faceinsight.data.sources.fairface import FairFace
from faceinsight.knowledge.schema import Schema

HEADER = "file,age,gender,race,service_test"
TRAIN = ["1.jpg,3-9,Female,East Asian,True", "2.jpg,more than 70,Male,White,False", "3.jpg,10-19,Male,Black,False"]
VAL = ["1.jpg,20-29,Female,Latino_Hispanic,True"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training faces and one validation face, whose file has a training face's name."""
    for split, faces in (("train", TRAIN), ("val", VAL)):
        (tmp_path / split).mkdir()
        for line in faces:
            Image.new("RGB", (16, 16)).save(tmp_path / split / line.split(",")[0])
        rows = "".join(f"{split}/{line}\n" for line in faces)
        (tmp_path / f"fairface_label_{split}.csv").write_text(f"{HEADER}\n{rows}")
    return tmp_path


def test_every_face_has_one_age_one_gender_and_one_race(root: Path) -> None:
    table = source("fairface", root).table()
    said = [{table.schema.names[each] for each in (row == 1).nonzero().flatten()} for row in table.labels]
    assert said == [
        {"3-9", "Female", "East Asian"},
        {"more than 70", "Male", "White"},
        {"10-19", "Male", "Black"},
        {"20-29", "Female", "Latino_Hispanic"},
    ]
    assert not (table.labels == 0).any()


def test_the_owners_validation_faces_are_the_test(root: Path) -> None:
    table = FairFace(root=root).table()
    assert table.files == ("train/1.jpg", "train/2.jpg", "train/3.jpg", "val/1.jpg")
    assert [table.split[3], table.split.count("test")] == ["test", 1]


def test_what_the_set_does_not_know_is_undefined_and_said(root: Path) -> None:
    wanted = FairFace(root=root, schema=Schema.from_names(["Smiling", "Female", "3-9"]))
    assert wanted.table().labels.tolist() == [[0, 1, 1], [0, -1, -1], [0, -1, -1], [0, 1, -1]]
    assert "attributes that FairFace does not know are undefined: Smiling" in wanted.notes()


def test_ages_that_a_spreadsheet_took_for_dates_are_repaired_and_counted(root: Path) -> None:
    path = root / "fairface_label_train.csv"
    whole = FairFace(root=root).table().labels
    path.write_text(path.read_text().replace(",3-9,", ",9-Mar,").replace(",10-19,", ",19-Oct,"))
    mangled = FairFace(root=root)
    assert torch.equal(mangled.table().labels, whole)
    assert "ages that a spreadsheet had turned into dates, repaired: 2" in mangled.notes()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("3-9", "3-8", r"train\.csv: age of train/1\.jpg is '3-8'; known are 0-2, 3-9, "),
        ("White", "white", r"train\.csv: race of train/2\.jpg is 'white'; known are White, "),
        ("train/2.jpg", "train/1.jpg", r"train\.csv: train/1\.jpg is listed twice"),
        ("gender", "sex", r"train\.csv: missing columns \['gender'\], got \['file', 'age', 'sex'"),
        ("train/3.jpg", "../3.jpg", r"'\.\./3\.jpg' leads out of"),
        ("train/3.jpg", "train/4.jpg", r"1 \(train/4\.jpg\) of 4 listed images are not in .*'skip' leaves them out"),
    ],
)
def test_a_damaged_list_is_refused_with_its_entry(root: Path, before: str, after: str, message: str) -> None:
    path = root / "fairface_label_train.csv"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        FairFace(root=root).table()


def test_an_empty_list_is_refused(root: Path) -> None:
    (root / "fairface_label_val.csv").write_text("")
    with pytest.raises(ValueError, match=r"fairface_label_val\.csv: No columns"):
        FairFace(root=root).table()


def test_missing_pictures_are_left_out_where_that_is_asked_for(root: Path) -> None:
    (root / "train" / "2.jpg").unlink()
    wanted = FairFace(root=root, missing_images="skip")
    with pytest.warns(UserWarning, match=r"\(train/2\.jpg\) of 4 .*left out"):
        table = wanted.table()
    assert table.files == ("train/1.jpg", "train/3.jpg", "val/1.jpg")
    assert "listed images that are not on disk, left out: 1 (train/2.jpg)" in wanted.notes()


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    message = r"lacks train, val, fairface_label_train.csv, fairface_label_val.csv. FairFace is given out at https://"
    with pytest.raises(FileNotFoundError, match=message):
        FairFace(root=tmp_path).prepare()


@pytest.mark.filterwarnings("ignore:.* listed images are not in .*:UserWarning")  # the sample holds 18,000 of them
def test_the_real_sample_reads(fairface_root: Path) -> None:
    table = FairFace(root=fairface_root, missing_images="skip").table()
    assert (len(table), table.split.count("test")) == (18_000, 2_000)
    assert 700 < table.split.count("val") < 900
    assert ((table.labels == 1).sum(1) == 3).all()
