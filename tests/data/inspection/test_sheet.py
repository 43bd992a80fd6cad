"""Contact sheets show each face where it belongs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.data.inspection.sheet import contact_sheet, save_sheet, sheet_of
from faceinsight.data.sources.celeba import CelebA
from faceinsight.knowledge.schema import Schema


def greys(count: int, side: int = 6) -> torch.Tensor:
    """Face ``i`` is of the even grey ``10 * i``."""
    return (torch.arange(count, dtype=torch.uint8) * 10).view(-1, 1, 1, 1).expand(count, 3, side, side)


def test_faces_stand_in_rows_with_gaps() -> None:
    sheet = np.array(contact_sheet(greys(5), columns=3, gap=2))
    assert sheet.shape == (2 * 8 + 2, 3 * 8 + 2, 3)
    for face in range(5):
        y, x = 2 + face // 3 * 8, 2 + face % 3 * 8
        assert (sheet[y : y + 6, x : x + 6] == face * 10).all()
    assert (sheet[10:, 18:] == 255).all()
    assert (sheet[:2] == 255).all()


def test_every_layout_gives_the_same_sheet() -> None:
    faces = greys(4)
    sheets = [
        contact_sheet(images)
        for images in (faces, faces.float() / 255, faces.permute(0, 2, 3, 1), faces.permute(0, 2, 3, 1).contiguous())
    ]
    assert all(np.array_equal(np.array(sheets[0]), np.array(sheet)) for sheet in sheets[1:])


def test_captions_take_room_below_each_face_and_no_more_width() -> None:
    faces = torch.zeros(2, 3, 30, 30, dtype=torch.uint8)
    plain, one, two = (
        contact_sheet(faces, captions, columns=2)
        for captions in (None, ["a very long caption", ""], ["a", "b\nc"])
    )  # fmt: skip
    assert plain.width == one.width == two.width
    assert plain.height < one.height < two.height
    pixels = np.array(one)
    assert (pixels[33:, 2:32] < 128).any()
    assert (pixels[33:, 33:] == 255).all()


def test_masks_are_laid_over_in_the_colours_of_the_palette_and_the_background_stays() -> None:
    masks = torch.zeros(2, 6, 6, dtype=torch.uint8)
    masks[0, :3], masks[1, :3] = 1, 13
    sheet = np.array(contact_sheet(greys(2), masks=masks, gap=0))
    assert (sheet[3:, :6] == 0).all()
    assert (sheet[3:, 6:] == 10).all()
    assert (sheet[:3, :6] == (102, 0, 0)).all()  # skin, (204, 0, 0), half over a grey of 0
    assert (sheet[:3, 6:] == (5, 5, 107)).all()  # hair, (0, 0, 204), half over a grey of 10


def test_nothing_to_show_and_wrong_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 3, 6, 6\] of torch.uint8"):
        contact_sheet(greys(0))
    with pytest.raises(ValueError, match="1 captions for 2 faces"):
        contact_sheet(greys(2), ["a"])
    with pytest.raises(ValueError, match=r"got \[2, 6, 6\] of torch.float32"):
        contact_sheet(torch.zeros(2, 6, 6))
    with pytest.raises(ValueError, match=r"^masks.* 19, .*0 to 18$"):
        contact_sheet(greys(2), masks=torch.full((2, 6, 6), 19, dtype=torch.uint8))


def test_a_sheet_of_a_data_set_is_saved_whole(root: Path, schema: Schema, tmp_path: Path) -> None:
    source = CelebA(root=root, schema=schema, mask_folder="masks")
    sheet = sheet_of(source, faces=4, image_size=24, columns=4)
    save_sheet(sheet, tmp_path / "sheet.png")
    read = np.array(Image.open(tmp_path / "sheet.png"))
    assert [read[14, 2 + 12 + 26 * face, 0] for face in range(4)] == [10, 50, 80, 120]
    assert not np.array_equal(np.array(sheet_of(source, faces=4, image_size=24, show_masks=True)), np.array(sheet))


def test_masks_that_are_not_there_are_refused(root: Path, schema: Schema) -> None:
    with pytest.raises(ValueError, match="have no parsing masks"):
        sheet_of(CelebA(root=root, schema=schema), show_masks=True)
