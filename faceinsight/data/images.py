"""Reading face images and parsing masks: crop, resize, and one clear error for whatever is broken."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from faceinsight.data.face_box import Edges
from faceinsight.errors import InputError
from faceinsight.files import plain_file
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.knowledge.pixels import check_range

__all__ = [
    "BrokenImageError",
    "Crop",
    "Picture",
    "PictureOptions",
    "image_batch",
    "path_within",
    "read_image",
    "read_mask",
    "read_picture",
    "square_image",
    "unit_range",
    "whole_picture",
]

#: One picture: its file, or what stands in it.
Picture = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


class PictureOptions(TypedDict):
    """How pictures become images, by the arguments of a reader.

    Args:
        image_size: height and width in pixels.
        crop: what of a picture is seen.
        interpolation: the filter by which it is resized.
    """

    image_size: int
    crop: "Crop"
    interpolation: str


#: Parsing masks hold CelebAMask-HQ's class ids 0 to 18.
MASK_CLASSES = len(FACE_PARTS)

#: What pictures may be, by Pillow's names: rasters alone. Others are programs (EPS runs Ghostscript) or no photographs.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "GIF", "PPM")

#: Above this many pixels a picture is refused: as RGB it takes 200 MB in every thread that reads.
MAX_PIXELS = 2**26

#: The EXIF tag that says how a camera was held, and what turns such a picture upright.
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BrokenImageError(InputError):
    """A file that cannot be read as what it should be; the message names the file and the cause."""


@dataclass(frozen=True)
class Crop:
    """Which part of a picture is looked at: some is cut off each side, then the largest centred square is taken.

    Plain fractions, so that they can be saved with a model's preprocessing. The default is the centred square.

    Args:
        left: share of the width cut off at the left.
        top: share of the height cut off at the top.
        right: share of the width cut off at the right.
        bottom: share of the height cut off at the bottom.
        shape: ``"square"``, or ``"whole"`` to take all that is left, which is then squashed to a square.

    Raises:
        InputError: a share below 0, or nothing is left.

    >>> Crop().box(178, 218)
    (0.0, 20.0, 178.0, 198.0)
    >>> Crop(top=0.5).box(100, 100)
    (25.0, 50.0, 75.0, 100.0)
    >>> Crop(top=0.5, shape="whole").box(100, 100)
    (0.0, 50.0, 100.0, 100.0)
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    shape: Literal["square", "whole"] = "square"

    def __post_init__(self) -> None:
        if (
            min(self.left, self.top, self.right, self.bottom) < 0
            or self.left + self.right >= 1
            or self.top + self.bottom >= 1
        ):
            raise InputError(f"a crop cuts shares of at least 0 off the sides and leaves something, got {self}")

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, upper, right, lower edge in pixels of a picture of this size."""
        left, right = self.left * width, (1 - self.right) * width
        upper, lower = self.top * height, (1 - self.bottom) * height
        if self.shape == "whole":
            return left, upper, right, lower
        side = min(right - left, lower - upper)
        x, y = (left + right - side) / 2, (upper + lower - side) / 2
        return x, y, x + side, y + side


def path_within(root: str | os.PathLike[str], name: str) -> Path:
    """``root / name``; a name that leads out of ``root`` is refused.

    Raises:
        InputError: an absolute name, or one with "..".
    """
    for kind in (PurePosixPath, PureWindowsPath):
        pure = kind(name)
        if pure.is_absolute() or pure.drive or ".." in pure.parts:
            raise InputError(f"{name!r} leads out of {root}: file names must lie below the data set's folder")
    return Path(root) / name


def read_image(
    path: str | os.PathLike[str],
    *,
    image_size: int,
    crop: Crop | None = None,
    interpolation: str = "bilinear",
    edges: Edges | None = None,
) -> UInt8[Tensor, "3 height width"]:
    """Read a picture as RGB, cropped and resized to a square, see :func:`square_image`.

    Args:
        image_size: side of the square in pixels.
        crop: which part of the picture; the centred square by default.
        interpolation: the antialiasing filter by Pillow's name.
        edges: only what lies within them, of which ``crop`` is taken then; black where that is outside the picture.

    Raises:
        BrokenImageError: the file is missing, truncated, no plain file or no 8-bit picture, of a format that is not in
            :data:`FORMATS` or with more than :data:`MAX_PIXELS`, or all within the edges lies outside it.
    """
    picture = opened(path)
    return square_image(
        picture, image_size=image_size, crop=crop, interpolation=interpolation, edges=edges, name=str(path)
    )


def square_image(
    picture: Image.Image,
    *,
    image_size: int,
    crop: Crop | None = None,
    interpolation: str = "bilinear",
    edges: Edges | None = None,
    name: str = "the picture",
) -> UInt8[Tensor, "3 height width"]:
    """Return a picture as RGB, cropped and resized to a square with an antialiasing filter.

    Grey and palette pictures become RGB, transparency is dropped, a camera's rotation mark is obeyed.

    Raises:
        BrokenImageError: no 8-bit picture, or all within the edges lies outside it; ``name`` begins the message.
    """
    method = resampling(interpolation)
    whole = upright_rgb(picture, name)
    with _damage_named(name):
        seen = cut_out(whole, edges, name)
        square = seen.resize((image_size, image_size), method, box=(crop or Crop()).box(*seen.size))
    return as_tensor(square)


def as_tensor(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """Return an RGB picture as a tensor of bytes."""
    return rearrange(torch.from_numpy(np.array(picture)), "height width channel -> channel height width").contiguous()


def upright_rgb(picture: Image.Image, name: str = "the picture") -> Image.Image:
    """Return a picture as RGB, without transparency, turned as its camera was held.

    Raises:
        BrokenImageError: no 8-bit picture, or one that cannot be decoded.
    """
    with _damage_named(name):
        picture.load()
        if picture.mode.startswith(("I", "F")):
            raise BrokenImageError(f"{name}: {picture.mode!r} is not an 8-bit picture; save it with 8 bits a channel")
        turned = upright(picture)
        if "transparency" in turned.info:
            turned = turned.convert("RGBA")
        return turned.convert("RGB")


def upright(picture: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF says that the camera was held; an EXIF that cannot be read says nothing.

    Pillow's own function writes the rest of the EXIF back, and fails on tags that it cannot write.
    """
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # of whatever kind: other programs show such a picture as it is
        return picture
    return picture if turn is None else picture.transpose(turn)


def cut_out(picture: Image.Image, edges: Edges | None, name: str) -> Image.Image:
    """Return what lies within the edges; zeros where that is outside the picture, so that a face keeps its place and
    size.
    """
    if edges is None:
        return picture
    left, upper, right, lower = edges
    if right <= 0 or lower <= 0 or left >= picture.width or upper >= picture.height:
        size = f"{picture.width} x {picture.height}"
        raise BrokenImageError(f"{name}: the face's box {edges} (left, upper, right, lower) lies outside {size} pixels")
    return picture.crop(edges)


def resampling(name: str) -> Image.Resampling:
    """Pillow's filter by name, small or large."""
    if name.upper() not in Image.Resampling.__members__:
        known = ", ".join(Image.Resampling.__members__).lower()
        raise InputError(f"no interpolation named {name!r}; Pillow has {known}")
    return Image.Resampling[name.upper()]


def image_batch(
    pictures: Picture | Iterable[Picture],
    *,
    image_size: int,
    crop: Crop | None = None,
    interpolation: str = "bilinear",
) -> Float[Tensor, "batch 3 height width"]:
    """One picture or several as one batch, RGB in [0, 1].

    Files, PIL images and whatever holds bytes (0 to 255) are cropped and resized, see :func:`square_image`; floating
    point tensors, RGB in [0, 1], are taken as they are, so they need the size that the model reads.

    Args:
        pictures: a file, a PIL image, an array ``[height, width]`` or ``[height, width, 3]`` of bytes, or a tensor
            ``[3, height, width]`` of bytes or floats; or several of them as a list, an array or a tensor.

    Raises:
        BrokenImageError: a file that is missing or truncated, or no 8-bit picture.
        InputError: no pictures, or numbers that are no RGB in [0, 1] and no bytes.

    >>> image_batch(Image.new("L", (4, 6), 255), image_size=2).shape
    torch.Size([1, 3, 2, 2])
    """
    squares = [
        unit_range(read_picture(picture, image_size=image_size, crop=crop, interpolation=interpolation))
        for picture in listed(pictures)
    ]
    if not squares:
        raise InputError("no pictures were given; a batch needs at least one")
    if len(sizes := {tuple(square.shape) for square in squares}) > 1:
        raise InputError(f"the pictures of a batch have one size, got tensors of {sorted(map(list, sizes))}")
    return torch.stack(squares)


def listed(pictures: object) -> list[Picture]:
    """One picture or several as a list."""
    if isinstance(pictures, str | os.PathLike | Image.Image):
        return [pictures]
    if isinstance(pictures, Tensor):
        return [pictures] if pictures.ndim < 4 else list(pictures)
    if isinstance(pictures, np.ndarray):
        return [pictures] if pictures.ndim < 4 else list(pictures)
    if isinstance(pictures, Iterable) and not isinstance(pictures, bytes | Mapping):
        return list(pictures)
    raise InputError(f"pictures are files, PIL images, arrays or tensors, got {type(pictures).__name__}")


def read_picture(
    picture: object,
    *,
    image_size: int,
    crop: Crop | None = None,
    interpolation: str = "bilinear",
    edges: Edges | None = None,
) -> UInt8[Tensor, "3 height width"] | Float[Tensor, "3 height width"]:
    """Return one picture of any kind as a square of bytes, or as it is if it is a tensor of floats.

    This is the one road from a picture to a tensor, with or without labels.

    Args:
        picture: see :func:`image_batch`.
        image_size, crop, interpolation, edges: see :func:`square_image`; not for tensors of floats.

    Raises:
        BrokenImageError: a file that is missing or truncated, or no 8-bit picture.
        InputError: numbers that are no RGB in [0, 1] and no bytes.
    """
    options: dict[str, Any] = {"image_size": image_size, "crop": crop, "interpolation": interpolation, "edges": edges}
    if isinstance(picture, Tensor) and picture.is_floating_point():
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise InputError(f"a tensor of floats is [3, height, width], got {list(picture.shape)}")
        check_range(picture)
        return picture
    if isinstance(picture, str | os.PathLike):
        return read_image(picture, **options)
    return square_image(as_image(picture), **options)


def whole_picture(picture: Any, name: str = "the picture") -> Image.Image:
    """Return all of a picture of any kind but floats as RGB, turned as its camera was held.

    Raises:
        BrokenImageError: a file that is missing or truncated, or no 8-bit picture.
        InputError: numbers that are no bytes.
    """
    opens = isinstance(picture, str | os.PathLike)
    return upright_rgb(opened(picture) if opens else as_image(picture), os.fspath(picture) if opens else name)


def as_image(picture: Any) -> Image.Image:
    """Return a PIL image, an array or a tensor of bytes as a PIL image that may be decoded."""
    if isinstance(picture, Tensor | np.ndarray):
        picture = Image.fromarray(bytes_of(picture))
    if not isinstance(picture, Image.Image):
        raise InputError(f"a picture is a file, a PIL image, an array or a tensor, got {type(picture).__name__}")
    check_opened(picture)
    return picture


def unit_range(pixels: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return bytes as floats in [0, 1], and floats as they are."""
    return pixels if pixels.is_floating_point() else pixels.float() / 255


def check_opened(picture: Image.Image) -> None:
    """Refuse a picture that somebody else has opened from a file that is not read here, before Pillow decodes it.

    Raises:
        BrokenImageError: it is of no format of :data:`FORMATS` (for PostScript, Pillow would run a program), or has
            more than :data:`MAX_PIXELS`.
    """
    if not isinstance(picture, ImageFile.ImageFile):
        return
    name = getattr(picture, "filename", "") or "the picture"
    if picture.format not in (*FORMATS, "MPO"):  # JPEG with further pictures behind the first
        raise BrokenImageError(f"{name}: {picture.format} is not among {', '.join(FORMATS)}; save it as one of these")
    check_pixels(picture, name)


def check_pixels(picture: Image.Image, name: object) -> None:
    """Refuse a picture with more than :data:`MAX_PIXELS`."""
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width:,} x {picture.height:,}"
        raise BrokenImageError(f"{name}: {size} pixels are more than {MAX_PIXELS:,}; make the picture smaller")


def bytes_of(picture: Tensor | np.ndarray) -> np.ndarray:
    """Return an array or a tensor of bytes with its colours last, as Pillow takes it."""
    kind, shape = picture.dtype, list(picture.shape)
    if isinstance(picture, Tensor):
        if kind == torch.uint8 and picture.ndim == 3 and shape[0] == 3:
            return rearrange(picture.cpu().numpy(), "channel height width -> height width channel").copy()
        raise InputError(f"a tensor is [3, height, width], floats in [0, 1] or uint8, got {shape} of {kind}")
    if kind == np.uint8 and (picture.ndim == 2 or (picture.ndim == 3 and shape[2] in (3, 4))) and picture.size:
        return np.ascontiguousarray(picture)
    raise InputError(f"an array is [height, width] or [height, width, 3] of uint8, got {shape} of {kind}")


def read_mask(
    path: str | os.PathLike[str], *, image_size: int, crop: Crop | None = None, edges: Edges | None = None
) -> UInt8[Tensor, "height width"]:
    """Read a parsing mask of class ids (one channel, 8 bits), cropped like its image and resized to the nearest pixel.

    Where ``edges`` reach beyond the mask, there is background.

    Raises:
        BrokenImageError: the file is missing, truncated, has colours, or holds ids other than 0 to 18.
    """
    picture = opened(path)
    if picture.mode not in ("L", "P"):
        raise BrokenImageError(f"{path}: a mask holds class ids in one channel, this has mode {picture.mode!r}")
    ids = np.array(picture)
    if ids.max() >= MASK_CLASSES:
        raise BrokenImageError(f"{path}: class ids are 0 to {MASK_CLASSES - 1} (CelebAMask-HQ), found {ids.max()}")
    seen = cut_out(Image.fromarray(ids), edges, str(path))
    box = (crop or Crop()).box(*seen.size)
    square = seen.resize((image_size, image_size), Image.Resampling.NEAREST, box=box)
    return torch.from_numpy(np.array(square))


def opened(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture from a plain file; whatever is wrong with it is a BrokenImageError with the file and the cause."""
    try:
        plain_file(path)
    except FileNotFoundError as error:
        raise BrokenImageError(f"{path}: there is no such file") from error
    except (OSError, InputError) as error:
        raise BrokenImageError(f"{path}: {error}") from error
    with _damage_named(str(path)), Image.open(path, formats=known_formats()) as picture:
        check_pixels(picture, path)
        picture.load()
        with suppress(Exception):  # kept by the picture; of a TIFF it is read from the file, and may be damaged
            picture.getexif()
        return picture


@cache
def known_formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside into a BrokenImageError with the file and the cause."""
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError(f"{name}: not a picture") from error
    except Exception as error:  # decoders raise errors of every kind
        raise BrokenImageError(f"{name}: {str(error) or type(error).__name__}") from error
