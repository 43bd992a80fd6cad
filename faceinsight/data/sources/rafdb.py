"""RAF-DB's single-label set as its owners distribute it: one of seven expressions for each aligned face.

Source: Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
Wild", CVPR 2017, http://www.whdeng.cn/raf/model1.html, for non-commercial research, on request. An expression is what
some forty annotators saw in a photograph, by majority, not what the person felt.

The set itself was not at hand. Its layout was checked against published programs that read it: lines
``train_00001.jpg 5``, aligned faces ``train_00001_aligned.jpg``, and 1 Surprise, 2 Fear, 3 Disgust, 4 Happiness,
5 Sadness, 6 Anger, 7 Neutral.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from faceinsight.data.sources.categories import named_values
from faceinsight.data.sources.celeba_lists import read_pairs
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import Split
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


class RAFDB(FolderSource):
    """A source of faces in RAF-DB's layout: ``EmoLabel/list_patition_label.txt`` and ``Image/aligned/``.

    Names that begin with ``test_`` are the official test split; one training face in twenty is kept for validation, by
    a hash of its name (our choice). Who is shown is not known: each picture counts as a person of its own.

    Args:
        root: the folder with ``EmoLabel`` and ``Image`` (the owners call it ``basic``).
        schema: the attributes wanted, or the name of a catalog; what RAF-DB does not know of them is undefined.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
    """

    title, catalog, how = "RAF-DB", "rafdb", HOW
    remarks = (NOT_KNOWN,)

    @property
    def images(self) -> Path:
        """The folder of the aligned faces."""
        return self.root / IMAGES

    def wanted(self) -> list[Path]:
        return [self.root / LIST, self.images]

    def read(self) -> pd.DataFrame:
        return read_list(self.root / LIST)

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return map(split_of, faces.index)


def read_list(path: Path) -> pd.DataFrame:
    """Return the expression of each aligned face, by its file's name."""
    classes = read_pairs(path).rename("expression")
    if (wrong := ~classes.index.str.startswith(("train_", "test_"))).any():
        raise InputError(f"{path}: a name begins with train_ or test_, got {classes.index[wrong][0]!r}")
    names = named_values(path, classes, dict(enumerate(Schema.load("rafdb").groups["expression"].labels, start=1)))
    return names.rename(aligned_name).to_frame()


def aligned_name(name: str) -> str:
    """Return the aligned face of a listed picture.

    >>> aligned_name("train_00001.jpg")
    'train_00001_aligned.jpg'
    """
    return f"{Path(name).stem}_aligned{Path(name).suffix}"


def split_of(name: str) -> Split:
    """Return the official test split, and this library's share of the training faces for validation."""
    return "test" if name.startswith("test_") else hashed_split(name, train=1 - VAL_SHARE, val=VAL_SHARE)
