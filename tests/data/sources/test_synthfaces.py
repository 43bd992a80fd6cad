"""The drawn data set on disk."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceinsight.data.sources import synthfaces
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.data.synthetic.population import ATTRIBUTES, face, identity_of
from faceinsight.data.synthetic.renderer import VERSION


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def small(root: Path, **settings: int) -> SynthFaces:
    return SynthFaces(root=root, **{"count": 12, "image_size": 32, "workers": 1, "progress": False, **settings})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SynthFaces:
    source = small(tmp_path_factory.mktemp("synthfaces"))
    source.prepare()
    return source


def test_the_folder_has_the_layout_of_celeba(made: SynthFaces) -> None:
    names = [f"{number:06d}.jpg" for number in range(1, 13)]
    lines = (made.folder / "list_attr_celeba.txt").read_text().splitlines()
    assert lines[0] == "12"
    assert tuple(lines[1].split()) == ATTRIBUTES
    assert [line.split()[0] for line in lines[2:]] == names
    values = np.array([[int(value) for value in line.split()[1:]] for line in lines[2:]])
    assert (values == [[1 if f[name] else -1 for name in ATTRIBUTES] for f in (face(0, i) for i in range(12))]).all()
    partition = [line.split() for line in (made.folder / "list_eval_partition.txt").read_text().splitlines()]
    assert [name for name, _ in partition] == names
    assert {number for _, number in partition} == {"0", "1", "2"}
    identity = [line.split() for line in (made.folder / "identity_CelebA.txt").read_text().splitlines()]
    assert [int(number) - 1 for _, number in identity] == [identity_of(index) for index in range(12)]


def test_pictures_and_masks_open_and_agree_in_size(made: SynthFaces) -> None:
    for number in range(1, 13):
        for path, mode in ((f"img_align_celeba/{number:06d}.jpg", "RGB"), (f"masks/{number:06d}.png", "L")):
            with Image.open(made.folder / path) as image:
                image.load()
                assert (image.mode, image.size) == (mode, (32, 32))


def test_more_processes_and_a_larger_count_draw_the_same_files(
    made: SynthFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthfaces, "CHUNK", 5)
    other = small(tmp_path, count=17, workers=2)
    other.prepare()
    mine, theirs = digest(made.folder), digest(other.folder)
    pictures = [name for name in mine if name.endswith((".jpg", ".png"))]
    assert len(pictures) == 24
    assert {name: mine[name] for name in pictures} == {name: theirs[name] for name in pictures}


def test_the_reader_of_celeba_reads_the_faces(made: SynthFaces) -> None:
    table = made.table()
    assert len(table) == 12
    assert table.schema.names == ATTRIBUTES
    assert [(table.root / name).is_file() for name in table.files] == [True] * 12
    assert table.mask_root == made.folder / "masks"
    expected = [[1 if f[name] else -1 for name in ATTRIBUTES] for f in (face(0, i) for i in range(12))]
    assert table.labels.tolist() == expected
    assert {name: len(table.rows(name)) for name in ("train", "val", "test")} == {"train": 5, "val": 3, "test": 4}


def test_a_table_before_prepare_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no drawn faces in .*prepare\(\)"):
        small(tmp_path).table()


def test_a_second_prepare_touches_nothing(made: SynthFaces) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    made.prepare()
    assert before == {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}


def test_other_settings_or_another_version_get_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {small(tmp_path, **one).folder for one in ({}, {"count": 13}, {"seed": 1}, {"image_size": 40})}
    monkeypatch.setattr(synthfaces, "VERSION", VERSION + 1)
    folders.add(small(tmp_path).folder)
    assert len(folders) == 5


def test_the_settings_are_written_beside_the_files(made: SynthFaces) -> None:
    assert json.loads((made.folder / "synthfaces.json").read_text()) == {
        "version": VERSION,
        "seed": 0,
        "count": 12,
        "image_size": 32,
    }


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = synthfaces.write_chunk

    def dying(folder: str, seed: int, image_size: int, first: int, last: int) -> int:
        if first >= 10 and not drawn.count(-1):
            drawn.append(-1)
            raise KeyboardInterrupt
        drawn.append(first)
        return real(folder, seed, image_size, first, last)

    monkeypatch.setattr(synthfaces, "write_chunk", dying)
    monkeypatch.setattr(synthfaces, "CHUNK", 10)
    source = small(tmp_path, count=15)
    with pytest.raises(KeyboardInterrupt):
        source.prepare()
    assert not source.folder.exists()
    source.prepare()
    assert drawn == [0, -1, 10]
    assert len(list((source.folder / "img_align_celeba").iterdir())) == 15
    assert not (source.folder / "chunks").exists()


def test_a_full_disk_leaves_no_half_set_and_says_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthfaces, "write_chunk", full)
    source = small(tmp_path)
    with pytest.raises(OSError, match="No space left") as caught:
        source.prepare()
    assert "the next run goes on from there" in caught.value.__notes__[0]
    assert not source.folder.exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"count": 0}, "SynthFaces: count must be between 1 and 999999, got 0"),
        ({"image_size": 4}, "SynthFaces: image_size must be between 16 and 1024, got 4"),
        ({"seed": -1}, "SynthFaces: seed must be between 0 and 4294967295, got -1"),
        ({"workers": 0}, "SynthFaces: workers must be at least 1 or None for all cores, got 0"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(tmp_path, **setting)
