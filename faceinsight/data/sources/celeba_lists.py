"""CelebA's text files, read by name and checked: every error names the file and the entry."""

import csv
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from faceinsight.errors import InputError, named
from faceinsight.files import opened_text
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.schema import Schema

__all__ = [
    "aligned",
    "attribute_header",
    "check_header",
    "checked_values",
    "counted",
    "label_values",
    "read_attributes",
    "read_columns",
    "read_lines",
    "read_pairs",
    "read_partition",
    "separator_hint",
    "whole_numbers",
]

#: Whole numbers in lists are no larger: beyond this, floats are no longer exact.
LARGEST = 2**53

Listed = TypeVar("Listed", pd.DataFrame, pd.Series)


def read_attributes(
    path: Path, schema: Schema, *, undefined: int | float | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the schema's columns of an attribute file, by file name; and the names of the columns left out.

    A file that has not changed is parsed once in a process: an ablation asks for it in every run.

    Args:
        undefined: the value of undefined labels, see :func:`~faceinsight.knowledge.labels.three_valued`.

    Raises:
        InputError: a column is missing, a value is none of -1, 0, 1, labels are 0 and 1, or the file was cut short.
    """
    state = path.stat()
    return parsed_attributes(path, schema.name, schema.names, state.st_mtime_ns, state.st_size, undefined)


@lru_cache(maxsize=2)
def parsed_attributes(
    path: Path, schema: str, names: tuple[str, ...], modified: int, size: int, undefined: int | float | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """As :func:`read_attributes`; time and size only tell one state of the file from another."""
    header = attribute_header(path)
    unused = check_header(path, header, schema, names)
    values = read_columns(path, 1 + len(header), skip=2)
    with opened_text(path) as lines:
        count = int(lines.readline())
    if len(values) != count:
        raise InputError(f"{path}: {len(values):,} rows, but its first line says {count:,}; get the file again")
    return checked_values(path, values.set_axis(header, axis="columns")[list(names)], undefined), unused


def attribute_header(path: Path) -> list[str]:
    """Return the columns that the second line of an attribute file names; the first is the number of faces."""
    with opened_text(path) as lines:
        count, header = lines.readline().strip(), lines.readline()
    if not count.isascii() or not count.isdigit():
        raise InputError(
            f"{path}: the first line is the number of faces, got {count[:60]!r}{separator_hint(count, 'blanks')}"
        )
    if hint := separator_hint(header, "blanks"):
        raise InputError(f"{path}: the second line names the attributes{hint}")
    return header.split()


def separator_hint(line: str, wanted: str) -> str:
    """Names the sign that a line's columns seem to be separated by, where it is not the one wanted; else empty.

    >>> separator_hint("file;Bald;Bangs", "commas")
    "; its columns seem to be separated by ';', save it with commas"
    """
    for sign in ";\t|,":
        if line.count(sign) and not (wanted == "commas" and "," in line) and not (wanted == "blanks" and sign == "\t"):
            return f"; its columns seem to be separated by {sign!r}, save it with {wanted}"
    return ""


def check_header(path: Path, header: Sequence[str], schema: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that the schema does not have; refuse a header that lacks one of its own or names one
    twice.
    """
    unused = tuple(name for name in header if name not in names)
    if missing := [name for name in names if name not in header]:
        raise InputError(
            f"{path}: missing columns {missing} of schema {schema!r}; "
            f"columns that the schema does not have: {list(unused) or 'none'}"
        )
    if len(set(header)) < len(header):
        raise InputError(f"{path}: the header names a column twice")
    return unused


def checked_values(path: Path, values: pd.DataFrame, undefined: int | float | None = None) -> pd.DataFrame:
    """Return the labels as int8: 1, -1, 0 undefined; see :func:`~faceinsight.knowledge.labels.three_valued`.

    Columns of ``True`` and ``False`` are yes and no.
    """
    labels = label_values(path, values, undefined)
    if undefined is None:
        with named(path):
            three_valued(torch.from_numpy(labels.to_numpy(copy=True)), names=list(map(str, values.columns)))
    return labels


def label_values(path: Path, values: pd.DataFrame, undefined: int | float | None = None) -> pd.DataFrame:
    """Return the labels as int8; other values are refused with face and attribute, but not labels of 0 and 1."""
    coded = undefined in (None, 0)
    numbers = values.apply(lambda column: as_numbers(column, no=-1 if coded else 0))
    allowed = (-1, 0, 1) if coded else (0, 1)
    if undefined is None or undefined == 0:
        missing = np.zeros(numbers.shape, dtype=bool)
    else:
        missing = (values.map(is_missing) if math.isnan(undefined) else numbers == undefined).to_numpy()
    wrong = np.argwhere(~(np.isin(numbers.to_numpy(), allowed) | missing))
    if len(wrong):
        face, attr = wrong[0]
        found, name = values.iloc[face, attr], values.columns[attr]
        found = repr(found) if isinstance(found, str) else found
        wanted = "1, -1 or 0 (undefined)" if coded else f"1, 0 or {undefined:g} (undefined)"
        raise InputError(f"{path}: {name} of {values.index[face]} is {found}; labels are {wanted}")
    if not coded:
        numbers = (numbers * 2 - 1).mask(missing, 0)
    return numbers.astype(np.int8)


def as_numbers(column: pd.Series, no: int) -> pd.Series:
    """Return a column as numbers; of booleans 1 and ``no``, and NaN for what is neither."""
    if column.dtype == bool:
        return column.map({True: 1, False: no})
    return column if column.dtype.kind == "i" else pd.to_numeric(column, errors="coerce")


def is_missing(value: object) -> bool:
    """Whether a cell of a table is empty, or says that it is."""
    return str(value).strip().lower() in ("", "nan", "na", "n/a", "null", "none")


def read_columns(path: Path, width: int, skip: int = 0, sep: str = r"\s+") -> pd.DataFrame:
    """Return the lines of a list as columns 1 to ``width - 1``, by the file name in column 0."""
    frame = read_lines(path, width, skip, sep).set_index(0)
    if (again := frame.index.duplicated()).any():
        raise InputError(f"{path}: {frame.index[again][0]} is listed twice")
    return frame


def read_lines(path: Path, width: int, skip: int = 0, sep: str = r"\s+") -> pd.DataFrame:
    """Return the lines of a list as columns 0, the file name, to ``width - 1``; a file may be named on several lines.

    Names are taken as they are written: ``NA`` and ``null`` are names.
    """
    listed = sep == r"\s+"
    options: dict[str, Any] = {"quoting": csv.QUOTE_NONE if listed else csv.QUOTE_MINIMAL}
    with opened_text(path) as lines:
        try:
            frame = pd.read_csv(
                lines, sep=sep, header=None, skiprows=skip, dtype={0: str}, keep_default_na=False, **options
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, OverflowError) as error:
            raise InputError(f"{path}: {error}") from error
    if frame.shape[1] != width:
        first = " ".join(map(str, frame.iloc[0]))
        hint = separator_hint(first, "blanks" if listed else "commas")
        raise InputError(f"{path}: each line has a file name and {width - 1} values, got {frame.shape[1] - 1}{hint}")
    names = frame[0].astype(str)
    if (empty := names.str.strip() == "").any():
        raise InputError(f"{path}: line {int(empty.argmax()) + 1 + skip} names no file")
    return frame


def read_pairs(path: Path) -> pd.Series:
    """Return a list of file names and whole numbers."""
    return whole_numbers(path, read_columns(path, 2)[1])


def whole_numbers(path: Path, values: pd.Series) -> pd.Series:
    """Return the values by file name as int64; anything but whole numbers is refused."""
    if values.dtype == bool:
        raise InputError(f"{path}: {values.index[0]} has {values.iloc[0]}, a whole number is wanted")
    numbers = pd.to_numeric(values, errors="coerce")
    if (wrong := numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > LARGEST)).any():
        raise InputError(
            f"{path}: {values.index[wrong][0]} has {values[wrong].tolist()[0]!r}, a whole number is wanted"
        )
    return numbers.astype(np.int64)


def read_partition(path: Path) -> pd.Series:
    """Return the official split of each file."""
    codes = read_pairs(path)
    if unknown := set(codes) - {0, 1, 2}:
        raise InputError(f"{path}: a partition is 0 (train), 1 (validation) or 2 (test), got {sorted(unknown)}")
    return codes.map({0: "train", 1: "val", 2: "test"})


def aligned(listed: Listed, files: pd.Index, name: str) -> Listed:
    """Return the rows of ``listed`` for these files."""
    if len(absent := files.difference(listed.index)):
        raise InputError(f"{name} says nothing about {counted(list(absent))} files that are in the split")
    return listed.loc[files]


def counted(names: Sequence[str]) -> str:
    """How many, and the first few of them.

    >>> counted(["a", "b", "c", "d"])
    '4 (a, b, c, ...)'
    """
    return f"{len(names):,} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
