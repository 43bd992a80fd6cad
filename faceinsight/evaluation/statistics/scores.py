"""What a run scores: every metric on the test faces as they are, and in every resample of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int8
from torch import Tensor

from faceinsight import metrics
from faceinsight.knowledge.rules import RuleSet

__all__ = ["ATTRIBUTE_METRICS", "METRICS", "Run", "score", "seeds_of_both"]

#: What is estimated and compared; the last four need rules or ask whole faces.
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "average_precision",
    "auroc",
    "violation_rate",
    "logical_accuracy",
    "exact_match",
    "contradicting_accuracy",
)

#: What is compared for each attribute by itself as well.
ATTRIBUTE_METRICS = ("average_precision", "accuracy")


@dataclass(frozen=True)
class Run:
    """One run's scores.

    Args:
        value: metric -> on the faces as they are.
        draws: metric -> in every resample of them.
        attribute_value, attribute_draws: the same before the mean over attributes, for :data:`ATTRIBUTE_METRICS`.
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
) -> Run:
    """All metrics of one run: a number per attribute or for the face as a whole, and the mean over those defined.

    An attribute that a resample happens to make constant is left out of that resample's mean, for all runs alike.
    """
    value = measured(probability.double(), labels, None, rules)
    draws = measured(probability, labels, weights, rules)
    return Run(
        value={name: float(each.nanmean(-1)) for name, each in value.items()},
        draws={name: each.nanmean(-1).double() for name, each in draws.items()},
        attribute_value={name: value[name] for name in ATTRIBUTE_METRICS},
        attribute_draws={name: draws[name].float() for name in ATTRIBUTE_METRICS},
    )


def measured(
    probability: Float[Tensor, "face attr"],
    labels: Int8[Tensor, "face attr"],
    weights: Float[Tensor, "resample face"] | None,
    rules: RuleSet | None,
) -> dict[str, Float[Tensor, "*resample column"]]:
    """Each metric for each row of weights; a column for each attribute, or one for metrics of whole faces."""
    area, steps = metrics.rank_attributes(probability, labels, weights, undefined=0)
    values = {
        "accuracy": metrics.accuracy(probability, labels, weights, undefined=0),
        "balanced_accuracy": metrics.balanced_accuracy(probability, labels, weights, undefined=0),
        "average_precision": steps,
        "auroc": area,
        "exact_match": metrics.exact_match(probability, labels, weights, undefined=0)[..., None],
        "contradicting_accuracy": metrics.contradicting_accuracy(probability, labels, weights, undefined=0)[..., None],
    }
    if rules is not None:
        values["violation_rate"] = metrics.violation_rate(probability, rules, weights)[..., None]
        values["logical_accuracy"] = metrics.logical_accuracy(probability, labels, rules, weights, undefined=0)
    return values


def seeds_of_both(
    scored: Mapping[str, Mapping[int, Run]], variant: str, reference: str
) -> tuple[list[int], Sequence[Run], Sequence[Run]]:
    """The seeds that two variants share, and the runs to compare: those of these seeds, or all where none is shared."""
    mine, other = scored[variant], scored[reference]
    shared = [seed for seed in mine if seed in other]
    ours, theirs = ([by[seed] for seed in shared or by] for by in (mine, other))
    return shared, ours, theirs
