"""Photographs with parsing masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.images import BrokenImageError
from faceinsight.data.inspection.check import check
from faceinsight.data.mask_shares import OTHER_ORDERS, USUAL
from faceinsight.data.sources import source
from faceinsight.data.sources.celebamask import CelebAMask
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.knowledge.schema import Schema
from tests.conftest import real_data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(40):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "images" / f"{number}.jpg")
        Image.fromarray(np.full((16, 16), number % 19, np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_every_face_has_its_own_mask_and_no_label(root: Path) -> None:
    data = FaceDataModule(source=CelebAMask(root=root), image_size=16, batch_size=40)
    (batch,) = data.faces_dataloader()
    numbers = [int(Path(name).stem) for name in data.table.files]
    assert batch.masks[:, 0, 0].tolist() == [number % 19 for number in numbers]
    assert not batch.labels.any()


def test_fitting_on_faces_without_labels_warns_of_nothing(root: Path) -> None:
    FaceDataModule(source=CelebAMask(root=root), image_size=16).setup("fit")


def test_the_split_is_a_property_of_the_name_alone() -> None:
    names = [f"{number:05}" for number in range(4000)]
    splits = [hashed_split(f"{name}.jpg", train=0.8, val=0.05) for name in names]
    shares = [splits.count(split) / len(names) for split in ("train", "val", "test")]
    torch.testing.assert_close(torch.tensor(shares), torch.tensor([0.8, 0.05, 0.15]), atol=0.02, rtol=0)
    assert [hashed_split(f"folder/{name}.png", train=0.8, val=0.05) for name in names] == splits


def test_missing_masks_and_folders_are_named(root: Path) -> None:
    (root / "masks" / "7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"\(7\.png\) of 40 parsing masks"):
        CelebAMask(root=root).table()
    with pytest.raises(FileNotFoundError, match="lacks images, masks"):
        CelebAMask(root=root / "nowhere").prepare()


def test_the_real_sample_reads(tmp_path: Path) -> None:
    table = source("celebamask", real_data("celebamask", tmp_path)).table()
    assert len(table) == 850
    assert 90 < table.split.count("test") < 160


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three photographs of CelebAMask-HQ as it unpacks: numbers 0, 1 and 2,000, with labels of two attributes."""
    base = tmp_path / "CelebAMask-HQ"
    for folder in ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno/0", "CelebAMask-HQ-mask-anno/1"):
        (base / folder).mkdir(parents=True)
    for number in (0, 1, 2000):
        Image.new("RGB", (32, 32)).save(base / "CelebA-HQ-img" / f"{number}.jpg")
        parts = {"skin": slice(2, 14), "nose": slice(6, 8), "hair": slice(0, 4), "cloth": slice(15, 16)}
        for ending, rows in parts.items():
            part = np.zeros((16, 16), np.uint8)
            part[rows] = 255
            file = base / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{ending}.png"
            Image.fromarray(part).convert("RGB").save(file)
    lines = ["3", "Bald Smiling", "0.jpg  -1  1", "1.jpg   1 -1", "2000.jpg  -1 -1"]
    (base / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_archive_is_read_as_it_unpacks_with_masks_merged_and_labels(archive: Path) -> None:
    schema = Schema.from_names(["Smiling", "Bald", "Young"])
    for root in (archive, archive / "CelebAMask-HQ"):
        source = CelebAMask(root=root, schema=schema)
        table = source.table()
        assert table.files == ("0.jpg", "1.jpg", "2000.jpg")
        assert table.labels.tolist() == [[1, -1, 0], [-1, 1, 0], [-1, -1, 0]]
        assert any("Young" in note for note in source.notes())
    (batch,) = FaceDataModule(source=source, image_size=16, batch_size=3).faces_dataloader()
    rows = [13] * 4 + [1] * 2 + [2] * 2 + [1] * 6 + [0] + [18]  # hair is painted over skin, the nose too
    assert batch.masks[2, :, 0].tolist() == rows


def test_a_photograph_without_parts_or_with_parts_of_two_sizes_is_named(archive: Path) -> None:
    base = archive / "CelebAMask-HQ"
    (base / "CelebA-HQ-img" / "7.jpg").write_bytes((base / "CelebA-HQ-img" / "0.jpg").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"photograph 7, .*00007_skin.png"):
        CelebAMask(root=archive).prepare()
    Image.new("L", (8, 8)).save(base / "CelebAMask-HQ-mask-anno" / "0" / "00007_nose.png")
    Image.new("L", (9, 8)).save(base / "CelebAMask-HQ-mask-anno" / "0" / "00007_hair.png")
    with pytest.raises(BrokenImageError, match="00007_hair"):
        CelebAMask(root=archive).prepare()


def usual_masks(folder: Path, order: tuple[int, ...] = tuple(range(19)), count: int = 25) -> None:
    """Masks whose classes cover what they usually cover, under the class ids of an order."""
    pixels = np.repeat(np.arange(19), np.round(np.array(USUAL) * 40.96).astype(int))
    pixels = np.resize(pixels, 4096).reshape(64, 64)
    place = np.argsort(np.array(order))
    for number in range(count):
        Image.new("RGB", (64, 64)).save(folder / "images" / f"{number}.jpg")
        Image.fromarray(place[pixels].astype(np.uint8)).save(folder / "masks" / f"{number}.png")


@pytest.mark.parametrize("order", [None, *OTHER_ORDERS])
def test_masks_in_another_order_of_the_classes_are_warned_of(order: str | None, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    usual_masks(tmp_path) if order is None else usual_masks(tmp_path, OTHER_ORDERS[order])
    text = str(check(CelebAMask(root=tmp_path)))
    assert "shares of the masks' pixels: background" in text
    assert ("another order" in text) == (order is not None)


def test_masks_of_background_are_warned_of(root: Path) -> None:
    for path in (root / "masks").iterdir():
        Image.new("L", (16, 16)).save(path)
    assert "40 of 40 masks are background all over" in str(check(CelebAMask(root=root)))


def test_real_masks_are_not_warned_of(tmp_path: Path) -> None:
    report = check(CelebAMask(root=real_data("celebamask", tmp_path)))
    assert report.mask_shares is not None
    assert not [note for note in report.notes if "order" in note or "unlike" in note or "background" in note]
