"""What is measured on photographs, each number by hand."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from experiments.tiny.photographs import chance, decided, expected_years, labelled_years, majority, photographs
from experiments.tiny.tables import group_table, tables_of
from faceinsight.data import UTKFace
from faceinsight.data.sources.utkface import age_in_years
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.constrained import ConstrainedBernoulli

RULES = RuleSet.load("tiny")
AGES = RULES.schema.groups["age_bin"]
PICTURES = {"image_size": 64}


class Reader(nn.Module):
    """Logits that say what the picture's brightness says: dark is young, bright is old, and smiles."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema

    def forward(self, images: Tensor) -> FaceInsightOutput:
        logits = torch.full((len(images), len(self.schema)), -3.0)
        brightness = images.mean((1, 2, 3))
        old = brightness > 0.1
        logits[:, self.schema.index("60-69")] = torch.where(old, 2.0, -2.0)
        logits[:, self.schema.index("20-29")] = torch.where(old, -2.0, 2.0)
        logits[:, self.schema.index("White")] = -1.0
        logits[:, self.schema.index("Smiling")] = brightness
        return FaceInsightOutput(logits=logits, features={})


@pytest.fixture(scope="module")
def found(fairface: Path, utkface: Path, celeba: Path) -> dict[str, dict[str, dict[str, float]]]:
    return photographs(Reader(RULES.schema), RULES, PICTURES, fairface=fairface, utkface=utkface, celeba=celeba)


def test_fairface_is_scored_as_choices_beside_the_majority(found: dict[str, dict[str, dict[str, float]]]) -> None:
    this, common = found["FairFace"]["this"], found["FairFace"]["majority"]
    # of brightness 0, 20, 40, 60 of 255: old, young, young, young; the reader says young, young, old, old
    assert this["age_bin accuracy"] == pytest.approx(1 / 4)
    assert this["age_bin years_error"] == pytest.approx(40 * 3 / 4)
    assert this["race accuracy"] == common["race accuracy"] == 1
    assert common["age_bin accuracy"] == common["gender accuracy"] == pytest.approx(3 / 4)
    assert found["FairFace, sliced"]["60-69"]["faces"] == 1
    assert found["FairFace, sliced"]["60-69"]["age_bin accuracy"] == 0


def test_an_age_that_agrees_with_two_others_is_not_split_between_them() -> None:
    """As a child or as a young adult, "10-19" has twice the weight of "20-29", whose logit is a little larger."""
    logits = torch.full((1, len(RULES.schema)), 0.0)
    logits[0, RULES.schema.index("20-29")] = 0.3
    said, whole = decided(logits, RULES), ConstrainedBernoulli(logits=logits.double(), rules=RULES).mode
    for chosen, age in ((said, "10-19"), (whole, "20-29")):
        assert [label for label in AGES.labels if chosen[0, RULES.schema.index(label)] == 1] == [age]


def years_by_hand(old: bool) -> float:
    """The mean age under the reader's logits: what each bin weighs with the drawn ages and Young that go with it."""
    own = {"20-29": -2.0 if old else 2.0, "60-69": 2.0 if old else -2.0}
    weights = {}
    for label, (first, _) in zip(AGES.labels, AGES.years or (), strict=True):
        adult, young = math.exp(-3), math.exp(-3)  # one of the four drawn ages; Young, up to 39
        kinds = 2 if label == "10-19" else 1  # a child or a young adult
        weights[label] = kinds * math.exp(own.get(label, -3.0)) * adult * (young if first < 40 else 1)
    middles = (1, 6, 14.5, 24.5, 34.5, 44.5, 54.5, 64.5, 79.5)
    return sum(map(math.prod, zip(weights.values(), middles, strict=True))) / sum(weights.values())


def test_ages_are_means_under_the_exact_distribution(
    found: dict[str, dict[str, dict[str, float]]], utkface: Path
) -> None:
    table = UTKFace(root=utkface).table()
    files = [table.files[row] for row in table.rows("test")]
    true = [age_in_years(name) for name in files]
    errors = [abs(years_by_hand(old=3 * (age - 2) / 255 > 0.1) - age) for age in true]
    assert len({age > 40 for age in true}) == 2
    assert found["UTKFace"]["this"]["age years_error"] == pytest.approx(sum(errors) / len(errors), abs=0.01)
    women = sum(name.split("_")[1] == "1" for name in files)
    assert found["UTKFace"]["this"]["gender accuracy"] == pytest.approx(women / len(files))
    parts, groups = found["UTKFace, sliced"], table.schema.groups
    assert parts["Female"]["faces"] == women
    for group in ("gender", "race", "age"):
        assert sum(parts[label]["faces"] for label in groups[group].labels if label in parts) == len(files)


def test_an_age_is_the_mean_of_the_bins_middles() -> None:
    logits = torch.full((1, len(RULES.schema)), -40.0)
    said = {"20-29": math.log(3), "30-39": 0.0, "Young_Adult": 40.0, "Young": 40.0}
    for name, logit in said.items():
        logits[:, RULES.schema.index(name)] = logit
    assert expected_years(logits, RULES).tolist() == pytest.approx([(3 * 24.5 + 34.5) / 4])


def training_labels(ages: list[str]) -> Tensor:
    labels = torch.zeros(len(ages), len(RULES.schema), dtype=torch.int8)
    for face, age in enumerate(ages):
        if age:
            labels[face, [RULES.schema.index(label) for label in AGES.labels]] = -1
            labels[face, RULES.schema.index(age)] = 1
    return labels


def test_the_majority_keeps_the_rules_and_picks_the_commonest_of_a_group() -> None:
    # four of ten are of the commonest age, the others of five
    training = training_labels(["20-29", "20-29", "30-39", "40-49", "20-29", "3-9", "3-9", "0-2", "20-29", "30-39"])
    said = majority(training, 2, RULES)
    assert (said[:, RULES.schema.index("20-29")] == 1).all()
    assert not RULES.violations(said == 1).any()


def test_chance_draws_training_faces_and_the_constant_is_their_mean_age(
    found: dict[str, dict[str, dict[str, float]]], utkface: Path
) -> None:
    training = training_labels(["20-29", "20-29", "20-29", "0-2"])
    drawn = chance(training, 10_000)
    assert torch.equal(drawn, chance(training, 10_000))
    assert float((drawn[:, RULES.schema.index("0-2")] == 1).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert labelled_years(training_labels(["0-2", "", "10-19"]), RULES).nanmean() == pytest.approx((1 + 14.5) / 2)
    contenders = found["UTKFace"]
    assert list(contenders) == list(found["FairFace"]) == ["this", "majority", "chance"]
    assert 0 < contenders["chance"]["age years_error"] != contenders["majority"]["age years_error"]


def test_celeba_is_ranked_and_its_slices_are_told_over_the_same_attributes(
    found: dict[str, dict[str, dict[str, float]]],
) -> None:
    # Male and Young do not vary in their own slices: Smiling is left
    assert found["CelebA, sliced"]["Male"] == {"faces": 4, "mean AUROC": 1}
    assert found["CelebA, sliced"]["Female"] == {"faces": 4, "mean AUROC": 0}
    grey = [(200 if bool(face & 1) == bool(face & 2) else 50) + face for face in range(8)]
    for label, faces in {"Young": range(4, 8), "Older": range(4)}.items():
        pairs = [(grey[one], grey[other]) for one in faces for other in faces if one & 2 and not other & 2]
        share = sum(one > other for one, other in pairs) / len(pairs)
        assert found["CelebA, sliced"][label]["mean AUROC"] == pytest.approx(share)
    assert {*found["CelebA"]} == {"mean", "Male", "Smiling", "Young"}


def test_a_data_set_that_is_not_there_is_left_out(fairface: Path) -> None:
    found = photographs(Reader(RULES.schema), RULES, PICTURES, fairface=fairface)
    assert list(found) == ["FairFace", "FairFace, sliced"]
    assert "### UTKFace" not in tables_of(found)


def test_a_table_leaves_open_what_was_not_measured() -> None:
    table = group_table({"this": {"a_b": 0.5, "c": 1.0, "faces": 1200}, "that": {"c": 0.25}})
    assert table.splitlines()[0] == "| | a b | c | faces |"
    assert table.splitlines()[2:] == ["| this | 0.500 | 1.000 | 1,200 |", "| that |  | 0.250 |  |"]
