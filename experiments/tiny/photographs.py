"""What a network says of photographs, beside the truth: ages, genders, races, and the attributes of CelebA.

FairFace's test faces, UTKFace's and CelebA's; of the last two no label is ever trained on.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int8
from torch import Tensor, nn

from experiments.tiny.tables import Scores, defined, with_mean
from faceinsight.data import CelebA, FairFace, UTKFace
from faceinsight.data.dataset import FaceDataset, FaceReader
from faceinsight.data.sources.joined import labels_by_name
from faceinsight.data.sources.utkface import age_in_years
from faceinsight.data.table import FaceSource, FaceTable
from faceinsight.inference import over_faces, read_batches
from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics import auroc
from faceinsight.metrics.groups import group_metrics
from faceinsight.modules.constrained import ConstrainedBernoulli

__all__ = ["photographs"]

#: The groups of the catalog ``tiny`` that FairFace knows, and what is told of each.
TOLD = {
    "gender": ("accuracy",),
    "race": ("accuracy", "macro_f1"),
    "age_bin": ("accuracy", "macro_f1", "within_one_bin", "years_error"),
}

Labels = Int8[Tensor, "face attr"]
Years = Float64[Tensor, " face"]


def photographs(
    network: nn.Module,
    rules: RuleSet,
    pictures: Mapping[str, Any],
    *,
    fairface: Path,
    utkface: Path | None = None,
    celeba: Path | None = None,
) -> dict[str, Any]:
    """Everything that can be measured with the data sets that are there.

    Args:
        network: gives ``.logits`` in the order of the rules' schema.
        pictures: how it takes them, as :attr:`~faceinsight.models.face_insight.FaceModel.picture_options` says.
        fairface: the folder; it is also where the majority's and chance's labels are from.
        utkface: the folder, if it is there.
        celeba: the same.
    """
    source = FairFace(root=fairface, schema=rules.schema, missing_images="skip")
    table = source.table()
    training = table.labels[table.rows("train")]
    found = of_fairface(*read(network, source, pictures), training, rules)
    if utkface is not None:
        found |= of_utkface(*read(network, UTKFace(root=utkface), pictures), training, rules)
    if celeba is not None:
        found |= of_celeba(*read(network, CelebA(root=celeba), pictures), rules)
    return found


def read(network: nn.Module, source: FaceSource, pictures: Mapping[str, Any]) -> tuple[Tensor, FaceTable]:
    """Return the logits of a source's test faces, and the table of these faces."""
    table = source.table()
    tested = table.select(table.rows("test"))
    faces = FaceDataset(table=tested, reader=FaceReader(**pictures, memory_mb=0))
    network.eval()
    found = over_faces(lambda batch: network(batch.images).logits, read_batches(faces, batch_size=128))
    return torch.cat([logits for _, logits in found]), tested


def of_fairface(logits: Tensor, table: FaceTable, training: Labels, rules: RuleSet) -> dict[str, Any]:
    """Gender, race and age as choices: of the network, of the majority, by chance; and sliced by all three."""
    said = {
        "this": decided(logits, rules),
        "majority": majority(training, len(table), rules),
        "chance": chance(training, len(table)),
    }

    def sliced(faces: Tensor) -> Scores:
        return group_scores(said["this"][faces], table.labels[faces], rules)

    return {
        "FairFace": {name: group_scores(each, table.labels, rules) for name, each in said.items()},
        "FairFace, sliced": slices(rules.schema, table.labels, TOLD, sliced),
    }


def of_utkface(logits: Tensor, table: FaceTable, training: Labels, rules: RuleSet) -> dict[str, Any]:
    """Gender as a choice and age in years, beside the same contenders, and sliced by UTKFace's own groups."""
    labels = labels_by_name(table, rules.schema)
    true = torch.tensor([age_in_years(name) for name in table.files], dtype=torch.float64)
    common, drawn = majority(training, len(table), rules), chance(training, len(table))
    mean = labelled_years(training, rules).nanmean().expand(len(table))
    said = {
        "this": (decided(logits, rules), expected_years(logits, rules)),
        "majority": (common, mean),
        "chance": (drawn, labelled_years(drawn, rules)),
    }

    def scores(name: str, faces: Tensor) -> Scores:
        predicted, years = said[name]
        gender = group_metrics(rules.schema, predicted[faces], labels[faces])["gender"]["accuracy"]
        return {"gender accuracy": gender, "age years_error": float((years - true)[faces].abs().mean())}

    everybody = torch.ones(len(table), dtype=torch.bool)
    return {
        "UTKFace": {name: scores(name, everybody) for name in said},
        "UTKFace, sliced": slices(table.schema, table.labels, table.schema.groups, lambda one: scores("this", one)),
    }


def of_celeba(logits: Tensor, table: FaceTable, rules: RuleSet) -> dict[str, Any]:
    """Area under the ROC curve of every attribute that CelebA knows; sliced, its mean over the same attributes."""
    names, labels = rules.schema.names, labels_by_name(table, rules.schema)
    probability = ConstrainedBernoulli(logits=logits.double(), rules=rules).marginals

    def areas(faces: Tensor) -> Scores:
        return defined(names, auroc(probability[faces], labels[faces], undefined=0))

    parts = slices(table.schema, table.labels, ("gender", "age"), areas)
    vary = [name for name in names if all(name in part for part in parts.values())]
    sliced = {
        part: {"faces": scores["faces"], "mean AUROC": float(torch.tensor([scores[name] for name in vary]).mean())}
        for part, scores in parts.items()
    }
    return {"CelebA": with_mean(names, auroc(probability, labels, undefined=0)), "CelebA, sliced": sliced}


def decided(logits: Float[Tensor, "face attr"], rules: RuleSet) -> Labels:
    """Return what is most probable of each attribute by itself, and in every group with one label the most probable
    label.

    By exact marginals under the rules. The most probable whole face would be unjust to single groups: the age "10-19"
    agrees with two of the drawn faces' ages, and its probability would be split between them.
    """
    schema, probability = rules.schema, ConstrainedBernoulli(logits=logits.double(), rules=rules).marginals
    said = torch.where(probability > 0.5, 1, -1).to(torch.int8)
    for group in schema.groups.values():
        if group.kind != "at_most_one" and all(label in schema for label in group.labels):
            columns = torch.tensor([schema.index(label) for label in group.labels])
            best = columns[probability[:, columns].argmax(1)]
            said[:, columns] = -1
            said[torch.arange(len(said)), best] = 1
    return said


def expected_years(logits: Float[Tensor, "face attr"], rules: RuleSet) -> Years:
    """Each face's age: the mean of the bins' middles under the exact distribution over the bins."""
    bins = [rules.schema.index(label) for label in rules.schema.groups["age_bin"].labels]
    return ConstrainedBernoulli(logits=logits.double(), rules=rules).marginals[:, bins] @ middles(rules.schema)


def labelled_years(labels: Labels, rules: RuleSet) -> Years:
    """Return the middle of each face's age bin; NaN where its labels name none."""
    positions = group_labels(rules.schema, labels, undefined=0)["age_bin"]
    return torch.where(positions >= 0, middles(rules.schema)[positions], torch.nan)


def middles(schema: Schema) -> Float64[Tensor, " bin"]:
    """Return the middle of each age bin, in years."""
    return torch.tensor(schema.groups["age_bin"].years, dtype=torch.float64).mean(1)


def group_scores(predicted: Labels, labels: Labels, rules: RuleSet) -> Scores:
    """Gender, race and age as choices, each ``group metric``."""
    found = group_metrics(rules.schema, predicted, labels, undefined=0)
    return {f"{group} {metric}": found[group][metric] for group, metrics in TOLD.items() for metric in metrics}


def majority(training: Labels, faces: int, rules: RuleSet) -> Labels:
    """Return the most probable face by the training labels' shares alone; of what no label tells, nothing is said."""
    told = (training != 0).sum(0)
    shares = ((training == 1).sum(0) + 0.5) / (told + 1)
    return decided(shares.logit()[None], rules).expand(faces, -1)


def chance(training: Labels, faces: int) -> Labels:
    """For each face the labels of a training face drawn at random: every group by its shares in training."""
    return training[torch.randint(len(training), (faces,), generator=torch.Generator().manual_seed(0))]


def slices(
    schema: Schema, labels: Labels, groups: Iterable[str], score: Callable[[Bool[Tensor, " face"]], Scores]
) -> dict[str, Scores]:
    """Return the scores of the faces of each label of some groups that occurs; their number with it."""
    positions = group_labels(schema, labels, undefined=0)
    told: dict[str, Scores] = {}
    for name in groups:
        for place, value in enumerate(schema.groups[name].labels):
            if (faces := positions[name] == place).any():
                told[value] = {"faces": int(faces.sum()), **score(faces)}
    return told
