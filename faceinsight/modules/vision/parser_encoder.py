"""The face network as an encoder of segmentation_models.pytorch: ``encoder_name="face_resnet"`` once this is imported.

Source: smp's contract for encoders and its registry, https://smp.readthedocs.io/en/latest/insights.html.
"""

from jaxtyping import Float
from segmentation_models_pytorch.encoders import encoders
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.modules.vision.face_resnet import MAPS, STAGES, FaceResNet, build_stage

__all__ = ["NAME", "FaceResNetEncoder"]

#: The name in smp's registry.
NAME = "face_resnet"


class FaceResNetEncoder(nn.Module, EncoderMixin):
    """The stages of :class:`~faceinsight.modules.vision.face_resnet.FaceResNet` as smp's feature pyramid.

    Not in dlib: the image gets a border, and the first pooling takes the last row and column too, so that the map of
    stride s has exactly 1/s of the image's side, and each of its places looks at the pixels that it covers.

    Args:
        depth: halvings, 1 to 5; what comes after is not built. At 4, a fifth of the weights is left.
        output_stride: smp gives 32; the maps cannot be dilated.

    Raises:
        ValueError: another depth or output stride.

    >>> import torch
    >>> encoder = FaceResNetEncoder(depth=4)
    >>> [tuple(each.shape[1:]) for each in encoder(torch.rand(1, 3, 64, 64))]
    [(3, 64, 64), (32, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)]
    """

    def __init__(self, *, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__()
        if depth not in range(1, 6) or output_stride != 32:
            raise ValueError(f"depth must be 1 to 5 and output_stride 32, got {depth} and {output_stride}")
        self._depth, self._in_channels, self._output_stride = depth, 3, output_stride
        self._out_channels = [3, *(MAPS[2**halving] for halving in range(1, 6))]
        self.first = nn.Conv2d(3, MAPS[2], kernel_size=7, stride=2, padding=3)
        self.stages = nn.ModuleList(build_stage(number) for number in range(min(depth, len(STAGES)) - 1))

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
        """Return the images and the maps of strides 2, 4, ..., of images that are normalised as for the trunk."""
        found = [images, F.relu(self.first(images))]
        here = F.max_pool2d(found[-1], kernel_size=3, stride=2, ceil_mode=True)
        for stage in self.stages:
            here = stage(here)
            found.append(here)
        return found

    def load_trunk(self, trunk: FaceResNet) -> None:
        """Take the weights of a trunk."""
        own = self.state_dict()
        self.load_state_dict({name: value for name, value in trunk.state_dict().items() if name in own})


encoders[NAME] = {"encoder": FaceResNetEncoder, "pretrained_settings": {}, "params": {}}
