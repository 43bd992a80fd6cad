"""Ridge regression to labels: how much of each attribute coarse pixels, or an encoder's tokens, tell by themselves.

Source: Hoerl and Kennard 1970, Ridge Regression, in closed form. The targets are the labels themselves, -1 and 1, so
that a score above 0 is a yes; an attribute's undefined labels are left out of its own regression. Choice of this
library: the intercept is not penalised, and one penalty for all attributes is taken from a few, by the squared error on
the validation faces.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int8, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.graph_from_data import train_labels
from faceinsight.errors import InputError
from faceinsight.knowledge.labels import three_valued

__all__ = ["pixel_ridge", "pixels", "ridge", "token_ridge"]


def pixels(images: Float[Tensor, "batch 3 height width"], size: int) -> Float[Tensor, "batch feature"]:
    """The images averaged down to ``size`` x ``size`` cells, as one vector of ``3 * size * size`` for each face.

    >>> pixels(torch.eye(4).expand(2, 3, 4, 4), 2)[0, :4]
    tensor([0.5000, 0.0000, 0.0000, 0.5000])
    """
    if size > min(images.shape[2:]):
        raise InputError(f"images of {images.shape[2]} x {images.shape[3]} px cannot be averaged down to {size} px")
    return F.adaptive_avg_pool2d(images, size).flatten(1)


def ridge(
    inputs: Float[Tensor, "face feature"],
    labels: Shaped[Tensor, "face attr"],
    penalties: Sequence[float],
    *,
    undefined: int | float | None = None,
) -> tuple[Float[Tensor, "penalty attr feature"], Float[Tensor, "penalty attr"]]:
    """Weights and intercepts that minimise ``|y - X w - b|^2 + penalty |w|^2``, each attribute over its defined labels.

    Attributes that are defined on the same faces are solved together. An attribute that is defined nowhere gets zeros.
    Computed in the precision of ``inputs``; give float64.

    Args:
        labels, undefined: see :func:`~faceinsight.knowledge.labels.three_valued`.

    >>> weight, bias = ridge(torch.tensor([[0.0], [1.0]]), torch.tensor([[-1], [1]]), [0.5])
    >>> weight.squeeze(), bias.squeeze()  # without a penalty 2 and -1
    (tensor(1.), tensor(-0.5000))
    """
    if min(penalties, default=0) <= 0:
        raise InputError(f"penalties must be above 0, at least one of them, got {list(penalties)}")
    labels = three_valued(labels, undefined=undefined)
    weight = inputs.new_zeros(len(penalties), labels.shape[1], inputs.shape[1])
    bias = inputs.new_zeros(len(penalties), labels.shape[1])
    patterns, kind = (labels != 0).unique(dim=1, return_inverse=True)
    for number, faces in enumerate(patterns.unbind(1)):
        if faces.any():
            chosen = kind == number
            weight[:, chosen], bias[:, chosen] = _solve(inputs, labels[:, chosen], faces, penalties)
    return weight, bias


def pixel_ridge(
    *, data: FaceDataModule, size: int = 32, penalties: Sequence[float] = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
) -> nn.Linear:
    """Ridge regression on the training faces' pixels, with the penalty that errs least on the validation faces.

    A configuration names this by class path, for :class:`faceinsight.models.controls.RidgeClassifier`.

    Args:
        data: whose training labels are learnt; its reader's pictures are averaged down.
        size: side of the small pictures, in pixels.
        penalties: to choose from; a single one is taken as it is.

    Returns:
        the regression in float32, frozen: ``[face, 3 * size * size]`` to scores ``[face, attr]`` between about -1
        and 1.
    """
    return _chosen(data, penalties, lambda rows: _read(data, rows, size))


def token_ridge(
    *, data: FaceDataModule, encoder: nn.Module, penalties: Sequence[float] = (1e1, 1e2, 1e3, 1e4, 1e5)
) -> nn.Linear:
    """The same on an encoder's tokens, laid side by side: what they tell linearly, in whatever place they are.

    Args:
        data: whose training labels are learnt.
        encoder: images to tokens ``[batch, token, dim]``; it is read in evaluation mode.
        penalties: to choose from, as for :func:`pixel_ridge`.

    Returns:
        the regression in float32, frozen: ``[face, token * dim]`` to scores ``[face, attr]``.
    """
    return _chosen(data, penalties, lambda rows: _tokens(data, rows, encoder))


def _chosen(
    data: FaceDataModule, penalties: Sequence[float], read: Callable[[Tensor], Float[Tensor, "face feature"]]
) -> nn.Linear:
    """The regression whose penalty errs least on the validation faces."""
    weight, bias = ridge(read(data.train_rows()), train_labels(data), penalties, undefined=0)
    best = 0
    if len(penalties) > 1:
        rows = data.table.rows("val")
        val, wanted = read(rows), data.table.labels[rows]
        errors = [
            ((val @ w.T + b - wanted).square() * (wanted != 0)).sum().item() for w, b in zip(weight, bias, strict=True)
        ]
        best = errors.index(min(errors))
    regression = nn.Linear(weight.shape[2], weight.shape[1]).requires_grad_(False)
    regression.weight.copy_(weight[best])
    regression.bias.copy_(bias[best])
    return regression


def _read(data: FaceDataModule, rows: Tensor, size: int) -> Float[Tensor, "face feature"]:
    """Small pictures of some faces, never augmented."""
    images = (data.reader.image(data.table, row)[None].double() / 255 for row in rows.tolist())
    return torch.cat([pixels(image, size) for image in images])


@torch.no_grad()
def _tokens(data: FaceDataModule, rows: Tensor, encoder: nn.Module) -> Float[Tensor, "face feature"]:
    """An encoder's tokens of some faces, never augmented."""
    encoder.eval()
    return torch.cat([encoder(batch.images).flatten(1).double() for batch in data.faces_dataloader(rows)])


def _solve(
    inputs: Float[Tensor, "all feature"],
    labels: Int8[Tensor, "all attr"],
    faces: Bool[Tensor, " all"],
    penalties: Sequence[float],
) -> tuple[Float[Tensor, "penalty attr feature"], Float[Tensor, "penalty attr"]]:
    """Attributes that are all defined on ``faces``, by whichever of the two Gram matrices is the smaller."""
    inputs, targets = inputs[faces], labels[faces].to(inputs)
    middle, mean = inputs.mean(0), targets.mean(0)
    inputs, targets = inputs - middle, targets - mean
    dual = len(inputs) < inputs.shape[1]
    gram = inputs @ inputs.T if dual else inputs.T @ inputs
    wanted = targets if dual else inputs.T @ targets
    weights = []
    for penalty in penalties:
        factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram)).to(gram))
        solution = torch.cholesky_solve(wanted, factor)
        weights.append((inputs.T @ solution if dual else solution).T)
    weight = torch.stack(weights)
    return weight, mean - weight @ middle
