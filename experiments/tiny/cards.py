"""What is found of a trained part only later, written into its card and its numbers.

    python -m experiments.tiny.cards repeat --part faceinsight/tiny/face_parser --runs '[runs/again/face_parser]'
    python -m experiments.tiny.cards beside --model faceinsight/tiny/model --random runs/tiny/random/model
    python -m experiments.tiny.cards beside --model faceinsight/tiny/model --few_labels runs/few_labels
    python -m experiments.tiny.cards beside --model faceinsight/tiny/model --crops runs/crops/table.csv

``repeat`` holds other runs of a part's script against it and fails if one is further off than the script's ``SPREAD``.
``beside`` puts controls and accuracy by crop size beside the model. Weights are never touched; what was found before is
replaced.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli
from rich.console import Console
from rich.markdown import Markdown

from experiments.tiny import face_parser
from experiments.tiny.model import card as card_of_model
from experiments.tiny.tables import CELEBA_RANDOM, CROPS, FEW_LABELS, RANDOM, Scores, repeated
from experiments.tiny.training import Card, described
from experiments.tiny.words import card as language_model
from faceinsight.files import write_text

#: What runs of a script are held against each other by, by the name of the part's folder.
SCRIPTS = {"face_parser": face_parser, "language_model": language_model}


def repeat(part: Path, runs: Sequence[Path]) -> None:
    """Put other runs of a part's script into its card.

    Args:
        part: the part's folder.
        runs: the folders that the others wrote, from a clean clone.

    Raises:
        SystemExit: one of them differs by more than the spread.
    """
    script = SCRIPTS[part.name]
    told, scores = read(part)
    numbers, own, found = script.important(scores), weights(part), []
    for run in runs:
        other, its_scores = read(run)
        circumstances = {name: other[name] for name in ("command", "date", "device", "minutes", "seed", "data_hash")}
        same = weights(run) == own
        found.append({**circumstances, "numbers": script.important(its_scores), "same_weights": same})
    told["repeated"] = found
    write(part, script.card, told, scores)
    Console().print(Markdown(repeated(told, numbers, script.SPREAD)))
    if outside := [
        f"seed {run['seed']}: {name} {run['numbers'][name]:.3f} rather than {numbers[name]:.3f} +- {allowed}"
        for run in found
        for name, allowed in script.SPREAD.items()
        if abs(run["numbers"][name] - numbers[name]) > allowed
    ]:
        raise SystemExit("outside the spread: " + "; ".join(outside))


def beside(model: Path, random: Path | None = None, few_labels: Path | None = None, crops: Path | None = None) -> None:
    """Put the model's controls, and its accuracy by crop size, into its card.

    Args:
        model: the model's folder.
        random: what the same script wrote between random parts.
        few_labels: what ``faceinsight ablate experiments/few_labels.yaml`` wrote.
        crops: the table that ``experiments.crops`` wrote.
    """
    told, scores = read(model)
    if random is not None:
        _, control = read(random)
        for name in ("FairFace", "UTKFace"):
            found = {**scores[name], RANDOM: control[name]["this"]}
            scores[name] = {contender: found[contender] for contender in ("this", RANDOM, *found)}
        scores[CELEBA_RANDOM] = control["CelebA"]
    if few_labels is not None:
        scores[FEW_LABELS] = fitted_on_few(few_labels / "table.csv")
    if crops is not None:
        with crops.open(encoding="utf-8", newline="") as file:
            scores[CROPS] = {row.pop("width"): {name: float(each) for name, each in row.items()}
                             for row in csv.DictReader(file)}  # fmt: skip
    write(model, card_of_model, told, scores)


def fitted_on_few(table: Path) -> dict[str, Scores]:
    """Return the areas in the ablation's table: each kind of model with more and more labelled faces."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [(*row["variant"].rsplit(", ", 1), row) for row in csv.DictReader(file)]
    found: dict[str, Scores] = {}
    for kind, faces, row in sorted(rows, key=lambda each: int(each[1].replace(",", ""))):
        found.setdefault(kind, {"seeds": int(row["seeds"])})[f"{faces} faces"] = float(row["auroc"])
    return found


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is told of a training, and the scores."""
    told = json.loads((folder / "metrics.json").read_text("utf-8"))
    return told, told.pop("scores")


def weights(folder: Path) -> bytes:
    """Return a part's weights as they are kept."""
    (file,) = folder.glob("*.safetensors")
    return file.read_bytes()


def write(folder: Path, card: Card, told: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """Renew a folder's card and numbers."""
    for name, text in described(card, told, scores).items():
        write_text(folder / name, text)


if __name__ == "__main__":
    auto_cli([repeat, beside], as_positional=False)
