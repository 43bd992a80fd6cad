"""Which differences between variants are real: a paired bootstrap over faces, with intervals and Holm's correction.

All runs are scored on the same test faces, under the same resamples of these faces. The resampling speaks for other
faces, not for other seeds: the runs' own scores are kept beside every estimate, by seed.

A variant's score is the mean over its seeds of the runs' scores. For shares of faces (accuracy, violation rate, exact
match) this says that a face's score is its mean over the seeds, since a share is a mean over faces. A ranking has no
score of single faces: average precision and AUROC are computed within each run and then averaged. Probabilities are
never averaged over seeds, which would score an ensemble that nobody trained.

Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals; Holm, "A Simple
Sequentially Rejective Multiple Test Procedure" (1979).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from faceinsight import metrics
from faceinsight.errors import InputError
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison, compare_attributes
from faceinsight.evaluation.statistics.resampling import ALPHA, POWER, face_weights, holm, interval, two_sided
from faceinsight.evaluation.statistics.scores import Run, score, seeds_of_both
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics.registry import INTERVALS, find_metric

__all__ = [
    "ALPHA",
    "POWER",
    "Bootstrap",
    "Comparison",
    "Estimate",
    "face_weights",
    "holm",
    "paired_bootstrap",
]


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

    def starred(self, *, trained: bool) -> bool:
        """Whether a table marks it: significant and, for trained runs, seen with two seeds or more."""
        return self.significant and not (trained and len(self.by_seed) < 2)


@dataclass(frozen=True)
class Bootstrap:
    """What :func:`paired_bootstrap` found.

    Args:
        estimates: variant -> metric -> estimate.
        comparisons: of every variant with a reference, in every metric.
        label_violation_rate: share of faces whose own labels break a rule: no honest prediction gets far below it.
        faces, clusters, resamples: how many there were; without clusters every face is its own. Where all faces are of
            one identity (``clusters`` is 1), the faces were resampled.
        constant_attributes: positions of the attributes that no ranking metric includes.
        attributes: every comparison again for each attribute, where the attributes' names were given.
    """

    estimates: Mapping[str, Mapping[str, Estimate]]
    comparisons: tuple[Comparison, ...]
    label_violation_rate: float | None
    faces: int
    clusters: int
    resamples: int
    constant_attributes: tuple[int, ...]
    attributes: tuple[AttributeComparison, ...] = ()

    def comparisons_of(self, variant: str) -> dict[str, Comparison]:
        """Metric -> this variant's comparison; empty for a variant that is compared with none."""
        return {each.metric: each for each in self.comparisons if each.variant == variant}

    @property
    def smallest_p(self) -> float:
        """The smallest Holm-corrected p-value that this many resamples can give to a table's best comparison."""
        family = sum(each.metric == INTERVALS[0] for each in self.comparisons)
        return min(1.0, 2 * max(family, 1) / (self.resamples + 1))


def paired_bootstrap(
    runs: Mapping[str, Mapping[int, Float[Tensor, "face attr"]]],
    labels: Shaped[Tensor, "face attr"],
    references: Mapping[str, str],
    *,
    rules: RuleSet | None = None,
    clusters: Int64[Tensor, " face"] | None = None,
    names: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    undecided: Collection[str] = (),
    undefined: int | float | None = None,
) -> Bootstrap:
    """Estimate every variant and compare it with its reference on the same resampled faces.

    Args:
        runs: variant -> seed -> the probabilities that run gave the test faces.
        labels: of the same faces in the same order.
        references: variant -> the variant it is compared with. Seeds that only one of the two has are left out of the
            comparison; if they share none, their means over all seeds are compared.
        rules: without them, violation rate and logical accuracy are left out.
        clusters: an identity for each face; identities are resampled whole. If there is only one, faces are.
        names: of the attributes; with them every comparison is also made for each attribute, under the same resamples
            (:mod:`faceinsight.evaluation.statistics.per_attribute`).
        resamples: 1,000 allow overall p-values down to 0.002 times the number of comparisons.
        seed: of the resampling.
        undecided: the variants in which a probability of exactly one half decides nothing, as where a text answers
            nothing; see :class:`~faceinsight.metrics.entry.MetricEntry`.
        undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

    Raises:
        InputError: probabilities and labels differ in shape, or a compared variant has no run.
    """
    labels = three_valued(labels, undefined=undefined, names=names)
    check_runs(runs, labels, references)
    identities = None if clusters is None else len(clusters.unique())
    resampled = None if identities == 1 else clusters
    weights = face_weights(len(labels), resamples=resamples, seed=seed, clusters=resampled)
    scored = {
        variant: {
            seed: score(probability, labels, weights, rules, undecided=variant in undecided)
            for seed, probability in by_seed.items()
        }
        for variant, by_seed in runs.items()
    }
    measured = [name for name in INTERVALS if rules is not None or "rules" not in find_metric(name).needs]
    unmeasured = {
        (variant, name) for variant in undecided for name in measured if find_metric(name).undecided == "unmeasured"
    }
    estimates = {
        variant: {name: estimate(by_seed, name) for name in measured if (variant, name) not in unmeasured}
        for variant, by_seed in scored.items()
    }
    comparisons: list[Comparison] = []
    for name in measured:
        family = [compare(scored, variant, reference, name) for variant, reference in references.items()]
        corrected = holm([each.p for each in family])
        comparisons += [
            replace(each, p_holm=p)
            for each, p in zip(family, corrected, strict=True)
            if (each.variant, name) not in unmeasured
        ]
    return Bootstrap(
        estimates=estimates,
        comparisons=tuple(comparisons),
        label_violation_rate=None
        if rules is None
        else float(rules.violations(labels, undefined=0).any(1).double().mean()),
        faces=len(labels),
        clusters=len(labels) if identities is None else identities,
        resamples=resamples,
        constant_attributes=tuple(metrics.constant_attributes(labels, undefined=0).nonzero()[:, 0].tolist()),
        attributes=() if names is None else compare_attributes(scored, references, labels, names, clusters=resampled),
    )


def estimate(by_seed: Mapping[int, Run], metric: str) -> Estimate:
    """One variant in one metric: the mean over its seeds."""
    values = {seed: run.value[metric] for seed, run in by_seed.items()}
    low, high = interval(torch.stack([run.draws[metric] for run in by_seed.values()]).mean(0))
    return Estimate(sum(values.values()) / len(values), low, high, values)


def compare(scored: Mapping[str, Mapping[int, Run]], variant: str, reference: str, metric: str) -> Comparison:
    """One difference, not yet corrected for the others."""
    shared, ours, theirs = seeds_of_both(scored, variant, reference)
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
        by_seed={seed: scored[variant][seed].value[metric] - scored[reference][seed].value[metric] for seed in shared},
    )


def mean_value(runs: Sequence[Run], metric: str) -> float:
    return sum(run.value[metric] for run in runs) / len(runs)


def mean_draws(runs: Sequence[Run], metric: str) -> Float[Tensor, " resample"]:
    return torch.stack([run.draws[metric] for run in runs]).mean(0)


def check_runs(runs: Mapping[str, Mapping[int, Tensor]], labels: Tensor, references: Mapping[str, str]) -> None:
    """Refuse runs over other faces than the labels', and comparisons with variants that have no run."""
    for variant, by_seed in runs.items():
        if not by_seed:
            raise InputError(f"variant {variant!r} has no run; leave it out of the bootstrap")
        for seed, probability in by_seed.items():
            if probability.shape != labels.shape:
                raise InputError(
                    f"variant {variant!r}, seed {seed}: probabilities are {list(probability.shape)} but the labels "
                    f"are {list(labels.shape)}; match them by file name (Predictions.for_files)"
                )
    for variant, reference in references.items():
        for name in (variant, reference):
            if name not in runs:
                raise InputError(
                    f"{variant!r} is compared with {reference!r}, but {name!r} has no run; there are {sorted(runs)}"
                )
