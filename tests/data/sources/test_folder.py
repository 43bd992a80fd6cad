"""A new data set is a short class; whatever is missing or left out is named by what it stands on."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from faceinsight.data.sources.by_name import SOURCES
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.table import FaceSource, Split
from faceinsight.knowledge.schema import Schema


class Moods(FolderSource):
    """Expressions in one CSV file."""

    title, catalog = "Moods", "expw"
    how = "Draw it yourself"
    remarks = (NOT_KNOWN,)

    def wanted(self) -> list[Path]:
        return [self.root / "moods.csv", self.root / "faces"]

    @property
    def images(self) -> Path:
        return self.root / "faces"

    def read(self) -> pd.DataFrame:
        return pd.read_csv(self.root / "moods.csv", index_col="file")

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return ("test" if name.startswith("t") else "train" for name in faces.index)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "faces").mkdir()
    for name in ("a.png", "b.png", "t.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / "faces" / name)
    (tmp_path / "moods.csv").write_text("file,expression\na.png,happy\nb.png,happy\nt.png,sad\n")
    return tmp_path


def test_a_set_of_a_few_lines_is_a_whole_source(root: Path) -> None:
    source = Moods(root=root, schema=Schema.from_names(["sad", "Bald"]))
    table = source.table()
    assert isinstance(source, FaceSource)
    assert (table.files, table.split) == (("a.png", "b.png", "t.png"), ("train", "train", "test"))
    assert table.labels.tolist() == [[-1, 0], [-1, 0], [1, 0]]
    assert table.identity.tolist() == [0, 1, 2]
    assert source.notes() == [NOT_KNOWN, "attributes that Moods does not know are undefined: Bald"]
    assert Moods(root=root).schema == Schema.load("expw")


def test_labels_of_a_set_in_which_everybody_shows_the_attribute_are_labels(root: Path) -> None:
    (root / "moods.csv").write_text("file,expression\na.png,happy\n")
    assert Moods(root=root, schema=Schema.from_names(["happy", "Bald"])).table().labels.tolist() == [[1, 0]]


def test_everything_that_is_missing_is_named_at_once_with_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks moods\.csv, faces"):
        Moods(root=tmp_path).prepare()


def test_listed_images_that_are_not_there_are_refused_or_left_out(root: Path) -> None:
    (root / "faces" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 \(b\.png\) of 3"):
        Moods(root=root).table()
    source = Moods(root=root, missing_images="skip")
    for _ in range(2):
        with pytest.warns(UserWarning, match="left out"):
            assert source.table().files == ("a.png", "t.png")
        assert source.left_out == ("b.png",)


@pytest.mark.parametrize("name", [*SOURCES])
def test_every_set_that_can_be_named_is_built_of_its_folder_alone(name: str, tmp_path: Path) -> None:
    assert isinstance(SOURCES[name](root=tmp_path), FaceSource)
