"""Calibration: scores to logits whose sigmoid is a probability.

Sources:
    Platt scaling with smoothed targets: Platt 1999, "Probabilistic outputs for support vector machines".
"""

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.labels import three_valued

__all__ = ["log_likelihood", "platt_scaling", "soft_logit"]

#: The least slope of Platt scaling, as a share of 1 / variance: a score never counts against its own attribute.
LEAST_SLOPE = 0.1

#: Where the logit of an estimate that may leave [0, 1] goes on as a straight line.
EDGE = 0.02


def platt_scaling(
    scores: Float64[Tensor, "face attr"],
    labels: Shaped[Tensor, "face attr"],
    *,
    undefined: int | float | None = None,
) -> tuple[Float64[Tensor, " attr"], Float64[Tensor, " attr"]]:
    """Slope and offset of each attribute, so that ``sigmoid(slope * score + offset)`` is its probability.

    Maximum likelihood with Platt's smoothed targets ``(yes + 1) / (yes + 2)`` and ``1 / (no + 2)``, by which labels
    that scores can part keep a finite slope. It is at least a tenth of ``1 / variance`` of the labels: leave-one-out
    scores of few faces can run against their own labels, and a ranking must not be turned round by that. Where labels
    or scores never vary, the slope is that least one; the offset then says the smoothed share, and one half where
    nothing is defined.

    Args:
        scores: out of sample, on the 0/1 scale.
        labels: 1, -1 and 0 (undefined), or booleans.
        undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

    >>> scores = torch.tensor([[0.1], [0.2], [0.8], [0.7], [0.3], [0.9]], dtype=torch.float64)
    >>> labels = torch.tensor([[-1], [-1], [1], [1], [1], [-1]], dtype=torch.int8)
    >>> slope, offset = platt_scaling(scores, labels)
    >>> (torch.sigmoid(slope * scores + offset).mean() - 0.5).abs() < 1e-6
    tensor(True)
    """
    labels = three_valued(labels, undefined=undefined)
    defined = (labels != 0).to(scores)
    yes, no = (labels == 1).sum(0).to(scores), (labels == -1).sum(0).to(scores)
    faces = (yes + no).clamp(min=1)
    targets = torch.where(labels == 1, (yes + 1) / (yes + 2), 1 / (no + 2))
    share = torch.where(defined.any(0), (targets * defined).sum(0) / faces, 0.5)
    middle = torch.where(defined.any(0), (scores * defined).sum(0) / faces, 0.5)
    deviation = (((scores - middle) * defined).square().sum(0) / faces).sqrt()
    alike = deviation < 1e-12
    scale = torch.where(alike, 1.0, deviation)
    unit = (scores - middle) / scale * defined
    least = LEAST_SLOPE / (share * (1 - share)) * scale
    start = torch.where(alike, least, 0.0), share.logit()
    slope, level = _most_likely(unit, targets, defined, *start, held=alike)
    held = alike | (slope < least)  # the likelihood is concave: what would lie below the least lies at it
    slope, level = _most_likely(unit, targets, defined, torch.where(held, least, slope), level, held=held)
    return slope / scale, level - slope / scale * middle


def _most_likely(
    scores: Float64[Tensor, "face attr"],
    targets: Float64[Tensor, "face attr"],
    defined: Float64[Tensor, "face attr"],
    slope: Float64[Tensor, " attr"],
    level: Float64[Tensor, " attr"],
    held: Bool[Tensor, " attr"],
) -> tuple[Float64[Tensor, " attr"], Float64[Tensor, " attr"]]:
    """Slope and level of greatest likelihood by Newton's method, each step halved until it is one down.

    Args:
        held: attributes that keep their slope.
    """

    def loss(slope: Tensor, level: Tensor) -> Tensor:
        logits = slope * scores + level
        return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * defined).sum(0)

    now = loss(slope, level)
    for _ in range(100):
        probability = torch.sigmoid(slope * scores + level)
        error, curve = (probability - targets) * defined, probability * (1 - probability) * defined
        first, second = (error * scores).sum(0), error.sum(0)
        across, both, along = (curve * scores**2).sum(0) + 1e-9, (curve * scores).sum(0), curve.sum(0) + 1e-9
        determinant = (across * along - both**2).clamp(min=1e-18)
        step = torch.where(held, 0.0, (along * first - both * second) / determinant)
        change = torch.where(held, second / along, (across * second - both * first) / determinant)
        size = torch.ones_like(slope)
        for _ in range(40):
            after = loss(slope - size * step, level - size * change)
            worse = after > now * (1 + 1e-12)
            if not worse.any():
                break
            size = torch.where(worse, size / 2, size)
        slope, level = slope - size * step, level - size * change
        if (now - after <= 1e-12 * now).all():
            break
        now = after
    return slope, level


def log_likelihood(
    scores: Float64[Tensor, "face attr"], labels: Shaped[Tensor, "face attr"], *, undefined: int | float | None = None
) -> float:
    """Return the mean log-likelihood of the defined labels under the scores, calibrated by :func:`platt_scaling`.

    >>> scores, labels = torch.tensor([[0.2], [0.8]]).double(), torch.tensor([[-1], [1]], dtype=torch.int8)
    >>> log_likelihood(scores, labels) > log_likelihood(1 - scores, labels)
    True
    """
    labels = three_valued(labels, undefined=undefined)
    slope, offset = platt_scaling(scores, labels, undefined=0)
    defined = labels != 0
    loss = F.binary_cross_entropy_with_logits(slope * scores + offset, (labels == 1).to(scores), reduction="none")
    return -float((loss * defined).sum() / defined.sum().clamp(min=1))


def soft_logit(estimate: Float[Tensor, "*batch"], edge: float = EDGE) -> Float[Tensor, "*batch"]:
    """The logit of an estimated probability, continued as straight lines below ``edge`` and above ``1 - edge``.

    A linear estimate may leave [0, 1]; so it keeps its order and stays finite. Not in the paper.

    >>> soft_logit(torch.tensor([-0.02, 0.02, 0.5, 1.0]))
    tensor([-5.9326, -3.8918,  0.0000,  4.9122])
    """
    inside = estimate.clamp(edge, 1 - edge)
    return inside.logit() + (estimate - inside) / (edge * (1 - edge))
