"""The vision tower of a multimodal checkpoint, as it was trained, where an image encoder stands.

Sources: LLaVA-1.5 (https://arxiv.org/abs/2310.03744) takes the patch tokens of CLIP's last layer but one; InternVL 1.5
(https://arxiv.org/abs/2404.16821) lays each 2 x 2 of them into one token ("pixel shuffle").
"""

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.modules.contracts import Preprocessing
from faceinsight.modules.image_encoder import check_images, token_grid

__all__ = ["VisionTower", "pixel_shuffle"]


def pixel_shuffle(
    tokens: Float[Tensor, "batch patch dim"], grid: tuple[int, int], factor: int
) -> Float[Tensor, "batch cell wide"]:
    """Each square of ``factor x factor`` patch tokens as one token, row after row.

    >>> pixel_shuffle(torch.arange(8.0).reshape(1, 8, 1), (2, 4), 2)
    tensor([[[0., 1., 4., 5.],
             [2., 3., 6., 7.]]])
    """
    return rearrange(
        tokens,
        "batch (row r column c) dim -> batch (row column) (r c dim)",
        row=grid[0] // factor, r=factor, c=factor,
    )  # fmt: skip


class VisionTower(nn.Module):
    """A transformers vision model; to others it looks like an ``ImageEncoder``. Normalises inside.

    Args:
        trunk: the vision model, such as a ``CLIPVisionModel``; the checkpoint's own module.
        image_size: height and width in pixels of the images that come.
        mean: of red, green and blue in [0, 1], as the checkpoint's processor says.
        std: as ``mean``.
        interpolation: how images were resized to ``image_size`` when the tower was trained.
        shape: what of a picture was: its centred ``"square"`` (CLIP), or the ``"whole"``, squashed (InternVL, SigLIP).
        layer: the hidden states that are taken, counted as in transformers' ``hidden_states``; those of several layers
            are laid side by side; None for the model's last states.
        select: ``"default"`` leaves out the class token that stands first, ``"full"`` takes all.
        shuffle: patches along each side of the square that becomes one token.

    Raises:
        ValueError: tokens that are no grid, or whose grid does not divide by ``shuffle``.
    """

    mean: Tensor
    std: Tensor

    #: where it came from, described as in :mod:`faceinsight.modules.description`
    origin: PlainData | None = None

    def __init__(
        self,
        *,
        trunk: nn.Module,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: str = "bicubic",
        shape: Literal["square", "whole"] = "square",
        layer: int | Sequence[int] | None = -2,
        select: Literal["default", "full"] = "default",
        shuffle: int = 1,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.image_size, self.interpolation, self.shape = image_size, interpolation, shape
        self.layer, self.select, self.shuffle = layer, select, shuffle
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1))
        self._patches: tuple[int, int] = (0, 0)
        self._patches, self.grid, self.embed_dim = self._measure()

    @property
    def num_tokens(self) -> int:
        """Tokens per image: rows times columns of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def preprocessing(self) -> Preprocessing:
        """What a file must hold for its pixels to mean the same here; images come as RGB in [0, 1]."""
        return {
            "image_size": self.image_size,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "interpolation": self.interpolation,
            "shape": self.shape,
        }

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode RGB images in [0, 1], in row-major order of the grid.

        Raises:
            InputError: images of another size, number of channels or kind of number, or outside [0, 1].
        """
        check_images(images, self.image_size)
        states = self._states((images - self.mean) / self.std)
        return states if self.shuffle == 1 else pixel_shuffle(states, self._patches, self.shuffle)

    def _states(self, images: Tensor) -> Tensor:
        images = images.to(next(self.trunk.parameters()).dtype)
        if self.layer is None:
            states = self.trunk(images).last_hidden_state
        else:
            layers = [self.layer] if isinstance(self.layer, int) else self.layer
            hidden = self.trunk(images, output_hidden_states=True).hidden_states
            states = torch.cat([hidden[each] for each in layers], dim=-1)
        return states[:, 1:] if self.select == "default" else states

    def _measure(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        """Grid of the patches, grid of the tokens and token size, from one grey image."""
        grey = torch.zeros(1, 3, self.image_size, self.image_size, device=self.mean.device)
        with torch.no_grad():
            states = self._states(grey)
        rows, columns = token_grid(self.trunk, states.shape[1])
        if rows % self.shuffle or columns % self.shuffle:
            raise InputError(
                f"{type(self.trunk).__name__}: a grid of {rows} x {columns} patches does not divide into squares of "
                f"{self.shuffle} x {self.shuffle}; choose another image_size"
            )
        grid = (rows // self.shuffle, columns // self.shuffle)
        return (rows, columns), grid, states.shape[2] * self.shuffle**2
