"""Labels against rules, and the ceilings that follow, against every consistent face looked at one by one."""

import math

import pytest
import torch
from torch import Tensor

from faceinsight.knowledge.lint.label_check import check_labels, fewest_changes, slices_by
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, UnknownAttributeError
from faceinsight.metrics import accuracy, exact_match
from tests.knowledge.random_rules import SCHEMA, Face, consistent_faces, random_rules

SATISFIABLE = [seed for seed in range(30) if consistent_faces(random_rules(seed))]


def some_labels(seed: int, undefined: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (40, len(SCHEMA)), generator=generator) * 2 - 1
    return (labels * (torch.rand(labels.shape, generator=generator) >= undefined)).to(torch.int8)


def nearest(row: list[int], faces: list[Face]) -> tuple[int, Face]:
    """The face that differs from the fewest labels, and in how many."""
    apart = [sum(label != 0 and (label > 0) != yes for label, yes in zip(row, face, strict=True)) for face in faces]
    return min(apart), faces[apart.index(min(apart))]


def test_enough_rule_sets_can_be_satisfied() -> None:
    assert len(SATISFIABLE) > 10


@pytest.mark.parametrize("seed", SATISFIABLE)
def test_the_fewest_changes_are_those_to_the_nearest_of_all_consistent_faces(seed: int) -> None:
    rules = random_rules(seed)
    faces = consistent_faces(rules)
    for undefined in (0.0, 0.4):
        labels = some_labels(seed, undefined)
        found = fewest_changes(rules, labels)
        assert found is not None
        assert found.tolist() == [nearest(row, faces)[0] for row in labels.tolist()]
        broken = rules.violations(labels).any(1)
        assert (found[broken] > 0).all()
        assert undefined > 0 or torch.equal(found > 0, broken)


@pytest.mark.parametrize("seed", SATISFIABLE)
def test_the_best_model_that_keeps_the_rules_reaches_the_ceilings(seed: int) -> None:
    rules, labels = random_rules(seed), some_labels(seed, undefined=0.0)
    faces = consistent_faces(rules)
    best = torch.tensor([nearest(row, faces)[1] for row in labels.tolist()]).float()
    check = check_labels(rules, labels)
    assert check.exact_match_ceiling == pytest.approx(exact_match(best, labels).item())
    assert check.accuracy_ceiling == pytest.approx(accuracy(best, labels).mean().item())


def test_a_face_that_no_filling_in_can_save_is_inconsistent_though_it_breaks_no_single_rule() -> None:
    rules = RuleSet.parse("a -> b\nb -> c", SCHEMA)
    labels = torch.zeros(3, len(SCHEMA), dtype=torch.int8)
    labels[0, 0], labels[0, 2], labels[1, 0] = 1, -1, 1
    check = check_labels(rules, labels, undefined=0)
    assert (check.faces, check.faces_broken, check.faces_inconsistent) == (2, 0, 1)
    assert (check.exact_match_ceiling, check.accuracy_ceiling) == (0.5, 1 - 1 / 3)


def test_rules_that_contradict_each_other_have_no_ceiling() -> None:
    check = check_labels(RuleSet.parse("a\nnot a", SCHEMA), some_labels(0, 0.0))
    assert (check.faces_inconsistent, check.changes, sum(check.broken)) == (None, None, 40)
    assert math.isnan(check.exact_match_ceiling)
    assert math.isnan(check.accuracy_ceiling)


@pytest.mark.parametrize("text", ["a -> b", ""])
def test_no_faces_and_no_rules_break_nothing(text: str) -> None:
    rules = RuleSet.parse(text, SCHEMA)
    check = check_labels(rules, torch.zeros(0, len(SCHEMA), dtype=torch.int8))
    assert (check.faces, check.faces_inconsistent, check.changes) == (0, 0, 0)
    assert math.isnan(check.exact_match_ceiling)
    assert check_labels(RuleSet(SCHEMA), some_labels(1, 0.0)).exact_match_ceiling == 1


def test_examples_are_the_first_faces_that_break_the_rule() -> None:
    rules = RuleSet.parse("not a\nb or not b", SCHEMA)
    labels = torch.full((6, len(SCHEMA)), -1, dtype=torch.int8)
    labels[1:, 0] = 1
    names = [f"{number}.jpg" for number in range(6)]
    assert check_labels(rules, labels, files=names).examples == (("1.jpg", "2.jpg", "3.jpg"), ())
    assert check_labels(rules, labels, examples=1).examples == (("1",), ())


def test_parts_of_the_faces_are_checked_by_themselves() -> None:
    rules, labels = random_rules(SATISFIABLE[0]), some_labels(3, undefined=0.3)
    mask = torch.arange(40) % 3 == 0
    whole = check_labels(rules, labels, by={"third": {"first": mask, "others": ~mask}})
    for part, rows in (("first", mask), ("others", ~mask)):
        alone = check_labels(rules, labels[rows], examples=0)
        assert whole.by["third"][part].to_dict() == alone.to_dict()
        assert whole.by["third"][part].broken == alone.broken
    assert whole.broken == tuple(map(sum, zip(*(check.broken for check in whole.by["third"].values()), strict=True)))


def test_faces_are_told_apart_by_a_group_or_an_attribute() -> None:
    schema = Schema.load("celeba")
    labels = torch.full((5, 40), -1, dtype=torch.int8)
    labels[0, schema.index("Black_Hair")] = labels[1, schema.index("Black_Hair")] = 1
    labels[1, schema.index("Gray_Hair")] = 1
    labels[2:4, schema.index("Male")] = 1
    labels[4, schema.index("Male")] = 0
    counted = {name: slices_by(schema, labels, name) for name in ("hair_colour", "Male", "gender")}
    assert {
        name: {part: mask.nonzero().flatten().tolist() for part, mask in parts.items()}
        for name, parts in counted.items()
    } == {
        "hair_colour": {"Black_Hair": [0], "no hair_colour": [1, 2, 3, 4]},
        "Male": {"Male": [2, 3], "not Male": [0, 1], "undefined": [4]},
        "gender": {"Male": [2, 3], "Female": [0, 1], "no gender": [4]},
    }
    with pytest.raises(UnknownAttributeError, match="'Mael'; did you mean 'Male'"):
        slices_by(schema, labels, "Mael")
    with pytest.raises(UnknownAttributeError, match="did you mean 'hair_colour'"):
        slices_by(schema, labels, "hair_color")
