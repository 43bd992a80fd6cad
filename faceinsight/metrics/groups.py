"""How well a schema's groups (gender, hair colour, age) are predicted, as the choices they are.

A face whose labels give it no single label of the group is left out of that group; a prediction without one is wrong.
"""

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.schema import Schema

__all__ = ["group_accuracy", "group_macro_f1", "group_metrics", "within_one_bin", "years_error"]

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
    results = {}
    for name, group in schema.groups.items():
        ours, theirs = found[name], true[name]
        results[name] = {
            "faces": float((theirs >= 0).sum()),
            "accuracy": group_accuracy(ours, theirs),
            "macro_f1": group_macro_f1(ours, theirs),
        }
        if group.kind == "ordinal":
            results[name]["within_one_bin"] = within_one_bin(ours, theirs)
        if group.years is not None:
            results[name]["years_error"] = years_error(ours, theirs, group.years)
    return results


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

    Choice of this library: faces whose prediction has no label are left out (``accuracy`` counts them as wrong).

    >>> years_error(torch.tensor([0, 2]), torch.tensor([1, 2]), ((0, 2), (3, 9), (10, 19)))
    2.5
    """
    middle = torch.tensor(years, dtype=torch.float64).mean(1)
    both = (true >= 0) & (predicted >= 0)
    return float((middle[predicted[both]] - middle[true[both]]).abs().mean())


def _share(earned: Tensor, counted: Tensor) -> float:
    return float((earned & counted).sum().double() / counted.sum())
