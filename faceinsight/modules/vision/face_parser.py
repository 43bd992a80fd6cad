"""The face parser: which part of the face each pixel belongs to.

Sources:
    segmentation_models.pytorch, the networks: https://github.com/qubvel-org/segmentation_models.pytorch
    CelebAMask-HQ, the classes: https://arxiv.org/abs/1907.11922
"""

import os
from typing import Any

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.modules.contracts import Preprocessing
from faceinsight.modules.image_encoder import check_images
from faceinsight.modules.vision import face_resnet, parser_encoder
from faceinsight.modules.weights import load_part, load_weights, save_weights

__all__ = ["FaceParser"]

#: ImageNet's statistics: our choice, since every encoder of smp was made for them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: A narrow decoder for small images; see the measurement in :class:`FaceParser`.
LIGHT_FPN = {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}


class FaceParser(nn.Module):
    """An smp network that starts from random weights (nothing is downloaded); normalises inside.

    Not in the paper (which names no parser): a feature pyramid with a narrow decoder on half a
    MobileNetV3-small, 0.4 M parameters, fast enough for a CPU. On one core at 96 px it trains at 130 faces a second and
    reads 580. A first look, one seed, 8 epochs over 700 faces of CelebAMask-HQ, mean IoU on 150 others: this 0.32;
    on ``tu-resnet10t`` 0.44 at 53 faces a second; a ``Unet`` on the same encoder 0.20 at 62, no small part found.

    Args:
        architecture: smp's name: ``Unet``, ``FPN``, ``Segformer``, ...
        encoder: smp's name of the encoder; ``tu-`` and a timm name takes any timm trunk, ``face_resnet`` this
            library's :class:`~faceinsight.modules.vision.parser_encoder.FaceResNetEncoder`.
        classes: number of parts, by default those of :data:`~faceinsight.knowledge.face_parts.FACE_PARTS`.
        image_size: height and width in pixels of the images that come.
        options: smp's options for the architecture; by default a narrow decoder if that is an FPN.
        weights: a file that :meth:`save` wrote for a parser built in the same way.

    Raises:
        ValueError: smp cannot build this network, or it cannot read this size.

    >>> parser = FaceParser(image_size=64)
    >>> parser(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 19, 64, 64])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        architecture: str = "FPN",
        encoder: str = "tu-mobilenetv3_small_050",
        classes: int = len(FACE_PARTS),
        image_size: int = 96,
        options: dict[str, Any] | None = None,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.encoder = architecture, encoder
        self.classes, self.image_size = classes, image_size
        self.options = dict(LIGHT_FPN if options is None and architecture == "FPN" else options or {})
        own = encoder == parser_encoder.NAME
        mean, std = (face_resnet.MEAN, face_resnet.STD) if own else (MEAN, STD)
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1))
        #: what a file must hold for its pixels to mean the same here; images come as RGB in [0, 1]
        self.preprocessing: Preprocessing = {
            "image_size": image_size,
            "mean": list(mean),
            "std": list(std),
            "interpolation": "bilinear",
        }
        try:
            self.network = smp.create_model(
                architecture, encoder_name=encoder, encoder_weights=None, classes=classes, **self.options
            )
            self.network.to(memory_format=torch.channels_last)  # convolutions are faster so
            self._check_size()
        except Exception as error:
            raise InputError(
                f"smp cannot build {architecture} on {encoder} for {image_size} x {image_size} images "
                f"with {self.options}: {error}"
            ) from error
        if weights is not None:
            load_weights(weights, self)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch region height width"]:
        """Logits of every part at every pixel, from RGB images in [0, 1].

        Raises:
            InputError: images of another size, number of channels or kind of number, or outside [0, 1].
        """
        check_images(images, self.image_size)
        normalised = ((images - self.mean) / self.std).to(next(self.network.parameters()).dtype)
        return self.network(normalised.contiguous(memory_format=torch.channels_last))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, with what they depend on, as a safetensors file."""
        save_weights(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FaceParser":
        """Build the parser that :meth:`save` wrote, from the file alone."""
        return load_part(path, cls)

    def _check_size(self) -> None:
        """One grey image through the network: its own complaint about the size, or ours about the map's."""
        self.network.eval()
        with torch.no_grad():
            shape = tuple(self.network(torch.zeros(1, 3, self.image_size, self.image_size)).shape)
        self.network.train()
        if shape != (1, self.classes, self.image_size, self.image_size):
            raise InputError(f"it gives {list(shape)} for one image")
