"""A residual network of 29 convolutions that was made for faces: its maps at several strides, side by side, as tokens.

Sources:
    dlib's network for aligned faces and its weights (CC0): http://dlib.net/face_recognition_tutorial.py.html,
        https://github.com/davisking/dlib-models
    residual networks: https://arxiv.org/abs/1512.03385
    hypercolumns, the maps of several layers read at one place: https://arxiv.org/abs/1411.5752
"""

import os
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.modules.contracts import Preprocessing
from faceinsight.modules.image_encoder import check_images
from faceinsight.modules.weights import load_part, load_weights, save_weights

__all__ = ["MAPS", "MEAN", "STAGES", "STD", "FaceResNet", "ResidualBlock", "add_padded", "build_stage"]

#: dlib subtracts these means of red, green and blue and divides by 256, where images are from 0 to 255.
MEAN, STD = (122.782 / 255, 117.001 / 255, 104.298 / 255), (256 / 255,) * 3

#: Width and number of blocks of each stage; in every stage but the first, the first block halves the map.
STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))

#: The strides of the maps, and the width of each.
MAPS = {2: 32, 4: 32, 8: 64, 16: 128, 32: 256, 64: 256}

#: The side to which a linear reading pools each map. Not in a paper: chosen on CelebA's validation faces.
SIDES = {8: 4, 16: 4, 32: 2, 64: 2}


#: The smallest image, in pixels, of which the last stage has 3 x 3 places for its filter.
SMALLEST = 103


class FaceResNet(nn.Module):
    """Images in, one token per place of a coarse grid out: the maps of several stages, averaged there, side by side.

    The network is dlib's, without its last layer, which tells people apart: this library compares no identities. The
    scale after each convolution is part of the convolution's weights.

    Args:
        image_size: height and width in pixels of the images that come; the weights of dlib were trained at 150.
        grid: rows and columns of tokens. A map with fewer places is repeated, one with more is averaged.
        strides: the maps that are read, in this order, from 8, 16, 32 and 64; 64, 128, 256 and 256 wide.
        margin: of the aligned faces that come, on each side, as a share of the face; see
            :func:`faceinsight.data.alignment.aligned`.
        weights: a file that :meth:`save` wrote for an encoder built in the same way.

    Raises:
        InputError: unknown strides, or an image size below 103, too small for the last stage.

    >>> encoder = FaceResNet()
    >>> encoder(torch.rand(2, 3, 150, 150)).shape, encoder.grid
    (torch.Size([2, 16, 704]), (4, 4))
    >>> encoder.levels
    ((64, 4), (128, 4), (256, 2), (256, 2))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        image_size: int = 150,
        grid: Sequence[int] = (4, 4),
        strides: Sequence[int] = (8, 16, 32, 64),
        margin: float = 0.25,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        rows, columns = grid
        self.image_size, self.strides, self.margin = image_size, tuple(strides), margin
        self.grid: tuple[int, int] = (rows, columns)
        if not self.strides or len(set(self.strides)) < len(self.strides) or not {*self.strides} <= {*SIDES}:
            raise InputError(f"strides must be some of {list(SIDES)}, each once, got {list(strides)}")
        if min(self.grid) < 1 or image_size < SMALLEST:
            raise InputError(
                f"wanted a grid of at least (1, 1) and images of {SMALLEST} px, got {self.grid}, {image_size} px"
            )
        #: Width of each slice of a token's numbers, and the side to which a linear reading should pool that slice.
        self.levels = tuple((MAPS[stride], min(SIDES[stride], *self.grid)) for stride in self.strides)
        self.embed_dim = sum(width for width, _ in self.levels)
        #: What images must hold for their pixels to mean the same here; they come as RGB in [0, 1].
        self.preprocessing: Preprocessing = {
            "image_size": image_size,
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
        }
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1))
        self.first = nn.Conv2d(3, 32, kernel_size=7, stride=2)
        self.stages = nn.ModuleList(build_stage(number) for number in range(len(STAGES)))
        self.to(memory_format=torch.channels_last)  # convolutions: a quarter faster on a CPU
        if weights is not None:
            load_weights(weights, self)

    @property
    def num_tokens(self) -> int:
        """Tokens per image: rows times columns of the grid."""
        return self.grid[0] * self.grid[1]

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode RGB images in [0, 1], in row-major order of the grid.

        Raises:
            ValueError: images of another size, number of channels or kind of number.
        """
        check_images(images, self.image_size)
        maps = self.maps(images)
        pooled = [F.adaptive_avg_pool2d(maps[stride], self.grid) for stride in self.strides]
        return rearrange(torch.cat(pooled, 1), "batch dim row column -> batch (row column) dim")

    def maps(self, images: Float[Tensor, "batch channel height width"]) -> dict[int, Tensor]:
        """Return the maps ``[batch, channel, row, column]`` by stride, 2 to 64, of RGB images in [0, 1]
        of at least 103 px.

        At 150 px they have sides of 72, 35, 17, 8, 4 and 2.
        """
        normalised = ((images - self.mean) / self.std).to(self.first.weight.dtype)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        found = {2: F.relu(self.first(normalised))}
        here = F.max_pool2d(found[2], kernel_size=3, stride=2)
        for number, stage in enumerate(self.stages):
            here = found[4 * 2**number] = stage(here)
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, with what they depend on, as a safetensors file."""
        save_weights(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FaceResNet":
        """Build the encoder that :meth:`save` wrote, from the file alone."""
        return load_part(path, cls)


def build_stage(number: int) -> nn.Sequential:
    """Build one of the STAGES; every one but the first begins with a block that halves the map."""
    width, blocks = STAGES[number]
    before = STAGES[max(number - 1, 0)][0]
    first = ResidualBlock(before, width, halve=number > 0)
    return nn.Sequential(first, *(ResidualBlock(width, width, halve=False) for _ in range(blocks - 1)))


class ResidualBlock(nn.Module):
    """Two convolutions of 3 x 3 whose result is added to what came, which is averaged where the block halves the map.

    As in dlib, the first convolution of a halving block has no padding; the smaller of the two summands gets zeros
    below, at the right, and in the channels that it lacks.
    """

    def __init__(self, in_channels: int, channels: int, *, halve: bool) -> None:
        super().__init__()
        stride, padding = (2, 0) if halve else (1, 1)
        self.halve = halve
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=padding)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch wider rows columns"]:
        """Return a map of the same size, or of about half of it."""
        changed = self.conv2(F.relu(self.conv1(maps)))
        return F.relu(add_padded(changed, F.avg_pool2d(maps, 2)) if self.halve else changed + maps)


def add_padded(
    first: Float[Tensor, "batch channel height width"], second: Float[Tensor, "batch other rows columns"]
) -> Float[Tensor, "batch most tallest widest"]:
    """Add two maps of different sizes; each gets zeros at its end in every axis in which it is the shorter.

    >>> add_padded(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 2, 1))
    tensor([[[[2., 1.],
              [1., 0.]]]])
    """
    sizes = [max(pair) for pair in zip(first.shape[1:], second.shape[1:], strict=True)]
    padded = []
    for each in (first, second):
        channels, rows, columns = (size - own for size, own in zip(sizes, each.shape[1:], strict=True))
        padded.append(F.pad(each, (0, columns, 0, rows, 0, channels)))
    return padded[0] + padded[1]
