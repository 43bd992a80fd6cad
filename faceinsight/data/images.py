"""Reading face images and parsing masks: crop, resize, and one clear error for whatever is broken."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from faceinsight.data.face_box import Edges
from faceinsight.errors import InputError
from faceinsight.knowledge.face_parts import FACE_PARTS

__all__ = [
    "BrokenImageError",
    "Crop",
    "Picture",
    "image_batch",
    "path_within",
    "read_image",
    "read_mask",
    "square_image",
]

#: One picture: its file, or what stands in it; a tensor is taken as it is.
Picture = str | os.PathLike[str] | Image.Image | Tensor

#: Parsing masks hold CelebAMask-HQ's class ids 0 to 18.
MASK_CLASSES = len(FACE_PARTS)

#: What Pillow raises for truncated or damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


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
        BrokenImageError: the file is missing, truncated or no 8-bit picture, or all within the edges lies outside it.
    """
    with _reading(path), Image.open(path) as picture:
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
    """A picture as RGB, cropped and resized to a square with an antialiasing filter.

    Grey and palette pictures become RGB, transparency is dropped, a camera's rotation mark is obeyed.

    Raises:
        BrokenImageError: no 8-bit picture, or all within the edges lies outside it; ``name`` begins the message.
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(("I", "F")):
        raise BrokenImageError(f"{name}: {upright.mode!r} is not an 8-bit picture; save it with 8 bits a channel")
    if "transparency" in upright.info:
        upright = upright.convert("RGBA")
    seen = cut_out(upright.convert("RGB"), edges, name)
    square = seen.resize((image_size, image_size), resampling(interpolation), box=(crop or Crop()).box(*seen.size))
    return rearrange(torch.from_numpy(np.array(square)), "height width channel -> channel height width").contiguous()


def cut_out(picture: Image.Image, edges: Edges | None, name: str) -> Image.Image:
    """What lies within the edges; zeros where that is outside the picture, so that a face keeps its place and size."""
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
    pictures: Sequence[Picture] | Float[Tensor, "batch 3 height width"],
    *,
    image_size: int,
    crop: Crop | None = None,
    interpolation: str = "bilinear",
) -> Float[Tensor, "batch 3 height width"]:
    """Files and PIL images as one batch, RGB in [0, 1], see :func:`square_image`; tensors are taken as they are.

    Raises:
        BrokenImageError: a file that is missing or truncated, or no 8-bit picture.

    >>> image_batch([Image.new("L", (4, 6), 255)], image_size=2).shape
    torch.Size([1, 3, 2, 2])
    """
    options: dict[str, Any] = {"image_size": image_size, "crop": crop, "interpolation": interpolation}
    squares = []
    for picture in pictures:
        if isinstance(picture, Tensor):
            squares.append(picture)
        elif isinstance(picture, Image.Image):
            squares.append(square_image(picture, **options).float() / 255)
        else:
            squares.append(read_image(picture, **options).float() / 255)
    return torch.stack(squares)


def read_mask(
    path: str | os.PathLike[str], *, image_size: int, crop: Crop | None = None, edges: Edges | None = None
) -> UInt8[Tensor, "height width"]:
    """Read a parsing mask of class ids (one channel, 8 bits), cropped like its image and resized to the nearest pixel.

    Where ``edges`` reach beyond the mask, there is background.

    Raises:
        BrokenImageError: the file is missing, truncated, has colours, or holds ids other than 0 to 18.
    """
    with _reading(path), Image.open(path) as picture:
        if picture.mode not in ("L", "P"):
            raise BrokenImageError(f"{path}: a mask holds class ids in one channel, this has mode {picture.mode!r}")
        ids = np.array(picture)
    if ids.max() >= MASK_CLASSES:
        raise BrokenImageError(f"{path}: class ids are 0 to {MASK_CLASSES - 1} (CelebAMask-HQ), found {ids.max()}")
    seen = cut_out(Image.fromarray(ids), edges, str(path))
    box = (crop or Crop()).box(*seen.size)
    square = seen.resize((image_size, image_size), Image.Resampling.NEAREST, box=box)
    return torch.from_numpy(np.array(square))


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever Pillow raises inside into a BrokenImageError with the file and the cause."""
    try:
        yield
    except BrokenImageError:
        raise
    except FileNotFoundError as error:
        raise BrokenImageError(f"{path}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise BrokenImageError(f"{path}: not a picture") from error
    except DAMAGE as error:
        raise BrokenImageError(f"{path}: {error or type(error).__name__}") from error
