"""The faces that a run was tested on, with their labels: they lie beside its predictions.

``labels.csv`` has a line for each face, ``schema.yaml`` the attributes and ``rules.yaml`` the rules:

    file,identity,Bald,Smiling
    000001.jpg,2880,-1,1

So predictions are always scored against the labels that they were made for, and a table needs neither the data set nor
a network.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Int8, Int64
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import replacing
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

__all__ = ["LabelledFaces", "read_faces", "write_faces"]

LABELS, SCHEMA, RULES = "labels.csv", "schema.yaml", "rules.yaml"

#: The columns before the attributes'.
KEYS = ("file", "identity")


@dataclass(frozen=True)
class LabelledFaces:
    """Faces by file name, with the rules that predictions are held against.

    Args:
        labels: 1, -1, or 0 where undefined, in the order of the rules' schema.
    """

    files: tuple[str, ...]
    labels: Int8[Tensor, "face attr"]
    identity: Int64[Tensor, " face"]
    rules: RuleSet

    def same_labels(self, other: "LabelledFaces") -> bool:
        """Whether the same faces have the same labels and identities."""
        return (
            self.files == other.files
            and self.rules.schema.names == other.rules.schema.names
            and torch.equal(self.labels, other.labels)
            and torch.equal(self.identity, other.identity)
        )


def write_faces(folder: Path, faces: LabelledFaces) -> None:
    """Write the three files, each whole or not at all."""
    schema = faces.rules.schema
    if clash := [name for name in schema.names if name in KEYS]:
        raise InputError(f"an attribute cannot be called {clash[0]!r}: {LABELS} has a column of that name; rename it")
    frame = pd.DataFrame(faces.labels.cpu().numpy(), columns=list(schema.names))
    frame.insert(0, "file", list(faces.files))
    frame.insert(1, "identity", faces.identity.tolist())
    schema.save(folder / SCHEMA)
    faces.rules.save(folder / RULES)
    with replacing(folder / LABELS) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_faces(folder: Path) -> LabelledFaces:
    """Read what :func:`write_faces` wrote.

    Raises:
        FileNotFoundError: a file is missing.
        InputError: a file is damaged.
    """
    path = folder / LABELS
    try:
        schema = Schema.load(str(folder / SCHEMA))
        rules = RuleSet.load(folder / RULES, "all", schema)
        frame = pd.read_csv(path, dtype={"file": str}, keep_default_na=False)
        labels = frame[list(schema.names)].to_numpy()
        if not bool(frame[list(schema.names)].isin([-1, 0, 1]).all(axis=None)):
            raise ValueError("a label is none of -1, 0 and 1")
        return LabelledFaces(
            files=tuple(frame["file"]),
            labels=torch.tensor(labels, dtype=torch.int8),
            identity=torch.tensor(frame["identity"].to_numpy(), dtype=torch.int64),
            rules=rules,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
