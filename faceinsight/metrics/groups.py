"""How well a schema's groups (gender, hair colour, age) are predicted, as the choices they are.

A face whose labels give it no single label of the group is left out of that group; a prediction without one is wrong.
"""

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics.entry import MetricEntry

__all__ = ["GROUP_METRICS", "group_accuracy", "group_macro_f1", "group_metrics", "within_one_bin", "years_error"]

Positions = Int64[Tensor, " face"]


def group_metrics(
    schema: Schema,
    predicted: Shaped[Tensor, "face attr"],
    labels: Shaped[Tensor, "face attr"],
    *,
    undefined: int | float | None = None,
) -> dict[str, dict[str, float]]:
    """For each group: ``faces``, ``accuracy``, ``macro_f1``; ordinal ones add ``within_one_bin``, ``years_error``.

    Args:
        predicted: a decided label for every attribute, best the most probable consistent one
            (``ConstrainedBernoulli.mode``), which has exactly one label in every ``exactly_one`` group.
        labels: what is true; undefined labels are allowed.
        undefined: the value of undefined labels in both; see :meth:`Schema.check_labels`.
    """
    found, true = (group_labels(schema, each, undefined=undefined) for each in (predicted, labels))
    results: dict[str, dict[str, float]] = {}
    for name, group in schema.groups.items():
        given = {} if group.years is None else {"years": group.years}
        results[name] = {
            entry.name: entry.function(found[name], true[name], *(given[need] for need in entry.needs))
            for entry in GROUP_METRICS
            if given.keys() >= {*entry.needs} and (entry.level == "group" or group.kind == "ordinal")
        }
    return results


def labelled_faces(predicted: Positions, true: Positions) -> float:
    """Return the number of faces that have a label of the group."""
    return float((true >= 0).sum())


def group_accuracy(predicted: Positions, true: Positions) -> float:
    """Share of faces with the right label; positions among the group's labels, -1 for none.

    >>> group_accuracy(torch.tensor([0, 1, -1, 2]), torch.tensor([0, 2, 1, -1]))
    0.3333333333333333
    """
    return _share(predicted == true, true >= 0)


def group_macro_f1(predicted: Positions, true: Positions) -> float:
    """Mean over the labels that occur among the true ones of their F1; NaN if none does."""
    counted = true >= 0
    scores = []
    for label in true[counted].unique().tolist():
        claimed, present = (predicted == label) & counted, true == label
        scores.append(2 * int((claimed & present).sum()) / int(claimed.sum() + present.sum()))
    return sum(scores) / len(scores) if scores else float("nan")


def within_one_bin(predicted: Positions, true: Positions) -> float:
    """Share of faces whose label is right or a neighbour of the right one, in a group whose labels are in order."""
    return _share(((predicted - true).abs() <= 1) & (predicted >= 0), true >= 0)


def years_error(predicted: Positions, true: Positions, years: tuple[tuple[int, int], ...]) -> float:
    """Mean distance in years between the middles of the predicted and the true age range.

    Not in the paper: faces whose prediction has no label are left out (``accuracy`` counts them as wrong).

    >>> years_error(torch.tensor([0, 2]), torch.tensor([1, 2]), ((0, 2), (3, 9), (10, 19)))
    2.5
    """
    middle = torch.tensor(years, dtype=torch.float64).mean(1)
    both = (true >= 0) & (predicted >= 0)
    return float((middle[predicted[both]] - middle[true[both]]).abs().mean())


#: Every metric of groups.
GROUP_METRICS = (
    MetricEntry(name="faces", title="faces", function=labelled_faces, direction="none", level="group"),
    MetricEntry(name="accuracy", title="accuracy", function=group_accuracy, direction="up", level="group"),
    MetricEntry(name="macro_f1", title="macro F1", function=group_macro_f1, direction="up", level="group"),
    MetricEntry(
        name="within_one_bin", title="within one bin", function=within_one_bin, direction="up", level="ordered group"
    ),
    MetricEntry(
        name="years_error", title="years", function=years_error, direction="down", level="group", needs=("years",)
    ),
)


def _share(earned: Tensor, counted: Tensor) -> float:
    return float((earned & counted).sum().double() / counted.sum())
