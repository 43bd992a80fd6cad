"""MAAD-Face's layout: three-valued labels, and people who stay in one split."""

from collections import defaultdict
from pathlib import Path

import pytest
import torch

from faceinsight.data.sources import source
from faceinsight.data.sources.maad import MAADFace
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Male", "Bald"])
HEADER = "Filename,Identity,Male,Young,Bald"
LINES = [
    "n000001/0001_01.jpg,n000001,1,0,-1",
    "n000001/0002_01.jpg,n000001,1,-1,-1",
    "n000002/0001_01.jpg,n000002,-1,1,0",
    "n000003/0001_02.jpg,n000003,0,-1,1",
]
#: As in VGGFace2, where n000001 is one of the test identities.
FOLDERS = {"n000001": "test", "n000002": "train", "n000003": "train"}


def lay_out(root: Path, lines: list[str], folders: dict[str, str], header: str = HEADER) -> Path:
    """A list and an empty file for every face in it."""
    (root / "MAAD_Face.csv").write_text("\n".join([header, *lines]) + "\n")
    for line in lines:
        person, name = line.split(",")[0].split("/")
        place = root / folders.get(person, "") / person
        place.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_out(tmp_path, LINES, FOLDERS)


def test_labels_are_three_valued_and_read_by_name(root: Path) -> None:
    wanted = MAADFace(root=root, schema=SCHEMA)
    table = wanted.table()
    assert table.labels.tolist() == [[1, -1], [1, -1], [-1, 0], [0, 1]]
    assert table.files[0::2] == ("test/n000001/0001_01.jpg", "train/n000002/0001_01.jpg")
    assert "columns that schema 'custom' does not have: Young" in wanted.notes()


def test_the_catalog_s_47_attributes_are_read(tmp_path: Path) -> None:
    names = Schema.load("maad").names
    values = [str(number % 3 - 1) for number in range(47)]
    lay_out(tmp_path, [f"n000007/0001_01.jpg,n000007,{','.join(values)}"], {}, f"Filename,Identity,{','.join(names)}")
    assert source("maad", tmp_path).table().labels.tolist() == [[int(value) for value in values]]


def test_vggface2_s_test_identities_are_the_test(root: Path) -> None:
    wanted = MAADFace(root=root, schema=SCHEMA)
    table = wanted.table()
    assert [split == "test" for split in table.split] == [True, True, False, False]
    assert table.identity.tolist() == [1, 1, 2, 3]
    assert wanted.notes()[0] == "the test identities are VGGFace2's official ones"


@pytest.mark.parametrize("split", ["auto", "hashed"])
def test_without_official_folders_a_person_s_faces_share_the_hash_of_the_person(tmp_path: Path, split: str) -> None:
    people = [f"n{number:06}" for number in range(1, 301)]
    lines = [f"{person}/{face:04}_01.jpg,{person},1,-1,-1" for person in people for face in range(2)]
    wanted = MAADFace(root=lay_out(tmp_path, lines, {}), schema=SCHEMA, split=split)
    table = wanted.table()
    by_person = defaultdict(set)
    for name, each in zip(table.files, table.split, strict=True):
        by_person[name.split("/")[0]].add(each)
    splits = [each for (each,) in by_person.values()]
    assert (len(splits), len(table)) == (300, 600)
    assert 0.7 < splits.count("train") / 300 < 0.9
    assert 0.08 < splits.count("test") / 300 < 0.23
    assert "not VGGFace2's official ones" in wanted.notes()[0]


def test_the_hash_may_be_asked_for_in_vggface2_s_folders(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    flat = MAADFace(root=lay_out(tmp_path_factory.mktemp("flat"), LINES, {}), schema=SCHEMA).table()
    hashed = MAADFace(root=root, schema=SCHEMA, split="hashed").table()
    assert hashed.split == flat.split
    assert flat.files[0] == "n000001/0001_01.jpg"


def test_identities_without_their_letter_are_the_same_people(root: Path) -> None:
    whole = MAADFace(root=root, schema=SCHEMA).table()
    path = root / "MAAD_Face.csv"
    path.write_text(path.read_text().replace(",n00000", ","))
    assert torch.equal(MAADFace(root=root, schema=SCHEMA).table().identity, whole.identity)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("1,0,-1", "2,0,-1", r"MAAD_Face\.csv: Male of n000001/0001_01\.jpg is 2; labels are 1, -1 or 0"),
        ("n000001,1,-1", "n000003,1,-1", r"MAAD_Face\.csv: identity of n000001/0002_01\.jpg is 'n000003'"),
        ("n000001/0002", "n000001/0001", r"MAAD_Face\.csv: n000001/0001_01\.jpg is listed twice"),
        ("n000003/0001", "0001", r"a file is named like n000001/0001_01\.jpg, got '0001_02\.jpg'"),
        ("n000003/0001", "../0001", r"a file is named like n000001/0001_01\.jpg, got '\.\./0001_02\.jpg'"),
        ("n000003/0001", "n000003/../../x/0001", r"leads out of"),
        ("Bald", "Hairless", r"MAAD_Face\.csv: missing columns \['Bald'\] of schema 'custom'"),
        ("Identity", "Person", r"MAAD_Face\.csv: missing columns \['Identity'\]"),
        ("n000002/0001", "n000002/0009", r"1 \(train/n000002/0009_01\.jpg\) of 4 listed images .*'skip' leaves them"),
    ],
)
def test_a_damaged_list_is_refused_with_its_entry(root: Path, before: str, after: str, message: str) -> None:
    path = root / "MAAD_Face.csv"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        MAADFace(root=root, schema=SCHEMA).table()


@pytest.mark.parametrize(
    ("text", "message"), [("", "No columns"), (f"{HEADER}\n", r"MAAD_Face\.csv: no face is listed")]
)
def test_an_empty_list_is_refused(root: Path, text: str, message: str) -> None:
    (root / "MAAD_Face.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        MAADFace(root=root, schema=SCHEMA).table()


def test_a_list_read_in_pieces_is_the_same_list(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Schema.from_names(["Male"])  # whose last face alone would look as if 0 meant no
    whole = MAADFace(root=root, schema=wanted).table()
    monkeypatch.setattr("faceinsight.data.sources.maad.LINES", 1)
    pieces = MAADFace(root=root, schema=wanted).table()
    assert torch.equal(pieces.labels, whole.labels)
    assert (pieces.files, pieces.split) == (whole.files, whole.split)
    path = root / "MAAD_Face.csv"
    path.write_text(path.read_text().replace("-1", "0"))
    with pytest.raises(ValueError, match="are 0 and 1, but 0 means undefined here"):
        MAADFace(root=root, schema=wanted).table()


def test_missing_pictures_are_left_out_where_that_is_asked_for(root: Path) -> None:
    (root / "train" / "n000002" / "0001_01.jpg").unlink()
    (root / "train" / "n000002").rmdir()
    wanted = MAADFace(root=root, schema=SCHEMA, missing_images="skip")
    with pytest.warns(UserWarning, match=r"0001_01\.jpg\) of 4 .*left out"):
        table = wanted.table()
    assert table.labels.tolist() == [[1, -1], [1, -1], [0, 1]]
    assert table.identity.tolist() == [1, 1, 3]
    assert "listed images that are not on disk, left out: 1 (n000002/0001_01.jpg)" in wanted.notes()


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks MAAD_Face.csv, train, test"):
        MAADFace(root=tmp_path, split="official").prepare()
    (tmp_path / "MAAD_Face.csv").write_text(HEADER)
    with pytest.raises(FileNotFoundError, match=r"train, test or .*\(n000001"):
        MAADFace(root=tmp_path).prepare()
