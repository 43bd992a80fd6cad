"""What is in a data set: counts, prevalence, rules that the labels break, files that cannot be read."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from faceinsight.data.dataset import broken_files
from faceinsight.data.inspection.report import DataReport
from faceinsight.data.mask_shares import mask_shares, mask_warnings
from faceinsight.data.table import SPLITS, FaceSource, FaceTable
from faceinsight.knowledge.lint.label_check import check_labels
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, catalog_names

__all__ = ["check", "constant_attributes"]


def check(source: FaceSource, *, rules: RuleSet | None = None, read_images: bool = False) -> DataReport:
    """Check a data set and count what is in it.

    Args:
        source: the data set.
        rules: judge the labels by these; by default the logical rules of the catalog with the schema's name.
        read_images: also decode every picture and mask (about 1 ms each); of masks, 200 are read anyway.

    Raises:
        FileNotFoundError, InputError: the source's own, where it cannot be read at all.
    """
    source.prepare()
    table = source.table()
    schema, labels = table.schema, table.labels
    rules = catalog_rules(schema) if rules is None else rules
    counts = [dict(zip(schema.names, (labels == value).sum(0).tolist(), strict=True)) for value in (1, -1, 0)]
    notes: list[str] = getattr(source, "notes", list)()
    shares, warned = None, []
    if table.mask_root is not None:
        shares, read, empty = mask_shares(table, most=len(table) if read_images else 200)
        warned = mask_warnings(shares, read, empty)
    return DataReport(
        description=table.describe(),
        faces={split: table.split.count(split) for split in SPLITS},
        people={split: len(table.identity[split_mask(table, split)].unique()) for split in SPLITS},
        positive=counts[0],
        negative=counts[1],
        undefined=counts[2],
        constant=constant_attributes(labels[split_mask(table, "train")], schema, undefined=0),
        rules=() if rules is None else rules.texts,
        noise=None if rules is None else check_labels(rules, labels, undefined=0),
        broken=tuple(broken_files(table).values()) if read_images else None,
        notes=tuple(notes + warned),
        mask_shares=shares,
    )


def split_mask(table: FaceTable, split: str) -> Tensor:
    """Which faces are in a split, an empty one included."""
    return torch.tensor([each == split for each in table.split])


def catalog_rules(schema: Schema) -> RuleSet | None:
    """Return the logical rules of the catalog that the schema is, or None where it is none."""
    if schema.name not in catalog_names() or Schema.load(schema.name).names != schema.names:
        return None
    return RuleSet.load(schema.name)


def constant_attributes(
    labels: Shaped[Tensor, "face attr"], schema: Schema, *, undefined: int | float | None = None
) -> dict[str, str]:
    """Attribute -> "never positive", "always positive" or "never defined", for those that do not vary.

    Args:
        labels, undefined: see :meth:`Schema.check_labels`.

    >>> constant_attributes(torch.tensor([[1, -1, 1], [1, 0, -1]]), Schema.from_names("abc"))
    {'a': 'always positive', 'b': 'never positive'}
    """
    constant, labels = {}, schema.check_labels(labels, undefined=undefined)
    some_positive, some_negative = (labels == 1).any(0).tolist(), (labels == -1).any(0).tolist()
    for name, positive, negative in zip(schema.names, some_positive, some_negative, strict=True):
        if not (positive and negative):
            constant[name] = "always positive" if positive else "never positive" if negative else "never defined"
    return constant
