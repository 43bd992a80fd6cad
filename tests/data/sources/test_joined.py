"""Several data sets as one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.sources.joined import JoinedFaces
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema

WANTED = Schema.from_names(["Smiling", "Bald", "Tall"])


class Tall:
    """The same faces as a second data set below the first one's folder, which knows one thing only."""

    def __init__(self, *, root: Path) -> None:
        (root / "tall").mkdir(exist_ok=True)
        self.celeba = CelebA(root=root, schema=Schema.from_names(["Bald"]))
        self.root = root

    def prepare(self) -> None:
        for name in self.celeba.table().files:
            (self.root / "tall" / name).write_bytes((self.root / "img_align_celeba" / name).read_bytes())

    def table(self) -> FaceTable:
        table = self.celeba.table()
        return replace(table, root=self.root / "tall", schema=Schema.from_names(["Tall"]), labels=-table.labels)

    def notes(self) -> list[str]:
        return ["how tall was guessed"]


@pytest.fixture
def joined(root: Path, schema: Schema) -> JoinedFaces:
    return JoinedFaces(sources=[CelebA(root=root, schema=schema), Tall(root=root)], schema=WANTED)


def test_each_source_fills_what_it_knows(joined: JoinedFaces) -> None:
    joined.prepare()
    table = joined.table()
    first, second = joined.sources
    smiling_bald, tall = first.table().labels[:, [2, 0]], second.table().labels
    assert table.labels[:12].tolist() == [[*row, 0] for row in smiling_bald.tolist()]
    assert table.labels[12:].tolist() == [[0, 0, *row] for row in tall.tolist()]
    assert table.split == first.table().split * 2


def test_nobody_is_in_two_data_sets(joined: JoinedFaces) -> None:
    joined.prepare()
    who = joined.table().identity
    assert torch.equal(who[:12], torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6]))
    assert torch.equal(who[12:], who[:12] + 7)


def test_the_pictures_are_those_of_the_sources(joined: JoinedFaces) -> None:
    joined.prepare()
    assert joined.table().files[12] == "tall/01.png"
    (batch,) = FaceDataModule(source=joined, image_size=16, batch_size=24).faces_dataloader()
    torch.testing.assert_close(batch.images[:, 0, 8, 8] * 255, 10.0 * torch.arange(1, 13).repeat(2))


def test_of_sources_for_training_only_the_training_faces_are_taken(root: Path, schema: Schema) -> None:
    joined = JoinedFaces(sources=[CelebA(root=root, schema=schema)], training=[Tall(root=root)], schema=WANTED)
    joined.prepare()
    table = joined.table()
    assert table.files[12:] == tuple(f"tall/0{number}.png" for number in range(1, 7))
    assert set(table.split[12:]) == {"train"}
    assert [len(table.rows(split)) for split in ("train", "val", "test")] == [12, 3, 3]


def test_notes_are_those_of_every_source(joined: JoinedFaces) -> None:
    assert joined.notes() == ["how tall was guessed"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Smiling", "Tall", "Weary", "Old"], "no source knows Weary, Old of schema 'custom'"),
        (["Smiling", "Bald"], "the faces of .*tall have no label of schema 'custom'"),
    ],
)
def test_what_cannot_be_learnt_or_is_of_no_use_is_refused(root: Path, names: list[str], message: str) -> None:
    sources = [CelebA(root=root, schema=Schema.from_names(["Bald", "Bangs", "Smiling"])), Tall(root=root)]
    with pytest.raises(ValueError, match=message):
        JoinedFaces(sources=sources, schema=Schema.from_names(names)).table()


def test_the_margin_of_boxes_is_kept_and_two_are_refused(joined: JoinedFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    joined.prepare()
    first, second = joined.sources
    cut = replace(first.table(), margin=0.25)
    monkeypatch.setattr(first, "table", lambda: cut)
    assert joined.table().margin == 0.25
    other = replace(second.table(), margin=0.5)
    monkeypatch.setattr(second, "table", lambda: other)
    with pytest.raises(ValueError, match=r"one margin .*\[0.25, 0.5\]"):
        joined.table()


def test_no_sources_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one source"):
        JoinedFaces(sources=[], schema=WANTED)
