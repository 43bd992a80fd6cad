"""RAF-DB's single-label set as its owners distribute it: one of seven expressions for each aligned face.

Source: Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
Wild", CVPR 2017, http://www.whdeng.cn/raf/model1.html, for non-commercial research, on request. An expression is what
some forty annotators saw in a photograph, by majority, not what the person felt.

The set itself was not at hand. Its layout was checked against published programs that read it: lines
``train_00001.jpg 5``, aligned faces ``train_00001_aligned.jpg``, and 1 Surprise, 2 Fear, 3 Disgust, 4 Happiness,
5 Sadness, 6 Anger, 7 Neutral.
"""

import os
from pathlib import Path

import pandas as pd
import torch

from faceinsight.data.sources.absent import MissingImages, images_left_out, left_out_notes
from faceinsight.data.sources.categories import category_labels, named_values, unknown_notes
from faceinsight.data.sources.celeba_lists import read_pairs
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import FaceTable, Split
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = ["RAFDB"]

LIST, IMAGES = "EmoLabel/list_patition_label.txt", "Image/aligned"
#: Share of the training faces that are kept for validation, which the owners do not name.
VAL_SHARE = 0.05
HOW = (
    "RAF-DB is given out on request at http://www.whdeng.cn/raf/model1.html for non-commercial research: of the "
    "single-label set (basic), put EmoLabel/ and Image/ with the unpacked aligned.zip into one folder"
)


class RAFDB:
    """A source of faces in RAF-DB's layout: ``EmoLabel/list_patition_label.txt`` and ``Image/aligned/``.

    Names that begin with ``test_`` are the official test split; one training face in twenty is kept for validation, by
    a hash of its name (choice of this library). Who is shown is not known: each picture counts as a person of its own.

    Args:
        root: the folder with ``EmoLabel`` and ``Image`` (the owners call it ``basic``).
        schema: the attributes wanted, or the name of a catalog; what RAF-DB does not know of them is undefined.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
    """

    def __init__(
        self,
        *,
        root: str | os.PathLike[str],
        schema: Schema | str = "rafdb",
        missing_images: MissingImages = "refuse",
    ) -> None:
        self.root = Path(root)
        self.schema = Schema.load(schema) if isinstance(schema, str) else schema
        self.missing_images = missing_images
        #: After :meth:`table`: listed images that were skipped.
        self.left_out: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Check that the files are there.

        Raises:
            FileNotFoundError: naming everything that is missing at once, and how to get it.
        """
        if missing := [name for name in (LIST, IMAGES) if not (self.root / name).exists()]:
            raise FileNotFoundError(f"{self.root} lacks {', '.join(missing)}. {HOW}")

    def table(self) -> FaceTable:
        """Read the list and look which images are there.

        Raises:
            FileNotFoundError: files or listed images are missing.
            InputError: the list is damaged; file and entry are named.
        """
        self.prepare()
        faces, images = read_list(self.root / LIST), self.root / IMAGES
        self.left_out = images_left_out(images, list(faces.index), missing_images=self.missing_images, how=HOW)
        faces = faces.drop(index=list(self.left_out))
        return FaceTable(
            schema=self.schema,
            root=images,
            files=tuple(faces.index),
            labels=category_labels(faces, Schema.load("rafdb"), self.schema),
            split=tuple(split_of(name) for name in faces.index),
            identity=torch.arange(len(faces)),
        )

    def notes(self) -> list[str]:
        """What a report should say beside the counts; call after :meth:`table`."""
        return [
            "who is shown is not known: each picture is its own identity",
            *unknown_notes("RAF-DB", Schema.load("rafdb"), self.schema),
            *left_out_notes(self.left_out),
        ]


def read_list(path: Path) -> pd.DataFrame:
    """The expression of each aligned face, by its file's name."""
    classes = read_pairs(path).rename("expression")
    if (wrong := ~classes.index.str.startswith(("train_", "test_"))).any():
        raise InputError(f"{path}: a name begins with train_ or test_, got {classes.index[wrong][0]!r}")
    names = named_values(path, classes, dict(enumerate(Schema.load("rafdb").groups["expression"].labels, start=1)))
    return names.rename(aligned_name).to_frame()


def aligned_name(name: str) -> str:
    """The aligned face of a listed picture.

    >>> aligned_name("train_00001.jpg")
    'train_00001_aligned.jpg'
    """
    return f"{Path(name).stem}_aligned{Path(name).suffix}"


def split_of(name: str) -> Split:
    """The official test split, and this library's share of the training faces for validation."""
    return "test" if name.startswith("test_") else hashed_split(name, train=1 - VAL_SHARE, val=VAL_SHARE)
