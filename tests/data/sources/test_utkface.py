"""UTKFace's layout: the labels stand in the names."""

from pathlib import Path

import pytest
from PIL import Image

from faceinsight.data.sources import source
from faceinsight.data.sources.utkface import UTKFace, age_in_years
from faceinsight.knowledge.schema import Schema
from tests.conftest import real_data

#: The last two lack a field and have a race that there is not.
NAMES = [
    "100_1_0_20170110183726390.jpg.chip.jpg",
    "1_0_4_20161219140623097.jpg.chip.jpg",
    "24_0_1_20170116220224657 .jpg.chip.jpg",
    "55_0_3_20170116232725357jpg.chip.jpg",
    "61_1_20170109150557335.jpg.chip.jpg",
    "9_1_5_20170109150557335.jpg.chip.jpg",
]
LEFT_OUT = (
    r"2 \(61_1_20170109150557335\.jpg\.chip\.jpg, 9_1_5_\d+\.jpg\.chip\.jpg\) pictures of .* do not say age, gender"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four faces with all labels, two without, and a file that is no picture."""
    for name in NAMES:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "readme.txt").touch()
    return tmp_path


def test_age_gender_and_race_are_read_from_the_names(root: Path) -> None:
    with pytest.warns(UserWarning, match=f"{LEFT_OUT} and race"):
        table = source("utkface", root).table()
    said = [{table.schema.names[each] for each in (row == 1).nonzero().flatten()} for row in table.labels]
    assert table.files == tuple(NAMES[:4])
    assert said == [
        {"more than 70", "Female", "White"},
        {"0-2", "Male", "Others"},
        {"20-29", "Male", "Black"},
        {"50-59", "Male", "Indian"},
    ]
    assert not (table.labels == 0).any()


@pytest.mark.filterwarnings("ignore:.* do not say age, gender and race:UserWarning")
def test_what_was_left_out_and_what_is_not_known_is_in_the_notes(root: Path) -> None:
    wanted = UTKFace(root=root, schema=Schema.from_names(["Smiling", "Female"]))
    assert wanted.table().labels.tolist() == [[0, 1], [0, -1], [0, -1], [0, -1]]
    assert "attributes that UTKFace does not know are undefined: Smiling" in wanted.notes()
    assert wanted.notes()[-1].startswith("left out: 2 (61_1_20170109150557335.jpg.chip.jpg, ")


def test_the_age_of_a_face_is_known_in_years() -> None:
    assert [age_in_years(name) for name in NAMES[:4]] == [100, 1, 24, 55]
    for name in [*NAMES[4:], "117_0_0_20170109150557335.jpg", "-1_0_0_1.jpg", "000001.jpg"]:
        with pytest.raises(ValueError, match="does not say an age"):
            age_in_years(name)


def test_the_archive_s_own_folder_is_looked_into(root: Path) -> None:
    (root / "UTKFace").mkdir()
    (root / NAMES[0]).rename(root / "UTKFace" / NAMES[0])
    assert UTKFace(root=root).table().files == (NAMES[0],)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no pictures\. UTKFace .*https://"):
        UTKFace(root=tmp_path).prepare()
    with pytest.raises(FileNotFoundError, match="nowhere has no pictures"):
        UTKFace(root=tmp_path / "nowhere").prepare()


def test_the_real_sample_reads(tmp_path: Path) -> None:
    table = source("utkface", real_data("utkface", tmp_path)).table()
    assert len(table) == 2_200
    assert 270 < table.split.count("test") < 390
    assert ((table.labels == 1).sum(1) == 3).all()
    years, ages = [age_in_years(name) for name in table.files], table.schema.groups["age"]
    for label, (first, last) in zip(ages.labels, ages.years[:-1], strict=False):
        shown = (table.labels[:, table.schema.index(label)] == 1).tolist()
        assert shown == [first <= each <= last for each in years]
