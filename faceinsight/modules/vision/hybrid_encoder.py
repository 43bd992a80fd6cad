"""A ViT over another encoder's feature map, for when there are too few faces to train a ViT on pixels.

Source: the hybrid architecture of the ViT paper (https://arxiv.org/abs/2010.11929): each place of a convolutional
feature map is one of the ViT's patches.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.modules.contracts import IMAGE_ENCODER, ImageEncoderLike, Preprocessing
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import build_trunk
from faceinsight.modules.weights import load_part, load_weights, save_weights

__all__ = ["HybridEncoder"]


class HybridEncoder(nn.Module):
    """A timm ViT whose patches are the tokens of a stem; to others it looks like an ``ImageEncoder``.

    Args:
        stem: an :class:`~faceinsight.modules.image_encoder.ImageEncoder`. In :class:`Frozen`, the ViT alone trains.
        name: timm's name of the ViT; its patches are made 1 x 1.
        options: of the ViT, such as ``depth``.
        beside: ``"stem"`` puts the stem's numbers before the ViT's in every token, so that one tensor serves a linear
            reading of the stem and what comes after the ViT; None gives the ViT's alone.
        weights: a file that :meth:`save` wrote for an encoder built in the same way, on the same stem.

    >>> from faceinsight.modules.image_encoder import ImageEncoder
    >>> stem = ImageEncoder(name="resnet18", image_size=64, feature_index=3)
    >>> encoder = HybridEncoder(stem=Frozen(stem), options={"depth": 2})
    >>> encoder(torch.rand(1, 3, 64, 64)).shape, encoder.grid
    (torch.Size([1, 16, 192]), (4, 4))
    >>> HybridEncoder(stem=Frozen(stem), options={"depth": 2}, beside="stem").levels
    ((256, 4), (192, 1))
    """

    stem: ImageEncoderLike
    trunk: Any  # a ViT of timm, whose classes share no type

    def __init__(
        self,
        *,
        stem: nn.Module,
        name: str = "vit_tiny_patch16_224",
        options: Mapping[str, Any] | None = None,
        beside: Literal["stem"] | None = None,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.stem = IMAGE_ENCODER.check(stem, "grid", "embed_dim")
        self.name, self.options, self.beside = name, dict(options or {}), beside
        self.grid = self.stem.grid
        patches = {"img_size": self.grid, "patch_size": 1, "in_chans": self.stem.embed_dim}
        self.trunk = build_trunk(name, self.grid[0], {**patches, **self.options}, None, False)
        own = ((int(self.trunk.num_features), 1),)
        below = getattr(stem, "levels", ((stem.embed_dim, self.grid[0]),)) if beside == "stem" else ()
        #: Width of each slice of a token's numbers, and the side to which a linear reading should pool that slice.
        self.levels: tuple[tuple[int, int], ...] = (*below, *own)
        self.embed_dim = sum(width for width, _ in self.levels)
        if weights is not None:
            load_weights(weights, self)

    @property
    def num_tokens(self) -> int:
        """Tokens per image: those of the stem."""
        return self.grid[0] * self.grid[1]

    @property
    def preprocessing(self) -> Preprocessing:
        """The stem's."""
        return self.stem.preprocessing

    @property
    def margin(self) -> float | None:
        """Of the aligned faces that the stem takes; None where it says nothing of it."""
        return getattr(self.stem, "margin", None)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode RGB images in [0, 1], in row-major order of the grid."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(self.stem, Frozen)):
            tokens = self.stem(images)
        return self.over(tokens)

    def over(self, tokens: Float[Tensor, "batch patch width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode tokens of the stem, such as cached ones, in row-major order of the grid."""
        places = rearrange(tokens, "batch (row column) dim -> batch dim row column", row=self.grid[0])
        seen = self.trunk(places)[:, self.trunk.num_prefix_tokens :]
        return seen if self.beside is None else torch.cat([tokens, seen], dim=-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, the stem's too, with what they depend on, as a safetensors file."""
        save_weights(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "HybridEncoder":
        """Build the encoder that :meth:`save` wrote, from the file alone."""
        return load_part(path, cls)
