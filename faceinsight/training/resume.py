"""Going on after a kill: a training's newest state in one file, whole or not at all.

Lightning's own checkpoint, which holds tensors and plain data only: it is read with ``weights_only=True``, so nothing
is unpickled. It is private to one run and is deleted when the run is finished; what is published is safetensors.
"""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from faceinsight.files import replacing

__all__ = ["WholeCheckpoints", "newest", "saved_every_epoch"]

NAME = "newest"


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that a kill in the middle of writing leaves as they were."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: object = None
    ) -> None:
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: object = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Return the checkpoint on the CPU; whatever ``weights_only`` says, nothing else than tensors and data is
        read.
        """
        return torch.load(path, map_location="cpu", weights_only=True)


def saved_every_epoch(folder: Path) -> ModelCheckpoint:
    """Return a callback that keeps the state after the newest epoch, and only that."""
    return ModelCheckpoint(
        dirpath=folder, filename=NAME, save_on_train_epoch_end=True, enable_version_counter=False, verbose=False
    )


def newest(folder: Path) -> Path | None:
    """Return the file from which training goes on; None where it begins."""
    path = folder / f"{NAME}.ckpt"
    return path if path.is_file() else None
