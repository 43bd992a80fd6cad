"""Labels of data sets that give each face one value of each category, such as an age, a gender or an expression."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Int8
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = ["category_labels", "named_values", "unknown_notes"]


def named_values(path: Path, values: pd.Series, names: Mapping[int, str] | Mapping[str, str]) -> pd.Series:
    """Return what a list's values are called.

    Args:
        path: the list, named in the error.
        values: by the faces' names; the series' own name is the category's.
        names: value -> label of the catalog.

    Raises:
        InputError: a value without a name; face and value are named.

    >>> faces = pd.Series([2, 1], index=["a.jpg", "b.jpg"], name="gender")
    >>> named_values(Path("list.txt"), faces, {1: "Male", 2: "Female"}).tolist()
    ['Female', 'Male']
    >>> named_values(Path("list.txt"), faces, {1: "Male", 0: "Female"})
    Traceback (most recent call last):
    ...
    faceinsight.errors.InputError: list.txt: gender of a.jpg is 2; known are 1, 0
    """
    if (wrong := ~values.isin(list(names))).any():
        face, value = values.index[wrong][0], values[wrong].tolist()[0]
        raise InputError(f"{path}: {values.name} of {face} is {value!r}; known are {', '.join(map(str, names))}")
    return values.map(dict(names))


def category_labels(values: pd.DataFrame, catalog: Schema, schema: Schema) -> Int8[Tensor, "face attr"]:
    """1 for the named value of each category, -1 for its others, 0 for attributes of no category.

    Args:
        values: a column for each group of the catalog, with one of the group's labels for every face.
        catalog: what the data set knows.
        schema: the attributes wanted.

    >>> catalog = Schema.load("expw")
    >>> wanted = Schema.from_names(["happy", "sad", "Bald"])
    >>> category_labels(pd.DataFrame({"expression": ["sad", "fear"]}), catalog, wanted).tolist()
    [[-1, 1, 0], [-1, -1, 0]]
    """
    labels = torch.zeros(len(values), len(schema), dtype=torch.int8)
    for name, group in catalog.groups.items():
        for value in group.labels:
            if value in schema:
                chosen = torch.from_numpy((values[name] == value).to_numpy(copy=True))
                labels[:, schema.index(value)] = chosen.to(torch.int8) * 2 - 1
    return labels


def unknown_notes(whose: str, catalog: Schema, schema: Schema) -> list[str]:
    """Return what a report says of attributes that a data set does not know."""
    unknown = [name for name in schema.names if name not in catalog]
    return [f"attributes that {whose} does not know are undefined: {', '.join(unknown)}"] if unknown else []
