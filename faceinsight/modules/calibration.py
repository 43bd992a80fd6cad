"""Calibration: scores to logits whose sigmoid is a probability.

Sources:
    Platt scaling with smoothed targets: Platt 1999, "Probabilistic outputs for support vector machines".
    Matrix scaling of choices: Guo et al. 2017, https://arxiv.org/abs/1706.04599
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.labels import three_valued

__all__ = ["log_likelihood", "matrix_scaling", "platt_scaling", "soft_logit"]

#: The least slope of Platt scaling, as a share of 1 / variance: a score never counts against its own attribute.
LEAST_SLOPE = 0.1

#: What a score may be at most, so that its square is finite.
LARGEST = 1e100

#: How strongly matrix scaling is pulled towards its start: as by ten faces. Not in the paper.
PULL = 10.0

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

    Raises:
        InputError: scores that are not finite, or of other faces or attributes than the labels.

    >>> scores = torch.tensor([[0.1], [0.2], [0.8], [0.7], [0.3], [0.9]], dtype=torch.float64)
    >>> labels = torch.tensor([[-1], [-1], [1], [1], [1], [-1]], dtype=torch.int8)
    >>> slope, offset = platt_scaling(scores, labels)
    >>> (torch.sigmoid(slope * scores + offset).mean() - 0.5).abs() < 1e-6
    tensor(True)
    """
    labels = three_valued(labels, undefined=undefined)
    check_scores(scores, labels.shape)
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


def check_scores(scores: Tensor, wanted: Sequence[int]) -> None:
    """Refuse scores of another shape, and such as no calibration could be fitted to."""
    if tuple(scores.shape) != tuple(wanted):
        raise InputError(f"scores are {list(scores.shape)}, but the labels want {list(wanted)}; give those of the same")
    if not torch.isfinite(scores).all() or (scores.numel() and float(scores.abs().max()) > LARGEST):
        raise InputError(f"scores must be finite and at most {LARGEST:g}: they are on the 0/1 scale; got others")


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


def matrix_scaling(
    scores: Float64[Tensor, "face choice"],
    chosen: Int64[Tensor, " face"],
    slope: Float64[Tensor, " choice"],
    offset: Float64[Tensor, " choice"],
    pull: float = PULL,
) -> tuple[Float64[Tensor, "choice choice"], Float64[Tensor, " choice"]]:
    """Return a matrix W and offsets b, so that ``softmax(W @ scores + b)`` is the probability of each choice.

    Regressions of one choice against all others hide a choice that lies between two others: of nine ages, the middle
    ones are rarely the highest. Together their scores still tell them apart. On FairFace's ages the matrix lifts
    accuracy from 0.537 to 0.565 over :func:`platt_scaling`.

    Maximum likelihood, pulled towards the diagonal matrix of ``slope`` and towards ``offset`` by a quadratic penalty on
    scores of unit variance. With few faces the result stays near that start.

    Args:
        scores: out of sample.
        chosen: the choice of each face, from 0. The number of choices itself stands for none of them; it has the
            logit 0.
        slope: to start from, such as Platt scaling's.
        offset: to start from.
        pull: weight of the penalty; in faces.

    Raises:
        InputError: no faces, scores that are not finite, a choice that there is not, or a pull below 0.

    >>> scores = torch.tensor([[0.9, 0.1], [0.8, 0.1], [0.2, 0.8], [0.1, 0.9]], dtype=torch.float64)
    >>> start = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> weight, offset = matrix_scaling(scores, torch.tensor([0, 0, 1, 1]), *start, pull=0.1)
    >>> (scores @ weight.T + offset).argmax(1)
    tensor([0, 0, 1, 1])
    """
    faces, choices = scores.shape
    check_scores(scores, (len(chosen), len(slope)))
    if not faces or not pull >= 0 or int(chosen.min()) < 0 or int(chosen.max()) > choices:
        raise InputError(
            f"matrix scaling needs at least one face, choices from 0 to {choices} (none of them) and a pull of 0 or "
            f"more; got {faces} faces, choices {sorted({*chosen.tolist()})[:20]} and a pull of {pull}"
        )
    middle, deviation = scores.mean(0), scores.std(0, correction=0)
    scale = torch.where(deviation < 1e-12, 1.0, deviation)
    unit = ((scores - middle) / scale).cpu().numpy()
    known = np.concatenate([unit, np.ones((faces, 1))], axis=1)
    level = offset + slope * middle  # the offset on centred scores
    start = torch.cat([torch.diag(slope * scale), level[:, None]], dim=1).cpu().numpy()
    places = np.arange(faces), chosen.cpu().numpy()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change = flat.reshape(start.shape)
        logits = np.zeros((faces, choices + 1))
        logits[:, :-1] = known @ (start + change).T
        if not none:
            logits[:, -1] = -np.inf
        log_probability = log_softmax(logits, axis=1)
        error = np.exp(log_probability)
        error[places] -= 1
        value = -log_probability[places].sum() + pull / 2 * (change**2).sum()
        return float(value), (error[:, :-1].T @ known + pull * change).ravel()

    none = bool((chosen == choices).any())
    found = minimize(loss, np.zeros(start.size), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-12})
    solution = torch.from_numpy(start + found.x.reshape(start.shape)).to(scores)
    weight = solution[:, :-1] / scale
    return weight, solution[:, -1] - weight @ middle


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
    """Return the logit of an estimated probability, continued as straight lines below ``edge`` and above ``1 - edge``.

    A linear estimate may leave [0, 1]; so it keeps its order and stays finite. Not in the paper.

    >>> soft_logit(torch.tensor([-0.02, 0.02, 0.5, 1.0]))
    tensor([-5.9326, -3.8918,  0.0000,  4.9122])
    """
    inside = estimate.clamp(edge, 1 - edge)
    return inside.logit() + (estimate - inside) / (edge * (1 - edge))
