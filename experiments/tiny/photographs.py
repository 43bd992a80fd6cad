"""What a network says of photographs, beside the truth: ages, genders and races of FairFace, attributes of CelebA."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from faceinsight.data import CelebA, FaceDataModule, FairFace
from faceinsight.data.joined import labels_by_name
from faceinsight.data.table import FaceSource
from faceinsight.evaluation.groups import group_metrics
from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics import auroc
from faceinsight.modules.constrained import ConstrainedBernoulli

__all__ = ["group_table", "photographs", "with_mean"]

#: The groups of the catalog ``tiny`` that FairFace knows, and what is told of each.
TOLD = {
    "gender": ("accuracy",),
    "race": ("accuracy", "macro_f1"),
    "age_bin": ("accuracy", "macro_f1", "within_one_bin", "years_error"),
}

Labels = Int8[Tensor, "face attr"]
Scores = dict[str, float]


@torch.inference_mode()
def read(network: nn.Module, source: FaceSource, rules: RuleSet, image_size: int) -> tuple[Tensor, Labels]:
    """Logits and labels of a source's test faces, both in the order of the rules' schema.

    Args:
        network: gives ``.logits`` in that order.
    """
    data = FaceDataModule(source=source, image_size=image_size, batch_size=128)
    rows = data.table.rows("test")
    network.eval()
    logits = torch.cat([network(batch.images).logits for batch in data.faces_dataloader(rows)])
    return logits, labels_by_name(data.table, rules.schema)[rows]


def decided(logits: Float[Tensor, "face attr"], rules: RuleSet) -> Labels:
    """The most probable face that keeps the rules, which has one label in every group."""
    return rules.schema.check_labels(ConstrainedBernoulli(logits=logits.double(), rules=rules).mode > 0.5)


def fairface_scores(predicted: Labels, labels: Labels, rules: RuleSet) -> Scores:
    """Gender, race and age as choices, each ``group metric``."""
    found = group_metrics(rules.schema, predicted, labels)
    return {f"{group} {metric}": found[group][metric] for group, metrics in TOLD.items() for metric in metrics}


def majority(training: Labels, faces: int, rules: RuleSet) -> Labels:
    """The most probable face by the training labels' shares alone; of what no label tells, nothing is said."""
    told = (training != 0).sum(0)
    shares = ((training == 1).sum(0) + 0.5) / (told + 1)
    return decided(shares.logit()[None], rules).expand(faces, -1)


def slices(predicted: Labels, labels: Labels, rules: RuleSet) -> dict[str, Scores]:
    """The same for the faces of each gender, race and age; their number with it."""
    told: dict[str, Scores] = {}
    for name, positions in group_labels(rules.schema, labels).items():
        if name not in TOLD:
            continue
        for place, value in enumerate(rules.schema.groups[name].labels):
            faces = positions == place
            if faces.any():
                told[value] = {"faces": int(faces.sum()), **fairface_scores(predicted[faces], labels[faces], rules)}
    return told


def with_mean(names: tuple[str, ...] | list[str], scores: Tensor) -> Scores:
    """Scores by name, those that are undefined left out, and their mean first."""
    defined = {name: score for name, score in zip(names, scores.tolist(), strict=True) if score == score}
    return {"mean": sum(defined.values()) / len(defined), **defined}


def group_table(contenders: Mapping[str, Scores]) -> str:
    """Scores as Markdown, one contender a row."""
    heads = list(next(iter(contenders.values())))
    lines = [f"| | {' | '.join(head.replace('_', ' ') for head in heads)} |", "|:--|" + "--:|" * len(heads)]
    for name, scores in contenders.items():
        lines.append(f"| {name} | {' | '.join(f'{scores[head]:.3f}' if head in scores else '' for head in heads)} |")
    return "\n".join(lines)


def photographs(
    network: nn.Module, rules: RuleSet, image_size: int, places: Mapping[str, Path | None]
) -> dict[str, Any]:
    """Everything that can be measured with the data sets that are there.

    Args:
        places: the folder of each data set by its name, or None.
    """
    found: dict[str, Any] = {}
    if (root := places.get("fairface")) is not None:
        source = FairFace(root=root, schema=rules.schema, missing_images="skip")
        logits, labels = read(network, source, rules, image_size)
        predicted, table = decided(logits, rules), source.table()
        common = majority(table.labels[table.rows("train")], len(labels), rules)
        found["FairFace"] = {
            "this": fairface_scores(predicted, labels, rules),
            "majority": fairface_scores(common, labels, rules),
        }
        found["FairFace, sliced"] = slices(predicted, labels, rules)
    if (root := places.get("celeba")) is not None:
        logits, labels = read(network, CelebA(root=root), rules, image_size)
        found["CelebA"] = with_mean(rules.schema.names, auroc(logits.sigmoid(), labels))
    return found
