"""CelebA as its owners, Kaggle and torchvision lay it out, and every data set written in the same layout.

Source: "Deep Learning Face Attributes in the Wild", https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, for
non-commercial research. The labels are annotators' impressions of photographs, not facts about people.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int8, Int64
from torch import Tensor

from faceinsight.data.sources.absent import MissingImages, left_out_notes, names_there
from faceinsight.data.sources.celeba_lists import (
    aligned,
    read_attributes,
    read_pairs,
)
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.sources.label_files import is_csv, read_csv_labels, read_splits
from faceinsight.data.table import Split
from faceinsight.knowledge.schema import Schema

__all__ = ["PUBLIC_MD5", "CelebA"]

#: Of the ``list_attr_celeba.txt`` that everybody has.
PUBLIC_MD5 = "75e246fa4810816ffd6ee81facbd244c"

ATTRIBUTES, PARTITION, IDENTITY = "list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"
SUBSET = "subset_split.csv"
#: The files lie in the root, in the folders of the owners' own download, or in torchvision's folder ``celeba``.
FOLDERS = tuple(f"{base}{folder}" for base in ("", "celeba/", "CelebA/") for folder in ("", "Anno", "Eval", "Img"))
HOW = (
    "CelebA is given out at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html for non-commercial research: unpack "
    "img_align_celeba.zip and put the text files of Anno and Eval beside it"
)


class CelebA(FolderSource):
    """A source of faces in CelebA's layout: ``img_align_celeba/``, and lists of attributes, partition and identities.

    Read as well are the folder that torchvision downloads to (``ROOT/celeba``), Kaggle's copy (lists as CSV files, the
    images in a folder in a folder of the same name, no identities) and copies of the images in another format, such as
    ``img_align_celeba_png``. Without the list of identities each picture counts as a person of its own, which is warned
    of: several pictures of a person make intervals too narrow.

    Attributes are matched by name, so the file's columns may be in any order; columns that the schema does not have
    are left out (see :attr:`unused_columns`). A ``0`` in the attribute file means undefined.

    Args:
        root: the folder with the files.
        schema: the attributes wanted, or the name of a catalog.
        split: "official" is ``list_eval_partition.txt``; "subset" is ``subset_split.csv`` (columns ``file`` and
            ``split``: train, valid, test), which also restricts the faces to those that it names; "auto" takes the
            subset where there is one.
        image_folder: the images' folder in ``root``.
        mask_folder: the folder in ``root`` with parsing masks of CelebAMask-HQ's classes, ``NAME.png`` for each image.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
        undefined: the value of undefined labels in the attribute file; needed where its labels are 0 and 1, see
            :func:`~faceinsight.knowledge.labels.three_valued`.
    """

    title, catalog = "CelebA", "celeba"

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        schema: Schema | str = "celeba",
        split: Literal["auto", "official", "subset"] = "auto",
        image_folder: str = "img_align_celeba",
        mask_folder: str | None = None,
        missing_images: MissingImages = "refuse",
        undefined: int | float | None = None,
    ) -> None:
        super().__init__(root=root, schema=schema, missing_images=missing_images)
        self.split, self.undefined = split, undefined
        self.image_folder, self.mask_folder = image_folder, mask_folder
        #: After :meth:`table`: columns of the attribute file that the schema does not have.
        self.unused_columns: tuple[str, ...] = ()
        #: After :meth:`table`: how many images lie there in another format than the lists name.
        self.copies = 0

    @property
    def takes_subset(self) -> bool:
        """Whether the splits come from ``subset_split.csv``."""
        return self.split == "subset" or (self.split == "auto" and self._find(SUBSET).exists())

    @property
    def how(self) -> str:  # type: ignore[override]  # a text in the base
        """Return how to get the data set."""
        if self.schema.name == "celeba":
            return HOW
        return "The layout is that of CelebA, see faceinsight.data.sources.celeba"

    @property
    def images(self) -> Path:
        """The folder of the images."""
        return self._find(self.image_folder)

    @property
    def masks(self) -> Path | None:
        """The folder of the parsing masks, if there is one."""
        return None if self.mask_folder is None else self._find(self.mask_folder)

    def prepare(self) -> None:
        wanted = [ATTRIBUTES, SUBSET if self.takes_subset else PARTITION, self.image_folder, self.mask_folder]
        self.refuse_missing([name for name in wanted if name is not None and not self._find(name).exists()])

    def wanted(self) -> list[Path]:
        return [self._find(ATTRIBUTES), self._find(SUBSET if self.takes_subset else PARTITION)]

    def read(self) -> pd.DataFrame:
        splits = read_splits(self._find(SUBSET if self.takes_subset else PARTITION))
        there = names_there(self.images, list(splits.index))
        self.copies = sum(name != listed for listed, name in there.items())
        return pd.DataFrame({"listed": splits.index, "split": splits.to_numpy()}, index=[*there.values()])

    def labels(self, faces: pd.DataFrame) -> Int8[Tensor, "face attr"]:
        path = self._find(ATTRIBUTES)
        if is_csv(path):
            labels, _, self.unused_columns = read_csv_labels(path, self.schema, self.undefined)
        else:
            labels, self.unused_columns = read_attributes(path, self.schema, undefined=self.undefined)
        chosen = aligned(labels, pd.Index(faces["listed"]), path.name)
        return torch.from_numpy(chosen.to_numpy(np.int8, copy=True))

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return faces["split"]

    def identities(self, faces: pd.DataFrame) -> Int64[Tensor, " face"]:
        """Return who is shown; without the list, everybody is another person."""
        path = self._find(IDENTITY)
        if not path.exists():
            warnings.warn(
                f"{self.root} has no {IDENTITY}: each picture counts as a person of its own, so that intervals are too "
                "narrow where several show one person; the list is among the owners' files",
                stacklevel=3,
            )
            return torch.arange(len(faces))
        people = aligned(read_pairs(path), pd.Index(faces["listed"]), path.name)
        return torch.from_numpy(people.to_numpy(np.int64, copy=True))

    def notes(self) -> list[str]:
        """Return what a report should say beside the counts; call after :meth:`table`."""
        notes = []
        if self.schema.name == "celeba":
            path = self._find(ATTRIBUTES)
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            same = "is" if digest == PUBLIC_MD5 else "is not"
            notes.append(f"{path.name} {same} the public annotation of CelebA (md5 {digest})")
        if self.unused_columns:
            notes.append(f"columns that schema {self.schema.name!r} does not have: {', '.join(self.unused_columns)}")
        if self.copies:
            notes.append(f"images that lie there in another format than the lists name: {self.copies:,}")
        if not self._find(IDENTITY).exists():
            notes.append(NOT_KNOWN)
        return notes + left_out_notes(self.left_out)

    def _find(self, name: str) -> Path:
        """Where a list or a folder lies: as a text file or as a CSV, in the folder of its name or in that of a copy."""
        other = f"{name.removesuffix('.txt')}.csv" if name.endswith(".txt") else f"{name}_png"
        places = [self.root / folder / each for each in (name, other) for folder in FOLDERS]
        found = next((place for place in places if place.exists()), places[0])
        return found / found.name if (found / found.name).is_dir() else found
