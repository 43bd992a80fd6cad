"""The predictions file of a run: one line per face, one probability per named attribute.

    file,split,Bald,Smiling
    000001.jpg,test,0.00314159,0.978

Six significant digits are kept; faces are matched by file name and attributes by name, never by position.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import opened_text, replacing
from faceinsight.knowledge.schema import Schema

__all__ = ["Predictions", "read_predictions", "write_predictions"]

#: The columns before the attributes'.
KEYS = ("file", "split")


@dataclass(frozen=True)
class Predictions:
    """The probabilities that one run gave to named faces.

    Args:
        schema: names the columns of ``probability``.
        files: of the faces, as in the label table; no file twice.
        split: of each face.
        probability: in [0, 1].

    Raises:
        InputError: lengths differ, a file is named twice, or a probability is not in [0, 1].
    """

    schema: Schema
    files: tuple[str, ...]
    split: tuple[str, ...]
    probability: Float[Tensor, "face attr"]

    def __post_init__(self) -> None:
        wanted = [len(self.files), len(self.schema)]
        if list(self.probability.shape) != wanted or len(self.split) != len(self.files):
            raise InputError(
                f"{len(self.files)} files and {len(self.schema)} attributes need probabilities {wanted} and "
                f"{len(self.files)} splits, got {list(self.probability.shape)} and {len(self.split)}"
            )
        if clash := [name for name in self.schema.names if name in KEYS]:
            raise InputError(
                f"an attribute cannot be called {clash[0]!r}: predictions files have a column of that name"
            )
        if len(set(self.files)) < len(self.files):
            repeated = next(file for file in self.files if self.files.count(file) > 1)
            raise InputError(f"{repeated} has more than one line; a face is predicted once")
        inside = (self.probability >= 0) & (self.probability <= 1)
        if not bool(inside.all()):
            face, attr = (~inside).nonzero()[0].tolist()
            raise InputError(
                f"{self.files[face]}: probability of {self.schema.names[attr]!r} must lie in [0, 1], "
                f"got {self.probability[face, attr].item():.6g}"
            )

    def for_files(self, files: Sequence[str]) -> Float[Tensor, "face attr"]:
        """Return the probabilities of exactly these faces, in the order of ``files``.

        Raises:
            InputError: a file has no prediction, or there are predictions for files that were not asked for.
        """
        row = {file: position for position, file in enumerate(self.files)}
        for problem, wrong in (
            ("have no prediction", [file for file in files if file not in row]),
            ("are predicted but not in the label table's split", sorted(row.keys() - set(files))),
        ):
            if wrong:
                raise InputError(
                    f"{len(wrong)} faces {problem}, first {wrong[0]}; the file is of another split or data set, "
                    "or its run was not finished"
                )
        return self.probability[[row[file] for file in files]]


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Write a predictions file, whole or not at all."""
    frame = pd.DataFrame(predictions.probability.cpu().double().numpy(), columns=list(predictions.schema.names))
    frame.insert(0, "file", list(predictions.files))
    frame.insert(1, "split", list(predictions.split))
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read_predictions(path: str | os.PathLike[str], schema: Schema) -> Predictions:
    """Read a predictions file; its columns may stand in any order.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: a column is missing or unknown, a value is missing or no number, or :class:`Predictions` refuses it.
    """
    try:
        with opened_text(path) as lines:
            frame = pd.read_csv(lines, dtype=str, keep_default_na=False)
        check_columns(list(frame.columns), schema)
        text = frame[list(schema.names)]
        values = text.apply(pd.to_numeric, errors="coerce").to_numpy(dtype="float32")
        if len(wrong := np.argwhere(np.isnan(values))):
            face, attr = wrong[0]
            found = f"{schema.names[attr]!r} is {text.iloc[face, attr]!r}"
            raise InputError(f"{frame['file'][face]}: probability of {found}, not a number")
        return Predictions(schema, tuple(frame["file"]), tuple(frame["split"]), torch.tensor(values))
    except (ValueError, TypeError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path}: {error}") from error


def check_columns(columns: Sequence[str], schema: Schema) -> None:
    """Refuse a header that is not file, split and exactly the schema's attributes."""
    wanted = {*KEYS, *schema.names}
    if missing := [name for name in (*KEYS, *schema.names) if name not in columns]:
        raise InputError(f"{len(missing)} columns of schema {schema.name!r} are missing, first {missing[0]!r}")
    if unknown := [name for name in columns if name not in wanted]:
        raise InputError(f"{len(unknown)} columns are not in schema {schema.name!r}, first {unknown[0]!r}")
