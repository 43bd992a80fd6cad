"""One loop for all that look at faces, with or without a table."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import FaceDataset, FaceReader, Pictures
from faceinsight.data.images import BrokenImageError, image_batch
from faceinsight.data.table import FaceTable
from faceinsight.inference import over_faces, progress_bars, read_batches
from faceinsight.knowledge.schema import Schema

SIZE = 6
READER = FaceReader(image_size=SIZE)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    files = [tmp_path / f"{face}.png" for face in range(7)]
    for path in files:
        Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)
    return files


def brightness(batch: FaceBatch) -> Tensor:
    assert batch.images is not None
    assert torch.is_inference_mode_enabled()
    return batch.images.mean((1, 2, 3))


def test_plain_pictures_and_a_table_of_them_are_read_alike(files: list[Path]) -> None:
    table = FaceTable(
        schema=Schema.from_names(["Bald"]),
        root=files[0].parent,
        files=tuple(path.name for path in files),
        labels=torch.ones(7, 1, dtype=torch.int8),
        split=("test",) * 7,
        identity=torch.arange(7),
        undefined=0,
    )
    for faces in (FaceDataset(table=table, reader=READER), Pictures(files, reader=READER)):
        found = [*over_faces(brightness, read_batches(faces, batch_size=3))]
        assert [index.tolist() for index, _ in found] == [[0, 1, 2], [3, 4, 5], [6]]
        torch.testing.assert_close(
            torch.cat([each for _, each in found]), image_batch(files, image_size=SIZE).mean((1, 2, 3))
        )


def test_pictures_of_every_kind_give_the_same_pixels(files: list[Path]) -> None:
    picture = Image.open(files[0])
    array = np.array(picture)
    square = image_batch(files[0], image_size=SIZE)[0]
    kinds = [str(files[0]), picture, array, torch.from_numpy(array).movedim(-1, 0), square]
    batch = Pictures(kinds, reader=READER).batch(range(5))
    torch.testing.assert_close(batch.images, square.expand(5, -1, -1, -1))
    assert batch.labels.shape == (5, 0)


def test_broken_pictures_are_left_out_named_and_counted_and_nothing_else_is_lost(files: list[Path]) -> None:
    files[1].write_bytes(b"no picture")
    files[4].unlink()
    pictures = [*files[:6], np.zeros((4, 4), dtype=np.float64), torch.zeros(3, SIZE + 1, SIZE)]
    faces, broken = Pictures(pictures, reader=READER), {}
    found = [index.tolist() for index, _ in over_faces(brightness, read_batches(faces, batch_size=2, broken=broken))]
    assert found == [[0], [2, 3], [5]]
    assert [*broken] == [1, 4, 6, 7]
    assert "1.png" in broken[1]
    assert "no such file" in broken[4]
    assert broken[6].startswith("picture 7: ")
    assert broken[7].startswith("picture 8: ")


def test_a_broken_picture_is_an_error_where_nobody_counts_them(files: list[Path]) -> None:
    files[1].write_bytes(b"no picture")
    with pytest.raises(BrokenImageError, match=r"1\.png"):
        [*read_batches(Pictures(files, reader=READER))]


def test_nothing_is_read_before_it_is_asked_for_and_progress_is_told_after_each_batch(files: list[Path]) -> None:
    told: list[int] = []
    steps = over_faces(brightness, read_batches(Pictures(files, reader=READER), batch_size=4), tell=told.append)
    assert told == []
    next(steps)
    assert told == [4]
    assert len([*steps]) == 1
    assert told == [4, 3]


def test_a_bar_shows_how_many_of_all_faces_are_read() -> None:
    written = io.StringIO()
    with progress_bars({"faces": 7}, Console(file=written, width=100)) as advance:
        advance("faces", 3)
    assert "3/7" in written.getvalue()
