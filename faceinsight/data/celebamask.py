"""Photographs with parsing masks: CelebAMask-HQ as class-index pictures, and every set in the same layout.

Source: "MaskGAN", https://arxiv.org/abs/1907.11922, https://github.com/switchablenorms/CelebAMask-HQ, for
non-commercial research. A parser that was trained on these photographs is not shipped.
"""

import os
from pathlib import Path

import torch

from faceinsight.data.celeba_lists import counted
from faceinsight.data.hashed_split import hashed_split
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema

__all__ = ["CelebAMask"]

HOW = (
    "CelebAMask-HQ is given out at https://github.com/switchablenorms/CelebAMask-HQ for non-commercial research; here "
    "are wanted its photographs and one PNG of class ids (0 to 18) for each, as its g_mask.py makes them"
)


class CelebAMask:
    """A source of faces with parsing masks and no attribute labels: ``images/NAME.jpg`` and ``masks/NAME.png``.

    Every label is undefined, so a parser trains on these faces and an attribute system has nothing to learn from them.
    Who is shown is not known here: each picture counts as a person of its own. The split follows from a hash of the
    file name (choice of this library), so that it is the same on every machine and stays when pictures are added.

    Args:
        root: the folder with both folders.
        schema: the attributes that batches name, or a catalog's name; give the one of the faces to be parsed.
        image_folder: the photographs' folder in ``root``.
        mask_folder: the masks' folder in ``root``.
    """

    def __init__(
        self,
        *,
        root: str | os.PathLike[str],
        schema: Schema | str = "celeba",
        image_folder: str = "images",
        mask_folder: str = "masks",
    ) -> None:
        self.root = Path(root)
        self.schema = Schema.load(schema) if isinstance(schema, str) else schema
        self.images, self.masks = self.root / image_folder, self.root / mask_folder

    def prepare(self) -> None:
        """Check that both folders are there.

        Raises:
            FileNotFoundError: naming what is missing, and how to get it.
        """
        if missing := [folder.name for folder in (self.images, self.masks) if not folder.is_dir()]:
            raise FileNotFoundError(f"{self.root} lacks the folders {', '.join(missing)}. {HOW}")

    def table(self) -> FaceTable:
        """The photographs in the order of their names.

        Raises:
            FileNotFoundError: photographs without a mask.
        """
        self.prepare()
        files = sorted(name for name in os.listdir(self.images) if name.lower().endswith((".jpg", ".jpeg", ".png")))
        present = set(os.listdir(self.masks))
        if absent := [name for name in files if f"{Path(name).stem}.png" not in present]:
            raise FileNotFoundError(f"{counted(absent)} of {len(files):,} photographs have no mask in {self.masks}")
        return FaceTable(
            schema=self.schema,
            root=self.images,
            files=tuple(files),
            labels=torch.zeros(len(files), len(self.schema), dtype=torch.int8),
            split=tuple(hashed_split(name, train=0.8, val=0.05) for name in files),
            identity=torch.arange(len(files)),
            mask_root=self.masks,
        )

    def notes(self) -> list[str]:
        """What a report should say beside the counts."""
        return ["no attribute labels: all are undefined", "who is shown is not known: each picture is its own identity"]
