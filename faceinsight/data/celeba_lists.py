"""CelebA's text files, read by name and checked: every error names the file and the entry."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = [
    "aligned",
    "check_header",
    "checked_values",
    "counted",
    "label_values",
    "read_attributes",
    "read_columns",
    "read_lines",
    "read_pairs",
    "read_partition",
    "whole_numbers",
]

Listed = TypeVar("Listed", pd.DataFrame, pd.Series)


def read_attributes(path: Path, schema: Schema) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The schema's columns of an attribute file, by file name; and the names of the columns left out.

    A file that has not changed is parsed once in a process: an ablation asks for it in every run.

    Raises:
        InputError: a column is missing, a value is none of -1, 0, 1, or the file was cut short.
    """
    state = path.stat()
    return parsed_attributes(path, schema.name, schema.names, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def parsed_attributes(
    path: Path, schema: str, names: tuple[str, ...], modified: int, size: int
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """As :func:`read_attributes`; the last two arguments only tell one state of the file from another."""
    with path.open(encoding="utf-8") as lines:
        count, header = lines.readline().strip(), lines.readline().split()
    if not count.isdigit():
        raise InputError(f"{path}: the first line is the number of faces, got {count[:60]!r}")
    unused = check_header(path, header, schema, names)
    values = read_columns(path, 1 + len(header), skip=2)
    if len(values) != int(count):
        raise InputError(f"{path}: {len(values):,} rows, but its first line says {int(count):,}; get the file again")
    return checked_values(path, values.set_axis(header, axis="columns")[list(names)]), unused


def check_header(path: Path, header: Sequence[str], schema: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns that the schema does not have; refuse a header that lacks one of its own or names one twice."""
    unused = tuple(name for name in header if name not in names)
    if missing := [name for name in names if name not in header]:
        raise InputError(
            f"{path}: missing columns {missing} of schema {schema!r}; "
            f"columns that the schema does not have: {list(unused) or 'none'}"
        )
    if len(set(header)) < len(header):
        raise InputError(f"{path}: the header names a column twice")
    return unused


def checked_values(path: Path, values: pd.DataFrame) -> pd.DataFrame:
    """The labels as int8; anything but -1, 0 and 1 is refused, and so are labels written as 0 and 1."""
    labels = label_values(path, values)
    if (labels == 0).any(axis=None) and not (labels == -1).any(axis=None):
        raise InputError(f"{path}: the labels are 0 and 1, but 0 means undefined here; write -1 where the answer is no")
    return labels


def label_values(path: Path, values: pd.DataFrame) -> pd.DataFrame:
    """The labels as int8; anything but -1, 0 and 1 is refused."""
    whole = all(kind.kind == "i" for kind in values.dtypes)
    numbers = values if whole else values.apply(pd.to_numeric, errors="coerce")
    wrong = np.argwhere(~np.isin(numbers.to_numpy(), (-1, 0, 1)))
    if len(wrong):
        face, attr = wrong[0]
        found, name = values.iloc[face, attr], values.columns[attr]
        raise InputError(f"{path}: {name} of {values.index[face]} is {found}; labels are 1, -1 or 0 (undefined)")
    return numbers.astype(np.int8)


def read_columns(path: Path, width: int, skip: int = 0, sep: str = r"\s+") -> pd.DataFrame:
    """The lines of a list as columns 1 to ``width - 1``, by the file name in column 0."""
    frame = read_lines(path, width, skip, sep).set_index(0)
    if (again := frame.index.duplicated()).any():
        raise InputError(f"{path}: {frame.index[again][0]} is listed twice")
    return frame


def read_lines(path: Path, width: int, skip: int = 0, sep: str = r"\s+") -> pd.DataFrame:
    """The lines of a list as columns 0, the file name, to ``width - 1``; a file may be named on several lines."""
    try:
        frame = pd.read_csv(path, sep=sep, header=None, skiprows=skip, dtype={0: str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: {error}") from error
    if frame.shape[1] != width:
        raise InputError(f"{path}: each line has a file name and {width - 1} values, got {frame.shape[1] - 1}")
    return frame


def read_pairs(path: Path) -> pd.Series:
    """A list of file names and whole numbers."""
    return whole_numbers(path, read_columns(path, 2)[1])


def whole_numbers(path: Path, values: pd.Series) -> pd.Series:
    """The values by file name as int64; anything but whole numbers is refused."""
    numbers = pd.to_numeric(values, errors="coerce")
    if (wrong := numbers.isna() | (numbers % 1 != 0)).any():
        raise InputError(
            f"{path}: {values.index[wrong][0]} has {values[wrong].tolist()[0]!r}, a whole number is wanted"
        )
    return numbers.astype(np.int64)


def read_partition(path: Path) -> pd.Series:
    """The official split of each file."""
    codes = read_pairs(path)
    if unknown := set(codes) - {0, 1, 2}:
        raise InputError(f"{path}: a partition is 0 (train), 1 (validation) or 2 (test), got {sorted(unknown)}")
    return codes.map({0: "train", 1: "val", 2: "test"})


def aligned(listed: Listed, files: pd.Index, name: str) -> Listed:
    """The rows of ``listed`` for these files."""
    if len(absent := files.difference(listed.index)):
        raise InputError(f"{name} says nothing about {counted(list(absent))} files that are in the split")
    return listed.loc[files]


def counted(names: Sequence[str]) -> str:
    """How many, and the first few of them.

    >>> counted(["a", "b", "c", "d"])
    '4 (a, b, c, ...)'
    """
    return f"{len(names):,} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
