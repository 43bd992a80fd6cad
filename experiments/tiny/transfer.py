"""What networks that saw only drawn faces can do on photographs: parsing on CelebAMask-HQ, attributes on CelebA.

    python experiments/tiny/transfer.py --celebamask data/celebamask --celeba data/celeba --json transfer.json

A parser and a small ResNet are trained on SynthFaces. Neither sees a photograph before it is measured. Of CelebAMask-HQ
the test split is the result; the others are shown too, since the statistics of the drawing were taken from their masks.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix

from faceinsight import RuleSet, Schema
from faceinsight.controls import TokenClassifier
from faceinsight.data import Augmentation, CelebA, CelebAMask, FaceDataModule, SynthFaces
from faceinsight.data.synthetic.renderer import VERSION
from faceinsight.data.table import FaceSource
from faceinsight.files import write_text
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.metrics import auroc
from faceinsight.modules import FaceParser, ImageEncoder
from faceinsight.system import AttributeSystem, ParserSystem, TrainingSystem

AUGMENT = Augmentation(flip=0.5, shift=0.05, brightness=0.1, contrast=0.2, rotation=8.5, scale=0.1)


def main() -> None:
    given = arguments()
    start = time.monotonic()
    drawn = SynthFaces(
        root=given.drawn, count=given.faces, image_size=given.image_size, seed=given.seed, workers=given.workers
    )
    drawn.prepare()
    found: dict[str, Any] = {"version": VERSION, "settings": {k: str(v) for k, v in vars(given).items()}}
    found["seconds drawing"] = round(time.monotonic() - start)
    if given.celebamask:
        found["parsing"] = parsing(given, drawn)
    if given.celeba:
        found["attributes"] = attributes(given, drawn)
    found["seconds"] = round(time.monotonic() - start)
    show(found)
    if given.json:
        write_text(given.json, json.dumps(found, indent=2) + "\n")


def parsing(given: argparse.Namespace, drawn: FaceSource) -> dict[str, Any]:
    """Intersection over union of each part, ``mean`` over the parts that occur, on photographs and on drawn faces."""
    size = given.image_size
    faces = FaceDataModule(source=drawn, image_size=size, batch_size=given.batch_size, augment=AUGMENT, seed=given.seed)
    lightning.seed_everything(given.seed, verbose=False)
    parser = FaceParser(encoder="tu-resnet10t", image_size=size)
    train(ParserSystem(network=parser, lr=0.003), faces, given.epochs)
    real = FaceDataModule(source=CelebAMask(root=given.celebamask), image_size=size)
    table = real.table
    own = faces.faces_dataloader(faces.table.rows("test"))
    return {
        "test": iou(parser, real.faces_dataloader(table.rows("test"))),
        "others": iou(parser, real.faces_dataloader(torch.cat([table.rows("train"), table.rows("val")]))),
        "drawn": iou(parser, own),
    }


def attributes(given: argparse.Namespace, drawn: FaceSource) -> dict[str, dict[str, float]]:
    """Area under the ROC curve, attribute by attribute, on the test faces of CelebA."""
    size, schema = given.attribute_size, Schema.load("synthfaces")
    faces = FaceDataModule(source=drawn, image_size=size, batch_size=given.batch_size, augment=AUGMENT, seed=given.seed)
    lightning.seed_everything(given.seed, verbose=False)
    encoder = ImageEncoder(name="resnet10t", image_size=size)
    network = TokenClassifier(schema=schema, image_encoder=encoder, embed_dim=encoder.embed_dim)
    train(AttributeSystem(network=network, rules=RuleSet.load("synthfaces"), lr=0.003), faces, given.epochs)
    real = FaceDataModule(source=CelebA(root=given.celeba, schema="celeba"), image_size=size)
    shared = [name for name in schema.names if name in real.schema.names]
    columns = [schema.names.index(name) for name in shared]
    rows = real.table.rows("test")
    labels = real.table.labels[rows][:, [real.schema.names.index(name) for name in shared]]
    probability = torch.cat(read(network, real.faces_dataloader(rows)))[:, columns].sigmoid()
    return {"test": with_mean(shared, auroc(probability, labels))}


def train(system: TrainingSystem, faces: FaceDataModule, epochs: int) -> None:
    trainer = lightning.Trainer(
        max_epochs=epochs, gradient_clip_val=1.0, limit_val_batches=0, num_sanity_val_steps=0, devices=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(system, datamodule=faces)


@torch.inference_mode()
def iou(parser: nn.Module, loader: torch.utils.data.DataLoader[Any]) -> dict[str, float]:
    parser.eval()
    parts = len(FACE_PARTS)
    confusion = sum(
        multiclass_confusion_matrix(parser(batch.images).argmax(1), batch.masks.long(), num_classes=parts)
        for batch in loader
    )
    assert isinstance(confusion, Tensor)
    overlap, either = confusion.diag().double(), confusion.sum(0) + confusion.sum(1) - confusion.diag()
    return with_mean(FACE_PARTS, overlap / either)


def with_mean(names: tuple[str, ...] | list[str], scores: Tensor) -> dict[str, float]:
    """Scores by name, those that are undefined left out, and their mean first."""
    defined = {name: round(score, 4) for name, score in zip(names, scores.tolist(), strict=True) if score == score}
    return {"mean": round(sum(defined.values()) / len(defined), 4), **defined}


@torch.inference_mode()
def read(network: nn.Module, loader: torch.utils.data.DataLoader[Any]) -> list[Tensor]:
    network.eval()
    return [network(batch.images).logits for batch in loader]


def show(found: dict[str, Any]) -> None:
    console = Console()
    for title, unit in (("parsing", "intersection over union"), ("attributes", "area under the ROC curve")):
        if title not in found:
            continue
        table = Table("", *found[title], title=f"{title}: {unit}; drawing {found['version']}")
        names = found[title]["test"]
        for name in names:
            table.add_row(name, *(f"{scores[name]:.3f}" if name in scores else "" for scores in found[title].values()))
        console.print(table)
    console.print(f"{found['seconds']} s, of which {found['seconds drawing']} s drew")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--celebamask", type=Path, help="photographs with masks; parsing is left out without them")
    parser.add_argument("--celeba", type=Path, help="photographs with attributes; these are left out without them")
    parser.add_argument("--drawn", type=Path, default=Path("data/synthfaces"), help="folder for the drawn faces")
    parser.add_argument("--faces", type=int, default=2000, help="drawn faces, of which 70 %% train")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=96, help="of the drawn faces and of the parser")
    parser.add_argument("--attribute-size", type=int, default=64, help="image size of the attributes' network")
    parser.add_argument("--workers", type=int, help="processes that draw")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
