"""Faces of a table as typed batches, read from disk or from features that were computed before."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import PIL
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from faceinsight.data.alignment import Points, aligned
from faceinsight.data.batch import FaceBatch
from faceinsight.data.face_box import Edges
from faceinsight.data.images import (
    BrokenImageError,
    Crop,
    Picture,
    as_tensor,
    listed,
    path_within,
    read_image,
    read_mask,
    read_picture,
    unit_range,
    whole_picture,
)
from faceinsight.data.table import FaceTable
from faceinsight.data.words.face_texts import FaceTexts
from faceinsight.errors import InputError
from faceinsight.files import plain_file

__all__ = ["FaceDataset", "FaceReader", "Pictures", "broken_files", "without_broken"]


class FaceReader:
    """Reads pictures and masks as squares of one size, and keeps what it has read while there is room.

    Args:
        image_size: side of the squares in pixels.
        crop: which part of each picture; the centred square by default.
        memory_mb: room for decoded pictures in MiB; 0 keeps none. 9,000 faces at 96 px take 240, with masks 320.
        interpolation: the filter by which pictures are resized, see :func:`~faceinsight.data.images.read_image`.
    """

    def __init__(
        self,
        *,
        image_size: int = 96,
        crop: Crop | None = None,
        memory_mb: int = 1024,
        interpolation: str = "bilinear",
    ) -> None:
        if image_size < 1 or memory_mb < 0:
            raise InputError(f"image_size must be at least 1 and memory_mb at least 0, got {image_size}, {memory_mb}")
        self.image_size, self.crop, self.interpolation = image_size, crop or Crop(), interpolation
        self._room = memory_mb * 2**20
        self._kept: dict[tuple[Path, str, Edges | None], Tensor] = {}

    def image(self, table: FaceTable, row: int) -> UInt8[Tensor, "3 height width"]:
        """Return the picture of one face; raises :class:`BrokenImageError`."""
        file, edges = table.picture(row)
        return self._kept_or((table.root, file, edges), lambda path: self.picture(path, edges))

    def picture(self, picture: Picture, edges: Edges | None = None) -> Shaped[Tensor, "3 height width"]:
        """Return any picture as a square; see :func:`~faceinsight.data.images.read_picture`."""
        return read_picture(
            picture, image_size=self.image_size, crop=self.crop, interpolation=self.interpolation, edges=edges
        )

    def aligned(self, photograph: Image.Image, landmarks: Points, margin: float) -> Float[Tensor, "3 height width"]:
        """Return one face of a photograph; see :func:`~faceinsight.data.alignment.aligned`."""
        return unit_range(as_tensor(aligned(photograph, landmarks, image_size=self.image_size, margin=margin)))

    def mask(self, table: FaceTable, row: int) -> UInt8[Tensor, "height width"]:
        """Return the parsing mask of one face; raises :class:`BrokenImageError`."""
        if table.mask_root is None:
            raise InputError(f"the faces of {table.root} have no parsing masks")
        _, edges = table.picture(row)
        place = table.mask_root, table.mask_name(row), edges
        return self._kept_or(
            place, lambda path: read_mask(path, image_size=self.image_size, crop=self.crop, edges=edges)
        )

    def _kept_or(self, place: tuple[Path, str, Edges | None], read: Callable[[Path], Tensor]) -> Tensor:
        """Return what was read before, or what is read now, kept while there is room."""
        if (kept := self._kept.get(place)) is not None:
            return kept
        root, file, _ = place
        pixels = read(path_within(root, file))
        if self._room >= pixels.nbytes:
            self._room -= pixels.nbytes
            self._kept[place] = pixels
        return pixels

    @property
    def settings(self) -> dict[str, object]:
        """What the squares depend on besides the files, as plain data."""
        crop = asdict(self.crop)
        # both left unsaid where they are the usual ones, so that features cached before they could be chosen are found
        if crop["shape"] == "square":
            del crop["shape"]
        settings = {"image_size": self.image_size, "crop": crop, "pillow": PIL.__version__}
        return settings if self.interpolation == "bilinear" else {**settings, "interpolation": self.interpolation}

    def fingerprint(self, table: FaceTable) -> str:
        """Return a hash of everything that this reader makes of the table's pictures and masks, labels apart.

        It is over the files' bytes, so that it survives a copy to another machine and notices every change. A file
        whose size and time of change stay the same is read once in a process.
        """
        files: list[tuple[str, ...]] = []
        for row, name in enumerate(table.files):
            paths = [path_within(table.root, table.picture(row)[0])]
            if table.mask_root is not None:
                paths.append(path_within(table.mask_root, table.mask_name(row)))
            files.append((name, *map(digest, paths)))
        # left unsaid where there is none, so that features cached before faces could be boxes are still found
        settings = {**self.settings, "margin": table.margin} if table.margin else self.settings
        return hashlib.sha256(json.dumps([settings, files], sort_keys=True).encode()).hexdigest()


class FaceDataset(Dataset[FaceBatch]):
    """Some rows of a table; each item is a :class:`FaceBatch` of one face, and ``FaceBatch.cat`` collates them.

    Args:
        table: the faces.
        reader: makes their pictures; not used with ``features``.
        rows: which of them; all by default.
        features: cached tokens by name, ``[face, ...]`` for every row of the table; they stand in for the pictures.
        texts: writes a question and its answer for each face.
    """

    def __init__(
        self,
        *,
        table: FaceTable,
        reader: FaceReader,
        rows: Tensor | None = None,
        features: dict[str, Tensor] | None = None,
        texts: FaceTexts | None = None,
    ) -> None:
        self.table, self.reader, self.features, self.texts = table, reader, features, texts
        self.rows = torch.arange(len(table)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> FaceBatch:
        return self.batch([position])

    def __getitems__(self, positions: Sequence[int]) -> list[FaceBatch]:
        """Return the DataLoader asks for a whole batch at once through this."""
        return [self.batch(positions)]

    def batch(self, positions: Sequence[int]) -> FaceBatch:
        """Several faces, in the order asked for; a negative position counts from the end, and its index is -1."""
        places = torch.as_tensor(positions)
        rows = self.rows[places]
        index = rows.where(places >= 0, -1)
        labels = self.table.labels[rows]
        texts = None
        if self.texts is not None:
            texts = [
                self.texts(own, row) if row >= 0 else None for own, row in zip(labels, index.tolist(), strict=True)
            ]
        if self.features is not None:
            features = {name: whole(tensor[rows]) for name, tensor in self.features.items()}
            return FaceBatch(images=None, labels=labels, index=index, features=features, texts=texts)
        images = torch.stack([self.reader.image(self.table, row) for row in rows.tolist()])
        masks = None
        if self.table.mask_root is not None:
            masks = torch.stack([self.reader.mask(self.table, row) for row in rows.tolist()])
        return FaceBatch(images=unit_range(images), labels=labels, index=index, masks=masks, texts=texts)


class Pictures:
    """Pictures without a table, in the batches that a :class:`FaceDataset` gives: no labels, splits or identities.

    Args:
        pictures: files, PIL images, arrays or tensors; see :func:`~faceinsight.data.images.image_batch`.
        reader: makes them squares; a tensor of floats must have its size.

    >>> pictures = Pictures(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), reader=FaceReader(image_size=4))
    >>> batch = pictures.batch([3, 1])
    >>> len(pictures), batch.images.shape, batch.labels.shape, batch.index
    (5, torch.Size([2, 3, 4, 4]), torch.Size([2, 0]), tensor([3, 1]))
    """

    def __init__(self, pictures: Picture | Sequence[Picture], *, reader: FaceReader) -> None:
        self.pictures, self.reader = listed(pictures), reader

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, position: int) -> str:
        """Return a picture's file, or its number from 1."""
        picture = self.pictures[position]
        return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"picture {position + 1}"

    def batch(self, positions: Sequence[int]) -> FaceBatch:
        """Return several pictures in the order asked for; their index is their position.

        Raises:
            BrokenImageError: a picture that cannot be read; it is named.
        """
        images = torch.stack([unit_range(self._square(position)) for position in positions])
        labels = torch.zeros(len(images), 0, dtype=torch.int8)
        return FaceBatch(images=images, labels=labels, index=torch.as_tensor(positions))

    def photograph(self, position: int) -> Image.Image | Tensor:
        """Return all of a picture, upright; a tensor of floats as :meth:`batch` has it.

        Raises:
            BrokenImageError: a picture that cannot be read; it is named.
        """
        picture = self.pictures[position]
        if isinstance(picture, Tensor) and picture.is_floating_point():
            return self._square(position)
        with self._named(position):
            return whole_picture(picture, self.name(position))

    @contextmanager
    def _named(self, position: int) -> Iterator[None]:
        """Name the picture in whatever is wrong with it."""
        try:
            yield
        except InputError as error:
            name = self.name(position)
            raise BrokenImageError(str(error) if name in str(error) else f"{name}: {error}") from error

    def _square(self, position: int) -> Shaped[Tensor, "3 height width"]:
        with self._named(position):
            square = self.reader.picture(self.pictures[position])
        if square.shape[1:] != (self.reader.image_size, self.reader.image_size):
            raise BrokenImageError(
                f"{self.name(position)}: a tensor of floats is taken as it is and needs "
                f"{self.reader.image_size} x {self.reader.image_size} pixels, got {list(square.shape)}"
            )
        return square


def whole(tensor: Tensor) -> Tensor:
    """Floating-point features in the precision that networks compute in, however they were stored."""
    return tensor.float() if tensor.is_floating_point() else tensor


def without_broken(table: FaceTable) -> FaceTable:
    """Return the table without the faces whose picture or mask cannot be read; they are named in one warning.

    Every file is decoded once for this (about 1 ms each), before anything is trained: so batches keep their size and
    every part of a run sees the same faces.
    """
    broken = broken_files(table)
    if not broken:
        return table
    named = "\n  ".join([*broken.values()][:10]) + ("\n  ..." if len(broken) > 10 else "")
    warnings.warn(f"{len(broken)} of {len(table):,} faces cannot be read and are left out:\n  {named}", stacklevel=2)
    return table.select(torch.tensor([row for row in range(len(table)) if row not in broken], dtype=torch.int64))


def broken_files(table: FaceTable) -> dict[int, str]:
    """Row -> what is wrong with its picture or mask, for each face that cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding runs outside the interpreter's lock
        causes = pool.map(lambda row: cause(table, row), range(len(table)))
        return {row: each for row, each in enumerate(causes) if each is not None}


def cause(table: FaceTable, row: int) -> str | None:
    """Return what is wrong with a face's files, or None."""
    file, edges = table.picture(row)
    image = path_within(table.root, file)
    if (wrong := unreadable(image, state_of(image), edges, False)) is not None or table.mask_root is None:
        return wrong
    mask = path_within(table.mask_root, table.mask_name(row))
    return unreadable(mask, state_of(mask), edges, True)


#: A file's size and time of change; None where there is no such file.
State = tuple[int, int] | None


def state_of(path: Path) -> State:
    """Tells one state of a file from another."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=2**19)
def unreadable(path: Path, state: State, edges: Edges | None, is_mask: bool) -> str | None:
    """Why a file, or what lies within the edges, cannot be decoded, or None; asked once for each state of the file."""
    try:
        read_mask(path, image_size=1, edges=edges) if is_mask else read_image(path, image_size=1, edges=edges)
    except BrokenImageError as error:
        return str(error)
    return None


def digest(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return digest_of(path, state_of(path))


@lru_cache(maxsize=2**19)
def digest_of(path: Path, state: State) -> str:
    """As :func:`digest`, read once for each state of the file."""
    return hashlib.sha256(plain_file(path).read_bytes()).hexdigest()
