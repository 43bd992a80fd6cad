"""Items and batches of faces, broken files, and the fingerprint of what is seen."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import FaceDataset, FaceReader, broken_files, without_broken
from faceinsight.data.images import BrokenImageError
from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema


@pytest.fixture
def table(root: Path, schema: Schema) -> FaceTable:
    return CelebA(root=root, schema=schema, mask_folder="masks").table()


def break_files(root: Path) -> None:
    (root / "img_align_celeba" / "02.png").write_bytes(b"not a picture")
    whole = (root / "img_align_celeba" / "07.png").read_bytes()
    (root / "img_align_celeba" / "07.png").write_bytes(whole[:-30])
    Image.new("L", (20, 24), 77).save(root / "masks" / "12.png")


def test_an_item_is_a_batch_of_one_face(table: FaceTable) -> None:
    faces = FaceDataset(table=table, reader=FaceReader(image_size=8), rows=table.rows("test"))
    item = faces[1]
    assert len(faces) == 3
    assert item.index.tolist() == [10]
    assert item.labels.tolist() == [[-1, 1, 1]]
    torch.testing.assert_close(item.images, torch.full((1, 3, 8, 8), 110 / 255))
    assert item.masks.unique().tolist() == [11]


def test_a_loader_gives_the_same_as_single_items(table: FaceTable) -> None:
    faces = FaceDataset(table=table, reader=FaceReader(image_size=8))
    batches = list(DataLoader(faces, batch_size=5, collate_fn=FaceBatch.cat))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    joined, single = FaceBatch.cat(batches), FaceBatch.cat([faces[position] for position in range(12)])
    for name in ("images", "labels", "index", "masks"):
        assert torch.equal(getattr(joined, name), getattr(single, name))


def test_features_stand_in_for_pictures_and_are_read_by_row(table: FaceTable, root: Path) -> None:
    for path in (root / "img_align_celeba").iterdir():
        path.unlink()
    features = {"image": torch.arange(12 * 4, dtype=torch.float16).view(12, 2, 2), "part": torch.arange(12)}
    faces = FaceDataset(table=table, reader=FaceReader(), rows=torch.tensor([7, 3]), features=features)
    batch = faces.batch([0, 1])
    assert batch.images is None
    assert batch.masks is None
    assert batch.features["image"].dtype == torch.float32
    assert torch.equal(batch.features["image"], features["image"][[7, 3]].float())
    assert batch.features["part"].tolist() == [7, 3]


def test_pictures_are_kept_only_while_there_is_room(table: FaceTable, root: Path) -> None:
    keeping, forgetting = FaceReader(image_size=8), FaceReader(image_size=8, memory_mb=0)
    before = [reader.image(table, 0) for reader in (keeping, forgetting)]
    Image.new("RGB", (20, 24), "white").save(root / "img_align_celeba" / "01.png")
    assert torch.equal(keeping.image(table, 0), before[0])
    assert forgetting.image(table, 0).unique().tolist() == [255]


def test_a_broken_file_is_refused_by_name_when_it_is_met(table: FaceTable, root: Path) -> None:
    break_files(root)
    faces = FaceDataset(table=table, reader=FaceReader(image_size=8))
    with pytest.raises(BrokenImageError, match=r"02.png: not a picture"):
        faces.batch([0, 1])


def test_broken_files_are_found_named_and_left_out(table: FaceTable, root: Path) -> None:
    break_files(root)
    assert list(broken_files(table)) == [1, 6, 11]
    pattern = r"(?s)3 of 12 faces cannot be read and are left out:\n  \S*02.png: not a picture\n  \S*07.png: .*found 77"
    with pytest.warns(UserWarning, match=pattern):
        kept = without_broken(table)
    assert kept.files == tuple(name for name in table.files if name not in ("02.png", "07.png", "12.png"))
    assert torch.equal(kept.labels, table.labels[[0, 2, 3, 4, 5, 7, 8, 9, 10]])


def test_a_table_without_broken_files_is_the_same_table(table: FaceTable) -> None:
    assert without_broken(table) is table


def test_the_fingerprint_survives_a_copy_and_notices_every_change(table: FaceTable, root: Path) -> None:
    reader = FaceReader(image_size=8)
    prints = {"before": reader.fingerprint(table)}
    os.utime(root / "img_align_celeba" / "01.png", (1, 1))
    assert reader.fingerprint(table) == prints["before"]
    prints["size"] = FaceReader(image_size=16).fingerprint(table)
    prints["fewer faces"] = reader.fingerprint(table.select(torch.arange(11)))
    prints["another order"] = reader.fingerprint(table.select(torch.arange(12).flip(0)))
    Image.new("RGB", (20, 24), (1, 2, 3)).save(root / "img_align_celeba" / "05.png")
    os.utime(root / "img_align_celeba" / "05.png", (0, 0))  # however short ago it was written first
    prints["a picture"] = reader.fingerprint(table)
    Image.new("L", (20, 24), 3).save(root / "masks" / "05.png")
    os.utime(root / "masks" / "05.png", (0, 0))
    prints["a mask"] = reader.fingerprint(table)
    assert len(set(prints.values())) == len(prints)
