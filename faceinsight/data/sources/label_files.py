"""Labels from a file of their own, CelebA's list or a CSV, with the faces' splits where they are known.

Every error names the file and the entry.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int8
from torch import Tensor

from faceinsight.data.sources.celeba_lists import (
    aligned,
    check_header,
    checked_values,
    read_attributes,
    read_columns,
    read_partition,
    separator_hint,
)
from faceinsight.data.table import SPLITS
from faceinsight.errors import InputError
from faceinsight.files import opened_text
from faceinsight.knowledge.schema import Schema

__all__ = ["LabelFile", "read_labels", "read_splits"]

#: How files call the splits.
SPLIT_NAMES = {"0": "train", "1": "val", "2": "test", "valid": "val"} | {name: name for name in SPLITS}

#: How files call the column of the splits.
SPLIT_COLUMNS = ("split", "partition")


@dataclass(frozen=True, eq=False)
class LabelFile:
    """What a file says of its faces; row ``i`` of every field is the same face.

    Args:
        files: the faces' file names, each once.
        labels: in the schema's order: 1 positive, -1 negative, 0 undefined.
        split: "train", "val" or "test" for each face; None where it is not known.
    """

    files: tuple[str, ...]
    labels: Int8[Tensor, "face attr"]
    split: tuple[str, ...] | None = None

    def split_masks(self) -> dict[str, Bool[Tensor, " face"]]:
        """Which faces are in each split that has any."""
        split = self.split or ()
        return {name: torch.tensor([each == name for each in split]) for name in SPLITS if name in split}


def read_labels(
    path: Path, schema: Schema, splits: Path | None = None, *, undefined: int | float | None = None
) -> LabelFile:
    """Return the schema's labels from ``list_attr_celeba.txt``, a file laid out like it, or a CSV.

    A CSV has a header; its first column are the file names, the others are found by the attributes' names, and a
    column ``split`` or ``partition`` gives the splits. Columns that the schema does not have are left out.

    Columns of ``True`` and ``False`` are yes and no.

    Args:
        undefined: the value of undefined labels; needed where they are 0 and 1, see
            :func:`~faceinsight.knowledge.labels.three_valued`.
        splits: a file as :func:`read_splits` takes it, in place of such a column; only the faces that it names are
            kept, in its order.

    Raises:
        InputError: a column is missing, a value is none of -1, 0, 1, an attribute's labels are 0 and 1, a face is
            listed twice, or ``splits`` names a face
            that has no labels.
    """
    if is_csv(path):
        labels, split, _ = read_csv_labels(path, schema, undefined)
    else:
        labels, split = read_attributes(path, schema, undefined=undefined)[0], None
    if splits is not None:
        split = read_splits(splits)
        labels = aligned(labels, split.index, str(path))
    values = torch.from_numpy(labels.to_numpy(np.int8, copy=True))
    return LabelFile(tuple(labels.index), values, None if split is None else tuple(split))


def read_splits(path: Path) -> pd.Series:
    """Return the split of each file: from ``list_eval_partition.txt`` or from a CSV with a column ``split`` or
    ``partition``.

    A split is train, val (or valid) or test, or the same as 0, 1, 2.
    """
    if not is_csv(path):
        return read_partition(path)
    values = read_csv(path)
    if (column := split_column(values)) is None:
        raise InputError(f"{path}: no column is called {' or '.join(SPLIT_COLUMNS)}, got {list(values.columns)}")
    return named_splits(path, values[column])


def read_csv_labels(
    path: Path, schema: Schema, undefined: int | float | None = None
) -> tuple[pd.DataFrame, pd.Series | None, tuple[str, ...]]:
    """Return the schema's columns by file name, the splits if there is a column of them, and the columns left out."""
    values = read_csv(path)
    unused = check_header(path, list(values.columns), schema.name, schema.names)
    column = split_column(values.drop(columns=list(schema.names)))
    split = None if column is None else named_splits(path, values[column])
    return checked_values(path, values[list(schema.names)], undefined), split, unused


def read_csv(path: Path) -> pd.DataFrame:
    """Return a CSV's columns by name, and its rows by the file name in the first column."""
    with opened_text(path, newline="") as lines:
        try:
            header = [name.strip() for name in next(csv.reader(lines), [])]
        except csv.Error as error:
            raise InputError(f"{path}: {error}") from error
    return read_columns(path, len(header), skip=1, sep=",").set_axis(header[1:], axis="columns")


def is_csv(path: Path) -> bool:
    """Whether the first line has a comma.

    Raises:
        InputError: the first line is a header whose columns are separated by another sign, which is named.
    """
    with opened_text(path) as lines:
        first = lines.readline()
    if "," not in first and any(sign in first.strip() for sign in ";\t|") and not first.split()[-1].isdigit():
        raise InputError(f"{path}: no CSV{separator_hint(first.strip(), 'commas')}")
    return "," in first


def split_column(values: pd.DataFrame) -> str | None:
    """Return the name of the column that gives the splits."""
    return next((name for name in SPLIT_COLUMNS if name in values.columns), None)


def named_splits(path: Path, values: pd.Series) -> pd.Series:
    """Return the splits by the names that this library gives them."""
    words = values.astype(str).str.strip()
    if unknown := sorted(set(words) - SPLIT_NAMES.keys()):
        raise InputError(f"{path}: a split is train, val (valid) or test, or 0, 1, 2 for these; got {unknown[:5]}")
    return words.map(SPLIT_NAMES)
