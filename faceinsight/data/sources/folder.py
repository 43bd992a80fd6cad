"""What readers of data sets share: a folder with lists and images becomes a table, and whatever is missing is named.

A new data set is a class with four texts and three methods, here one with an expression for each face:

    class Moods(FolderSource):
        title, catalog = "Moods", "moods"
        how = "Moods is given out at https://..., unpack it into one folder"
        remarks = (NOT_KNOWN,)

        def wanted(self) -> list[Path]:
            return [self.root / "moods.csv", self.images]

        def read(self) -> pd.DataFrame:
            return pd.read_csv(self.root / "moods.csv", index_col="file")  # and a column for each group of the catalog

        def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
            return (hashed_split(name, train=0.8, val=0.05) for name in faces.index)
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Int8, Int64
from torch import Tensor

from faceinsight.data.sources.absent import MissingImages, absent_files, images_left_out, left_out_notes
from faceinsight.data.sources.categories import category_labels, unknown_notes
from faceinsight.data.sources.celeba_lists import counted
from faceinsight.data.table import FaceTable, Split
from faceinsight.knowledge.schema import Schema

__all__ = ["NOT_KNOWN", "FolderSource"]

NOT_KNOWN = "who is shown is not known: each picture is its own identity"


class FolderSource(ABC):
    """A data set in a folder.

    Args:
        root: the folder with the files.
        schema: the attributes wanted, or the name of a catalog; the data set's own by default. What the data set does
            not know of them is undefined.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
    """

    #: the name in messages
    title: ClassVar[str]
    #: the catalog of all that the data set knows
    catalog: ClassVar[str]
    #: how to get the data set
    how: str
    #: what a report says of every copy of the data set
    remarks: ClassVar[tuple[str, ...]] = ()

    #: what is seen beyond a face's box, see :class:`~faceinsight.data.table.FaceTable`
    table_margin = 0.0

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        schema: Schema | str | None = None,
        missing_images: MissingImages = "refuse",
    ) -> None:
        self.root = Path(root)
        schema = self.catalog if schema is None else schema
        self.schema = Schema.load(schema) if isinstance(schema, str) else schema
        self.missing_images = missing_images
        #: After :meth:`table`: listed images that were skipped.
        self.left_out: tuple[str, ...] = ()

    @property
    def images(self) -> Path:
        """The folder of the images."""
        return self.root

    @property
    def masks(self) -> Path | None:
        """The folder of the parsing masks, if there is one."""
        return None

    @abstractmethod
    def wanted(self) -> Sequence[Path]:
        """Return the files and folders that must be there."""

    @abstractmethod
    def read(self) -> pd.DataFrame:
        """Read the lists: one row a face, indexed by the face's name.

        Returns:
            What :meth:`labels`, :meth:`splits` and :meth:`identities` read. A column ``file`` names the pictures where
            they are not the faces' names.

        Raises:
            InputError: a list is damaged; file and entry are named.
        """

    @abstractmethod
    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        """Return the split of each face."""

    def labels(self, faces: pd.DataFrame) -> Int8[Tensor, "face attr"]:
        """Return the labels, by default from a column for each group of the catalog."""
        return category_labels(faces, Schema.load(self.catalog), self.schema)

    def identities(self, faces: pd.DataFrame) -> Int64[Tensor, " face"]:
        """Return who is shown, by default somebody else on each picture."""
        return torch.arange(len(faces))

    def prepare(self) -> None:
        """Check that the files are there.

        Raises:
            FileNotFoundError: naming everything that is missing at once, and how to get it.
        """
        missing = [place for place in self.wanted() if not place.exists()]
        self.refuse_missing([place.relative_to(self.root).as_posix() for place in missing])

    def refuse_missing(self, names: Sequence[str]) -> None:
        """Raise a FileNotFoundError that says how to get what is missing, if anything is."""
        if names:
            raise FileNotFoundError(f"{self.root} lacks {', '.join(names)}. {self.how}")

    def table(self) -> FaceTable:
        """Read the lists and look which images are there.

        Raises:
            FileNotFoundError: files, listed images or masks are missing.
            InputError: a list is damaged or does not fit the others; file and entry are named.
        """
        self.prepare()
        self.left_out = ()
        faces = self.read()
        files = faces["file"] if "file" in faces else faces.index.to_series()
        gone = images_left_out(self.images, list(files.unique()), missing_images=self.missing_images, how=self.how)
        self.left_out += gone
        if gone:
            faces = faces[~files.isin(gone).to_numpy()]
        table = FaceTable(
            schema=self.schema,
            root=self.images,
            files=tuple(faces.index),
            labels=self.labels(faces),
            split=tuple(self.splits(faces)),
            identity=self.identities(faces),
            mask_root=self.masks,
            margin=self.table_margin,
            undefined=0,  # the readers have checked the whole list
        )
        if self.masks is not None:
            absent = absent_files(self.masks, [table.mask_name(row) for row in range(len(table))])
            if absent:
                raise FileNotFoundError(f"{counted(absent)} of {len(table):,} parsing masks are not in {self.masks}")
        return table

    def notes(self) -> list[str]:
        """Return what a report says beside the counts; call it after :meth:`table`."""
        return [*self.remarks, *self.unknown_notes(), *left_out_notes(self.left_out)]

    def unknown_notes(self) -> list[str]:
        """Return what a report says of attributes that the data set does not know."""
        return unknown_notes(self.title, Schema.load(self.catalog), self.schema)
