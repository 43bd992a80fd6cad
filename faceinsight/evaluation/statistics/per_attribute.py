"""Which attributes a variant is better or worse at, under the same resamples as the overall differences.

Forty attributes tested at 5 % find two that do not differ, so what counts is the q-value: among the attributes with q
below 0.05, on average at most one in twenty is none. The correction is Benjamini and Hochberg's, within one variant and
one metric. Not in the paper: attributes of the same faces are dependent, and Benjamini and Yekutieli's correction
would hold under any dependence, at 4.3 times the q-values for 40 attributes; Benjamini and Hochberg's is proven for
independence and for positive dependence, and two-sided tests that are correlated through their faces keep it in
practice. The tests simulate just that.

Not in the paper: a difference is divided by its bootstrap standard error and held against Student's t, rather
than counting the resamples beyond zero. A thousand resamples cannot count below p = 0.002, while one discovery among 40
needs 0.05 / 40. And resampling repeats rare positives, which lifts the poorer ranking's average precision: simulated
without any difference (970 faces, 543 identities), 5 positives gave a counted p below 0.01 in 8 % of all cases, and 50
positives a normal p below 0.00125 in 0.3 %. An average precision is a mean over positives; so its standard error has
the degrees of freedom of the identities that show the attribute, or that do not, if they are fewer: the two shares
become 0 and 0.13 %. The price is that rare attributes are tested with caution. An accuracy has those of all identities.
Intervals are the same t's, so that an interval leaves out zero just where p is below 0.05.

A variant's score is the mean over its seeds of the runs' scores, see :mod:`faceinsight.evaluation.statistics`.

Sources: Benjamini and Hochberg, "Controlling the False Discovery Rate" (1995); Benjamini and Yekutieli, "The Control of
the False Discovery Rate in Multiple Testing under Dependency" (2001); Efron and Tibshirani, "An Introduction to the
Bootstrap" (1993), standard intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from scipy import stats
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.evaluation.statistics.resampling import ALPHA, POWER, units
from faceinsight.evaluation.statistics.scores import Run, seeds_of_both
from faceinsight.metrics.registry import BY_ATTRIBUTE, find_metric

__all__ = ["AttributeComparison", "benjamini_hochberg", "compare_attributes"]

#: Differences below this are rounding.
ROUNDING = 1e-12

PerAttribute = Float[np.ndarray, " attr"]


@dataclass(frozen=True)
class AttributeComparison:
    """A variant's score minus its reference's in one metric of one attribute, over the same faces and seeds.

    Args:
        positives: test faces that show the attribute.
        difference: ``value - reference_value``, with its 95 % interval ``low`` to ``high``.
        p: two-sided, of the difference over its bootstrap standard error; NaN where a single identity shows the
            attribute, or all do: then nothing is known about others.
        q: corrected for all attributes of this variant and metric.
        detectable: the smallest difference that this test discovers with 80 % power if no other attribute differs: 4.1
            standard errors among 40 attributes, more for a rare one.
    """

    variant: str
    reference: str
    metric: str
    attribute: str
    positives: int
    value: float
    reference_value: float
    difference: float
    low: float
    high: float
    p: float
    q: float
    detectable: float

    @property
    def discovered(self) -> bool:
        return self.q < ALPHA


def compare_attributes(
    scored: Mapping[str, Mapping[int, Run]],
    references: Mapping[str, str],
    labels: Int8[Tensor, "face attr"],
    names: Sequence[str],
    *,
    clusters: Int64[Tensor, " face"] | None = None,
) -> tuple[AttributeComparison, ...]:
    """Compare every variant with its reference in every attribute and each metric of ``registry.BY_ATTRIBUTE``.

    Args:
        scored: variant -> seed -> the scored run.
        references: variant -> the variant it is compared with.
        clusters: an identity for each face, as they were resampled.

    Raises:
        InputError: not one name for each attribute.
    """
    if len(names) != labels.shape[1]:
        raise InputError(f"{labels.shape[1]} attributes need as many names, got {len(names)}; pass schema.names")
    freedom = degrees_of_freedom(labels, clusters)
    positives = (labels == 1).sum(0).tolist()
    rows = []
    for metric in BY_ATTRIBUTE:
        for variant, reference in references.items():
            _, ours, theirs = seeds_of_both(scored, variant, reference)
            value, reference_value = mean_value(ours, metric), mean_value(theirs, metric)
            numbers = studentised(value - reference_value, standard_error(ours, theirs, metric), freedom[metric])
            columns = [each.tolist() for each in (value, reference_value, *numbers)]
            for name, count, *row in zip(names, positives, *columns, strict=True):
                rows.append(AttributeComparison(variant, reference, metric, name, count, *row))
    return tuple(rows)


def studentised(difference: PerAttribute, error: PerAttribute, freedom: PerAttribute) -> tuple[PerAttribute, ...]:
    """Difference, low, high, p, q and detectable of one family of attributes, from their standard errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(np.abs(difference) <= ROUNDING, 0.0, np.abs(difference) / error)
    p = np.where(np.isnan(difference + error), np.nan, 2 * stats.t.sf(size, freedom))
    family = max(int((~np.isnan(p)).sum()), 1)
    half = error * stats.t.isf(ALPHA / 2, freedom)
    detectable = error * (stats.t.isf(ALPHA / 2 / family, freedom) + stats.t.ppf(POWER, freedom))
    return difference, difference - half, difference + half, p, benjamini_hochberg(p), detectable


def benjamini_hochberg(p: PerAttribute) -> PerAttribute:
    """Return the q-values of a family of p-values, in the order given; NaN stays NaN and counts for nothing.

    >>> benjamini_hochberg(np.array([0.01, 0.5, float("nan"), 0.02])).tolist()
    [0.03, 0.5, nan, 0.03]
    """
    q, known = np.full_like(p, np.nan), ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known], method="bh")
    return q


def degrees_of_freedom(
    labels: Int8[Tensor, "face attr"], clusters: Int64[Tensor, " face"] | None
) -> dict[str, PerAttribute]:
    """One less than the identities that an attribute's metric rests on; NaN where that leaves none."""
    unit, count = units(len(labels), clusters)
    showing, lacking, labelled = (identities(each, unit, count) for each in (labels == 1, labels == -1, labels != 0))
    known = {"rarer": torch.minimum(showing, lacking), "labelled": labelled}
    freedom = {faces: np.where(each > 1, each - 1.0, np.nan) for faces, each in known.items()}
    return {metric: freedom[find_metric(metric).rests_on] for metric in BY_ATTRIBUTE}


def identities(faces: Tensor, unit: Int64[Tensor, " face"], count: int) -> Int64[Tensor, " attr"]:
    """For each column of ``faces [face, attr]``, how many identities have a face in it."""
    return torch.zeros(count, faces.shape[1], dtype=torch.int64).index_add_(0, unit, faces.long()).gt(0).sum(0)


def mean_value(runs: Sequence[Run], metric: str) -> PerAttribute:
    return torch.stack([run.attribute_value[metric] for run in runs]).mean(0).numpy()


def standard_error(ours: Sequence[Run], theirs: Sequence[Run], metric: str) -> PerAttribute:
    """Return the spread over the resamples of the difference, among the resamples in which the attribute has the
    metric.
    """
    draws = mean_draws(ours, metric) - mean_draws(theirs, metric)
    known = ~draws.isnan()
    excess = (draws - draws.nanmean(0)).where(known, 0.0)
    return (excess.square().sum(0) / (known.sum(0) - 1)).sqrt().numpy()


def mean_draws(runs: Sequence[Run], metric: str) -> Float[Tensor, "resample attr"]:
    return torch.stack([run.attribute_draws[metric] for run in runs]).double().mean(0)
