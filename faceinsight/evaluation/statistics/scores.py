"""What a run scores: every metric on the test faces as they are, and in every resample of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int8
from torch import Tensor

from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics.attributes import measure
from faceinsight.metrics.registry import BY_ATTRIBUTE, INTERVALS, find_metric

__all__ = ["ATTRIBUTE_METRICS", "METRICS", "Run", "score", "seeds_of_both"]

#: The registry's names by those that they had in version 0.1.0.
METRICS, ATTRIBUTE_METRICS = INTERVALS, BY_ATTRIBUTE


@dataclass(frozen=True)
class Run:
    """One run's scores.

    Args:
        value: metric -> on the faces as they are.
        draws: metric -> in every resample of them.
        attribute_value, attribute_draws: the same before the mean over attributes, for BY_ATTRIBUTE.
    """

    value: Mapping[str, float]
    draws: Mapping[str, Float[Tensor, " resample"]]
    attribute_value: Mapping[str, Float[Tensor, " attr"]]
    attribute_draws: Mapping[str, Float[Tensor, "resample attr"]]


def score(
    probability: Float[Tensor, "face attr"],
    labels: Int8[Tensor, "face attr"],
    weights: Float[Tensor, "resample face"],
    rules: RuleSet | None,
    *,
    undecided: bool = False,
) -> Run:
    """Return all metrics with intervals of one run: a number per attribute or for whole faces, and the mean over those
    defined.

    An attribute that a resample happens to make constant is left out of that resample's mean, for all runs alike.

    Args:
        undecided: a probability of exactly one half decides nothing, see
            :class:`~faceinsight.metrics.entry.MetricEntry`.
    """
    entries = [find_metric(name) for name in INTERVALS]
    value = measure(probability.double(), labels, rules=rules, entries=entries, undecided=undecided)
    draws = measure(probability, labels, weights=weights, rules=rules, entries=entries, undecided=undecided)
    return Run(
        value={name: float(each.nanmean(-1)) for name, each in value.items()},
        draws={name: each.nanmean(-1).double() for name, each in draws.items()},
        attribute_value={name: value[name] for name in BY_ATTRIBUTE},
        attribute_draws={name: draws[name].float() for name in BY_ATTRIBUTE},
    )


def seeds_of_both(
    scored: Mapping[str, Mapping[int, Run]], variant: str, reference: str
) -> tuple[list[int], Sequence[Run], Sequence[Run]]:
    """Return the seeds that two variants share, and the runs to compare: those of these seeds, or all where none is
    shared.
    """
    mine, other = scored[variant], scored[reference]
    shared = [seed for seed in mine if seed in other]
    ours, theirs = ([by[seed] for seed in shared or by] for by in (mine, other))
    return shared, ours, theirs
