"""Pictures and masks: the part that was asked for, or an error that names the file."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from faceinsight.data.images import BrokenImageError, Crop, image_batch, path_within, read_image, read_mask
from faceinsight.errors import InputError
from faceinsight.modules.image_encoder import ImageEncoder


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
    with pytest.raises(BrokenImageError, match=r"deep.png: 'I;16'"):
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
    with pytest.raises(BrokenImageError, match=r"mask.png: .*0 to 18 .*found 255"):
        read_mask(tmp_path / "mask.png", image_size=4)


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    picture((4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(BrokenImageError, match=r"one channel, .*mode 'RGB'"):
        read_mask(tmp_path / "mask.png", image_size=4)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../b", "C:\\x.jpg", "..\\x.jpg", "\\\\host\\x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of faces"):
        path_within("faces", name)
    assert path_within("faces", "a/b.jpg") == Path("faces/a/b.jpg")


@pytest.mark.parametrize("shares", [{"left": -0.1}, {"left": 0.5, "right": 0.5}, {"top": 1.0}])
def test_a_crop_that_leaves_nothing_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="leaves something"):
        Crop(**shares)


def exif_of(orientation: int, *tags: bytes, values: bytes = b"") -> bytes:
    """An EXIF block with an orientation and further tags; ``values`` lie behind them."""
    head = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 1 + len(tags))
    return head + tag(0x0112, 3, 1, struct.pack("<HH", orientation, 0)) + b"".join(tags) + bytes(4) + values


def tag(number: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHL", number, kind, count) + value


#: Tags that Pillow reads but cannot write back.
STRANGE = {
    "text where a rational belongs": exif_of(6, tag(0x011A, 2, 4, b"72\0\0")),
    "a negative rational": exif_of(
        6, tag(0x011A, 10, 1, struct.pack("<L", 8 + 2 + 24 + 4)), values=struct.pack("<ll", -1, 0)
    ),
    "signed bytes in a byte's place": exif_of(6, tag(0x0103, 6, 1, b"\xff\0\0\0")),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_photograph_with_exif_that_cannot_be_written_back_is_read_upright(strange: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste("white", (0, 0, 20, 20))
    picture.save(tmp_path / "a.jpg", exif=STRANGE[strange])
    read = read_image(tmp_path / "a.jpg", image_size=10, crop=Crop(shape="whole"))
    assert read[:, :4].min() > 200  # the left half came to the top
    assert read[:, 6:].max() < 50


@pytest.mark.parametrize("mark", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_every_camera_mark_turns_a_picture_as_pillow_turns_it(ending: str, mark: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(mark).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = mark
    Image.fromarray(noise).save(tmp_path / f"a.{ending}", exif=exif.tobytes())
    with Image.open(tmp_path / f"a.{ending}") as opened:
        wanted = ImageOps.exif_transpose(opened).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
    read = read_image(tmp_path / f"a.{ending}", image_size=16, crop=Crop(shape="whole"))
    assert torch.equal(read, torch.from_numpy(np.array(wanted)).movedim(-1, 0))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_cannot_be_read_at_all_turns_nothing(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), "white")
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_image(tmp_path / "a.jpg", image_size=4).min() == 255


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_damaged_pictures_of_every_kind_are_read_or_refused_by_the_one_error(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.effect_noise((40, 32), 60).convert("RGB").save(file, format=kind)
    draw, path = random.Random(kind), tmp_path / "a.jpg"
    refused = 0
    for _ in range(150):
        damaged = bytearray(file.getvalue())
        if draw.random() < 0.3:
            del damaged[draw.randrange(1, len(damaged)) :]
        for _ in range(draw.randint(1, 8)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            assert read_image(path, image_size=8).shape == (3, 8, 8)
        except BrokenImageError:
            refused += 1
    assert refused > 5


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 moveto\nshowpage\n%%EOF\n"


def test_a_picture_that_is_a_program_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: object, **options: object) -> None:
        pytest.fail(f"a program was started: {words}")

    monkeypatch.setattr("subprocess.Popen", run)
    (tmp_path / "a.jpg").write_bytes(POSTSCRIPT)
    for read in (read_image, read_mask):
        with pytest.raises(BrokenImageError, match="not a picture"):
            read(tmp_path / "a.jpg", image_size=8)


@pytest.mark.parametrize("kind", ["PSD", "ICO", "PCX", "TGA", "SGI", "DDS"])
def test_kinds_of_pictures_that_are_no_photographs_are_refused(kind: str, tmp_path: Path) -> None:
    if kind == "PSD":
        (tmp_path / "a.jpg").write_bytes(b"8BPS\0\1" + bytes(40))
    else:
        Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", format=kind)
    with pytest.raises(BrokenImageError, match="not a picture"):
        read_image(tmp_path / "a.jpg", image_size=8)


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack(">LLBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    pixels = b"IDAT" + zlib.compress(bytes(100))
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(each) - 4) + each + struct.pack(">L", zlib.crc32(each))
        for each in (chunk, pixels, b"IEND")
    )
    (tmp_path / "large.png").write_bytes(whole)
    for read in (read_image, read_mask):
        with pytest.raises(BrokenImageError, match=r"large\.png: 9,000 x 9,000 pixels"):
            read(tmp_path / "large.png", image_size=8)


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for path in (tmp_path / "pipe.jpg", tmp_path / "folder.jpg", Path("/dev/zero")):
        for read in (read_image, read_mask):
            with pytest.raises(BrokenImageError, match="not a plain file"):
                read(path, image_size=8)


def test_one_picture_of_any_kind_is_a_batch_of_one(tmp_path: Path) -> None:
    picture = Image.effect_noise((20, 20), 50).convert("RGB")
    picture.save(tmp_path / "a.png")
    array = np.array(picture)
    tensor = torch.from_numpy(array).movedim(-1, 0)
    wanted = read_image(tmp_path / "a.png", image_size=8).float()[None] / 255
    for one in (str(tmp_path / "a.png"), tmp_path / "a.png", picture, array, tensor):
        assert torch.equal(image_batch(one, image_size=8), wanted)
        assert torch.equal(image_batch((one, one), image_size=8), wanted.repeat(2, 1, 1, 1))
    for several in (tensor[None], array[None]):
        assert torch.equal(image_batch(several, image_size=8), wanted)
    whole = tensor / 255
    for one in (whole, whole[None], [whole]):
        assert torch.equal(image_batch(one, image_size=8), whole[None])
    grey = np.array(picture.convert("L"))
    assert image_batch(grey, image_size=8).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (torch.full((3, 8, 8), 255.0), "0.*255.*divide bytes by 255"),
        (torch.linspace(0, 200, 192).reshape(1, 3, 8, 8), "divide bytes by 255"),
        (torch.linspace(-2.1, 2.6, 192).reshape(3, 8, 8), "do not normalise"),
        (torch.full((3, 8, 8), torch.nan), "nan"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (torch.zeros(8, 8), "height, width"),
        (torch.zeros(1, 8, 8), "height, width"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), "height, width"),
        (np.zeros((8, 8, 3)), "uint8"),
        (np.zeros((3, 8, 9), dtype=np.uint8), "height, width, 3"),
        (np.zeros((0, 8, 3), dtype=np.uint8), "height, width, 3"),
        ([], "at least one"),
        (None, "NoneType"),
        ([None], "NoneType"),
        (7, "int"),
        (b"bytes", "bytes"),
        ({"a": 1}, "dict"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 9, 9)], "one size"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_what_is_no_picture_in_memory_is_refused(pictures: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        image_batch(pictures, image_size=8)


@pytest.mark.parametrize("factor", [255.0, 2.0])
def test_encoders_and_parsers_refuse_pictures_outside_0_and_1(factor: float) -> None:
    encoder = ImageEncoder(
        name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1, "num_heads": 2}
    )
    images = torch.rand(2, 3, 32, 32)
    assert encoder(images).shape[0] == 2
    for wrong in (images * factor, images * factor - 1):
        with pytest.raises(InputError, match=r"RGB in \[0, 1\]"):
            encoder(wrong)


def test_a_picture_that_was_opened_elsewhere_runs_no_program_and_has_no_more_pixels_than_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("a program was run"))
    with pytest.raises(BrokenImageError, match="EPS is not among JPEG"):
        image_batch(Image.open(io.BytesIO(script)), image_size=8)
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 40), (9, 9, 9)).save(path)
    with Image.open(path) as picture:
        assert image_batch(picture, image_size=8).shape == (1, 3, 8, 8)
    monkeypatch.setattr("faceinsight.data.images.MAX_PIXELS", 1000)
    with Image.open(path) as picture, pytest.raises(BrokenImageError, match="40 x 40 pixels are more than 1,000"):
        image_batch(picture, image_size=8)
