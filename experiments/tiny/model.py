"""The model that ships with the package: the three trained parts, frozen, and what FaceInsight trains between them.

    python -m experiments.tiny.model --parts runs/tiny --output runs/tiny/model --fairface data/fairface

The parts are those that ``experiments.tiny.image_encoder``, ``face_parser`` and ``language_model`` wrote. Projector,
region tokens, prompts and head learn every attribute of the catalog ``tiny`` as conditioned on its rules, on drawn
faces and FairFace's. The frozen encoders look at each face once; what they saw is kept in ``--features``.

Written into the folder, whole or not at all: what ``save_pretrained`` writes, without the frozen parts, which are held
against their hash when it is loaded; the model card ``README.md`` and ``metrics.json``. A run that was killed goes
on after its last whole epoch and ends as if it had not been.

CelebA (``--celeba data/celeba``) and UTKFace (``--utkface data/utkface``) are for measuring only: nothing is trained
on them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from jsonargparse import auto_cli
from rich.console import Console
from rich.markdown import Markdown

from experiments.tiny.image_encoder import faces_of, learning
from experiments.tiny.photographs import photographs
from experiments.tiny.tables import tables_of
from experiments.tiny.training import (
    circumstances,
    described,
    filled,
    fitted,
    hash_of,
    hash_of_faces,
    publish,
    work_folder,
)
from faceinsight import FaceInsight, RuleSet, tiny
from faceinsight.data import FaceDataModule, training_graph
from faceinsight.modules import (
    AttributeQuery,
    CooccurrenceGain,
    CorrelationConstraint,
    Evidence,
    Projector,
    RegionTokens,
    SegmentationEncoder,
    SharedHead,
    TextEncoder,
)
from faceinsight.modules.frozen import fingerprint
from faceinsight.modules.vision.face_regions import PLACE_FEATURES
from faceinsight.training.callbacks import CacheFeatures, FrozenCheck
from faceinsight.training.configure import silence_tips

#: The drawn faces' ages follow from FairFace's: both answers. The other way round only a "no" would ever follow.
IMPLIED = ("Child", "Young_Adult", "Middle_Aged", "Senior", "Young")

CARD = """---
license: cc-by-4.0
library_name: faceinsight
tags: [faces, tiny]
---
# A small FaceInsight

Three frozen parts and {trained:,} trained parameters between them, for the {attributes} attributes of the catalog
`tiny`: what drawn faces show, and FairFace's ages and races, all from one exact distribution that keeps the catalog's
rules. Its logits are evidence, fitted in closed form on what the encoders saw, and the language model's reading
behind a gate; the gate ended at {gate:.3f}.

{parts}

Trained on drawn faces (this library's SynthFaces) and on FairFace's photographs, by the likelihood of each face's
labels under the rules (`LogicalConstraint(kind="conditional")`); read its logits under them too. The label graph counts
the training labels; a pair that no face has both labels of has no edge.

    {command}

{date}, {minutes:.0f} minutes of training on {device}, seed {seed}. {faces}. Data hash `{data_hash}`. Settings:
`{settings}`.

The frozen parts are not in this folder. Those that ship with the package are found there by their SHA-256; others are
given again by name, and another one than above is refused:

    FaceInsight.from_pretrained("tiny")  # the model that ships with the package
    FaceInsight.from_pretrained(directory, **faceinsight.tiny.parts(folder_of_parts))

## Measured on photographs, as it is loaded from this folder

{tables}

## Rights and limits

FairFace: Karkkainen and Joo, "FairFace", WACV 2021, https://github.com/joojs/fairface, CC BY 4.0. The drawn faces are
this library's. CelebA and UTKFace were looked at to measure only. Age, gender, race and looks are annotators'
impressions of photographs, not facts about people; the numbers differ between groups, as the tables say. The language
model was not trained to talk about these images: what it writes about a face means nothing. Do not use the model to
judge anybody.
"""


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on, apart from faces and frozen parts.

    Args:
        seed: of weights, order and drawn faces.
        drawn: drawn faces, of which 70 % train.
        image_size: side of the pictures in pixels, as the parts were trained.
        gate_lr: of the gate on the language model's reading.
        depth: convolutions of the correlation constraint.
        threshold: tau of the label graph.
        reweight: omega of the label graph.
    """

    seed: int = 0
    drawn: int = 5_000
    image_size: int = 150
    epochs: int = 2
    batch_size: int = 32
    lr: float = 1e-3
    gate_lr: float = 1e-2
    depth: int = 2
    threshold: float = 0.4
    reweight: float = 0.2


def composed(parts: Mapping[str, Any], data: FaceDataModule, rules: RuleSet, settings: Settings) -> FaceInsight:
    """Return the parts with everything between them, untrained.

    Args:
        data: whose training labels the graph counts.
    """
    encoder, language_model = parts["image_encoder"], parts["language_model"]
    seen, width = encoder.embed_dim, language_model.embed_dim
    graph = training_graph(data=data, threshold=settings.threshold, reweight=settings.reweight)
    segmentation = SegmentationEncoder(
        parser=parts["segmentation.parser"], route=RegionTokens(image_dim=seen, embed_dim=width)
    )
    features = sum(numbers * side**2 for numbers, side in encoder.levels)
    places = segmentation.num_tokens * len(PLACE_FEATURES)
    return FaceInsight(
        schema=rules.schema,
        rules=rules,
        image_encoder=encoder,
        projector=Projector(in_dim=seen, out_dim=width),
        segmentation=segmentation,
        text_encoder=TextEncoder(),
        correlation=CorrelationConstraint(graph=graph, embed_dim=width, depth=settings.depth),
        query=AttributeQuery(prompt_dim=width, embed_dim=width),
        language_model=language_model,
        head=SharedHead(embed_dim=width),
        evidence=Evidence.for_schema(
            schema=rules.schema,
            num_features=[features, places],
            gain=CooccurrenceGain(graph=graph),
            choices=True,
        ),
    )


def trained(
    settings: Settings, data: FaceDataModule, parts: Mapping[str, Any], work: Path, features: Path, *, progress: bool
) -> tuple[FaceInsight, float]:
    """Return the model, and the seconds that its training took."""
    rules = RuleSet.load("tiny")
    lightning.seed_everything(settings.seed, verbose=False)
    network = composed(parts, data, rules, settings)
    system = learning(network, rules, settings.lr, {"gate": settings.gate_lr}, IMPLIED)
    callbacks = [CacheFeatures(folder=str(features)), FrozenCheck()]
    seconds = fitted(system, data, work, epochs=settings.epochs, callbacks=callbacks, progress=progress)
    return network, seconds


def main(
    parts: Path,
    output: Path,
    fairface: Path,
    celeba: Path | None = None,
    utkface: Path | None = None,
    drawn: Path = Path("data/synthfaces"),
    features: Path = Path("data/features"),
    settings: Settings = Settings(),
    progress: bool = True,
) -> None:
    """Train, measure, and put everything into ``output``.

    Args:
        parts: the folder of the three trained parts' folders.
        output: the folder.
        fairface: FairFace's folder.
        celeba: CelebA's folder, to measure on.
        utkface: UTKFace's folder, to measure on.
        drawn: the folder for drawn faces.
        features: the folder for what the frozen encoders saw.
        settings: see Settings.
        progress: show progress bars.
    """
    output, frozen = Path(output), tiny.parts(parts)
    hashes = {name: fingerprint(part) for name, part in frozen.items()}
    interpolation = frozen["image_encoder"].preprocessing["interpolation"]
    data = faces_of(settings, fairface, drawn, interpolation)
    data.prepare_data()
    key = hash_of_faces(data)
    work = work_folder(output, hash_of(key.encode(), *map(str.encode, hashes.values())), settings)
    network, seconds = trained(settings, data, frozen, work, features, progress=progress)
    network.save_pretrained(work / "model")
    # measured as whoever loads it has it: from the folder, with the parts from their own files
    model = FaceInsight.from_pretrained(work / "model", **tiny.parts(parts))
    pictures = model.picture_options
    found = photographs(model, model.rules, pictures, fairface=fairface, utkface=utkface, celeba=celeba)
    told: dict[str, Any] = {
        **circumstances("experiments.tiny.model", settings, key, seconds),
        "faces": data.table.describe(),
        "attributes": len(model.schema),
        "gate": float(network.gate.scale.detach()),
        "trained": sum(each.numel() for each in network.parameters() if each.requires_grad),
        "parts": {name: {"parameters": parameters(part), "sha256": hashes[name]} for name, part in frozen.items()},
    }
    publish(output, model.save_pretrained, described(card, told, found))
    shutil.rmtree(work, ignore_errors=True)
    Console().print(Markdown(tables_of(found)))


def card(told: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Return the model card."""
    return filled(CARD, told, parts=parts_table(told["parts"]), tables=tables_of(scores))


def parameters(part: Any) -> int:
    """How many numbers a part has."""
    return sum(each.numel() for each in part.parameters())


def parts_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the frozen parts as Markdown."""
    lines = [f"| `{name}` | {each['parameters']:,} | `{each['sha256']}` |" for name, each in parts.items()]
    return "\n".join(["| frozen part | parameters | SHA-256 |", "|:--|--:|:--|", *lines])


if __name__ == "__main__":
    silence_tips()
    auto_cli(main, as_positional=False)
