"""The pieces of the statistics that know nothing of variants: resamples, intervals, p-values and their corrections.

Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals; Holm, "A Simple
Sequentially Rejective Multiple Test Procedure" (1979).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from faceinsight.errors import InputError

__all__ = ["ALPHA", "POWER", "face_weights", "holm", "interval", "two_sided", "units"]

#: Differences are called significant below this corrected p-value, and intervals hold 1 - ALPHA of the resamples.
ALPHA = 0.05

#: The chance with which a difference of the size called detectable would have been found.
POWER = 0.8


def units(faces: int, clusters: Int64[Tensor, " face"] | None = None) -> tuple[Int64[Tensor, " face"], int]:
    """Return what is drawn as a whole: each face's identity, numbered from 0, and how many there are; else the face
    itself.
    """
    unit = torch.arange(faces) if clusters is None else clusters.unique(return_inverse=True)[1]
    return unit, int(unit.max()) + 1 if faces else 0


def face_weights(
    faces: int, *, resamples: int, seed: int = 0, clusters: Int64[Tensor, " face"] | None = None
) -> Float[Tensor, "resample face"]:
    """How often each face is drawn in each resample; with ``clusters``, all faces of an identity are drawn together.

    Laid out with the resamples of a face side by side, as :func:`faceinsight.metrics.attributes.ranking` reads them.

    Raises:
        InputError: fewer than two faces (or identities): nothing can be resampled.
    """
    unit, count = units(faces, clusters)
    if count < 2:
        raise InputError(
            f"a bootstrap needs at least two {'faces' if clusters is None else 'identities'}, got {count}; "
            "test on more faces"
        )
    drawn = torch.randint(count, (count, resamples), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(count, resamples).scatter_add_(0, drawn, torch.ones(count, resamples))
    return counts[unit].T


def interval(draws: Float[Tensor, " resample"]) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap distribution."""
    low, high = draws.nanquantile(torch.tensor([ALPHA / 2, 1 - ALPHA / 2], dtype=draws.dtype)).tolist()
    return low, high


def two_sided(draws: Float[Tensor, " resample"]) -> float:
    """Twice the share of resamples on the rarer side of zero, at least 2 / (resamples + 1); zero is on both sides."""
    if len(draws) == 0:
        return math.nan
    rounding = 1e-12
    rarer = min(int((draws <= rounding).sum()), int((draws >= -rounding).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(draws) + 1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of a family of p-values, in the order given; NaN stays NaN and counts for nothing.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, running = [math.nan] * len(p), 0.0
    order = sorted((each for each in range(len(p)) if not math.isnan(p[each])), key=lambda each: p[each])
    for rank, each in enumerate(order):
        running = max(running, (len(order) - rank) * p[each])
        corrected[each] = min(running, 1.0)
    return corrected
