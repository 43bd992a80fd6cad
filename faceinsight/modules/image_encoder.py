"""The image encoder: any timm trunk that keeps the place of what it sees, as patch tokens.

A vision transformer gives its patch tokens without class and register tokens; a convolutional trunk (or a hybrid)
gives its feature map, one token per cell. What stands after it can rely on ``embed_dim``, ``grid`` and
``num_tokens``: they are promises, measured once at construction.

Sources:
    FaceInsight (a ViT image encoder): https://arxiv.org/abs/2504.15624
    timm, the trunks: https://github.com/huggingface/pytorch-image-models
"""

import difflib
import os
from typing import Any

import timm
import torch
from einops import rearrange
from jaxtyping import Float
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.knowledge.pixels import check_range
from faceinsight.modules.contracts import Preprocessing
from faceinsight.modules.weights import load_part, load_weights, save_weights

__all__ = ["ImageEncoder"]


class ImageEncoder(nn.Module):
    """Images in, one token per patch out; normalises inside.

    Not in the paper: the paper names a ViT and nothing more, so any timm trunk may stand here.

    Args:
        name: a timm model, such as ``vit_tiny_patch16_224``, ``vit_tiny_r_s16_p8_224`` or ``resnet18``.
        image_size: height and width in pixels of the images that come.
        options: timm's options for this trunk, such as ``{"patch_size": 8, "depth": 6}``, or for a ResNet
            ``{"norm_layer": "groupnorm"}``.
        feature_index: take the feature map of this stage (timm's ``out_indices``, from 0) in place of the last;
            what comes after that stage is not built. A ``resnet18`` at 96 px has a grid of 3 x 3 at its end
            and of 6 x 6 at stage 3.
        output_stride: pixels between two tokens, of trunks that can be dilated (timm's ResNets: 8, 16 or 32). The
            weights are the same for each: our choice, a file trained at 32 may be read at 16, whose tokens
            stand closer; a head that was trained on the tokens does not follow.
        weights: a file that :meth:`save` wrote for an encoder built in the same way.
        pretrained: let timm download its weights.

    Raises:
        ValueError: an unknown trunk, one that cannot read this size, or one whose output has no places.

    >>> encoder = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    >>> encoder.embed_dim, encoder.grid, encoder.num_tokens
    (12, (2, 2), 4)
    >>> encoder(torch.rand(5, 3, 32, 32)).shape
    torch.Size([5, 4, 12])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        image_size: int = 96,
        options: PlainData | None = None,
        feature_index: int | None = None,
        output_stride: int | None = None,
        weights: str | os.PathLike[str] | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        if weights is not None and pretrained:
            raise InputError("give either weights (a file of this library) or pretrained=True (timm's), not both")
        self.name, self.image_size = name, image_size
        self.options, self.feature_index, self.output_stride = dict(options or {}), feature_index, output_stride
        dilated = {} if output_stride is None else {"output_stride": output_stride}
        self.trunk = build_trunk(name, image_size, self.options | dilated, feature_index, pretrained)
        self.trunk.to(memory_format=torch.channels_last)  # convolutions: a quarter faster on a CPU, more on a GPU
        data = resolve_model_data_config(self.trunk)
        #: what a file must hold for its pixels to mean the same here; images come as RGB in [0, 1]
        self.preprocessing: Preprocessing = {
            "image_size": image_size,
            "mean": list(data["mean"]),
            "std": list(data["std"]),
            "interpolation": data["interpolation"],
        }
        self.register_buffer("mean", torch.tensor(data["mean"]).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(data["std"]).reshape(3, 1, 1))
        self._prefix, self.grid, self.embed_dim = self._measure()
        if weights is not None:
            load_weights(weights, self, apart_from=("output_stride",))

    @property
    def num_tokens(self) -> int:
        """Tokens per image: rows times columns of the grid."""
        return self.grid[0] * self.grid[1]

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode RGB images in [0, 1], in row-major order of the grid.

        Raises:
            InputError: images of another size, number of channels or kind of number, or outside [0, 1].
        """
        check_images(images, self.image_size)
        normalised = ((images - self.mean) / self.std).to(next(self.trunk.parameters()).dtype)
        features = self._features(normalised.contiguous(memory_format=torch.channels_last))
        if features.ndim == 3:
            return features[:, self._prefix :]
        return rearrange(features, "batch row column dim -> batch (row column) dim")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, with what they depend on, as a safetensors file."""
        save_weights(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ImageEncoder":
        """Build the encoder that :meth:`save` wrote, from the file alone."""
        return load_part(path, cls)

    def _features(self, images: Tensor) -> Tensor:
        """Return the trunk's own output: ``[batch, token, dim]``, or a map with the channels last."""
        features = self.trunk(images)
        if isinstance(features, list):  # a trunk cut at one stage lists its one map
            (features,) = features
        channels_last = getattr(self.trunk, "output_fmt", "NCHW") == "NHWC"
        return features if features.ndim == 3 or channels_last else features.movedim(1, -1)

    def _measure(self) -> tuple[int, tuple[int, int], int]:
        """Tokens to drop, grid and token size, from one grey image."""
        size = self.image_size
        patch = getattr(getattr(self.trunk, "patch_embed", None), "patch_size", None)
        if isinstance(patch, tuple) and size % patch[0] and getattr(self.trunk.patch_embed, "backbone", None) is None:
            raise InputError(f"{self.name}: images of {size} px do not divide into patches of {patch[0]} px")
        self.trunk.eval()
        try:
            with torch.no_grad():
                features = self._features(torch.zeros(1, 3, size, size))
        except Exception as error:
            raise InputError(
                f"{self.name} cannot read {size} x {size} images: {error}; choose another image_size, or say the "
                f'size in timm\'s own words, such as options={{"img_size": {size}}}'
            ) from error
        self.trunk.train()
        if features.ndim == 4:
            return 0, (features.shape[1], features.shape[2]), features.shape[3]
        if features.ndim != 3:
            raise InputError(f"{self.name} gives {list(features.shape)} for one image: no places, so no patch tokens")
        prefix = getattr(self.trunk, "num_prefix_tokens", 0)
        return prefix, token_grid(self.trunk, features.shape[1] - prefix), features.shape[2]


def build_trunk(
    name: str, image_size: int, options: PlainData, feature_index: int | None, pretrained: bool
) -> nn.Module:
    """Build a timm trunk without its classifier and without pooling, for images of one size.

    Raises:
        ValueError: timm does not know the trunk (the nearest names are offered) or one of the options.
    """
    if ":" not in name and not timm.is_model(name.split(".")[0]):  # "hf-hub:..." names are looked up by timm
        nearest = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
        raise InputError(f"timm has no model named {name!r}{hint}")
    if feature_index is None:
        head: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    else:
        head = {"features_only": True, "out_indices": (feature_index,)}
    # by way of the configuration, since only trunks of one fixed size take an `img_size`
    overlay = {"input_size": (3, image_size, image_size)}
    try:
        return timm.create_model(name, pretrained=pretrained, pretrained_cfg_overlay=overlay, **head, **options)
    except (TypeError, AssertionError, IndexError, KeyError) as error:
        given = {**options} if feature_index is None else {**options, "feature_index": feature_index}
        raise InputError(f"timm cannot build {name!r} as patch tokens with {given}: {error}") from error


def token_grid(trunk: nn.Module, tokens: int) -> tuple[int, int]:
    """Rows and columns of a trunk's patch tokens: as the trunk says, else a square."""
    stated = getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
    rows, columns = stated if stated is not None else (round(tokens**0.5),) * 2
    if rows * columns != tokens:
        raise InputError(
            f"{type(trunk).__name__} gives {tokens} patch tokens, which is no grid of {rows} x {columns}; "
            "choose a trunk whose tokens keep their places, or a stage of it by feature_index"
        )
    return rows, columns


def check_images(images: Tensor, image_size: int) -> None:
    """Refuse images that the encoder was not built for, saying how to mend them."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(f"images must be RGB, [batch, 3, {image_size}, {image_size}], got {list(images.shape)}")
    if images.shape[2:] != (image_size, image_size):
        raise InputError(
            f"images must be {image_size} x {image_size} px, got {images.shape[2]} x {images.shape[3]}; "
            f"resize them, or build the encoder with another image_size"
        )
    check_range(images)
