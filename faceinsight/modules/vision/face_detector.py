"""Finds faces in photographs: dlib's convolutional detector, in torch.

Sources:
    max-margin object detection: https://arxiv.org/abs/1502.00046
    dlib's detector and its weights (CC0): http://dlib.net/cnn_face_detector.py.html,
        https://github.com/davisking/dlib-models

Not in the paper: dlib tiles all sizes of a photograph on one canvas; here each size goes through by itself, with the
same margin of the mean colour. In dlib's own build for CPUs the network takes some hundred times as long.
"""

import os
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou, nms

from faceinsight.modules.vision.dlib_file import folded, tensors
from faceinsight.modules.vision.face_resnet import MEAN, STD

__all__ = ["FaceDetector", "sizes"]

#: Channels, and the stride of each convolution of 5 x 5; the score is one of 9 x 9 after them.
LAYERS = ((16, 2), (32, 2), (32, 2), (45, 1), (45, 1), (45, 1))

#: What dlib adds to the variance in its batch normalisation.
EPSILON = 1e-4

#: Side in pixels of the window that the network sees as one face.
WINDOW = 80

#: Each size of the photograph is this share of the one before, as in dlib.
STEP = 5 / 6

#: Pixels of the mean colour round the photograph, for faces at its edge.
MARGIN = 16

#: A face whose box shares more than this with a likelier one is the same face (intersection over union).
OVERLAP = 0.3

#: Boxes that share more than this with the surest one say where it is.
VOTES = 0.5


class FaceDetector(nn.Module):
    """Photographs of one size in; for each the boxes of its faces, and how sure the network is, out.

    Args:
        threshold: the score from which a place is a face; dlib's own is 0.

    >>> boxes, scores = FaceDetector(threshold=9.0)(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))[0]
    >>> boxes.shape, scores.shape
    (torch.Size([0, 4]), torch.Size([0]))
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold
        self.register_buffer("mean", 255 * torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).reshape(3, 1, 1), persistent=False)
        widths = [3, *(width for width, _ in LAYERS)]
        self.convolutions = nn.Sequential(
            *(
                nn.Conv2d(before, width, 5, stride=stride, padding=0 if stride > 1 else 2)
                for before, (width, stride) in zip(widths, LAYERS, strict=False)
            )
        )
        self.score = nn.Conv2d(widths[-1], 1, 9, padding=4)
        self.to(memory_format=torch.channels_last)

    def scores(self, photographs: Float[Tensor, "photo 3 height width"]) -> Float[Tensor, "photo rows columns"]:
        """Return the score of each place, 8 pixels apart, the first at 14 pixels."""
        here = photographs.contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            here = F.relu(convolution(here), inplace=True)
        return self.score(here)[:, 0]

    @torch.inference_mode()
    def forward(self, photographs: UInt8[Tensor, "photo 3 height width"]) -> list[tuple[Tensor, Tensor]]:
        """Return boxes ``[face, 4]`` (left, top, right, lower, in pixels) and scores, the surest first."""
        height, width = photographs.shape[2:]
        base = (photographs.float() - self.mean) / self.std
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for rows, columns in sizes(height, width):
            small = F.interpolate(base, (rows, columns), mode="bilinear", antialias=True) if rows < height else base
            scores = self.scores(F.pad(small, (MARGIN,) * 4))
            photo, row, column = (scores > self.threshold).nonzero(as_tuple=True)
            middle = torch.stack([column, row], dim=1) * 8 + 14 - MARGIN
            corners = torch.cat([middle - WINDOW / 2, middle + WINDOW / 2], dim=1)
            scale = torch.tensor([width / columns, height / rows] * 2, device=corners.device)
            found.append((corners * scale, scores[photo, row, column], photo))
        boxes, scores, photo = (torch.cat(each) for each in zip(*found, strict=True))
        return [one_box_a_face(boxes[photo == each], scores[photo == each]) for each in range(len(photographs))]

    @classmethod
    def from_dlib(cls, path: str | os.PathLike[str], *, threshold: float = 0.0) -> "FaceDetector":
        """Read the weights from ``mmod_human_face_detector.dat``.

        Raises:
            InputError: a tensor is missing or cut off.
        """
        detector = cls(threshold=threshold)
        shapes = [detector.get_parameter(f"convolutions.{number}.weight").shape for number in range(len(LAYERS))]
        kept = [
            each
            for shape in shapes  # the batch's own means and spreads stand before the running ones
            for each in [(shape.numel() + shape[0], 1), (2 * shape[0], 1), *[(1, shape[0])] * 4]
        ]
        last = detector.score.weight.shape
        *read, score = tensors(Path(path).read_bytes(), [*kept, (last.numel() + 1, 1)])
        state = {"score.weight": score[:-1, 0].reshape(last), "score.bias": score[-1]}
        for number, (shape, layer, affine, mean, variance) in enumerate(
            zip(shapes, read[::6], read[1::6], read[4::6], read[5::6], strict=True)
        ):
            scale, offset = affine[:, 0].chunk(2)
            scale = scale / (variance[0] + EPSILON).sqrt()
            affine = torch.cat([scale, offset - scale * mean[0]])[:, None]
            state[f"convolutions.{number}.weight"], state[f"convolutions.{number}.bias"] = folded(layer, affine, shape)
        detector.load_state_dict(state)
        return detector.eval()


def one_box_a_face(
    boxes: Float[Tensor, "place 4"], scores: Float[Tensor, " place"]
) -> tuple[Float[Tensor, "face 4"], Float[Tensor, " face"]]:
    """Return a box for each face, the surest first: the mean of those that the network gives it, weighted by score.

    Source: box voting, https://arxiv.org/abs/1505.01749. It makes up for a grid that is coarse on large faces.
    """
    kept = nms(boxes, scores, OVERLAP)
    shares = (box_iou(boxes[kept], boxes) > VOTES) * scores
    return shares @ boxes / shares.sum(1, keepdim=True), scores[kept]


def sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes at which a photograph is looked at, from its own down to half a window.

    >>> sizes(96, 60)
    [(96, 60), (80, 50), (67, 42)]
    """
    found = [(height, width)]
    while min(smaller := (round(STEP * found[-1][0]), round(STEP * found[-1][1]))) >= WINDOW // 2:
        found.append(smaller)
    return found
