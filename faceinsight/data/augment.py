"""Random changes to training faces that leave their labels true: mirror, shift, turn, scale, brightness, contrast.

Each change is a pure function of a batch and the numbers drawn for it; the numbers come from a generator of the
caller's. Pictures and parsing masks are changed alike.
"""

import math
from dataclasses import asdict, dataclass, replace

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from faceinsight.data.batch import FaceBatch
from faceinsight.errors import InputError
from faceinsight.knowledge.face_parts import MIRRORED

__all__ = ["Augmentation", "augment", "flip_images", "flip_masks", "jitter", "shift", "turn"]


@dataclass(frozen=True)
class Augmentation:
    """How much training faces are changed; every amount 0 changes nothing.

    Args:
        flip: probability of mirroring a face.
        shift: largest shift up, down, left or right, as a share of the side; the border pixels are repeated.
        brightness: largest change of all pixels, up or down, on the scale [0, 1].
        contrast: largest relative change of the distance of each pixel from its picture's mean.
        rotation: largest turn to either side, in degrees.
        scale: largest relative change of a face's size, up or down.

    Raises:
        InputError: an amount outside [0, 1], or a rotation outside [0, 180].
    """

    flip: float = 0.5
    shift: float = 0.08
    brightness: float = 0.1
    contrast: float = 0.1
    rotation: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name, amount in asdict(self).items():
            most = 180 if name == "rotation" else 1
            if not 0 <= amount <= most:
                raise InputError(f"augmentation: {name} must be between 0 and {most}, got {amount}")


def augment(batch: FaceBatch, amount: Augmentation, generator: torch.Generator) -> FaceBatch:
    """Return the batch with every face changed at random; a batch of cached features is given back as it is.

    Args:
        generator: on the CPU, so that the draws are the same on every device.
    """
    if batch.images is None:
        return batch
    images, masks = batch.images, batch.masks
    faces, device = len(images), images.device
    mirrored = (torch.rand(faces, generator=generator) < amount.flip).to(device)
    furthest = int(amount.shift * images.shape[-1])
    offset = torch.randint(-furthest, furthest + 1, (faces, 2), generator=generator).to(device)
    brighter, stronger = (2 * torch.rand(2, faces, generator=generator) - 1).to(device)
    images = shift(flip_images(images, mirrored), offset)
    masks = masks if masks is None else shift(flip_masks(masks, mirrored), offset)
    if amount.rotation or amount.scale:
        turned, larger = (2 * torch.rand(2, faces, generator=generator) - 1).to(device)
        angle, size = math.radians(amount.rotation) * turned, 1 + amount.scale * larger
        images = turn(images, angle=angle, scale=size)
        masks = masks if masks is None else turn(masks, angle=angle, scale=size)
    images = jitter(images, brightness=amount.brightness * brighter, contrast=1 + amount.contrast * stronger)
    return replace(batch, images=images, masks=masks)


def flip_images(
    images: Float[Tensor, "batch 3 height width"], where: Bool[Tensor, " batch"]
) -> Float[Tensor, "batch 3 height width"]:
    """Mirror the faces that ``where`` marks."""
    return torch.where(rearrange(where, "batch -> batch 1 1 1"), images.flip(-1), images)


def flip_masks(
    masks: UInt8[Tensor, "batch height width"], where: Bool[Tensor, " batch"]
) -> UInt8[Tensor, "batch height width"]:
    """Mirror the masks that ``where`` marks; left and right parts of the face change places."""
    mirrored = torch.tensor(MIRRORED, dtype=masks.dtype, device=masks.device)[masks.flip(-1).long()]
    return torch.where(rearrange(where, "batch -> batch 1 1"), mirrored, masks)


def shift(pictures: Tensor, offset: Int64[Tensor, "batch 2"]) -> Tensor:
    """Move each picture down and to the right by its offset (rows, columns), in pixels; the border is repeated.

    Args:
        pictures: images ``[batch, 3, height, width]`` or masks ``[batch, height, width]``.
    """
    height, width = pictures.shape[-2:]
    across = pictures.ndim == 4
    down, right = (rearrange(each, "batch -> batch 1") for each in offset.unbind(dim=1))
    rows = (torch.arange(height, device=pictures.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=pictures.device) - right).clamp(0, width - 1)
    axes = "batch 1 height 1" if across else "batch height 1"
    moved = pictures.gather(-2, rearrange(rows, f"batch height -> {axes}").expand(pictures.shape))
    axes = "batch 1 1 width" if across else "batch 1 width"
    return moved.gather(-1, rearrange(columns, f"batch width -> {axes}").expand(pictures.shape))


def turn(pictures: Tensor, *, angle: Float[Tensor, " batch"], scale: Float[Tensor, " batch"]) -> Tensor:
    """Turn each picture about its centre, anticlockwise in radians, and enlarge it; the border is repeated.

    Args:
        pictures: images ``[batch, 3, height, width]``, read between pixels, or masks ``[batch, height, width]``, of
            which the nearest pixel is taken.
    """
    cosine, sine, zero = angle.cos() / scale, angle.sin() / scale, torch.zeros_like(angle)
    size = pictures.shape[-1] / pictures.shape[-2]  # the grid runs from -1 to 1 on either axis
    rows = [cosine, -sine / size, zero], [sine * size, cosine, zero]
    images = pictures if pictures.ndim == 4 else pictures[:, None].float()
    grid = F.affine_grid(torch.stack([torch.stack(row, -1) for row in rows], 1), list(images.shape), False)
    how = "bilinear" if pictures.ndim == 4 else "nearest"
    turned = F.grid_sample(images, grid, mode=how, padding_mode="border", align_corners=False)
    return turned if pictures.ndim == 4 else turned[:, 0].to(pictures.dtype)


def jitter(
    images: Float[Tensor, "batch 3 height width"],
    *,
    brightness: Float[Tensor, " batch"],
    contrast: Float[Tensor, " batch"],
) -> Float[Tensor, "batch 3 height width"]:
    """Scale each picture's distance from its mean by ``contrast``, add ``brightness``, and stay in [0, 1]."""
    mean = reduce(images, "batch channel height width -> batch 1 1 1", "mean")
    each = "batch -> batch 1 1 1"
    return ((images - mean) * rearrange(contrast, each) + mean + rearrange(brightness, each)).clamp(0, 1)
