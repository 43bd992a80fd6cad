"""CelebA as its owners, Kaggle and torchvision lay it out, and every data set written in the same layout.

Source: "Deep Learning Face Attributes in the Wild", https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, for
non-commercial research. The labels are annotators' impressions of photographs, not facts about people.
"""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from faceinsight.data.sources.absent import MissingImages, absent_files, images_left_out, left_out_notes, names_there
from faceinsight.data.sources.celeba_lists import (
    aligned,
    counted,
    read_attributes,
    read_pairs,
)
from faceinsight.data.sources.label_files import is_csv, read_csv_labels, read_splits
from faceinsight.data.table import FaceTable
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


class CelebA:
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

    def __init__(
        self,
        *,
        root: str | os.PathLike[str],
        schema: Schema | str = "celeba",
        split: Literal["auto", "official", "subset"] = "auto",
        image_folder: str = "img_align_celeba",
        mask_folder: str | None = None,
        missing_images: MissingImages = "refuse",
        undefined: int | float | None = None,
    ) -> None:
        self.root = Path(root)
        self.schema = Schema.load(schema) if isinstance(schema, str) else schema
        self.split, self.missing_images, self.undefined = split, missing_images, undefined
        self.image_folder, self.mask_folder = image_folder, mask_folder
        #: After :meth:`table`: columns of the attribute file that the schema does not have.
        self.unused_columns: tuple[str, ...] = ()
        #: After :meth:`table`: listed images that were skipped.
        self.left_out: tuple[str, ...] = ()
        #: After :meth:`table`: how many images lie there in another format than the lists name.
        self.copies = 0

    @property
    def takes_subset(self) -> bool:
        """Whether the splits come from ``subset_split.csv``."""
        return self.split == "subset" or (self.split == "auto" and self._find(SUBSET).exists())

    def prepare(self) -> None:
        """Check that the files are there.

        Raises:
            FileNotFoundError: naming everything that is missing at once, and how to get it.
        """
        wanted = [ATTRIBUTES, SUBSET if self.takes_subset else PARTITION, self.image_folder, self.mask_folder]
        missing = [name for name in wanted if name is not None and not self._find(name).exists()]
        if missing:
            raise FileNotFoundError(f"{self.root} lacks {', '.join(missing)}. {self._how()}")

    def table(self) -> FaceTable:
        """Read the lists and look which images are there.

        Raises:
            FileNotFoundError: files, listed images or masks are missing.
            InputError: a list is damaged or does not fit the others; file and entry are named.
        """
        self.prepare()
        path = self._find(ATTRIBUTES)
        if is_csv(path):
            labels, _, self.unused_columns = read_csv_labels(path, self.schema, self.undefined)
        else:
            labels, self.unused_columns = read_attributes(path, self.schema, undefined=self.undefined)
        splits = read_splits(self._find(SUBSET if self.takes_subset else PARTITION))
        images = self._find(self.image_folder)
        there = names_there(images, list(splits.index))
        self.copies = sum(name != listed for listed, name in there.items())
        self.left_out = images_left_out(
            images, list(there.values()), missing_images=self.missing_images, how=self._how()
        )
        gone = set(self.left_out)
        listed = pd.Index([name for name in splits.index if there[name] not in gone])
        masks = None if self.mask_folder is None else self._find(self.mask_folder)
        table = FaceTable(
            schema=self.schema,
            root=images,
            files=tuple(there[name] for name in listed),
            labels=torch.from_numpy(aligned(labels, listed, path.name).to_numpy(np.int8, copy=True)),
            split=tuple(splits[listed]),
            identity=self._identities(listed),
            mask_root=masks,
            undefined=0,  # the whole list was checked
        )
        if masks is not None and (absent := absent_files(masks, [table.mask_name(row) for row in range(len(table))])):
            raise FileNotFoundError(f"{counted(absent)} of {len(table):,} parsing masks are not in {masks}")
        return table

    def notes(self) -> list[str]:
        """What a report should say beside the counts; call after :meth:`table`."""
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
            notes.append("who is shown is not known: each picture is its own identity")
        return notes + left_out_notes(self.left_out)

    def _identities(self, files: pd.Index) -> Tensor:
        """Who is shown; without the list, everybody is another person."""
        path = self._find(IDENTITY)
        if not path.exists():
            warnings.warn(
                f"{self.root} has no {IDENTITY}: each picture counts as a person of its own, so that intervals are too "
                "narrow where several show one person; the list is among the owners' files",
                stacklevel=3,
            )
            return torch.arange(len(files))
        return torch.from_numpy(aligned(read_pairs(path), files, path.name).to_numpy(np.int64, copy=True))

    def _find(self, name: str) -> Path:
        """Where a list or a folder lies: as a text file or as a CSV, in the folder of its name or in that of a copy."""
        other = f"{name.removesuffix('.txt')}.csv" if name.endswith(".txt") else f"{name}_png"
        places = [self.root / folder / each for each in (name, other) for folder in FOLDERS]
        found = next((place for place in places if place.exists()), places[0])
        return found / found.name if (found / found.name).is_dir() else found

    def _how(self) -> str:
        return (
            HOW if self.schema.name == "celeba" else "The layout is that of CelebA, see faceinsight.data.sources.celeba"
        )
