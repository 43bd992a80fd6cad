"""Labels held against rules: how often each one is broken, on which faces, and what a model loses that keeps them.

A model whose outputs always keep the rules is wrong on every face whose labels do not. How wrong, at least, is counted
exactly: the fewest labels in which such a face differs from a consistent one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import torch
from jaxtyping import Bool, Int8, Int64, Shaped
from torch import Tensor

from faceinsight.files import PlainData
from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.logic.components import Component, ComponentTooLargeError, UnsatisfiableError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, UnknownAttributeError

__all__ = ["LabelCheck", "Slices", "check_labels", "fewest_changes", "slices_by"]

#: For each name of a slice, the faces that are in it.
Slices = Mapping[str, Bool[Tensor, " face"]]


@dataclass(frozen=True)
class LabelCheck:
    """How given labels keep the rules.

    Args:
        decided: for each rule, the faces whose defined labels decide it.
        broken: for each rule, the faces that break it.
        faces_decided: faces on which at least one rule is decided.
        faces_broken: faces that break at least one rule.
        faces: faces that have a defined label.
        labels: defined labels.
        faces_inconsistent: faces whose defined labels no consistent face has: those that break a rule, and those whose
            undefined labels cannot be filled in without breaking one. None where no consistent face can be found.
        changes: the fewest labels to change until there is no such face; None likewise.
        examples: for each rule, the names of a few faces that break it.
        by: the same for parts of the faces: what divides them -> part -> its check.
    """

    decided: tuple[int, ...]
    broken: tuple[int, ...]
    faces_decided: int
    faces_broken: int
    faces: int
    labels: int
    faces_inconsistent: int | None
    changes: int | None
    examples: tuple[tuple[str, ...], ...] = ()
    by: Mapping[str, Mapping[str, "LabelCheck"]] = field(default_factory=dict)

    @property
    def share(self) -> tuple[float, ...]:
        """For each rule, the broken share of the faces on which it is decided (nan where there is none)."""
        return tuple(_ratio(broken, decided) for broken, decided in zip(self.broken, self.decided, strict=True))

    @property
    def total_share(self) -> float:
        """The share of faces that break at least one rule, of those on which any is decided."""
        return _ratio(self.faces_broken, self.faces_decided)

    @property
    def exact_match_ceiling(self) -> float:
        """The highest exact match of a model that always keeps the rules; nan where it is not known."""
        return nan if self.faces_inconsistent is None else 1 - _ratio(self.faces_inconsistent, self.faces)

    @property
    def accuracy_ceiling(self) -> float:
        """The highest share of right labels of a model that always keeps the rules; nan where it is not known.

        Where every label is defined this is the mean accuracy over attributes.
        """
        return nan if self.changes is None else 1 - _ratio(self.changes, self.labels)

    def to_dict(self) -> PlainData:
        """Return the totals as plain data, and ``by`` with each rule's counts in the order of the rules."""
        return {
            "faces": self.faces,
            "faces_decided": self.faces_decided,
            "faces_broken": self.faces_broken,
            "share": self.total_share,
            "faces_inconsistent": self.faces_inconsistent,
            "changes": self.changes,
            "exact_match_ceiling": self.exact_match_ceiling,
            "accuracy_ceiling": self.accuracy_ceiling,
            "by": {
                name: {
                    part: check.to_dict() | {"decided": list(check.decided), "broken": list(check.broken)}
                    for part, check in parts.items()
                }
                for name, parts in self.by.items()
            },
        }


def check_labels(
    rules: RuleSet,
    labels: Tensor,
    *,
    files: Sequence[str] | None = None,
    by: Mapping[str, Slices] | None = None,
    examples: int = 3,
    undefined: int | float | None = None,
) -> LabelCheck:
    """Hold labels against rules.

    Args:
        labels: ``[face, attr]``, three-valued or boolean; see :meth:`Schema.check_labels`.
        files: the faces' names, for the examples; their positions by default.
        by: what to tell the faces apart by -> part -> its faces: splits, or what :func:`slices_by` gives.
        examples: names to keep for each rule, the first faces that break it.
        undefined: the value of undefined labels; see :meth:`Schema.check_labels`.

    Raises:
        InputError: labels of 0 and 1, or other values.
    """
    labels = rules.schema.check_labels(labels, undefined=undefined).cpu()
    verdicts, defined = rules.verdicts(labels, undefined=0), (labels != 0).sum(1)
    changes = fewest_changes(rules, labels, undefined=0)
    named = [(verdicts[:, rule] < 0).nonzero()[:examples, 0].tolist() for rule in range(len(rules))]
    return _counted(
        verdicts,
        defined,
        changes,
        examples=tuple(tuple(str(row) if files is None else files[row] for row in rows) for rows in named),
        by={
            name: {
                part: _counted(verdicts[mask], defined[mask], None if changes is None else changes[mask])
                for part, mask in parts.items()
            }
            for name, parts in (by or {}).items()
        },
    )


def fewest_changes(
    rules: RuleSet, labels: Shaped[Tensor, "face attr"], *, undefined: int | float | None = None
) -> Int64[Tensor, " face"] | None:
    """For each face, in how many defined labels it differs from the nearest face that satisfies the rules.

    None where there is no such face, or the rules join too many attributes to look at every one.

    Args:
        labels, undefined: see :meth:`Schema.check_labels`.

    >>> rules = RuleSet.parse(["a -> b", "a -> c"], Schema.from_names([*"abc"]))
    >>> fewest_changes(rules, torch.tensor([[1, -1, -1], [1, 0, -1], [-1, -1, 1]])).tolist()
    [1, 1, 0]
    """
    labels = rules.schema.check_labels(labels, undefined=undefined)
    try:
        components = rules.components
    except (UnsatisfiableError, ComponentTooLargeError):
        return None
    apart = [_apart(component, labels) for component in components]
    return torch.stack(apart).sum(0) if apart else torch.zeros(len(labels), dtype=torch.int64)


def slices_by(
    schema: Schema, labels: Shaped[Tensor, "face attr"], name: str, *, undefined: int | float | None = None
) -> dict[str, Bool[Tensor, " face"]]:
    """Return the faces divided by a group of the schema (each of its labels, and none) or by an attribute (yes, no,
    undefined); parts without faces are left out.

    Args:
        labels, undefined: see :meth:`Schema.check_labels`.

    Raises:
        UnknownAttributeError: neither has this name; the nearest ones are offered.

    >>> schema = Schema.load("celeba")
    >>> faces = torch.zeros(3, 40, dtype=torch.int8).index_fill(1, torch.tensor(schema.index("Male")), -1)
    >>> {part: int(mask.sum()) for part, mask in slices_by(schema, faces, "gender").items()}
    {'Female': 3}
    """
    labels = schema.check_labels(labels, undefined=undefined)
    if name in schema.groups:
        positions = group_labels(schema, labels, undefined=0)[name]
        parts = {label: positions == place for place, label in enumerate(schema.groups[name].labels)}
        parts[f"no {name}"] = positions < 0
    elif name in schema:
        values = labels[:, schema.index(name)]
        parts = {name: values > 0, f"not {name}": values < 0, "undefined": values == 0}
    else:
        raise UnknownAttributeError(name, (*schema.groups, *schema.names))
    return {part: mask for part, mask in parts.items() if mask.any()}


def _apart(component: Component, labels: Int8[Tensor, "face attr"]) -> Int64[Tensor, " face"]:
    """Return the distance to the component's nearest model; equal labels are looked at once."""
    rows, place = labels.index_select(1, component.index).unique(dim=0, return_inverse=True)
    return component.fewest_changes(rows)[place]


def _counted(
    verdicts: Int8[Tensor, "face rule"],
    defined: Int64[Tensor, " face"],
    changes: Int64[Tensor, " face"] | None,
    **options: Any,
) -> LabelCheck:
    decided, broken = verdicts != 0, verdicts < 0
    return LabelCheck(
        decided=tuple(decided.sum(0).tolist()),
        broken=tuple(broken.sum(0).tolist()),
        faces_decided=int(decided.any(1).sum()),
        faces_broken=int(broken.any(1).sum()),
        faces=int((defined > 0).sum()),
        labels=int(defined.sum()),
        faces_inconsistent=None if changes is None else int((changes > 0).sum()),
        changes=None if changes is None else int(changes.sum()),
        **options,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else nan
