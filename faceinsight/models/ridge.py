"""Ridge regression on coarse pixels, or on an encoder's tokens, as a fixed linear layer for a
:class:`~faceinsight.models.controls.RidgeClassifier`.

The regression, and the choice of its penalty by leave-one-out, are those of the evidence
(:func:`faceinsight.modules.evidence.ridge`); here the targets are -1 and 1, so that a score above 0 is a yes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.graph_from_data import train_labels
from faceinsight.errors import InputError
from faceinsight.modules.evidence import ridge

__all__ = ["pixel_ridge", "pixels", "token_ridge"]


def pixels(images: Float[Tensor, "batch 3 height width"], size: int) -> Float[Tensor, "batch feature"]:
    """Return the images averaged down to ``size`` x ``size`` cells, as one vector of ``3 * size * size`` for each face.

    >>> pixels(torch.eye(4).expand(2, 3, 4, 4), 2)[0, :4]
    tensor([0.5000, 0.0000, 0.0000, 0.5000])
    """
    if size > min(images.shape[2:]):
        raise InputError(f"images of {images.shape[2]} x {images.shape[3]} px cannot be averaged down to {size} px")
    return F.adaptive_avg_pool2d(images, size).flatten(1)


def pixel_ridge(
    *, data: FaceDataModule, size: int = 32, penalties: Sequence[float] = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
) -> nn.Linear:
    """Fit ridge regression on the training faces' pixels.

    A configuration names this by class path, for :class:`faceinsight.models.controls.RidgeClassifier`.

    Args:
        data: its training labels are learnt; its reader's pictures are averaged down.
        size: side of the small pictures, in pixels.
        penalties: to choose from by leave-one-out on the training faces; a single one is taken as it is.

    Returns:
        the regression in float32, frozen: ``[face, 3 * size * size]`` to scores ``[face, attr]`` between about -1
        and 1.
    """
    rows = data.train_rows()
    images = (data.reader.image(data.table, row)[None].double() / 255 for row in rows.tolist())  # never augmented
    return _layer(torch.cat([pixels(image, size) for image in images]), train_labels(data), penalties)


@torch.no_grad()
def token_ridge(
    *, data: FaceDataModule, encoder: nn.Module, penalties: Sequence[float] = (1e1, 1e2, 1e3, 1e4, 1e5)
) -> nn.Linear:
    """Fit ridge regression on an encoder's tokens, laid side by side.

    Args:
        data: its training labels are learnt; its faces are never augmented.
        encoder: images to tokens ``[batch, token, dim]``; it is read in evaluation mode.
        penalties: as for :func:`pixel_ridge`.

    Returns:
        the regression in float32, frozen: ``[face, token * dim]`` to scores ``[face, attr]``.
    """
    encoder.eval()
    faces = data.faces_dataloader(data.train_rows())
    tokens = torch.cat([encoder(batch.images).flatten(1).double() for batch in faces])
    return _layer(tokens, train_labels(data), penalties)


def _layer(
    inputs: Float[Tensor, "face feature"], labels: Int8[Tensor, "face attr"], penalties: Sequence[float]
) -> nn.Linear:
    """Fit the regressions as a layer, their 0 and 1 turned into -1 and 1."""
    fit = ridge(inputs, labels, penalties, undefined=0)
    layer = nn.Linear(inputs.shape[1], labels.shape[1]).requires_grad_(False)
    layer.weight.copy_(2 * fit.weight)
    layer.bias.copy_(2 * fit.bias - 1)
    return layer
