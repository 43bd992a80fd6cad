"""The face parser that ships with the package: trained on drawn faces alone, its numbers on photographs.

    python -m experiments.tiny.face_parser --celebamask data/celebamask --output runs/tiny/face_parser

Written into the folder, whole or not at all: ``face_parser.safetensors`` (float16), the model card ``README.md`` and
``metrics.json``. A run that was killed goes on after its last whole epoch and ends as if it had not been.

CelebAMask-HQ is for measuring only: of its faces the test split is the result; the others are shown too, since the
statistics of the drawing were taken from their masks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix

from experiments.tiny.image_encoder import AUGMENT
from experiments.tiny.tables import group_table, repeated, with_mean
from experiments.tiny.training import circumstances, described, filled, fitted, hash_of_faces, publish_part, work_folder
from faceinsight.ablation.work import silence_tips
from faceinsight.data import CelebAMask, FaceDataModule, SynthFaces
from faceinsight.data.synthetic.renderer import VERSION
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.modules import FaceParser
from faceinsight.modules.weights import save_weights
from faceinsight.system import ParserSystem

FILE = "face_parser.safetensors"

#: How far the mean intersection over union of another run may be from the first one's.
SPREAD = {"photographs": 0.03, "drawn": 0.03}

CARD = """---
license: mit
library_name: faceinsight
tags: [faces, face-parsing, tiny]
---
# A small face parser

{architecture} on `{encoder}`, {parameters:,} parameters, images of {image_size} x {image_size} pixels, CelebAMask-HQ's
19 classes. Trained from random weights on this library's drawn faces alone (drawing {drawing}), on no photograph.

    {command}

{date}, {minutes:.0f} minutes of training on {device}, seed {seed}. {faces}. Data hash `{data_hash}`. Settings:
`{settings}`.

## Measured: intersection over union

{tables}

*Photographs*: CelebAMask-HQ's test split here (choice of this library, by file name). *Other photographs*: the rest of
the sample, from whose masks the drawing's statistics were taken. *Drawn*: held-out drawn faces. *Largest class*: every
pixel is called background. Means are over the classes that occur. The sample has no labels of gender, race or age, so
that its faces cannot be sliced by them.
{again}"""


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on.

    Args:
        seed: of weights, order and drawn faces.
        drawn: drawn faces, of which 70 % train.
        image_size: side of the pictures in pixels.
        encoder: smp's name of the encoder.
    """

    seed: int = 0
    drawn: int = 12_000
    image_size: int = 96
    encoder: str = "tu-resnet10t"
    epochs: int = 5
    batch_size: int = 32
    lr: float = 3e-3


def main(
    output: Path,
    celebamask: Path | None = None,
    drawn: Path = Path("data/synthfaces"),
    settings: Settings = Settings(),
    progress: bool = True,
) -> None:
    """Train, measure, and put everything into ``output``.

    Args:
        output: the folder.
        celebamask: CelebAMask-HQ's folder, to measure on.
        drawn: the folder for drawn faces.
        settings: see Settings.
        progress: show progress bars.
    """
    output, size = Path(output), settings.image_size
    source = SynthFaces(root=drawn, count=settings.drawn, image_size=size, seed=settings.seed)
    data = FaceDataModule(source=source, image_size=size, batch_size=settings.batch_size, augment=AUGMENT)
    data.prepare_data()
    key = hash_of_faces(data)
    work = work_folder(output, key, settings)
    lightning.seed_everything(settings.seed, verbose=False)
    parser = FaceParser(encoder=settings.encoder, image_size=size)
    seconds = fitted(
        ParserSystem(network=parser, lr=settings.lr), data, work, epochs=settings.epochs, progress=progress
    )
    save_weights(work / FILE, parser, torch.float16)  # rounds them: they are measured as they are kept
    found = measured(parser, data, celebamask)
    told: dict[str, Any] = {
        **circumstances("experiments.tiny.face_parser", settings, key, seconds),
        "drawing": VERSION,
        "faces": data.table.describe(),
        "parameters": sum(each.numel() for each in parser.parameters()),
        "image_size": size,
        "architecture": parser.architecture,
        "encoder": parser.encoder,
    }
    publish_part(output, work / FILE, described(card, told, found), table(found))


def card(told: Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]) -> str:
    """The model card."""
    return filled(CARD, told, tables=table(scores), again=repeated(told, important(scores), SPREAD))


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Each part's scores as Markdown."""
    rows = ("mean", *FACE_PARTS)
    return group_table({part: {name: one[part] for name, one in scores.items() if part in one} for part in rows})


def important(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What another run is held against."""
    return {name: scores[name]["mean"] for name in SPREAD if name in scores}


def measured(parser: FaceParser, drawn: FaceDataModule, celebamask: Path | None) -> dict[str, dict[str, float]]:
    """Each part's intersection over union: on drawn faces, and on photographs if they are there."""
    found = {}
    if celebamask is not None:
        data = FaceDataModule(source=CelebAMask(root=celebamask), image_size=parser.image_size, batch_size=128)
        test, others = data.table.rows("test"), torch.cat([data.table.rows("train"), data.table.rows("val")])
        found["photographs"] = iou(parser, data, test)
        found["photographs, largest class"] = iou(Background(), data, test)
        found["other photographs"] = iou(parser, data, others)
    return {**found, "drawn": iou(parser, drawn, drawn.table.rows("test"))}


class Background(nn.Module):
    """Says of every pixel that it is background."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(torch.zeros_like(images[:, 0]).long(), len(FACE_PARTS)).movedim(-1, 1).float()


@torch.inference_mode()
def iou(parser: nn.Module, data: FaceDataModule, rows: Tensor) -> dict[str, float]:
    """Over all pixels of these faces: for each part that occurs, and the mean."""
    parser.eval()
    parts = len(FACE_PARTS)
    confusion = torch.zeros(parts, parts, dtype=torch.int64)
    for batch in data.faces_dataloader(rows):
        predicted = parser(batch.images).argmax(1)
        confusion += multiclass_confusion_matrix(predicted, batch.masks.long(), num_classes=parts)
    overlap, either = confusion.diag().double(), confusion.sum(0) + confusion.sum(1) - confusion.diag()
    return with_mean(FACE_PARTS, overlap / either)


if __name__ == "__main__":
    silence_tips()
    auto_cli(main, as_positional=False)
