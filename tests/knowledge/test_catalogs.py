"""Every catalog of the library, and the CelebA rules against the real annotation where it is at hand."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceinsight.knowledge.groups import group_labels
from faceinsight.knowledge.language import parse_expression
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, catalog_names, read_catalog
from tests.knowledge.strict_rules import STRICT

STARTS = ("with ", "without ", "wearing ", "who ", "in ", "showing ", "whose ")


@pytest.fixture(scope="module")
def celeba_labels(celeba_root: Path) -> Tensor:
    """The whole annotation, read by NumPy: an independent road from the library's own reader."""
    table = np.loadtxt(celeba_root / "list_attr_celeba.txt", skiprows=2, usecols=range(1, 41), dtype=np.int8)
    return torch.from_numpy(table)


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
    assert max((len(component.models) for component in rules.components), default=0) < 4000
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
    assert sorted(len(component.models) for component in RuleSet.load("fairface").components) == [2, 7, 9]


def test_celebas_rules_are_exact_about_the_hair_and_silent_about_what_is_no_rule():
    rules = RuleSet.load("celeba")
    ruled = {name for component in rules.components for name in component.attributes}
    assert {"Double_Chin", "Chubby", "5_o_Clock_Shadow", "Male"}.isdisjoint(ruled)
    assert [(len(component), len(component.models)) for component in rules.components] == [(9, 49), (4, 9)]
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


def test_the_counts_written_in_the_catalog_are_those_of_the_annotation(celeba_labels: Tensor):
    rules = RuleSet.load("celeba", strength="all")
    counted = rules.violations(celeba_labels).sum(0).tolist()
    written = [rule.source or "" for rule in rules]
    said = ["broken by no face" if count == 0 else f"broken by {count:,} faces" for count in counted]
    checked = [told in text for told, text in zip(said, written, strict=True) if not text.startswith("group ")]
    assert len(checked) == 11
    assert all(checked)


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
