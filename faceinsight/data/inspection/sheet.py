"""Many faces on one picture, to look at."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from faceinsight.data.dataset import FaceReader
from faceinsight.data.table import FaceSource, FaceTable
from faceinsight.errors import InputError
from faceinsight.files import replacing
from faceinsight.knowledge.face_parts import PALETTE

__all__ = ["colour_masks", "contact_sheet", "save_sheet", "sheet_of"]

CAPTION_HEIGHT = 11


def contact_sheet(
    images: Tensor,
    captions: Sequence[str] | None = None,
    columns: int = 8,
    masks: UInt8[Tensor, "face height width"] | None = None,
    gap: int = 2,
) -> Image.Image:
    """Faces in rows, on white.

    Args:
        images: ``[face, 3, height, width]`` as floats in [0, 1] or as uint8, or uint8 ``[face, height, width, 3]``.
        captions: a short text below each face; several lines are separated by newlines.
        columns: faces in a row.
        masks: parsing masks, laid over the faces in colour.
        gap: pixels between faces.

    Raises:
        InputError: no faces, images of another layout, a number of captions or masks that is not theirs, or a mask
            with a class id that is no part of a face.
    """
    faces = as_pictures(images)
    for what, given in (("captions", captions), ("masks", masks)):
        if given is not None and len(given) != len(faces):
            raise InputError(f"{len(given)} {what} for {len(faces)} faces")
    if masks is not None:
        faces = colour_masks(faces, masks)
    high, wide = faces.shape[1:3]
    lines = max((caption.count("\n") + 1 for caption in captions), default=0) if captions is not None else 0
    cell_height, cell_width = high + lines * CAPTION_HEIGHT + gap, wide + gap
    columns = min(columns, len(faces))
    rows = -(-len(faces) // columns)
    sheet = Image.new("RGB", (columns * cell_width + gap, rows * cell_height + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for number, face in enumerate(faces):
        x, y = gap + number % columns * cell_width, gap + number // columns * cell_height
        sheet.paste(Image.fromarray(face.numpy()), (x, y))
        if captions is not None:
            for line, text in enumerate(captions[number].split("\n")):
                draw.text((x, y + high + line * CAPTION_HEIGHT), fitted(text, wide, draw, font), "black", font)
    return sheet


def save_sheet(sheet: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a sheet, whole or not at all; the file's ending says how (``.png``, ``.jpg``)."""
    with replacing(path) as temporary:
        sheet.save(temporary)


def sheet_of(
    source: FaceSource, *, faces: int = 64, image_size: int = 96, columns: int = 8, show_masks: bool = False
) -> Image.Image:
    """Return a sheet of a data set's faces, spread evenly over it, each with its file's name.

    Args:
        source: the data set.
        faces: how many.
        image_size: side of each face in pixels.
        columns: faces in a row.
        show_masks: lay the parsing masks over the faces.

    Raises:
        BrokenImageError: one of them cannot be read.
        InputError: masks are wanted and there are none.
    """
    source.prepare()
    table: FaceTable = source.table()
    rows = torch.linspace(0, len(table) - 1, min(faces, len(table))).round().long().tolist()
    reader = FaceReader(image_size=image_size)
    images = torch.stack([reader.image(table, row) for row in rows])
    masks = torch.stack([reader.mask(table, row) for row in rows]) if show_masks else None
    return contact_sheet(images, [Path(table.files[row]).stem for row in rows], columns, masks)


def as_pictures(images: Tensor) -> UInt8[Tensor, "face height width 3"]:
    """Images of any of the layouts taken, as uint8 with the colours last."""
    if images.ndim == 4 and len(images):
        if images.shape[1] == 3 and images.is_floating_point():
            images = (images * 255).round().clamp(0, 255).to(torch.uint8)
        if images.dtype == torch.uint8 and images.shape[1] == 3:
            return rearrange(images.cpu(), "face channel height width -> face height width channel").contiguous()
        if images.dtype == torch.uint8 and images.shape[3] == 3:
            return images.cpu().contiguous()
    raise InputError(
        "images are [face, 3, height, width] (floats in [0, 1] or uint8) or uint8 [face, height, width, 3] and at "
        f"least one; got {list(images.shape)} of {images.dtype}"
    )


def colour_masks(
    faces: UInt8[Tensor, "face height width 3"], masks: UInt8[Tensor, "face height width"]
) -> UInt8[Tensor, "face height width 3"]:
    """Return the faces with each part in its colour of the palette over them; the background (class 0) stays.

    Raises:
        InputError: a class id that is no part of a face.
    """
    if masks.numel() and (highest := int(masks.max())) >= len(PALETTE):
        raise InputError(f"masks hold the class id {highest}, but the parts of a face are 0 to {len(PALETTE) - 1}")
    colours = torch.tensor(PALETTE, dtype=torch.float32)[masks.long()]
    covered = rearrange(masks > 0, "face height width -> face height width 1")
    return torch.where(covered, faces * 0.5 + colours * 0.5, faces.float()).round().to(torch.uint8)


def fitted(text: str, width: int, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of the text as is no wider than a face."""
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    return text
