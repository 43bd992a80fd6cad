"""FairFace as its owners distribute it: nine ages, two genders, seven races for each face.

Source: Karkkainen and Joo, "FairFace", WACV 2021, https://github.com/joojs/fairface, CC BY 4.0: what is trained on it
may be passed on, with attribution. The labels are what crowd workers saw in a photograph, not facts about people.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from faceinsight.data.sources.categories import named_values
from faceinsight.data.sources.celeba_lists import separator_hint
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import Split
from faceinsight.errors import InputError
from faceinsight.files import opened_text
from faceinsight.knowledge.schema import Schema

__all__ = ["FairFace"]

COLUMNS = ["file", "age", "gender", "race"]
#: What a spreadsheet that takes ages for dates has made of them in some copies.
MANGLED_AGES = {"9-Mar": "3-9", "19-Oct": "10-19", "3-Sep": "3-9", "Oct-19": "10-19"}
#: Share of the training faces that are kept for validation, since the owners' own validation faces are the test here.
VAL_SHARE = 0.05
HOW = (
    "FairFace is given out at https://github.com/joojs/fairface under CC BY 4.0: unpack the images (padding 0.25) so "
    "that train/ and val/ lie in one folder, and put fairface_label_train.csv and fairface_label_val.csv beside them"
)


class FairFace(FolderSource):
    """A source of faces in FairFace's layout: ``train/``, ``val/`` and a CSV of labels for each.

    The owners' validation faces, on which everybody reports, are the test split; one training face in twenty is kept
    for validation, by a hash of its name (our choice). Who is shown is not known: each picture counts as a
    person of its own. Ages that a spreadsheet has turned into dates are repaired and counted, see :meth:`notes`.

    Args:
        root: the folder with the files.
        schema: the attributes wanted, or the name of a catalog; what FairFace does not know of them is undefined.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.
    """

    title, catalog, how = "FairFace", "fairface", HOW
    remarks = ("the test faces are the owners' validation faces", NOT_KNOWN)

    #: After :meth:`table`: how many ages were repaired.
    repaired = 0

    def wanted(self) -> list[Path]:
        return [self.root / name for name in ("train", "val", *map(list_name, ("train", "val")))]

    def read(self) -> pd.DataFrame:
        lists = [read_list(self.root / list_name(split)) for split in ("train", "val")]
        self.repaired = sum(repaired for _, repaired in lists)
        return pd.concat([faces for faces, _ in lists])

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return map(split_of, faces.index)

    def unknown_notes(self) -> list[str]:
        if not self.repaired:
            return super().unknown_notes()
        repaired = f"ages that a spreadsheet had turned into dates, repaired: {self.repaired:,}"
        return [*super().unknown_notes(), repaired]


def split_of(name: str) -> Split:
    """Return the owners' validation faces as the test split, and a share of the others for validation."""
    return "test" if name.startswith("val/") else hashed_split(name, train=1 - VAL_SHARE, val=VAL_SHARE)


def list_name(split: str) -> str:
    """Return the file that holds the labels of the owners' split."""
    return f"fairface_label_{split}.csv"


def read_list(path: Path) -> tuple[pd.DataFrame, int]:
    """Age, gender and race by file name, and how many ages were repaired."""
    with opened_text(path) as lines:
        try:
            faces = pd.read_csv(lines, dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{path}: {error}") from error
    if missing := [name for name in COLUMNS if name not in faces.columns]:
        hint = separator_hint(str(faces.columns[0]), "commas")
        raise InputError(f"{path}: missing columns {missing}, got {list(faces.columns)}{hint}")
    faces = faces[COLUMNS].set_index("file")
    if (again := faces.index.duplicated()).any():
        raise InputError(f"{path}: {faces.index[again][0]} is listed twice")
    repaired = faces["age"].replace(MANGLED_AGES)
    count = int((repaired != faces["age"]).sum())
    faces = faces.assign(age=repaired)
    for name, group in Schema.load("fairface").groups.items():
        named_values(path, faces[name], {label: label for label in group.labels})
    return faces, count
