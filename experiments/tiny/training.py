"""What the training scripts share: a training that a kill does not lose, and a folder written whole or not at all."""

import datetime
import hashlib
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import RichProgressBar, Timer
from rich.console import Console
from rich.markdown import Markdown

from faceinsight.data import FaceDataModule
from faceinsight.files import write_text
from faceinsight.training.callbacks import GradientCheck
from faceinsight.training.configure import expected_warnings
from faceinsight.training.resume import WholeCheckpoints, newest, saved_every_epoch

__all__ = [
    "Card",
    "circumstances",
    "described",
    "filled",
    "fitted",
    "hash_of",
    "hash_of_faces",
    "publish",
    "publish_part",
    "work_folder",
]

#: Writes a model card from what is told of a training and the scores.
Card = Callable[[Mapping[str, Any], Mapping[str, Any]], str]


def fitted(
    system: lightning.LightningModule,
    data: lightning.LightningDataModule,
    work: Path,
    *,
    epochs: int,
    callbacks: Sequence[lightning.Callback] = (),
    progress: bool = True,
) -> float:
    """Train on whatever device there is, going on from the last whole epoch that ``work`` knows.

    Args:
        callbacks: more of them.

    Returns:
        the seconds that it took, interruptions left out.
    """
    timer = Timer(verbose=False)
    own = [saved_every_epoch(work), timer, GradientCheck(), *([RichProgressBar()] if progress else [])]
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if half_is_faster() else "32-true",
        max_epochs=epochs,
        reload_dataloaders_every_n_epochs=1,  # an epoch may have its own data
        gradient_clip_val=1.0,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=[*callbacks, *own],
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
    )
    trainer.strategy.checkpoint_io = WholeCheckpoints()
    with expected_warnings():
        trainer.fit(system, datamodule=data, ckpt_path=newest(work), weights_only=True)
    system.cpu()
    return timer.time_elapsed("train")


def half_is_faster() -> bool:
    """Say whether the device multiplies in bfloat16 by itself: a GPU, or a processor with instructions for it."""
    return torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def publish(folder: Path, save: Callable[[Path], object], texts: Mapping[str, str]) -> None:
    """Put what ``save`` writes into ``folder``, with ``texts`` as files beside it; another one there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        whole, before = Path(made) / "whole", Path(made) / "before"
        whole.mkdir()
        save(whole)
        for name, text in texts.items():
            write_text(whole / name, text)
        for file in whole.iterdir():
            file.chmod(0o644)
        if folder.exists():
            folder.rename(before)
        whole.rename(folder)


def publish_part(output: Path, file: Path, texts: Mapping[str, str], tables: str) -> None:
    """Put a trained part's file into ``output``, with what :func:`described` says of it, and show its numbers.

    Args:
        file: in the training's work folder, which is deleted.
        tables: the numbers as Markdown.
    """
    publish(output, lambda folder: shutil.copy(file, folder / file.name), texts)
    shutil.rmtree(file.parent, ignore_errors=True)
    Console().print(Markdown(tables))


def described(card: Card, told: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, str]:
    """Return the model card and the numbers, as files."""
    return {"README.md": card(told, scores), "metrics.json": json.dumps({**told, "scores": scores}, indent=1)}


def filled(card: str, told: Mapping[str, Any], **more: str) -> str:
    """Return a model card with places for what is told of the training, and for more."""
    return card.format(**{**told, "settings": json.dumps(told["settings"]), **more})


def work_folder(output: Path, data_hash: str, settings: Any) -> Path:
    """Where a training's state is kept: named by what it depends on, so that no other one goes on from it."""
    return output.parent / f".{output.name}-{hash_of(data_hash.encode(), json.dumps(asdict(settings)).encode())[:12]}"


def circumstances(module: str, settings: Any, data_hash: str, seconds: float) -> dict[str, Any]:
    """When, where, how long, on what and by which command something was trained.

    Args:
        module: the script, as ``python -m`` names it.
        settings: the script's, with a ``seed``.
    """
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": device_name(),
        "minutes": seconds / 60,
        "seed": settings.seed,
        "settings": asdict(settings),
        "data_hash": data_hash,
    }


def device_name() -> str:
    """Return what is trained on, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores ({platform.machine()}), torch {torch.__version__}"


def hash_of(*parts: bytes) -> str:
    """Return a SHA-256 over several parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def hash_of_faces(data: FaceDataModule) -> str:
    """Return the hash of the pictures and labels that are trained on."""
    return hash_of(data.fingerprint(data.train_rows()).encode(), data.train_labels().numpy().tobytes())
