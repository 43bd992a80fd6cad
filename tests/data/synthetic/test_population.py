"""Who the drawn faces are."""

import numpy as np
import pytest
import torch

from faceinsight.data.synthetic.population import ATTRIBUTES, face, identity_of, person, split_of
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.array([[someone[name] for name in ATTRIBUTES] for someone in (face(3, index) for index in range(1800))])


def column(labels: np.ndarray, name: str) -> np.ndarray:
    return labels[:, ATTRIBUTES.index(name)]


def test_the_catalog_names_the_attributes_in_the_order_of_the_label_file() -> None:
    assert Schema.load("synthfaces").names == ATTRIBUTES
    assert len(set(ATTRIBUTES)) == len(ATTRIBUTES) >= 26


def test_every_logical_rule_holds_on_every_face(labels: np.ndarray) -> None:
    rules = RuleSet.load("synthfaces")
    broken = rules.violations(torch.from_numpy(labels.astype(np.int8) * 2 - 1))
    assert len(rules) == 12
    assert not broken.any()


def test_the_statistical_rules_hold_mostly(labels: np.ndarray) -> None:
    rules = RuleSet.load("synthfaces", strength="all")
    broken = rules.violations(torch.from_numpy(labels.astype(np.int8) * 2 - 1)).float().mean(dim=0)
    assert 0 < broken.max() < 0.06


def test_the_years_lie_in_the_age_group() -> None:
    group = Schema.load("synthfaces").groups["age"]
    assert group.years is not None
    for index in range(300):
        someone = face(0, index)
        (label,) = [name for name in group.labels if someone[name]]
        first, last = group.years[list(group.labels).index(label)]
        assert first <= someone.person.years <= last


def test_attributes_are_imbalanced_but_never_absent(labels: np.ndarray) -> None:
    share = labels.mean(axis=0)
    assert share.min() > 0.015
    assert share.max() < 0.9
    assert ((share > 0.02) & (share < 0.12)).sum() >= 8


def test_labels_depend_on_each_other_as_in_photographs(labels: np.ndarray) -> None:
    male, paint = column(labels, "Male"), column(labels, "Heavy_Makeup")
    assert paint[~male].mean() > 0.35
    assert paint[male].mean() < 0.04
    assert column(labels, "Gray_Hair")[column(labels, "Senior")].mean() > 0.4
    assert column(labels, "Smiling")[column(labels, "Neutral")].mean() < 0.3


def test_rare_pairings_occur(labels: np.ndarray) -> None:
    male = column(labels, "Male")
    assert (~male & ~column(labels, "Wearing_Lipstick")).any()
    assert (male & column(labels, "Wearing_Earrings")).any()
    assert (~column(labels, "Gray_Hair") & column(labels, "Senior")).any()
    assert any(not person(0, k).male and person(0, k).length == 0 for k in range(1000))


def test_skin_tone_is_independent_of_everything_else() -> None:
    people = [person(1, identity) for identity in range(1500)]
    skin = np.array([who.skin for who in people])
    for trait in ("male", "receding", "bangs"):
        values = np.array([getattr(who, trait) for who in people], dtype=float)
        assert abs(np.corrcoef(skin, values)[0, 1]) < 4 / np.sqrt(len(people))


def test_a_face_depends_on_seed_and_number_only() -> None:
    forward = [face(5, index) for index in range(12)]
    backward = [face(5, index) for index in reversed(range(12))]
    assert forward == backward[::-1]
    assert face(6, 0) != forward[0]


def test_pictures_of_one_person_share_what_does_not_change() -> None:
    for index in range(1, 300):
        one, two = face(0, index - 1), face(0, index)
        if one.person.identity == two.person.identity:
            assert one.person == two.person
            for name in ("Male", "Big_Nose", "Pale_Skin", "Child", "Senior"):
                assert one[name] == two[name]


def test_a_person_has_three_or_four_pictures() -> None:
    counts = np.bincount([identity_of(index) for index in range(700)])
    assert set(counts) == {3, 4}
    assert counts.sum() == 700


def test_a_split_keeps_identities_together_in_the_promised_shares() -> None:
    splits = [split_of(identity) for identity in range(1000)]
    assert [splits.count("train"), splits.count("val"), splits.count("test")] == [700, 100, 200]
    assert {split_of(identity_of(index)) for index in range(10)} == {"train", "val", "test"}
