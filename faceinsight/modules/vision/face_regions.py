"""What a parsing map says of an image: the map as a picture, and what can be read off under each part's mask.

The parts are those of :mod:`faceinsight.knowledge.face_parts` unless a parser of others is passed in.
"""

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.face_parts import FACE_PARTS

__all__ = ["PLACE_FEATURES", "colour_parsing", "parsing_of_masks", "pool_regions"]

#: What :func:`pool_regions` adds behind the image features of each part.
PLACE_FEATURES: tuple[str, ...] = ("size", "x", "y", "spread_x", "spread_y", "present")


def parsing_of_masks(
    masks: Shaped[Tensor, "batch height width"], num_regions: int = len(FACE_PARTS)
) -> Float[Tensor, "batch region height width"]:
    """Class ids as the probabilities of a parser that is sure.

    Raises:
        InputError: no class ids ``[batch, height, width]``, or one that is none of the regions.

    >>> parsing_of_masks(torch.tensor([[[0, 2]]], dtype=torch.uint8), num_regions=3).flatten(1).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    if masks.ndim != 3 or masks.is_floating_point() or masks.dtype == torch.bool:
        raise InputError(
            f"masks hold class ids as whole numbers [batch, height, width], got {list(masks.shape)} of {masks.dtype}"
        )
    looked_at = masks.numel() and not masks.is_meta  # on torch's meta device there are no numbers to look at
    if looked_at:
        low, high = (int(each) for each in masks.aminmax())
        if low < 0 or high >= num_regions:
            wrong = low if low < 0 else high
            raise InputError(
                f"masks hold the class id {wrong}, but there are {num_regions} classes, 0 to {num_regions - 1}"
            )
    regions = torch.arange(num_regions, device=masks.device, dtype=torch.uint8)
    return (masks[:, None] == rearrange(regions, "region -> region 1 1")).to(torch.get_default_dtype())


def colour_parsing(
    parsing: Float[Tensor, "batch region height width"], palette: Float[Tensor, "region 3"]
) -> Float[Tensor, "batch 3 height width"]:
    """Return the parsing map as a picture: each pixel the mix of the classes' colours by their probabilities."""
    return einsum(parsing, palette.to(parsing), "batch region height width, region rgb -> batch rgb height width")


def pool_regions(
    image_tokens: Float[Tensor, "batch patch dim"],
    grid: tuple[int, int],
    parsing: Float[Tensor, "batch region height width"],
    absent_below: float = 0.0005,
) -> Float[Tensor, "batch region feature"]:
    """Image features averaged under each part's mask, then its size and place, then whether it is there at all.

    Not in the paper (which feeds the map as an image): the mask, averaged over the area of each token,
    weighs the tokens. Behind the ``dim`` image features stand :data:`PLACE_FEATURES`: the side of a square of the
    part's area (1 is the whole image; a side and not an area, so that an eye does not vanish beside the hair), the
    mean and the standard deviation of its pixels in x (right) and y (down), both from -1 to 1, and 1 for a present
    part. A part is absent, and all its features zero, if it is the most probable class of less than ``absent_below`` of
    the pixels: a parser's faint doubt, spread over a whole image, makes no part.

    Raises:
        ValueError: the tokens do not fill the grid.
    """
    if grid[0] * grid[1] != image_tokens.shape[1]:
        raise InputError(f"a grid of {grid[0]} x {grid[1]} has {grid[0] * grid[1]} tokens, got {image_tokens.shape[1]}")
    weights = rearrange(F.adaptive_avg_pool2d(parsing, grid), "batch region row column -> batch region (row column)")
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
    appearance = einsum(weights, image_tokens.to(weights), "batch region patch, batch patch dim -> batch region dim")
    present = (region_shares(parsing) >= absent_below).to(parsing)[..., None]
    return torch.cat([torch.cat([appearance, region_places(parsing)], dim=-1) * present, present], dim=-1)


def region_shares(parsing: Float[Tensor, "batch region height width"]) -> Float[Tensor, "batch region"]:
    """Return the share of pixels at which each part is the most probable one."""
    winner: Int64[Tensor, "batch pixel"] = parsing.max(dim=1).indices.flatten(1)  # five times as fast as argmax
    count = parsing.new_zeros(parsing.shape[:2]).scatter_add(1, winner, torch.ones_like(winner, dtype=parsing.dtype))
    return count / winner.shape[1]


def region_places(parsing: Float[Tensor, "batch region height width"]) -> Float[Tensor, "batch region 5"]:
    """Size, x, y, spread in x and spread in y of each part; see :func:`pool_regions`."""
    area = reduce(parsing, "batch region height width -> batch region", "mean")
    places = [area.sqrt()]
    spreads = []
    for pattern in (
        "batch region height width -> batch region width",
        "batch region height width -> batch region height",
    ):
        profile = reduce(parsing, pattern, "mean") / area.clamp(min=torch.finfo(area.dtype).tiny)[..., None]
        pixels = profile.shape[-1]
        at = (torch.arange(pixels, device=parsing.device, dtype=parsing.dtype) + 0.5) * 2 / pixels - 1
        mean = (profile * at).mean(dim=-1)
        spreads.append((profile * (at - mean[..., None]) ** 2).mean(dim=-1).sqrt())
        places.append(mean)
    return torch.stack(places + spreads, dim=-1)
