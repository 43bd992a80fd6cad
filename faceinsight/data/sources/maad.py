"""MAAD-Face as its owners distribute it: 47 three-valued attributes of VGGFace2's faces.

Source: Terhorst et al., "MAAD-Face: A Massively Annotated Attribute Dataset for Face Images", IEEE Transactions on
Information Forensics and Security 2021, https://github.com/pterhoer/MAAD-Face; the faces are those of VGGFace2 (Cao et
al., FG 2018) and have terms of their own. Classifiers carried the labels over from CelebA and LFW: a machine's guess at
what annotators thought at a glance, not facts about people.

The set itself was not at hand. Its layout was checked against the owners' readme (1 yes, -1 no, 0 undefined), against
published programs that read ``MAAD_Face.csv`` (columns ``Filename``, such as ``n000002/0001_01.jpg``, ``Identity``,
then the attributes) and against VGGFace2's readme (a folder for each identity, in ``train/`` or in ``test/``).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int8, Int64
from torch import Tensor

from faceinsight.data.sources.absent import MissingImages, left_out_notes
from faceinsight.data.sources.celeba_lists import check_header, checked_values, label_values
from faceinsight.data.sources.folder import FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import Split
from faceinsight.errors import InputError
from faceinsight.files import opened_text
from faceinsight.knowledge.schema import Schema

__all__ = ["MAADFace"]

LIST = "MAAD_Face.csv"
IDENTITY = "Identity"
#: A column that is put beside the list's own.
SPLIT = "split of the identity"
#: VGGFace2's own folders; the identities of the second are its official test.
TRAIN, TEST = "train", "test"
TRAIN_SHARE, VAL_SHARE = 0.8, 0.05
#: Lines of the list that are parsed at once: the 3.3 million would take 9 GB together before they are one byte each.
LINES = 2**16
HOW = (
    "MAAD_Face.csv is given out at https://github.com/pterhoer/MAAD-Face, the pictures by VGGFace2 "
    "(https://github.com/ox-vgg/vgg_face2), which has terms of its own: unpack its train/ and test/ beside the list"
)


class MAADFace(FolderSource):
    """A source of faces in MAAD-Face's layout: ``MAAD_Face.csv`` and VGGFace2's pictures, a folder for each identity.

    Attributes are matched by name, so the file's columns may be in any order; columns that the schema does not have are
    left out (see :attr:`unused_columns`).

    Args:
        root: the folder with the list, and with ``train/`` and ``test/`` or the identities' folders themselves.
        schema: the attributes wanted, or the name of a catalog.
        split: "official" makes VGGFace2's 500 test identities, those in ``test/``, the test split, and one identity in
            twenty of the others is kept for validation; "hashed" gives 80 % of all identities to train, 5 % to val and
            15 % to test; "auto" takes the official one where ``test/`` is there. Hashes are of an identity's name and
            our choice: all faces of a person are in one split either way.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
    """

    title, catalog, how = "MAAD-Face", "maad", HOW

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        schema: Schema | str = "maad",
        split: Literal["auto", "official", "hashed"] = "auto",
        missing_images: MissingImages = "refuse",
    ) -> None:
        super().__init__(root=root, schema=schema, missing_images=missing_images)
        self.split = split
        #: After :meth:`table`: columns of the list that the schema does not have.
        self.unused_columns: tuple[str, ...] = ()

    @property
    def takes_official(self) -> bool:
        """Whether the test identities are VGGFace2's."""
        return self.split == "official" or (self.split == "auto" and (self.root / TEST).is_dir())

    def wanted(self) -> list[Path]:
        return [self.root / name for name in ((LIST, TRAIN, TEST) if self.takes_official else (LIST,))]

    def prepare(self) -> None:
        super().prepare()
        if not identity_folders(self.root):
            self.refuse_missing([f"{TRAIN}, {TEST} or the identities' folders (n000001, ...)"])

    def read(self) -> pd.DataFrame:
        labels, people, self.unused_columns = read_list(self.root / LIST, self.schema)
        folders = identity_folders(self.root)
        places = people.map(lambda person: folders.get(person, ""))
        labels.index = pd.Index([f"{place}/{name}".removeprefix("/") for name, place in places.items()])
        splits = {person: self._split(person, folders.get(person, "")) for person in people.unique()}
        return labels.assign(**{IDENTITY: people.to_numpy(), SPLIT: people.map(splits).to_numpy()})

    def labels(self, faces: pd.DataFrame) -> Int8[Tensor, "face attr"]:
        return torch.from_numpy(faces[list(self.schema.names)].to_numpy(np.int8, copy=True))

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return faces[SPLIT]

    def identities(self, faces: pd.DataFrame) -> Int64[Tensor, " face"]:
        return torch.from_numpy(faces[IDENTITY].str[1:].astype(np.int64).to_numpy(copy=True))

    def notes(self) -> list[str]:
        """Return what a report should say beside the counts; call after :meth:`table`."""
        notes = [
            "the test identities are VGGFace2's official ones"
            if self.takes_official
            else "the splits are by a hash of the identities, not VGGFace2's official ones"
        ]
        if self.unused_columns:
            notes.append(f"columns that schema {self.schema.name!r} does not have: {', '.join(self.unused_columns)}")
        return notes + left_out_notes(self.left_out)

    def _split(self, person: str, place: str) -> Split:
        if not self.takes_official:
            return hashed_split(person, train=TRAIN_SHARE, val=VAL_SHARE)
        return "test" if place == TEST else hashed_split(person, train=1 - VAL_SHARE, val=VAL_SHARE)


def identity_folders(root: Path) -> dict[str, str]:
    """Return the folder in which each identity's own lies: ``train``, ``test``, or "" for the root itself."""
    return {
        person: place
        for place in ("", TEST, TRAIN)
        if (root / place).is_dir()
        for person in os.listdir(root / place)
        if is_identity(person)
    }


def read_list(path: Path, schema: Schema) -> tuple[pd.DataFrame, pd.Series, tuple[str, ...]]:
    """Return the schema's labels and the identities by file name, and the names of the columns left out."""
    labels: list[pd.DataFrame] = []
    people: list[pd.Series] = []
    unused: tuple[str, ...] = ()
    options: dict[str, Any] = {"dtype": {IDENTITY: str}, "skipinitialspace": True, "keep_default_na": False}
    try:
        with opened_text(path) as lines, pd.read_csv(lines, index_col=0, chunksize=LINES, **options) as pieces:
            for piece in pieces:
                piece.index = piece.index.astype(str)
                if piece.empty:  # a header and nothing below it
                    continue
                unused = check_header(path, list(piece.columns), schema.name, [IDENTITY, *schema.names])
                people.append(identities(path, piece[IDENTITY]))
                labels.append(label_values(path, piece[list(schema.names)]))
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: {error}") from error
    if not labels:
        raise InputError(f"{path}: no face is listed")
    whole = pd.concat(labels)
    if (again := whole.index.duplicated()).any():
        raise InputError(f"{path}: {whole.index[again][0]} is listed twice")
    return checked_values(path, whole), pd.concat(people), unused


def identities(path: Path, listed: pd.Series) -> pd.Series:
    """Return the identity of each face, the folder in its name (``n000001``), which the column has to agree with."""
    people = listed.index.to_series().str.partition("/")[0]
    if (wrong := ~people.map(is_identity)).any():
        raise InputError(f"{path}: a file is named like n000001/0001_01.jpg, got {people.index[wrong][0]!r}")
    said = listed.astype(str).str.lstrip("n").str.lstrip("0")
    if (apart := (said != people.str[1:].str.lstrip("0"))).any():
        raise InputError(f"{path}: identity of {listed.index[apart][0]} is {listed[apart].tolist()[0]!r}")
    return people


def is_identity(name: str) -> bool:
    """Whether a folder is named as VGGFace2 names its identities.

    >>> is_identity("n000001"), is_identity("notes")
    (True, False)
    """
    return name[:1] == "n" and name[1:].isdecimal()
