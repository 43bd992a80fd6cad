"""Pictures and masks: the part that was asked for, or an error that names the file."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceinsight.data.images import BrokenImageError, Crop, path_within, read_image, read_mask


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def test_the_centred_square_is_taken_by_default(tmp_path: Path) -> None:
    tall = picture((10, 16))
    tall.save(tmp_path / "tall.png")
    image = read_image(tmp_path / "tall.png", image_size=10)
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(tall)[3:13]))


def test_a_crop_cuts_its_shares_off_before_the_square_is_taken(tmp_path: Path) -> None:
    tall = picture((10, 16))
    tall.save(tmp_path / "tall.png")
    image = read_image(tmp_path / "tall.png", image_size=10, crop=Crop(top=0.375))
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(tall)[6:16]))


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    image = read_image(tmp_path / "stripes.png", image_size=8)
    assert (image[:, :, 1:-1].float() - 127.5).abs().max() < 12


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_eight_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    picture((8, 8), mode).save(path)
    assert read_image(path, image_size=4).shape == (3, 4, 4)


def test_a_camera_that_was_turned_is_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    upright = picture((8, 8))
    upright.save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png", image_size=8)
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.rot90(np.array(upright), -1).copy()))


def test_a_truncated_file_is_named_with_its_cause(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    picture((64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(BrokenImageError, match=r"cut.jpg: image file is truncated"):
        read_image(path, image_size=8)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<html>404</html>")
    with pytest.raises(BrokenImageError, match=r"page.jpg: not a picture"):
        read_image(path, image_size=8)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenImageError, match=r"gone.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg", image_size=8)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(BrokenImageError, match=r"deep.png: 'I;16' is not an 8-bit picture"):
        read_image(tmp_path / "deep.png", image_size=8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage and reads on
def test_damage_of_any_kind_gives_a_picture_or_the_one_error(tmp_path: Path, kind: str) -> None:
    draw, path, messages = random.Random(0), tmp_path / "x", []
    written = io.BytesIO()
    picture((24, 24)).save(written, kind)
    for _ in range(40):
        damaged = bytearray(written.getvalue())
        for _ in range(5):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.randrange(len(damaged))] if draw.random() < 0.5 else damaged)
        try:
            assert read_image(path, image_size=8).shape == (3, 8, 8)
        except BrokenImageError as error:
            messages.append(str(error))
    assert messages
    assert all(message.startswith(f"{path}: ") for message in messages)


def test_masks_keep_their_ids(tmp_path: Path) -> None:
    ids = np.arange(16, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(ids).resize((16, 16), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", image_size=4), torch.from_numpy(ids))


def test_mask_and_image_are_cropped_alike(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 19, (18, 12), dtype=np.uint8)
    Image.fromarray(ids).save(tmp_path / "mask.png")
    Image.fromarray(ids).save(tmp_path / "image.png")
    crop = Crop(left=0.25, bottom=1 / 6)  # whole pixels, so that nothing is interpolated
    image = read_image(tmp_path / "image.png", image_size=9, crop=crop)
    assert torch.equal(image[0], read_mask(tmp_path / "mask.png", image_size=9, crop=crop))


def test_ids_above_the_classes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 255, dtype=np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(BrokenImageError, match=r"mask.png: class ids are 0 to 18 \(CelebAMask-HQ\), found 255"):
        read_mask(tmp_path / "mask.png", image_size=4)


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    picture((4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(BrokenImageError, match="class ids in one channel, this has mode 'RGB'"):
        read_mask(tmp_path / "mask.png", image_size=4)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../b", "C:\\x.jpg", "..\\x.jpg", "\\\\host\\x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of faces: file names must lie below the data set's folder"):
        path_within("faces", name)
    assert path_within("faces", "a/b.jpg") == Path("faces/a/b.jpg")


@pytest.mark.parametrize("shares", [{"left": -0.1}, {"left": 0.5, "right": 0.5}, {"top": 1.0}])
def test_a_crop_that_leaves_nothing_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="leaves something"):
        Crop(**shares)
