"""ExpW as its owners distribute it: one of seven expressions for each face box, several faces in a picture.

Source: Zhang, Luo, Loy and Tang, "From Facial Expression Recognition to Interpersonal Relation Prediction", IJCV 2018,
http://mmlab.ie.cuhk.edu.hk/projects/socialrelation, for non-commercial research. An expression is what annotators saw
in a photograph, found on the web by words for it, not what the person felt.

The columns of ``label.lst``, as the owners' readme has them and 5,705 real lines bear out (their boxes are squares that
way): picture, number of the face in it, top, left, right, bottom, the detector's confidence, class 0 to 6. The
confidence is the detector's own score, not a probability: from 0.2 to 138 there.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from faceinsight.data.face_box import FaceBox
from faceinsight.data.sources.absent import MissingImages, left_out_notes
from faceinsight.data.sources.categories import named_values
from faceinsight.data.sources.celeba_lists import counted, read_lines, whole_numbers
from faceinsight.data.sources.folder import FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.sources.label_files import read_csv
from faceinsight.data.table import Split
from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema

__all__ = ["ExpW"]

COLUMNS = ("picture", "face_id", "top", "left", "right", "bottom", "confidence", "expression")
#: Where the list and the pictures lie: as the owners' archives unpack, or beside each other.
LISTS, PICTURES = ("label.lst", "label/label.lst"), ("image/origin", "image")
CROPS, CROP_LIST = "crops128", "crops128_labels.csv"
TRAIN_SHARE, VAL_SHARE = 0.8, 0.05
HOW = (
    "ExpW is given out at http://mmlab.ie.cuhk.edu.hk/projects/socialrelation for non-commercial research: unpack the "
    "pictures into image/ and put label.lst beside it"
)


class ExpW(FolderSource):
    """A source of faces in ExpW's layout: ``image/`` and ``label.lst``, a face box on each line.

    There is no official split: by a hash of the picture's name, 80 % of the pictures train, 5 % validate and 15 % test,
    so that the faces of one picture stay together (our choice). Who is shown is not known: each face
    counts as a person of its own. A face that is listed again with the same expression counts once; one that is listed
    with two expressions has no label to learn and is left out.

    Args:
        root: the folder with the files.
        schema: the attributes wanted, or the name of a catalog; what ExpW does not know of them is undefined.
        faces: "boxes" cuts the listed boxes out of the pictures; "crops" takes faces that were cut out before,
            ``crops128/`` and ``crops128_labels.csv`` (columns ``file``, ``label`` and those of the list, the picture
            as ``src_image``), as they are; "auto" takes the boxes where the pictures are.
        margin: what is added to a box on each side, as a share of its side, 0.25 by default (our choice);
            black where that is outside the picture. The table carries it, and so do the keys of cached features.
            Crops have the margin that they were cut with.
        min_confidence: leave out faces of which the detector was less sure.
        missing_images: "refuse" listed images that are not on disk, or "skip" them with one warning.

    Raises:
        InputError: a margin below 0.
    """

    title, catalog, how = "ExpW", "expw", HOW

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        schema: Schema | str = "expw",
        faces: Literal["auto", "boxes", "crops"] = "auto",
        margin: float = 0.25,
        min_confidence: float = 0.0,
        missing_images: MissingImages = "refuse",
    ) -> None:
        if margin < 0:
            raise InputError(f"margin is a share of a face box that is added to it, at least 0, got {margin}")
        super().__init__(root=root, schema=schema, missing_images=missing_images)
        self.faces, self.margin, self.min_confidence = faces, margin, min_confidence
        #: After :meth:`table`: faces that are listed with two expressions.
        self.contradictory: tuple[str, ...] = ()
        #: After :meth:`table`: how many lines said again what another had said, and how many faces were too unsure.
        self.repeated, self.unsure = 0, 0

    @property
    def takes_crops(self) -> bool:
        """Whether the faces were cut out before."""
        if self.faces == "auto":
            return not self._find(PICTURES).is_dir() and (self.root / CROPS).is_dir()
        return self.faces == "crops"

    @property
    def images(self) -> Path:
        """The folder of the pictures, or of the faces that were cut out of them."""
        return self.root / CROPS if self.takes_crops else self._find(PICTURES)

    @property
    def table_margin(self) -> float:  # type: ignore[override]  # a number in the base
        """Return the margin of boxes; crops have one already."""
        return 0.0 if self.takes_crops else self.margin

    def wanted(self) -> list[Path]:
        return [self.images, self.root / CROP_LIST if self.takes_crops else self._find(LISTS)]

    def read(self) -> pd.DataFrame:
        listed = read_crops(self.root / CROP_LIST) if self.takes_crops else read_boxes(self._find(LISTS))
        faces = listed[~listed.reset_index().duplicated(["face", "expression"]).to_numpy()]
        self.repeated = len(listed) - len(faces)
        twice = faces.index.duplicated(keep=False)
        self.contradictory = tuple(faces.index[twice].unique())
        unsure = (faces["confidence"] < self.min_confidence).to_numpy()
        self.unsure = int((unsure & ~twice).sum())
        return faces[~(twice | unsure)]

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return (hashed_split(name, train=TRAIN_SHARE, val=VAL_SHARE) for name in faces["picture"])

    def notes(self) -> list[str]:
        """Return what a report should say beside the counts; call after :meth:`table`."""
        cut = "crops as they are" if self.takes_crops else f"boxes with a margin of {self.margin:g} on each side"
        notes = [
            f"faces are {cut}",
            "there is no official split: a hash of the pictures' names gives it",
            "who is shown is not known: each face is its own identity",
            *self.unknown_notes(),
        ]
        if self.repeated:
            notes.append(f"lines that say what another line says: {self.repeated:,}")
        if self.contradictory:
            notes.append(f"faces listed with two expressions, left out: {counted(self.contradictory)}")
        if self.unsure:
            notes.append(f"faces with a confidence below {self.min_confidence:g}, left out: {self.unsure:,}")
        return notes + left_out_notes(self.left_out)

    def _find(self, names: tuple[str, ...]) -> Path:
        places = [self.root / name for name in names]
        return next((place for place in places if place.exists()), places[-1])


def read_boxes(path: Path) -> pd.DataFrame:
    """File, picture, confidence and expression of each listed face, by the face's name."""
    lines = read_lines(path, len(COLUMNS)).set_axis(COLUMNS, axis="columns").set_index("picture", drop=False)
    edges = pd.DataFrame({name: whole_numbers(path, lines[name]) for name in ("left", "top", "right", "bottom")})
    if (empty := (edges["right"] <= edges["left"]) | (edges["bottom"] <= edges["top"])).any():
        raise InputError(
            f"{path}: nothing is in the box of {edges.index[empty][0]}, {edges[empty].iloc[0].to_dict()}; "
            f"the columns are {', '.join(COLUMNS)}"
        )
    boxes = zip(
        edges["left"], edges["top"], edges["right"] - edges["left"], edges["bottom"] - edges["top"], strict=True
    )
    names = [FaceBox(*box).name_in(name) for name, box in zip(lines["picture"], boxes, strict=True)]
    faces = lines[["picture", "confidence", "expression"]].assign(file=lines["picture"])
    return checked_faces(path, faces.set_axis(pd.Index(names, name="face"), axis="index"))


def read_crops(path: Path) -> pd.DataFrame:
    """As :func:`read_boxes`, of faces that were cut out before."""
    lines = read_csv(path)
    if missing := [name for name in ("label", "src_image", "confidence") if name not in lines.columns]:
        raise InputError(f"{path}: missing columns {missing}, got {list(lines.columns)}")
    faces = lines[["src_image", "confidence", "label"]].set_axis(
        ["picture", "confidence", "expression"], axis="columns"
    )
    return checked_faces(path, faces.assign(file=faces.index).rename_axis(index="face"))


def checked_faces(path: Path, faces: pd.DataFrame) -> pd.DataFrame:
    """Return the faces with their expressions by name; a wrong confidence or class is refused with its face."""
    confidence = pd.to_numeric(faces["confidence"], errors="coerce")
    if (wrong := confidence.isna()).any():
        found = faces["confidence"][wrong].tolist()[0]
        raise InputError(f"{path}: confidence of {faces.index[wrong][0]} is {found!r}, a number is wanted")
    names = dict(enumerate(Schema.load("expw").groups["expression"].labels))
    expression = named_values(path, whole_numbers(path, faces["expression"]), names)
    return faces.assign(confidence=confidence, expression=expression)
