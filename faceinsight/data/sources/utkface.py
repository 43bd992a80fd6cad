"""UTKFace as its owners distribute it: aligned faces whose age, gender and race stand in their names.

Source: Zhang, Song and Qi, "Age Progression/Regression by Conditional Adversarial Autoencoder", CVPR 2017,
https://susanqq.github.io/UTKFace, for non-commercial research. The labels are what an algorithm guessed and an
annotator let pass, not facts about people.

A name is ``[age]_[gender]_[race]_[date&time].jpg.chip.jpg``. Some are known to be damaged: three lack a field, which
makes a date of the race, and are left out; in one the point before ``jpg`` is lost, in another there is a blank, and
both still say all that is wanted here.
"""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from faceinsight.data.sources.celeba_lists import counted
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import Split
from faceinsight.errors import InputError
from faceinsight.files import names_in
from faceinsight.knowledge.schema import Group, Schema

__all__ = ["UTKFace", "age_in_years"]

#: The owners say "from 0 to 116".
OLDEST = 116
#: The archive's own folder.
FOLDER = "UTKFace"
TRAIN_SHARE, VAL_SHARE = 0.8, 0.05
HOW = (
    "UTKFace is given out at https://susanqq.github.io/UTKFace for non-commercial research: unpack the archive of the "
    "aligned and cropped faces, whose names begin like 26_1_2_"
)


class UTKFace(FolderSource):
    """A source of faces in UTKFace's layout: one folder of pictures, nothing else.

    There is no official split: by a hash of their names, 80 % of the faces train, 5 % validate and 15 % test (choice of
    this library). Who is shown is not known: each picture counts as a person of its own. The age in years of any face
    of the table is ``age_in_years(name)``; its label is the bin of the catalog ``utkface``.

    Args:
        root: the folder with the pictures, or the one with ``UTKFace/`` in it.
        schema: the attributes wanted, or the name of a catalog; what UTKFace does not know of them is undefined.
    """

    title, catalog, how = "UTKFace", "utkface", HOW
    remarks = ("there is no official split: a hash of the names gives it", NOT_KNOWN)

    #: After :meth:`table`: pictures with names that do not say age, gender and race.
    left_out: tuple[str, ...]

    def __init__(self, root: str | os.PathLike[str], *, schema: Schema | str = "utkface") -> None:
        super().__init__(root=root, schema=schema)

    @property
    def images(self) -> Path:
        """The folder of the pictures."""
        return self.root / FOLDER if (self.root / FOLDER).is_dir() else self.root

    def prepare(self) -> None:
        """Check that there are pictures.

        Raises:
            FileNotFoundError: there are none, and how to get them.
        """
        if not self.images.is_dir() or not picture_names(self.images):
            raise FileNotFoundError(f"{self.images} has no pictures. {HOW}")

    def wanted(self) -> list[Path]:
        return []

    def read(self) -> pd.DataFrame:
        files = picture_names(self.images)
        said = {name: fields for name in files if (fields := labels_in(name)) is not None}
        self.left_out = tuple(name for name in files if name not in said)
        if self.left_out:
            warnings.warn(f"{self._left_out()}; they are left out", stacklevel=3)
        groups = Schema.load(self.catalog).groups
        age, gender, race = (groups[name] for name in ("age", "gender", "race"))
        values = [
            (age_bin(years, age), [*gender.labels][sex], [*race.labels][origin]) for years, sex, origin in said.values()
        ]
        return pd.DataFrame(values, index=[*said], columns=["age", "gender", "race"])

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return (hashed_split(name, train=TRAIN_SHARE, val=VAL_SHARE) for name in faces.index)

    def notes(self) -> list[str]:
        left_out = [f"left out: {self._left_out()}"] if self.left_out else []
        return [*self.remarks, *self.unknown_notes(), *left_out]

    def _left_out(self) -> str:
        return f"{counted(self.left_out)} pictures of {self.images} whose names do not say age, gender and race"


def age_in_years(name: str) -> int:
    """Return the age that a picture's name says.

    Raises:
        InputError: the name is not one of UTKFace's, or lacks a field.

    >>> age_in_years("26_1_2_20170116184024662.jpg.chip.jpg")
    26
    """
    if (fields := labels_in(name)) is None:
        raise InputError(f"{name!r} does not say an age: names are [age]_[gender]_[race]_[date&time].jpg.chip.jpg")
    return fields[0]


def labels_in(name: str) -> tuple[int, int, int] | None:
    """Age, gender (0, 1) and race (0 to 4) in a picture's name; None where one is missing or unknown.

    >>> labels_in("26_1_2_20170116184024662.jpg.chip.jpg"), labels_in("61_1_20170109150557335.jpg.chip.jpg")
    ((26, 1, 2), None)
    """
    fields = Path(name).name.split("_")
    if len(fields) != 4 or not all(field.isdecimal() for field in fields[:3]):
        return None
    age, gender, race = map(int, fields[:3])
    return (age, gender, race) if age <= OLDEST and gender <= 1 and race <= 4 else None


def age_bin(years: int, ages: Group) -> str:
    """Return the label of a group of ages that these years belong to; older than its end is in the last one.

    >>> ages = Schema.load("utkface").groups["age"]
    >>> [age_bin(years, ages) for years in (2, 3, 69, 70, 116)]
    ['0-2', '3-9', '60-69', 'more than 70', 'more than 70']
    """
    if ages.years is None:
        raise InputError(f"the labels of group {ages.name!r} have no years")
    labels = [*ages.labels]
    return next((label for label, (_, last) in zip(labels, ages.years, strict=True) if years <= last), labels[-1])


def picture_names(folder: Path) -> list[str]:
    """Return the pictures of a folder, sorted."""
    return [name for name in names_in(folder) if name.lower().endswith((".jpg", ".jpeg", ".png"))]
