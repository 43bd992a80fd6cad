"""Reading a schema's groups off the labels: which gender, age, race or hair colour a face's attributes amount to."""

import torch
from jaxtyping import Int64
from torch import Tensor

from faceinsight.knowledge.logic.formula import Atom, columns
from faceinsight.knowledge.logic.language import parse_expression
from faceinsight.knowledge.schema import Group, Schema

__all__ = ["group_attributes", "group_labels", "group_rows"]


def group_attributes(schema: Schema) -> dict[str, list[str]]:
    """Return the attributes of each group that has an attribute for every label; other groups are left out.

    >>> group_attributes(Schema.load("celeba"))["hair_colour"]
    ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair']
    >>> "gender" in group_attributes(Schema.load("celeba"))  # "Female" is "not Male"
    False
    """
    found = {}
    for name, group in schema.groups.items():
        labels = [parse_expression(expression, schema) for expression in group.labels.values()]
        if all(isinstance(label, Atom) for label in labels):
            found[name] = [label.name for label in labels if isinstance(label, Atom)]
    return found


def group_labels(
    schema: Schema, labels: Tensor, *, undefined: int | float | None = None
) -> dict[str, Int64[Tensor, " face"]]:
    """For each group of the schema, each face's label as a position among the group's labels.

    ``-1`` where it has none: no label is true, none is decided by the defined attributes, or (on labels that break
    the group's rule) several are.

    Args:
        labels: ``[face, attr]``, three-valued or boolean; see :meth:`Schema.check_labels`.
        undefined: the value of undefined labels, as there.

    >>> schema = Schema.load("celeba")
    >>> labels = torch.zeros(2, 40, dtype=torch.int8)
    >>> labels[0, schema.index("Male")] = -1
    >>> group_labels(schema, labels)["gender"].tolist(), list(schema.groups["gender"].labels)
    ([1, -1], ['Male', 'Female'])
    """
    labels = schema.check_labels(labels, undefined=undefined)
    return {name: _positions(group, schema, labels) for name, group in schema.groups.items()}


def group_rows(schema: Schema, labels: Tensor, *, undefined: int | float | None = None) -> list[dict[str, str | None]]:
    """Return the same in words, one mapping a face: group -> label, or None where the face has none."""
    positions = group_labels(schema, labels, undefined=undefined)
    words = {name: [*group.labels, None] for name, group in schema.groups.items()}  # position -1 is the None
    return [{name: words[name][int(positions[name][face])] for name in words} for face in range(len(labels))]


def _positions(group: Group, schema: Schema, labels: Tensor) -> Int64[Tensor, " face"]:
    by_name = columns(schema, labels)
    truth = [parse_expression(expression, schema).evaluate(by_name) for expression in group.labels.values()]
    true = torch.stack(truth, dim=-1) > 0
    return torch.where(true.sum(-1) == 1, true.int().argmax(-1), -1)
