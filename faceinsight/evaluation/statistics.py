"""Which differences between variants are real: a paired bootstrap over faces, with intervals and Holm's correction.

All runs are scored on the same test faces, under the same resamples of these faces. A variant's score is the mean over
its seeds of the runs' scores. The resampling speaks for other faces, not for other seeds: the runs' own scores are kept
beside every estimate, by seed.

Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals; Holm, "A Simple
Sequentially Rejective Multiple Test Procedure" (1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor

from faceinsight import metrics
from faceinsight.knowledge.rules import RuleSet

__all__ = [
    "ALPHA",
    "METRICS",
    "POWER",
    "Bootstrap",
    "Comparison",
    "Estimate",
    "face_weights",
    "holm",
    "paired_bootstrap",
]

#: What is estimated and compared; the last three need rules or ask whole faces.
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "average_precision",
    "auroc",
    "violation_rate",
    "logical_accuracy",
    "exact_match",
)

#: Differences are called significant below this corrected p-value, and intervals hold 1 - ALPHA of the resamples.
ALPHA = 0.05

#: The chance with which a difference of the size :attr:`Comparison.detectable` would have been found.
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A variant's score in one metric, with its 95 % interval over faces and its runs' own scores."""

    value: float
    low: float
    high: float
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class Comparison:
    """A variant's score minus its reference's in one metric, over the same faces and seeds.

    Args:
        difference: with its 95 % interval ``low`` to ``high``.
        p: two-sided bootstrap p-value: twice the share of resamples on the rarer side of zero.
        p_holm: corrected for all comparisons of this metric in the table.
        detectable: the smallest difference that one test on these faces finds with 80 % power: 2.8 standard errors.
        by_seed: the difference in each seed that both have.
    """

    variant: str
    reference: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    detectable: float
    by_seed: Mapping[int, float]

    @property
    def significant(self) -> bool:
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Bootstrap:
    """What :func:`paired_bootstrap` found.

    Args:
        estimates: variant -> metric -> estimate.
        comparisons: of every variant with a reference, in every metric.
        label_violation_rate: share of faces whose own labels break a rule: no honest prediction gets far below it.
        faces, clusters, resamples: how many there were; without clusters every face is its own.
        constant_attributes: positions of the attributes that no ranking metric includes.
    """

    estimates: Mapping[str, Mapping[str, Estimate]]
    comparisons: tuple[Comparison, ...]
    label_violation_rate: float | None
    faces: int
    clusters: int
    resamples: int
    constant_attributes: tuple[int, ...]

    def comparisons_of(self, variant: str) -> dict[str, Comparison]:
        """Metric -> this variant's comparison; empty for a variant that is compared with none."""
        return {each.metric: each for each in self.comparisons if each.variant == variant}

    @property
    def smallest_p(self) -> float:
        """The smallest Holm-corrected p-value that this many resamples can give to a table's best comparison."""
        family = sum(each.metric == METRICS[0] for each in self.comparisons)
        return min(1.0, 2 * max(family, 1) / (self.resamples + 1))


@dataclass(frozen=True)
class Run:
    """One run's scores: on the faces as they are, and in every resample."""

    value: Mapping[str, float]
    draws: Mapping[str, Float[Tensor, " resample"]]


def paired_bootstrap(
    runs: Mapping[str, Mapping[int, Float[Tensor, "face attr"]]],
    labels: Int8[Tensor, "face attr"],
    references: Mapping[str, str],
    *,
    rules: RuleSet | None = None,
    clusters: Int64[Tensor, " face"] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Bootstrap:
    """Estimate every variant and compare it with its reference on the same resampled faces.

    Args:
        runs: variant -> seed -> the probabilities that run gave the test faces.
        labels: of the same faces in the same order.
        references: variant -> the variant it is compared with. Seeds that only one of the two has are left out of the
            comparison; if they share none, their means over all seeds are compared.
        rules: without them, violation rate and logical accuracy are left out.
        clusters: an identity for each face; identities are resampled whole.
        resamples: 1,000 allow corrected p-values down to 0.002 times the number of comparisons.
        seed: of the resampling.

    Raises:
        ValueError: probabilities and labels differ in shape, or a compared variant has no run.
    """
    check_runs(runs, labels, references)
    weights = face_weights(len(labels), resamples=resamples, seed=seed, clusters=clusters)
    scored = {
        variant: {seed: score(probability, labels, weights, rules) for seed, probability in by_seed.items()}
        for variant, by_seed in runs.items()
    }
    measured = [name for name in METRICS if rules is not None or name not in ("violation_rate", "logical_accuracy")]
    estimates = {variant: {name: estimate(by_seed, name) for name in measured} for variant, by_seed in scored.items()}
    comparisons: list[Comparison] = []
    for name in measured:
        family = [compare(scored, variant, reference, name) for variant, reference in references.items()]
        corrected = holm([each.p for each in family])
        comparisons += [replace(each, p_holm=p) for each, p in zip(family, corrected, strict=True)]
    return Bootstrap(
        estimates=estimates,
        comparisons=tuple(comparisons),
        label_violation_rate=None if rules is None else float(rules.violations(labels).any(1).double().mean()),
        faces=len(labels),
        clusters=len(labels) if clusters is None else len(clusters.unique()),
        resamples=resamples,
        constant_attributes=tuple(metrics.constant_attributes(labels).nonzero()[:, 0].tolist()),
    )


def face_weights(
    faces: int, *, resamples: int, seed: int = 0, clusters: Int64[Tensor, " face"] | None = None
) -> Float[Tensor, "resample face"]:
    """How often each face is drawn in each resample; with ``clusters``, all faces of an identity are drawn together.

    Laid out with the resamples of a face side by side, as :func:`faceinsight.metrics.ranking` reads them.

    Raises:
        ValueError: fewer than two faces (or identities): nothing can be resampled.
    """
    unit = torch.arange(faces) if clusters is None else clusters.unique(return_inverse=True)[1]
    units = int(unit.max()) + 1 if faces else 0
    if units < 2:
        raise ValueError(
            f"a bootstrap needs at least two {'faces' if clusters is None else 'identities'}, got {units}; "
            "test on more faces"
        )
    drawn = torch.randint(units, (units, resamples), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(units, resamples).scatter_add_(0, drawn, torch.ones(units, resamples))
    return counts[unit].T


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


def score(
    probability: Float[Tensor, "face attr"],
    labels: Int8[Tensor, "face attr"],
    weights: Float[Tensor, "resample face"],
    rules: RuleSet | None,
) -> Run:
    """All metrics of one run, once on the faces as they are and once for each resample."""
    value = overall(probability.double(), labels, None, rules)
    draws = overall(probability, labels, weights, rules)
    return Run(
        {name: float(each) for name, each in value.items()}, {name: each.double() for name, each in draws.items()}
    )


def overall(
    probability: Float[Tensor, "face attr"],
    labels: Int8[Tensor, "face attr"],
    weights: Float[Tensor, "resample face"] | None,
    rules: RuleSet | None,
) -> dict[str, Float[Tensor, "*resample"]]:
    """Each metric as one number per row of weights: the mean over the attributes that have it.

    An attribute that a resample happens to make constant is left out of that resample's mean, for all runs alike.
    """
    area, steps = metrics.rank_attributes(probability, labels, weights)
    values = {
        "accuracy": metrics.accuracy(probability, labels, weights).nanmean(-1),
        "balanced_accuracy": metrics.balanced_accuracy(probability, labels, weights).nanmean(-1),
        "average_precision": steps.nanmean(-1),
        "auroc": area.nanmean(-1),
        "exact_match": metrics.exact_match(probability, labels, weights),
    }
    if rules is not None:
        values["violation_rate"] = metrics.violation_rate(probability, rules, weights)
        values["logical_accuracy"] = metrics.logical_accuracy(probability, labels, rules, weights).nanmean(-1)
    return values


def estimate(by_seed: Mapping[int, Run], metric: str) -> Estimate:
    """One variant in one metric: the mean over its seeds."""
    values = {seed: run.value[metric] for seed, run in by_seed.items()}
    low, high = interval(torch.stack([run.draws[metric] for run in by_seed.values()]).mean(0))
    return Estimate(sum(values.values()) / len(values), low, high, values)


def compare(scored: Mapping[str, Mapping[int, Run]], variant: str, reference: str, metric: str) -> Comparison:
    """One difference, not yet corrected for the others."""
    mine, other = scored[variant], scored[reference]
    shared = [seed for seed in mine if seed in other]
    ours, theirs = ([by[seed] for seed in shared or by] for by in (mine, other))
    difference = mean_value(ours, metric) - mean_value(theirs, metric)
    draws = mean_draws(ours, metric) - mean_draws(theirs, metric)
    low, high = interval(draws)
    valid = draws[~draws.isnan()]
    factor = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(POWER)
    return Comparison(
        variant=variant,
        reference=reference,
        metric=metric,
        difference=difference,
        low=low,
        high=high,
        p=two_sided(valid),
        p_holm=math.nan,
        detectable=factor * float(valid.std()) if len(valid) > 1 else math.nan,
        by_seed={seed: mine[seed].value[metric] - other[seed].value[metric] for seed in shared},
    )


def mean_value(runs: Sequence[Run], metric: str) -> float:
    return sum(run.value[metric] for run in runs) / len(runs)


def mean_draws(runs: Sequence[Run], metric: str) -> Float[Tensor, " resample"]:
    return torch.stack([run.draws[metric] for run in runs]).mean(0)


def interval(draws: Float[Tensor, " resample"]) -> tuple[float, float]:
    """The percentile interval of a bootstrap distribution."""
    low, high = draws.nanquantile(torch.tensor([ALPHA / 2, 1 - ALPHA / 2], dtype=draws.dtype)).tolist()
    return low, high


def two_sided(draws: Float[Tensor, " resample"]) -> float:
    """Twice the share of resamples on the rarer side of zero, at least 2 / (resamples + 1); zero is on both sides."""
    if len(draws) == 0:
        return math.nan
    rounding = 1e-12
    rarer = min(int((draws <= rounding).sum()), int((draws >= -rounding).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(draws) + 1))


def check_runs(runs: Mapping[str, Mapping[int, Tensor]], labels: Tensor, references: Mapping[str, str]) -> None:
    """Refuse runs over other faces than the labels', and comparisons with variants that have no run."""
    for variant, by_seed in runs.items():
        if not by_seed:
            raise ValueError(f"variant {variant!r} has no run; leave it out of the bootstrap")
        for seed, probability in by_seed.items():
            if probability.shape != labels.shape:
                raise ValueError(
                    f"variant {variant!r}, seed {seed}: probabilities are {list(probability.shape)} but the labels "
                    f"are {list(labels.shape)}; match them by file name (Predictions.for_files)"
                )
    for variant, reference in references.items():
        for name in (variant, reference):
            if name not in runs:
                raise ValueError(
                    f"{variant!r} is compared with {reference!r}, but {name!r} has no run; there are {sorted(runs)}"
                )
