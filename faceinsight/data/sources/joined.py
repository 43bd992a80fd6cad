"""Several data sets as one: what each of them knows, and undefined labels for what it does not."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Int8
from torch import Tensor

from faceinsight.data.table import FaceSource, FaceTable
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = ["JoinedFaces"]


class JoinedFaces:
    """A source of the faces of several sources, one after another; attributes are matched by name.

    Each face keeps its split. Nobody is in two data sets (not in the paper: identities are numbered again). What a
    source does not know of the schema is undefined for its faces, so losses and metrics leave it out. Parsing masks are
    left behind: a parser trains on one source.

    Args:
        sources: at least one.
        schema: the attributes wanted, or the name of a catalog.
        training: more sources, of which the training faces alone are taken, as where drawn faces help to learn what is
            tested on photographs.

    Raises:
        InputError: no sources.
    """

    def __init__(
        self, *, sources: Sequence[FaceSource], schema: Schema | str, training: Sequence[FaceSource] = ()
    ) -> None:
        if not sources:
            raise InputError("JoinedFaces needs at least one source")
        self.sources, self.training = tuple(sources), tuple(training)
        self.schema = Schema.load(schema) if isinstance(schema, str) else schema

    def prepare(self) -> None:
        """As the sources do, one after another."""
        for source in (*self.sources, *self.training):
            source.prepare()

    def table(self) -> FaceTable:
        """Return the sources' tables below the folder that they have in common.

        Raises:
            InputError: a source knows none of the attributes, no source knows one of them, or two sources cut their
                boxes with different margins.
        """
        tables = [source.table() for source in self.sources]
        tables += [table.select(table.rows("train")) for table in (source.table() for source in self.training)]
        self._check_known(tables)
        if len(margins := {table.margin for table in tables} - {0.0}) > 1:
            raise InputError(f"one margin is wanted for the boxes of all sources, got {sorted(margins)}")
        root = common_folder([table.root for table in tables])
        first, identities = 0, []
        for table in tables:
            people, numbers = table.identity.unique(return_inverse=True)
            identities.append(first + numbers)
            first += len(people)
        return FaceTable(
            schema=self.schema,
            root=root,
            files=tuple(f"{below(table.root, root)}{name}" for table in tables for name in table.files),
            labels=torch.cat([labels_by_name(table, self.schema) for table in tables]),
            split=tuple(split for table in tables for split in table.split),
            identity=torch.cat(identities),
            margin=max(table.margin for table in tables),
            undefined=0,
        )

    def notes(self) -> list[str]:
        """Return what a report should say beside the counts: each source's notes."""
        return [note for source in (*self.sources, *self.training) for note in getattr(source, "notes", list)()]

    def _check_known(self, tables: Sequence[FaceTable]) -> None:
        known = [set(table.schema.names) for table in tables]
        for table, names in zip(tables, known, strict=True):
            if not names & set(self.schema.names):
                raise InputError(f"the faces of {table.root} have no label of schema {self.schema.name!r}")
        if unknown := [name for name in self.schema.names if not any(name in names for names in known)]:
            raise InputError(f"no source knows {', '.join(unknown)} of schema {self.schema.name!r}")


def labels_by_name(table: FaceTable, schema: Schema) -> Int8[Tensor, "face attr"]:
    """Return a table's labels in the order of another schema; 0 for what the table's does not have."""
    labels = torch.zeros(len(table), len(schema), dtype=torch.int8)
    for position, name in enumerate(schema.names):
        if name in table.schema:
            labels[:, position] = table.labels[:, table.schema.index(name)]
    return labels


def common_folder(folders: Sequence[Path]) -> Path:
    """Return the deepest folder that all of these lie in."""
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))


def below(folder: Path, root: Path) -> str:
    """Return what leads from ``root`` to ``folder``, to be put before a file's name; empty where they are one."""
    way = Path(os.path.abspath(folder)).relative_to(root).as_posix()
    return "" if way == "." else f"{way}/"
