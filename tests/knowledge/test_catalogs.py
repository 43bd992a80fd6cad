"""Every catalog of the library, and those of CelebA, FH37K and ExpW against the real annotation where it is at hand."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.logic.language import parse_expression
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, catalog_names, read_catalog
from tests.knowledge.strict_rules import STRICT

STARTS = ("with ", "without ", "wearing ", "who ", "in ", "showing ", "whose ")


@pytest.fixture(scope="module")
def celeba_labels(celeba_root: Path) -> Tensor:
    """The whole annotation, read by NumPy: an independent road from the library's own reader."""
    table = np.loadtxt(celeba_root / "list_attr_celeba.txt", skiprows=2, usecols=range(1, 41), dtype=np.int8)
    return torch.from_numpy(table)


@pytest.fixture(scope="module")
def fh37k_table(fh37k_root: Path) -> pd.DataFrame:
    return pd.read_csv(fh37k_root / "facial_hair_annotations.csv", index_col="image_id")


@pytest.mark.parametrize("name", catalog_names())
def test_a_catalog_says_where_it_comes_from_and_prompts_follow_a_person(name: str):
    data, schema = read_catalog(name), Schema.load(name)
    assert data["name"] == name
    assert len(data["source"]) > 20
    assert len(data["rights"]) > 20
    wrong = [each.prompt for each in schema.attributes if not each.prompt.startswith(STARTS) or "_" in each.prompt]
    assert not wrong
    assert len(set(schema.prompts)) == len(schema)


@pytest.mark.parametrize("name", catalog_names())
def test_a_catalogs_rules_and_groups_are_sound_and_small(name: str):
    rules = RuleSet.load(name)
    assert rules.lint().findings == ()
    assert max((component.count for component in rules.components), default=0) < 4000
    assert len(RuleSet.load(name, strength="all").components) > 0
    for group in rules.schema.groups.values():
        for expression in group.labels.values():
            assert parse_expression(expression, rules.schema).names


def test_fairface_has_three_groups_that_every_attribute_is_in():
    schema = Schema.load("fairface")
    assert {name: len(group.labels) for name, group in schema.groups.items()} == {"age": 9, "gender": 2, "race": 7}
    assert sum(len(group.labels) for group in schema.groups.values()) == len(schema)
    assert schema.groups["age"].kind == "ordinal"
    years = schema.groups["age"].years
    assert years is not None
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(years))
    assert sorted(component.count for component in RuleSet.load("fairface").components) == [2, 7, 9]


@pytest.mark.parametrize("name", catalog_names())
def test_gender_race_and_attractiveness_follow_from_nothing_by_logic(name: str):
    social = {"Male", "Female", "Attractive", "White", "Black", "Asian", "Indian", "Latino_Hispanic", "East Asian"}
    logical = [rule for rule in RuleSet.load(name) if not (rule.source or "").startswith("group ")]
    assert [rule.text for rule in logical if social & set(rule.formula.names)] == []


def test_utkface_s_ages_are_read_in_fairface_s_bins():
    utkface, fairface = Schema.load("utkface"), Schema.load("fairface")
    assert utkface.groups["age"] == fairface.groups["age"]
    assert {name: len(group.labels) for name, group in utkface.groups.items()} == {"age": 9, "gender": 2, "race": 5}


def test_a_face_of_maad_may_look_like_two_races_and_then_has_no_label():
    schema, rules = Schema.load("maad"), RuleSet.load("maad")
    assert len(schema) == 47
    labels = -torch.ones(3, 47, dtype=torch.int8)
    labels[:2, schema.index("Asian")] = 1
    labels[1, schema.index("White")] = 1
    assert group_labels(schema, labels)["race"].tolist() == [0, -1, -1]
    assert not rules.violations(labels).any()


def test_a_class_s_number_is_its_attribute_s_place_in_the_two_sets_of_expressions():
    assert Schema.load("expw").names[3] == "happy"  # classes 0 to 6
    assert Schema.load("rafdb").names[4 - 1] == "Happiness"  # classes 1 to 7


def test_expw_s_classes_are_named_as_in_its_list(expw_root: Path):
    crops = pd.read_csv(expw_root / "crops128_labels.csv")
    names = Schema.load("expw").names
    assert len(crops) == 1_400
    assert [names[label] for label in crops["label"]] == crops["name"].tolist()
    whole = np.loadtxt(expw_root / "label.lst", usecols=-1, dtype=np.int64)
    assert sorted(set(whole.tolist())) == list(range(len(names)))


def is_incomplete(face: Sequence[bool]) -> bool:
    """FH37K's authors' condition, by the numbers of the columns."""
    said = [any(face[first:end]) for first, end in ((0, 4), (9, 13), (13, 17), (17, 22))]
    return not all(said) or not (face[0] or any(face[4:9]))


def is_impossible(face: Sequence[bool]) -> bool:
    """All nine of the authors' conditions, by the numbers of the columns."""
    return (
        (face[0] and any(face[4:9]))
        or (face[0] and face[11])
        or (face[0] and face[15])
        or (face[1] and face[15])
        or (face[19] + face[20] == 1 and (face[14] or face[15]))
        or any(sum(face[first:end]) > 1 for first, end in ((9, 13), (13, 17), (17, 22)))
        or (sum(face[0:3]) > 1 or (not face[0] and sum(face[4:8]) > 1))
        or (face[11] and not (face[1] or face[2]))
        or (face[15] and not face[2])
    )


def incomplete_and_impossible(labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each face, whether it breaks a rule of the one kind and of the other, told apart by the rules' sources."""
    rules = RuleSet.load("fh37k")
    broken = rules.violations(labels)
    incomplete = torch.tensor([(rule.source or "").startswith("incomplete") for rule in rules])
    return broken[:, incomplete].any(1), broken[:, ~incomplete].any(1)


def test_fh37k_s_rules_say_what_its_authors_conditions_say():
    draw, faces = random.Random(0), []
    for _ in range(4000):  # one column of each group, then a few turned: some whole, some of each kind
        face = [False] * 22
        for first, end in ((0, 4), (4, 9), (9, 13), (13, 17), (17, 22)):
            face[draw.randrange(first, end)] = True
        faces.append([value != (draw.random() < 0.05) for value in face])
    incomplete, impossible = incomplete_and_impossible(torch.tensor(faces))
    assert incomplete.tolist() == [is_incomplete(face) for face in faces]
    assert impossible.tolist() == [is_impossible(face) for face in faces]
    counts = [int(each.sum()) for each in (incomplete, impossible, ~incomplete & ~impossible)]
    assert min(counts) > 100


def test_fh37k_s_annotation_has_three_incomplete_rows_and_no_impossible_one(fh37k_table: pd.DataFrame):
    assert tuple(fh37k_table.columns) == Schema.load("fh37k").names
    incomplete, impossible = incomplete_and_impossible(torch.from_numpy(fh37k_table.to_numpy(bool, copy=True)))
    assert len(incomplete) == 37_565
    assert (int(incomplete.sum()), int(impossible.sum())) == (3, 0)


def test_celebas_rules_are_exact_about_the_hair_and_silent_about_what_is_no_rule():
    rules = RuleSet.load("celeba")
    ruled = {name for component in rules.components for name in component.attributes}
    assert {"Double_Chin", "Chubby", "5_o_Clock_Shadow", "Male"}.isdisjoint(ruled)
    assert [(len(component), component.count) for component in rules.components] == [(9, 49), (4, 9)]
    everything = RuleSet.load("celeba", strength="all")
    assert everything.lint().ok
    assert {rule.strength for rule in everything} == {"logical", "statistical"}
    assert all(rule.source for rule in everything)


def test_celebas_attributes_stand_in_the_order_of_its_file(celeba_root: Path):
    with (celeba_root / "list_attr_celeba.txt").open() as file:
        header = file.readlines(10_000)[1].split()
    assert Schema.load("celeba").names == tuple(header)


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("No_Beard -> not Goatee", 218),
        ("No_Beard -> not Mustache", 235),
        ("No_Beard -> not Sideburns", 128),
        ("No_Beard -> not 5_o_Clock_Shadow", 6343),
        ("Bald -> not Bangs", 0),
        ("Bald -> not Gray_Hair", 1101),
        ("not (Straight_Hair and Wavy_Hair)", 1158),
        ("at_most_one(Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair)", 2926),
        ("at_least_one(Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair)", 77003),  # 38 %: never exactly one
        ("not (Bangs and Receding_Hairline)", 4),
        ("Double_Chin -> Chubby", 3601),  # 38 % of double chins
        ("not No_Beard or Goatee or Mustache or Sideburns or 5_o_Clock_Shadow -> Male", 155),
    ],
)
def test_the_annotation_breaks_each_rule_as_often_as_the_design_notes_say(
    celeba_labels: Tensor, rule: str, broken: int
):
    violations = RuleSet.parse(rule, Schema.load("celeba")).violations(celeba_labels)
    assert len(violations) == 202_599
    assert violations.sum().item() == broken


def counts_are_as_written(name: str, labels: Tensor) -> list[bool]:
    """For each rule that is no group's: whether its source tells the number of faces that break it."""
    rules = RuleSet.load(name, strength="all")
    counted = rules.violations(labels).sum(0).tolist()
    written = [rule.source or "" for rule in rules]
    said = ["broken by no face" if count == 0 else f"broken by {count:,} faces" for count in counted]
    return [told in text for told, text in zip(said, written, strict=True) if not text.startswith("group ")]


def test_the_counts_written_in_the_catalog_are_those_of_the_annotation(celeba_labels: Tensor):
    assert counts_are_as_written("celeba", celeba_labels) == [True] * 11


def test_the_counts_written_in_fh37k_s_catalog_are_those_of_its_annotation(fh37k_table: pd.DataFrame):
    labels = torch.from_numpy(fh37k_table.to_numpy(bool, copy=True))
    assert counts_are_as_written("fh37k", labels) == [True] * 9


def test_the_shares_of_broken_faces_are_those_measured(celeba_labels: Tensor):
    logical = RuleSet.load("celeba").lint(celeba_labels).labels
    assert logical is not None
    assert (logical.faces_decided, logical.faces_broken) == (202_599, 4_750)
    assert (logical.faces_inconsistent, logical.changes) == (4_750, 4_784)
    assert logical.exact_match_ceiling == 1 - 4_750 / 202_599
    strict = RuleSet.parse(STRICT, Schema.load("celeba")).violations(celeba_labels).any(1).float().mean().item()
    assert strict == pytest.approx(0.0245, abs=0.0005)


def test_celebas_groups_read_the_annotation(celeba_labels: Tensor):
    schema = Schema.load("celeba")
    found = group_labels(schema, celeba_labels)
    assert found["gender"].bincount().tolist() == [84_434, 118_165]
    assert (found["hair_colour"] == -1).sum().item() == 77_003 + 2_926
