"""Photographs with parsing masks: CelebAMask-HQ as it unpacks or as class-index pictures, and sets laid out like it.

Source: "MaskGAN", https://arxiv.org/abs/1907.11922, https://github.com/switchablenorms/CelebAMask-HQ, for
non-commercial research. A parser that was trained on these photographs is not shipped.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int8
from PIL import Image
from rich.progress import track
from torch import Tensor

from faceinsight.data.images import BrokenImageError, opened
from faceinsight.data.sources.celeba_lists import aligned, attribute_header, read_attributes
from faceinsight.data.sources.folder import NOT_KNOWN, FolderSource
from faceinsight.data.sources.hashed_split import hashed_split
from faceinsight.data.table import Split
from faceinsight.files import names_in, replacing
from faceinsight.knowledge.schema import Schema

__all__ = ["CelebAMask", "merge_parts"]

#: The folder of the owners' archive, and in it those of the photographs, of each part's masks and the attributes.
ARCHIVE, PHOTOGRAPHS, PARTS = "CelebAMask-HQ", "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"
#: So many photographs' parts lie in one numbered folder.
IN_FOLDER = 2000
#: The ending of each part's file, in the order of the class ids from 1 on, as g_mask.py paints them over each other.
ENDINGS = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth"),
    *("u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
HOW = (
    "CelebAMask-HQ is given out at https://github.com/switchablenorms/CelebAMask-HQ for non-commercial research; "
    "wanted are CelebA-HQ-img/ and CelebAMask-HQ-mask-anno/ as it unpacks, or photographs in images/ and one PNG of "
    "class ids (0 to 18) for each in masks/, as its g_mask.py makes them"
)


class CelebAMask(FolderSource):
    """A source of faces with parsing masks: ``images/NAME.jpg`` and ``masks/NAME.png``, or CelebAMask-HQ as it unpacks.

    Of an unpacked archive, :meth:`prepare` merges the files of single parts into ``masks/`` once, as the owners'
    ``g_mask.py`` does. Labels are those of the owners' attribute file; without it every label is undefined, so a parser
    trains on these faces and an attribute system has nothing to learn from them. Who is shown is not known here: each
    picture counts as a person of its own. The split follows from a hash of the file name (our choice), so
    that it is the same on every machine and stays when pictures are added.

    Args:
        root: the folder with both folders, or the one with ``CelebAMask-HQ/`` in it.
        schema: the attributes that batches name, or a catalog's name; give the one of the faces to be parsed. What the
            attribute file does not know of it is undefined.
        image_folder: the photographs' folder in ``root``; where it is not there, ``CelebA-HQ-img``.
        mask_folder: the masks' folder in ``root``.
    """

    title, catalog, how = "CelebAMask-HQ", "celeba", HOW
    remarks = (NOT_KNOWN,)

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        schema: Schema | str = "celeba",
        image_folder: str = "images",
        mask_folder: str = "masks",
    ) -> None:
        super().__init__(root=root, schema=schema)
        self.image_folder, self.mask_folder = image_folder, mask_folder

    @property
    def base(self) -> Path:
        """The folder with the images' folder in it."""
        return self.root / ARCHIVE if (self.root / ARCHIVE).is_dir() else self.root

    @property
    def images(self) -> Path:
        """The folder of the photographs."""
        wanted, unpacked = self.base / self.image_folder, self.base / PHOTOGRAPHS
        return unpacked if not wanted.is_dir() and unpacked.is_dir() else wanted

    @property
    def masks(self) -> Path:
        """The folder of the masks."""
        return self.base / self.mask_folder

    @property
    def parts(self) -> Path:
        """The folder of the archive's files of single parts."""
        return self.base / PARTS

    @property
    def attributes(self) -> Path:
        """The owners' attribute file."""
        return self.base / ATTRIBUTES

    def wanted(self) -> list[Path]:
        return [self.images, *([] if self.parts.is_dir() else [self.masks])]

    def prepare(self) -> None:
        """Check that both folders are there; merge the masks of an unpacked archive that are not merged yet.

        Raises:
            FileNotFoundError: naming what is missing, and how to get it.
            OSError: the masks cannot be written.
        """
        super().prepare()
        if self.parts.is_dir():
            self._merge()

    def _merge(self) -> None:
        """Merge the parts of every photograph that has no mask yet; a second process would write the same."""
        present = set(os.listdir(self.masks)) if self.masks.is_dir() else set()
        left = [number for name in self._photographs() if (number := name.rpartition(".")[0]).isdigit()]
        left = [number for number in left if f"{number}.png" not in present]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding runs outside the interpreter's lock
            merged = pool.map(lambda number: merge_parts(self.parts, int(number), self.masks / f"{number}.png"), left)
            for _ in track(merged, "merging masks", total=len(left), transient=True, disable=len(left) < IN_FOLDER):
                pass

    def _photographs(self) -> list[str]:
        """Return the photographs' names, in order."""
        return [name for name in names_in(self.images) if name.lower().endswith((".jpg", ".jpeg", ".png"))]

    def read(self) -> pd.DataFrame:
        return pd.DataFrame(index=self._photographs())

    def splits(self, faces: pd.DataFrame) -> Iterable[Split]:
        return (hashed_split(name, train=0.8, val=0.05) for name in faces.index)

    def _known(self) -> list[str]:
        """Return the attributes that the owners' file tells, in the schema's order."""
        header = attribute_header(self.attributes) if self.attributes.exists() else []
        return [name for name in self.schema.names if name in header]

    def labels(self, faces: pd.DataFrame) -> Int8[Tensor, "face attr"]:
        """Return the labels of the owners' file; 0 for what it does not know."""
        labels = torch.zeros(len(faces), len(self.schema), dtype=torch.int8)
        if known := self._known():
            listed, _ = read_attributes(self.attributes, Schema.from_names(known, self.schema.name))
            values = aligned(listed, faces.index, self.attributes.name).to_numpy(np.int8, copy=True)
            labels[:, [self.schema.index(name) for name in known]] = torch.from_numpy(values)
        return labels

    def notes(self) -> list[str]:
        unknown = [name for name in self.schema.names if name not in self._known()]
        if len(unknown) == len(self.schema):
            return ["no attribute labels: all are undefined", *self.remarks]
        return [*self.remarks, *([f"attributes without labels: {', '.join(unknown)}"] if unknown else [])]


def merge_parts(folder: Path, number: int, path: Path) -> None:
    """Paint the masks of one photograph's parts over each other, as ``g_mask.py`` does, and write the class ids.

    Args:
        folder: with a numbered folder for every 2,000 photographs, and ``00000_skin.png`` and the like in it.

    Raises:
        FileNotFoundError: the photograph has no part.
        BrokenImageError: a part cannot be read, or has another size than the others.
    """
    ids: np.ndarray | None = None
    for part, ending in enumerate(ENDINGS, start=1):
        file = folder / str(number // IN_FOLDER) / f"{number:05d}_{ending}.png"
        if not file.exists():
            continue
        shown = np.array(opened(file).convert("RGB"))[..., 0] > 0
        ids = np.zeros(shown.shape, dtype=np.uint8) if ids is None else ids
        if shown.shape != ids.shape:
            raise BrokenImageError(f"{file}: has {shown.shape} pixels, the other parts {ids.shape}")
        ids[shown] = part
    if ids is None:
        raise FileNotFoundError(f"{folder} has no part of photograph {number}, such as {number:05d}_skin.png. {HOW}")
    with replacing(path) as temporary:
        Image.fromarray(ids).save(temporary, format="PNG")
