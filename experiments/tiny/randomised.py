"""Drawn faces in random colours, textures, lights and backgrounds, so that a parser looks for shapes instead.

Source: domain randomisation, Tobin et al. 2017, https://arxiv.org/abs/1703.06907: what varies enough among drawn
pictures lets a photograph pass as one more variation. Which changes, and how far, is our choice.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from faceinsight.data import FaceDataModule
from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.face_parts import FACE_PARTS, part_id

__all__ = ["Randomisation", "RandomisedFaces", "clouds", "randomised"]

Images = Float[Tensor, "batch 3 height width"]
Masks = UInt8[Tensor, "batch height width"]


#: For each class id the one of whose colour it is: nose, ears and neck are skin; lips, eyes and brows go in pairs.
SAME_COLOUR = [
    part_id(
        {"nose": "skin", "left_ear": "skin", "right_ear": "skin", "neck": "skin", "lower_lip": "upper_lip",
         "right_eye": "left_eye", "right_brow": "left_brow"}.get(name, name)
    )
    for name in FACE_PARTS
]  # fmt: skip


@dataclass(frozen=True)
class Randomisation:
    """How much of a drawn picture is changed; every amount 0 changes nothing.

    Args:
        colour: spread of the logarithm of the brightness of each part; what is of one colour in a face stays so.
        chroma: the same of single channels.
        texture: largest amplitude of the clouds over each part, on the scale [0, 1].
        light: spread of the logarithm of a light that varies smoothly over the picture.
        background: probability that the background is replaced by coloured clouds.
        blur: largest share of the resolution that is lost.
        noise: largest standard deviation of the noise of single pixels.
        grey: probability of a picture without colour.
    """

    colour: float = 0.3
    chroma: float = 0.1
    texture: float = 0.15
    light: float = 0.3
    background: float = 0.5
    blur: float = 0.6
    noise: float = 0.05
    grey: float = 0.1


def randomised(images: Images, masks: Masks, amount: Randomisation, generator: torch.Generator) -> Images:
    """Change each picture at random, with the parts of its face each in its own way; shapes stay.

    Args:
        generator: on the CPU.
    """
    faces, _, height, width = images.shape
    parts = len(FACE_PARTS)

    def coloured(*shape: int) -> Tensor:
        whole = amount.colour * normal(*shape)
        return whole + amount.chroma * normal(*shape[:-1], 3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def per_part(values: Float[Tensor, "batch part channel"]) -> Images:
        flat = rearrange(masks.long(), "batch height width -> batch (height width)")
        read = values.gather(1, flat[..., None].expand(-1, -1, values.shape[-1]))
        return rearrange(read, "batch (height width) channel -> batch channel height width", height=height)

    changed = images * per_part(coloured(faces, parts, 1)[:, SAME_COLOUR].exp())
    changed = changed + per_part(amount.texture * uniform(faces, parts, 1)) * clouds(
        faces, 1, (height, width), generator
    )
    behind = (
        0.5 + 0.25 * clouds(faces, 1, (height, width), generator) + 0.08 * clouds(faces, 3, (height, width), generator)
    )
    behind = behind + 0.2 * normal(faces, 1, 1, 1) + amount.chroma * normal(faces, 3, 1, 1)
    replaced = rearrange(uniform(faces) < amount.background, "batch -> batch 1 1 1") & (masks == 0)[:, None]
    changed = torch.where(replaced, behind, changed)
    light = F.interpolate(amount.light * normal(faces, 1, 3, 3), (height, width), mode="bicubic")
    tint = amount.chroma * normal(faces, 3, 1, 1)
    changed = changed * (light + tint).exp()
    grey = rearrange(uniform(faces) < amount.grey, "batch -> batch 1 1 1")
    changed = torch.where(grey, changed.mean(1, keepdim=True), changed)
    changed = blurred(changed, amount.blur * uniform(1).item())
    return (changed + amount.noise * uniform(faces, 1, 1, 1) * normal(*images.shape)).clamp(0, 1)


def clouds(faces: int, channels: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw noise of several scales, the coarser the stronger, ``[face, channel, height, width]``; deviation about 1."""
    total = torch.zeros(faces, channels, *size)
    for side, strength in ((3, 0.8), (8, 0.45), (24, 0.3), (64, 0.25)):
        noise = torch.randn(faces, channels, side, side, generator=generator)
        total += strength * F.interpolate(noise, size, mode="bilinear")
    return total


def blurred(images: Images, lost: float) -> Images:
    """Drop a share of the resolution and come back to the size."""
    size = [max(1, round(side * (1 - lost))) for side in images.shape[2:]]
    small = F.interpolate(images, size, mode="bilinear", antialias=True)
    return F.interpolate(small, images.shape[2:], mode="bilinear")


class RandomisedFaces(FaceDataModule):
    """Drawn faces that are randomised after the usual changes, by the same rule of seeds.

    Args:
        randomisation: how much.
        options: as for :class:`~faceinsight.data.FaceDataModule`.
    """

    def __init__(self, *, randomisation: Randomisation, **options: Any) -> None:
        super().__init__(**options)
        self.randomisation = randomisation

    def on_after_batch_transfer(self, batch: FaceBatch, dataloader_idx: int) -> FaceBatch:
        """Change training batches."""
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        if self.trainer is None or not self.trainer.training or batch.images is None or batch.masks is None:
            return batch
        number = self.trainer.fit_loop.total_batch_idx + 1
        generator = torch.Generator().manual_seed(self._draw(3, self.trainer.global_rank, number))
        images = randomised(batch.images.cpu(), batch.masks.cpu(), self.randomisation, generator)
        return replace(batch, images=images.to(batch.images.device))
