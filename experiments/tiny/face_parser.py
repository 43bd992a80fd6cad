r"""The face parser that ships with the package: trained on drawn faces alone, its numbers on photographs.

    python -m experiments.tiny.face_parser --trunk runs/tiny/face_resnet/face_resnet.safetensors \
        --celebamask data/celebamask --output runs/tiny/face_parser

Written into the folder, whole or not at all: ``face_parser.safetensors`` (float16), the model card ``README.md`` and
``metrics.json``. A run that was killed goes on after its last whole epoch and ends as if it had not been.

CelebAMask-HQ is for measuring only: of its faces the test split is the result; the others are shown too, since the
statistics of the drawing were taken from their masks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix

from experiments.tiny.randomised import Randomisation, RandomisedFaces
from experiments.tiny.tables import group_table, repeated, with_mean
from experiments.tiny.training import circumstances, described, filled, fitted, hash_of_faces, publish_part, work_folder
from faceinsight.data import Augmentation, CelebAMask, FaceDataModule, SynthFaces
from faceinsight.data.images import Crop
from faceinsight.data.synthetic.renderer import VERSION
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.modules import FaceParser, FaceResNet
from faceinsight.modules.weights import save_weights
from faceinsight.training.configure import silence_tips
from faceinsight.training.systems import ParserSystem

FILE = "face_parser.safetensors"

#: Photographs show the face larger than it is drawn, by about a quarter.
CLOSER = Crop(left=0.1, top=0.1, right=0.1, bottom=0.1)

#: How far the mean intersection over union of another run may be from the first one's.
SPREAD = {"photographs": 0.03, "drawn": 0.03}

CARD = """---
license: mit
library_name: faceinsight
tags: [faces, face-parsing, tiny]
---
# A small face parser

{architecture} on `{encoder}`, {parameters:,} parameters, images of {image_size} x {image_size} pixels, CelebAMask-HQ's
19 classes. The encoder began as dlib's face network (CC0 1.0, see `face_resnet`), the decoder from random weights; both
were trained on this library's drawn faces alone (drawing {drawing}), in random colours and textures, on no photograph.
What the encoder knew of photographs before, it knew from dlib.

    {command}

{date}, {minutes:.0f} minutes of training on {device}, seed {seed}. {faces}. Data hash `{data_hash}`. Settings:
`{settings}`.

## Measured: intersection over union

{tables}

*Photographs*: CelebAMask-HQ's test split here (our choice, by file name). *Other photographs*: the rest of
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
        drawn_size: side of the drawn pictures in pixels.
        image_size: side of the parser's pictures in pixels.
        encoder: smp's name of the encoder.
        taken_back: how much of the weights of rare parts is taken back after training, see :func:`take_back`; chosen by
            the drawn validation faces.
        trunk: whether the encoder stays as it is given, or learns too, at ``trunk_lr``.
    """

    seed: int = 0
    drawn: int = 5_000
    drawn_size: int = 150
    image_size: int = 128
    encoder: str = "face_resnet"
    trunk: Literal["frozen", "tuned"] = "tuned"
    trunk_lr: float = 3e-4
    epochs: int = 8
    batch_size: int = 16
    lr: float = 2e-3
    taken_back: float = 0.75


#: The decoder over the maps of strides 2 to 16; what comes after these is not built.
DECODER = {
    "encoder_depth": 4,
    "upsampling": 2,
    "decoder_pyramid_channels": 64,
    "decoder_segmentation_channels": 32,
}

#: Photographs show the face larger than it is drawn, by about a quarter.
CLOSER = Crop(left=0.1, top=0.1, right=0.1, bottom=0.1)

#: How far drawn faces are moved; photographs frame the face more variously than the drawing does.
MOVED = Augmentation(flip=0.5, shift=0.08, brightness=0.1, contrast=0.25, rotation=12.0, scale=0.2)


def main(
    output: Path,
    celebamask: Path | None = None,
    trunk: Path | None = None,
    drawn: Path = Path("data/synthfaces"),
    settings: Settings = Settings(),
    progress: bool = True,
) -> None:
    """Train, measure, and put everything into ``output``.

    Args:
        output: the folder.
        celebamask: CelebAMask-HQ's folder, to measure on.
        trunk: the file of a :class:`~faceinsight.modules.FaceResNet`, with which the encoder begins.
        drawn: the folder for drawn faces.
        settings: see Settings.
        progress: show progress bars.
    """
    output = Path(output)
    data = faces_of(settings, drawn)
    data.prepare_data()
    key = hash_of_faces(data)
    work = work_folder(output, key, settings)
    lightning.seed_everything(settings.seed, verbose=False)
    parser = parser_on(settings, trunk)
    seconds = fitted(learning(parser, settings, data), data, work, epochs=settings.epochs, progress=progress)
    take_back(parser, weights_of(data), settings.taken_back)
    save_weights(work / FILE, parser, torch.float16)  # rounds them: they are measured as they are kept
    found = measured(parser, data, celebamask)
    told: dict[str, Any] = {
        **circumstances("experiments.tiny.face_parser", settings, key, seconds),
        "drawing": VERSION,
        "faces": data.table.describe(),
        "parameters": sum(each.numel() for each in parser.parameters()),
        "image_size": parser.image_size,
        "architecture": parser.architecture,
        "encoder": parser.encoder,
    }
    publish_part(output, work / FILE, described(card, told, found), table(found))


def faces_of(settings: Settings, drawn: Path) -> RandomisedFaces:
    """Return the drawn faces, moved and randomised."""
    return RandomisedFaces(
        randomisation=Randomisation(),
        source=SynthFaces(root=drawn, count=settings.drawn, image_size=settings.drawn_size, seed=settings.seed),
        image_size=settings.image_size,
        batch_size=settings.batch_size,
        crop=CLOSER,
        augment=MOVED,
    )


def parser_on(settings: Settings, trunk: Path | None) -> FaceParser:
    """Return the untrained parser over a trunk."""
    parser = FaceParser(encoder=settings.encoder, image_size=settings.image_size, options=DECODER)
    if trunk is not None:
        parser.network.encoder.load_trunk(FaceResNet.load(trunk))
    if settings.trunk == "frozen":
        parser.network.encoder.requires_grad_(False)
    return parser


def learning(parser: FaceParser, settings: Settings, data: FaceDataModule) -> ParserSystem:
    """Return the parser as it is trained: rare parts weigh more."""
    part_lr = {} if settings.trunk == "frozen" else {"network.encoder": settings.trunk_lr}
    return ParserSystem(network=parser, lr=settings.lr, part_lr=part_lr, class_weights=weights_of(data))


def weights_of(data: FaceDataModule, faces: int = 500) -> list[float]:
    """One over the root of each part's share of the pixels of some training faces, on average 1 for a pixel.

    A part that occurs nowhere counts as one pixel.
    """
    rows = data.train_rows()[:faces]
    pixels = torch.ones(len(FACE_PARTS), dtype=torch.float64)
    for batch in data.faces_dataloader(rows):
        pixels += batch.masks.flatten().bincount(minlength=len(FACE_PARTS))
    share = pixels / pixels.sum()
    weights = share**-0.5
    return (weights / (weights * share).sum()).tolist()


def take_back(parser: FaceParser, weights: Sequence[float], share: float) -> None:
    """Lower each part's logit, in place, by a share of the logarithm of its weight in the loss.

    Weights make a network see rare parts where they are not. Source: logit adjustment, Menon et al. 2021,
    https://arxiv.org/abs/2007.07314; all of it gives the most probable part back, some of it is best for the
    intersection over union.
    """
    head = parser.network.segmentation_head[0]
    with torch.no_grad():
        head.bias -= share * torch.tensor(weights).log().to(head.bias)


def card(told: Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]) -> str:
    """Return the model card."""
    return filled(CARD, told, tables=table(scores), again=repeated(told, important(scores), SPREAD))


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Each part's scores as Markdown."""
    rows = ("mean", *FACE_PARTS)
    return group_table({part: {name: one[part] for name, one in scores.items() if part in one} for part in rows})


def important(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what another run is held against."""
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
