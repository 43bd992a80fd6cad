"""The file of a label graph: YAML, by attribute name, one line for each attribute in each table.

A table's line leaves out zeros, and a line of equal numbers is that number once. Numbers come back exactly.
"""

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import yaml
from jaxtyping import Shaped
from torch import Tensor

from faceinsight.errors import InputError, named
from faceinsight.files import PlainData, plain_yaml, read_text
from faceinsight.knowledge.schema import check_name, short

__all__ = ["graph_from_text", "graph_to_text"]

#: The tables of a file, each with what stands above it.
TABLES = {
    "weights": "what each attribute hears of itself and of others",
    "together": "faces that show both attributes",
    "shown": "faces that show the line's attribute, among those where the other is defined",
    "defined": "faces where both attributes are defined",
}

#: The version of the layout.
VERSION = 1


def graph_to_text(names: Sequence[str], settings: Mapping[str, object], tables: Mapping[str, Tensor]) -> str:
    """Return the text of a graph's file."""
    head = {"faceinsight_graph": VERSION, "settings": dict(settings), "attributes": list(names)}
    text = as_yaml(head)
    for title, comment in TABLES.items():
        lines = {name: line_of(row, names) for name, row in zip(names, tables[title], strict=True)}
        text += f"\n# {comment}\n{as_yaml({title: lines})}"
    return text


def as_yaml(data: PlainData) -> str:
    """One line for each innermost mapping or list, in the given order."""
    return yaml.safe_dump(data, default_flow_style=None, sort_keys=False, allow_unicode=True, width=1_000_000)


def line_of(row: Shaped[Tensor, " attr"], names: Sequence[str]) -> int | float | dict[str, int | float]:
    """Return a row of a table as its one number, or as the numbers that are not zero, by name."""
    values = [shortest(value) for value in row.numpy()]
    if len(values) > 1 and len(set(values)) == 1:
        return values[0]
    return {name: value for name, value in zip(names, values, strict=True) if value != 0}


def shortest(value: np.generic) -> int | float:
    """Return the number with the fewest digits that is read back as the same.

    >>> shortest(np.float32(0.2)), float(np.float32(0.2))
    (0.2, 0.20000000298023224)
    """
    if isinstance(value, np.integer):
        return int(value)
    short = float(str(value))
    return short if value.dtype.type(short) == value else float(value)


def graph_from_text(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], PlainData, dict[str, Tensor]]:
    """Names, settings and tables (float64) of a graph's file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is not whole or not a graph; what is wrong is named.
    """
    data = plain_yaml(read_text(path), path)
    wanted = ["faceinsight_graph", "settings", "attributes", *TABLES]
    if not isinstance(data, dict) or "faceinsight_graph" not in data:
        raise InputError(f"{path} is not a label graph: it lacks the key 'faceinsight_graph'; write one with `save`")
    if data["faceinsight_graph"] != VERSION:
        raise InputError(
            f"{path} has version {data['faceinsight_graph']!r} of a label graph, this library reads {VERSION}"
        )
    if missing := [key for key in wanted if key not in data]:
        raise InputError(f"{path} is not a whole label graph: it lacks {', '.join(missing)}")
    if not isinstance(data["attributes"], list) or not isinstance(data["settings"], dict):
        raise InputError(f"{path}: 'attributes' must be a list and 'settings' a mapping")
    with named(path):
        for name in data["attributes"]:
            check_name(name, "an attribute")
    names = tuple(data["attributes"])
    if len(set(names)) < len(names):
        raise InputError(f"{path}: an attribute is named twice")
    return names, data["settings"], {title: read_table(data[title], names, f"{path}: {title}") for title in TABLES}


def read_table(lines: object, names: Sequence[str], where: str) -> Tensor:
    """Return a table with its rows and columns in the order of ``names``."""
    if not isinstance(lines, Mapping):
        raise InputError(f"{where} must have one line for each attribute, got {short(lines)}")
    if set(lines) != set(names):
        wrong = sorted(map(str, set(lines) ^ set(names)))
        raise InputError(f"{where} must have one line for each attribute; missing or unknown: {', '.join(wrong)}")
    table = torch.zeros(len(names), len(names), dtype=torch.float64)
    at = {name: position for position, name in enumerate(names)}
    for name, line in lines.items():
        if not isinstance(line, Mapping):
            table[at[name]] = number(line, f"{where} of {name!r}")
            continue
        if unknown := line.keys() - at.keys():
            unknown_names = sorted(map(str, unknown))
            raise InputError(f"{where} of {name!r} names {unknown_names}, which are no attributes of this graph")
        for other, value in line.items():
            table[at[name], at[other]] = number(value, f"{where} of {name!r} and {other!r}")
    return table


def number(value: object, where: str) -> float:
    """Return a finite number of a table."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where} must be a finite number, got {short(value)}")
    return float(value)
