r"""The image encoder that ships with the package: dlib's face network tuned on FairFace, and a ViT over its tokens.

    python -m experiments.tiny.face_resnet --output runs/tiny/face_resnet --photographs data/fairface/val
    python -m experiments.tiny.image_encoder --trunk runs/tiny/face_resnet/face_resnet.safetensors \
        --output runs/tiny/image_encoder --fairface data/fairface

First the trunk's later stages learn gender, race and age of FairFace's photographs, conditioned on the catalog's rules.
Then the ViT learns every attribute of the catalog ``tiny`` over the trunk's frozen tokens, on FairFace's faces and on
drawn ones. So a photograph's age in FairFace's bins also teaches what follows from it of the drawn faces' ages. Written
into the folder, whole or not at all: ``image_encoder.safetensors`` (float16, the trunk is its ``stem``), the model card
``README.md`` and ``metrics.json``. A run that was killed goes on after its last whole epoch and ends as if it had not
been.

CelebA (``--celeba data/celeba``) and UTKFace (``--utkface data/utkface``) are for measuring only: nothing is trained
on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Float
from jsonargparse import auto_cli
from torch import Tensor, nn

from experiments.tiny.photographs import photographs
from experiments.tiny.tables import tables_of
from experiments.tiny.training import (
    circumstances,
    described,
    filled,
    fitted,
    hash_of,
    hash_of_faces,
    publish_part,
    work_folder,
)
from faceinsight import RuleSet
from faceinsight.data import Augmentation, FaceDataModule, FairFace, JoinedFaces, SynthFaces
from faceinsight.models.controls import TokenClassifier
from faceinsight.modules import FaceResNet, Frozen, HybridEncoder, LogicalConstraint
from faceinsight.modules.weights import save_weights
from faceinsight.training.callbacks import CacheFeatures
from faceinsight.training.configure import silence_tips
from faceinsight.training.systems import AttributeSystem

AUGMENT = Augmentation(flip=0.5, shift=0.04, brightness=0.1, contrast=0.2, rotation=6.0, scale=0.08)
INTERPOLATION = "bicubic"

#: Room for decoded pictures in MiB: all of them, at 150 px.
MEMORY = 2048

FILE, TRUNK_FILE = "image_encoder.safetensors", "face_resnet.safetensors"

#: Share of the ViT's numbers that are dropped in training: its tokens are cached, so no picture is changed.
DROP = 0.1

CARD = """---
license: cc-by-4.0
library_name: faceinsight
tags: [faces, image-encoder, tiny]
---
# An image encoder of faces

dlib's residual network of 29 convolutions without its last layer, tuned, and a ViT ({depth} blocks of timm's
`vit_tiny`) over its tokens: {parameters:,} parameters, images of {image_size} x {image_size} pixels, {tokens} tokens
of {width} numbers, of which the first {stem_width} are the network's maps at four strides and the others the ViT's.

The network began with Davis King's weights (CC0 1.0). Its later stages were tuned on FairFace's photographs ({real:,}
training faces, {trunk_epochs} epochs); then the ViT was trained over its frozen tokens on FairFace's and drawn faces
(this library's SynthFaces), both by the likelihood of each face's labels under the rules of the catalogs
(`LogicalConstraint(kind="conditional")`). Gender, race and age were learnt from photographs, all other attributes of
the catalog `tiny` from drawn faces alone.

    {command}

{date}, {minutes:.0f} minutes of training on {device}, seed {seed}. {faces}. Data hash `{data_hash}`. Settings:
`{settings}`.

## What images must look like

FairFace's pictures (padding 0.25): a face cut out and aligned by dlib's five landmarks with a quarter of its size as
margin, the eyes at 0.31 of the height, their centres 0.35 of the width apart.

## Measured on photographs, with the linear layer that it was trained with

{tables}

## Rights and limits

dlib's weights: CC0 1.0, see the card of `face_resnet`; trained by their author to tell people apart, on pictures from
the internet. The layer that does so is left out here, and no identities were used. FairFace: Karkkainen and Joo,
"FairFace", WACV 2021, https://github.com/joojs/fairface, CC BY 4.0. The drawn faces are this
library's. CelebA and UTKFace were looked at to measure only. Age, gender, race and looks are annotators' impressions of
photographs, not facts about people; the numbers differ between groups, as the tables say. Do not use the encoder to
judge or to recognise anybody.
"""


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on.

    Args:
        seed: of weights, order and drawn faces.
        drawn: drawn faces, of which 70 % train.
        image_size: side of the pictures in pixels.
        trunk_epochs: of the trunk, over FairFace.
        trunk_lr: of the trunk's later stages; its linear layer learns at ``lr``.
        epochs: of the ViT, over FairFace and the drawn faces.
        depth: blocks of the ViT.
    """

    seed: int = 0
    drawn: int = 5_000
    image_size: int = 150
    trunk_epochs: int = 3
    trunk_lr: float = 4e-4
    epochs: int = 4
    depth: int = 2
    batch_size: int = 64
    lr: float = 1.5e-3


def photographs_of(settings: Settings, fairface: Path, rules: RuleSet) -> FaceDataModule:
    """FairFace's photographs, by which the trunk is tuned, with the labels that it has itself."""
    return FaceDataModule(
        source=FairFace(root=fairface, schema=rules.schema, missing_images="skip"),
        image_size=settings.image_size,
        interpolation=INTERPOLATION,
        batch_size=settings.batch_size,
        augment=AUGMENT,
        memory_mb=MEMORY,
    )


def faces_of(settings: Any, fairface: Path, drawn: Path, interpolation: str = INTERPOLATION) -> FaceDataModule:
    """Return the faces by which the ViT is trained: FairFace's and drawn ones.

    Args:
        settings: a script's, with ``seed``, ``drawn``, ``image_size`` and ``batch_size``.
        fairface: FairFace's folder.
        drawn: the folder for drawn faces.
        interpolation: the filter by which pictures are resized, as the encoder wants it.
    """
    own = SynthFaces(root=drawn, count=settings.drawn, image_size=settings.image_size, seed=settings.seed)
    real = FairFace(root=fairface, missing_images="skip")
    return FaceDataModule(
        source=JoinedFaces(sources=[real, own], schema=RuleSet.load("tiny").schema),
        image_size=settings.image_size,
        interpolation=interpolation,
        batch_size=settings.batch_size,
        augment=AUGMENT,
        memory_mb=MEMORY,
    )


def classifier(encoder: nn.Module, width: int, rules: RuleSet) -> TokenClassifier:
    """Return the encoder under the linear layer that it is trained with."""
    return TokenClassifier(schema=rules.schema, image_encoder=encoder, embed_dim=width)


def learning(
    network: nn.Module,
    rules: RuleSet,
    lr: float,
    part_lr: dict[str, float] | None = None,
    implied: Sequence[str] = (),
) -> AttributeSystem:
    """Return the network's training: conditioned on its rules, in which undefined labels are summed out.

    Args:
        implied: attributes of which undefined labels are filled in by the rules before evidence is fitted.
    """
    logical = LogicalConstraint(rules=rules, kind="conditional")
    return AttributeSystem(
        network=network,
        rules=rules,
        logical=logical,
        logical_weight=1 / len(rules.schema),
        bce_weight=0.0,
        lr=lr,
        part_lr=part_lr,
        implied_labels=list(implied),
    )


def tuned(
    settings: Settings, trunk: Path, fairface: Path, work: Path, *, progress: bool
) -> tuple[TokenClassifier, float]:
    """Return the trunk tuned on FairFace, under its linear layer, and the seconds that it took.

    The stages that look at the smallest parts stay as they were: our choice, which halves the time.
    """
    rules = RuleSet.load("fairface")
    lightning.seed_everything(settings.seed, verbose=False)
    encoder = FaceResNet(image_size=settings.image_size, weights=trunk)
    for early in (encoder.first, encoder.stages[0], encoder.stages[1]):
        early.requires_grad_(False)
    network = classifier(encoder, encoder.embed_dim, rules)
    data = photographs_of(settings, fairface, rules)
    system = learning(network, rules, settings.lr, {"encoder": settings.trunk_lr})
    return network, fitted(system, data, work / "trunk", epochs=settings.trunk_epochs, progress=progress)


class OverTokens(nn.Module):
    """A HybridEncoder as a projector, over its stem's tokens.

    Args:
        encoder: the encoder.
    """

    def __init__(self, encoder: HybridEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Float[Tensor, "batch patch width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode."""
        return self.encoder.over(tokens)


def over_trunk(settings: Settings, trunk: FaceResNet) -> HybridEncoder:
    """Return the untrained ViT over the frozen trunk, whose numbers stay beside its own."""
    options = {"depth": settings.depth, "proj_drop_rate": DROP, "pos_drop_rate": DROP}
    return HybridEncoder(stem=Frozen(trunk), options=options, beside="stem")


def trained(
    settings: Settings, trunk: FaceResNet, data: FaceDataModule, work: Path, *, progress: bool
) -> tuple[TokenClassifier, float]:
    """Return the ViT under its linear layer, and the seconds that it took; the trunk looks at every face once."""
    rules = RuleSet.load("tiny")
    lightning.seed_everything(settings.seed, verbose=False)
    encoder = over_trunk(settings, trunk)
    network = TokenClassifier(
        schema=rules.schema, image_encoder=encoder.stem, embed_dim=encoder.embed_dim, projector=OverTokens(encoder)
    )
    cache = CacheFeatures(folder=str(work / "tokens"))
    system = learning(network, rules, settings.lr)
    seconds = fitted(system, data, work / "vit", epochs=settings.epochs, callbacks=[cache], progress=progress)
    whole = classifier(encoder, encoder.embed_dim, rules)
    whole.head = network.head
    return whole, seconds


def main(
    output: Path,
    trunk: Path,
    fairface: Path,
    celeba: Path | None = None,
    utkface: Path | None = None,
    drawn: Path = Path("data/synthfaces"),
    settings: Settings = Settings(),
    progress: bool = True,
) -> None:
    """Train, measure, and put everything into ``output``.

    Args:
        output: the folder.
        trunk: the file that ``experiments.tiny.face_resnet`` wrote.
        fairface: FairFace's folder.
        celeba: CelebA's folder, to measure on.
        utkface: UTKFace's folder, to measure on.
        drawn: the folder for drawn faces.
        settings: see Settings.
        progress: show progress bars.
    """
    output, rules = Path(output), RuleSet.load("tiny")
    data = faces_of(settings, fairface, drawn)
    data.prepare_data()
    key = hash_of(hash_of_faces(data).encode(), Path(trunk).read_bytes())
    work = work_folder(output, key, settings)
    first, first_seconds = tuned(settings, trunk, fairface, work, progress=progress)
    stem = first.image_encoder
    save_weights(work / TRUNK_FILE, stem, torch.float16)  # rounds them: the ViT learns over them as they are kept
    network, seconds = trained(settings, stem, data, work, progress=progress)
    encoder = network.image_encoder
    save_weights(work / FILE, encoder, torch.float16)  # rounds them: they are measured as they are kept
    found = photographs(network, rules, network.picture_options, fairface=fairface, utkface=utkface, celeba=celeba)
    told: dict[str, Any] = {
        **circumstances("experiments.tiny.image_encoder", settings, key, first_seconds + seconds),
        "faces": data.table.describe(),
        "real": len(photographs_of(settings, fairface, RuleSet.load("fairface")).train_rows()),
        "parameters": sum(each.numel() for each in encoder.parameters()),
        "image_size": settings.image_size,
        "depth": settings.depth,
        "trunk_epochs": settings.trunk_epochs,
        "tokens": encoder.num_tokens,
        "width": encoder.embed_dim,
        "stem_width": stem.embed_dim,
    }
    publish_part(output, work / FILE, described(card, told, found), tables_of(found))


def card(told: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Return the model card."""
    return filled(CARD, told, tables=tables_of(scores))


if __name__ == "__main__":
    silence_tips()
    auto_cli(main, as_positional=False)
