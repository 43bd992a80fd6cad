"""Does decoding by the rules make trained classifiers better? Thresholds against repair against exact inference.

    python -m benchmarks.decoding --trunk IMAGE_ENCODER.safetensors       # reads data/celeba and data/fh37k
    python -m benchmarks.decoding --predictions runs/NAME/runs/*/predictions.csv

Linear classifiers are fitted (logistic regression, the penalty chosen on the validation faces) on what an image encoder
gives for real faces, and on pixels. FH37K's labels are those of its annotation file for the faces that both data sets
have; train and test are CelebA's, identities apart. "balanced" weights every attribute's positives as its negatives, as
those do who want rare attributes found: such a classifier says yes more often, and breaks more rules.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional as F

from benchmarks.logic import STRICT
from benchmarks.tables import reported
from faceinsight import metrics
from faceinsight.data import CelebA, FaceDataModule
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.ridge import pixels
from faceinsight.modules.decoder import decode
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.logic.shield import bounds_along, shield

#: The encoder whose weights ``--trunk`` takes: the ResNet of experiments/constraints_celeba.yaml.
TRUNK = {"name": "resnet18", "image_size": 96, "options": {"channels": [32, 64, 128, 256], "stem_width": 32}}

Decoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Faces:
    """What is known of real faces: inputs by their name, labels, and which faces are in each split."""

    inputs: Mapping[str, Float[Tensor, "face feature"]]
    labels: Int8[Tensor, "face attr"]
    rows: Mapping[str, Tensor]

    def of(self, inputs: str, split: str) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels of a split."""
        return self.inputs[inputs][self.rows[split]], self.labels[self.rows[split]]


def decoders(rules: RuleSet, orders: int = 9) -> Iterator[tuple[str, list[Decoder]]]:
    """Ways from logits to logits; more than one where the way has an ordering to choose."""
    yield "threshold", [lambda logits: logits]
    draw = torch.Generator().manual_seed(0)
    names = rules.schema.names
    shuffled = [[names[i] for i in torch.randperm(len(names), generator=draw)] for _ in range(orders - 1)]
    bounds = [bounds_along(rules, order) for order in [None, *shuffled]]
    yield f"shield, best of {orders} orderings", [lambda logits, each=each: shield(logits, each) for each in bounds]
    yield "exact mode", [lambda logits: decode(logits, rules)]
    yield "exact marginals", [lambda logits: decode(logits, rules, "marginals")]


def compared(logits: Tensor, labels: Tensor, rules: RuleSet) -> list[dict[str, object]]:
    """One row for each decoder; of several orderings the one most accurate on these very faces, in its favour."""
    rows = []
    for name, ways in decoders(rules):
        found = [row_of(way(logits.double()), labels, rules) for way in ways]
        rows.append({"decoded by": name} | max(found, key=lambda row: row["accuracy"]))
    return rows


def row_of(logits: Tensor, labels: Tensor, rules: RuleSet) -> dict[str, float]:
    """Return what the decisions of some logits are worth, in %."""
    probability = logits.sigmoid()
    values = {
        "accuracy": metrics.accuracy(probability, labels).nanmean(),
        "balanced": metrics.balanced_accuracy(probability, labels).nanmean(),
        "mAP": metrics.average_precision(probability, labels).nanmean(),
        "exact match": metrics.exact_match(probability, labels),
        "faces that break a rule": rules.violations(logits > 0).any(1).double().mean(),
    }
    return {name: 100 * value.item() for name, value in values.items()}


def logistic_regression(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], balanced: bool
) -> Callable[[Tensor], Tensor]:
    """Return inputs to logits; of some penalties the one with the least validation loss."""
    middle, spread = train[0].mean(0), train[0].std(0).clamp(min=1e-6)
    count = (train[1] == 1).sum(0).clamp(min=1).double()
    weight = (len(train[1]) - count) / count if balanced else torch.ones_like(count)

    def loss(parameters: Tensor, faces: tuple[Tensor, Tensor]) -> Tensor:
        logits = ((faces[0] - middle) / spread).double() @ parameters[:-1] + parameters[-1]
        return F.binary_cross_entropy_with_logits(logits, (faces[1] == 1).double(), pos_weight=weight)

    fitted = [fit(lambda x: loss(x, train), (len(middle) + 1, train[1].shape[1]), p) for p in (1e-4, 1e-3, 1e-2)]
    best = min(fitted, key=lambda parameters: loss(parameters, val).item())
    return lambda inputs: ((inputs - middle) / spread).double() @ best[:-1] + best[-1]


def fit(loss: Callable[[Tensor], Tensor], shape: tuple[int, int], penalty: float) -> Tensor:
    """Return the parameters of the least loss plus ``penalty`` times their squares; the last row, the intercepts, is
    free.
    """
    parameters = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=60, history_size=20, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        value = loss(parameters) + penalty * parameters[:-1].square().sum()
        value.backward()
        return value

    optimiser.step(step)
    return parameters.detach()


def celeba_faces(root: Path, trunk: Path | None) -> tuple[Faces, tuple[str, ...]]:
    """CelebA's faces as vectors: the trunk's tokens averaged, and 12 x 12 pixels."""
    data = FaceDataModule(image_size=96, batch_size=64, source=CelebA(root=root))
    data.setup("test")
    encoder = None if trunk is None else ImageEncoder(**TRUNK, feature_index=4, weights=trunk).eval()
    found: dict[str, list[Tensor]] = {"pixels": []} | ({"ResNet-18": []} if encoder else {})
    for start in range(0, len(data.table), 64):
        rows = range(start, min(start + 64, len(data.table)))
        images = torch.stack([data.reader.image(data.table, row) for row in rows]).float() / 255
        found["pixels"].append(pixels(images, 12))
        if encoder is not None:
            with torch.no_grad():
                found["ResNet-18"].append(encoder(images).mean(1))
    rows_of = {split: data.table.rows(split) for split in ("train", "val", "test")}
    return Faces({name: torch.cat(each) for name, each in found.items()}, data.table.labels, rows_of), data.table.files


def fh37k_faces(annotation: Path, celeba: Faces, files: Sequence[str], schema: Schema) -> Faces:
    """Those of CelebA's faces that FH37K has annotated, with its labels."""
    annotated = pd.read_csv(annotation, index_col=0)
    chosen = torch.tensor([row for row, file in enumerate(files) if file in annotated.index])
    labels = torch.tensor(annotated.loc[[files[row] for row in chosen], list(schema.names)].to_numpy(copy=True))
    place = {row: number for number, row in enumerate(chosen.tolist())}
    rows = {
        split: torch.tensor([place[row] for row in each.tolist() if row in place], dtype=torch.int64)
        for split, each in celeba.rows.items()
    }
    return Faces({name: each[chosen] for name, each in celeba.inputs.items()}, (2 * labels - 1).to(torch.int8), rows)


def classifiers(faces: Faces, rules: Mapping[str, RuleSet]) -> Iterator[dict[str, object]]:
    """Fit every linear classifier on these faces and decode the test faces by every rule set."""
    for inputs in faces.inputs:
        for balanced in (False, True):
            classify = logistic_regression(faces.of(inputs, "train"), faces.of(inputs, "val"), balanced)
            test, labels = faces.of(inputs, "test")
            for name, each in rules.items():
                said = f"linear on {inputs}{', balanced' if balanced else ''}"
                for row in compared(classify(test), labels, each):
                    yield {"rules": name, "classifier": said, "test faces": len(labels)} | row


def predicted(paths: Sequence[Path], root: Path, rules: Mapping[str, RuleSet]) -> Iterator[dict[str, object]]:
    """Decode what trained models have written of CelebA's faces."""
    table = CelebA(root=root).table()
    row_of_file = {file: row for row, file in enumerate(table.files)}
    for path in paths:
        predictions = read_predictions(path, table.schema)
        labels = table.labels[[row_of_file[file] for file in predictions.files]]
        logits = predictions.probability.double().logit(eps=1e-6)
        for name, each in rules.items():
            for row in compared(logits, labels, each):
                yield {"rules": name, "classifier": path.parent.name, "test faces": len(labels)} | row


def main(words: Sequence[str] | None = None) -> None:
    """Fit, decode, print, and write the rows where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--celeba", type=Path, default=Path("data/celeba"), metavar="FOLDER")
    options.add_argument("--fh37k", type=Path, default=Path("data/fh37k/facial_hair_annotations.csv"), metavar="FILE")
    options.add_argument("--trunk", type=Path, metavar="FILE", help="weights of an image encoder; without, only pixels")
    options.add_argument("--predictions", type=Path, nargs="+", default=[], metavar="FILE", help="decode these instead")
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    if given.predictions:
        rows = list(predicted(given.predictions, given.celeba, {"CelebA": RuleSet.load("celeba")}))
    else:
        celeba = {"CelebA, strict": RuleSet.parse(STRICT.strip(), Schema.load("celeba"))}
        faces, files = celeba_faces(given.celeba, given.trunk)
        rows = list(classifiers(faces, celeba))
        if given.fh37k.exists():
            rules = RuleSet.load("fh37k")
            rows += classifiers(fh37k_faces(given.fh37k, faces, files, rules.schema), {"FH37K": rules})
    reported("Decoded test faces, in %", pd.DataFrame(rows), given.output)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        main()
