"""Photographs with parsing masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.data.celebamask import CelebAMask
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.hashed_split import hashed_split
from faceinsight.data.sources import source
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
    with pytest.raises(FileNotFoundError, match=r"1 \(7\.jpg\) of 40 photographs have no mask"):
        CelebAMask(root=root).table()
    with pytest.raises(FileNotFoundError, match="lacks the folders images, masks"):
        CelebAMask(root=root / "nowhere").prepare()


def test_the_real_sample_reads(tmp_path: Path) -> None:
    table = source("celebamask", real_data("celebamask", tmp_path)).table()
    assert len(table) == 850
    assert 90 < table.split.count("test") < 160
