"""The linter, each finding on rules made to have it."""

import json

import pytest
import torch

from faceinsight.knowledge.logic import components
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["a", "b", "c", "d"])


def found(text: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(finding.kind, finding.rules) for finding in RuleSet.parse(text, SCHEMA).lint().findings]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("a -> b\nc -> d", []),
        ("a -> a or b", [("vacuous", (0,))]),
        ("a -> b\nc\na -> b", [("duplicate", (2,)), ("constant", (1,))]),
        ("a -> not b\nnot (a and b)", [("duplicate", (1,))]),
        ("a -> b\nb -> c\na -> c", [("redundant", (2,))]),
        ("a -> b and c\na -> b", [("redundant", (1,))]),
        ("a\na -> b", [("constant", (0, 1)), ("constant", (1,))]),
        ("a -> b\nb -> not a", [("constant", (0, 1))]),
        ("a -> b\na\nnot b\nc", [("unsatisfiable", (0, 1, 2)), ("constant", (3,))]),
        ("a and not a", [("unsatisfiable", (0,))]),
    ],
)
def test_the_linter_finds_what_is_wrong_and_nothing_else(text: str, findings: list):
    assert sorted(found(text)) == sorted(findings)
    assert RuleSet.parse(text, SCHEMA).lint().ok == (not findings)


def test_of_two_rules_that_follow_from_each_other_only_one_is_called_superfluous():
    assert found("a <-> b\nb <-> c\na <-> c") == [("redundant", (2,))]


def test_findings_are_told_in_words():
    messages = [finding.message for finding in RuleSet.parse("a -> b\nb -> not a", SCHEMA).lint().findings]
    assert messages == ["the rules leave 'a' only one value: no"]
    (conflict,) = RuleSet.parse("a -> b\na\nnot b", SCHEMA).lint().findings
    assert conflict.message == "no face can satisfy 'a -> b' together with 'a' together with 'not b'"


def test_rules_too_tangled_to_check_are_said_to_be_unchecked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(components, "MAX_NODES", 2)
    (finding,) = RuleSet.parse("a or b or c or d", SCHEMA).lint().findings
    assert finding.kind == "unchecked"


def test_shares_are_of_the_faces_on_which_a_rule_is_decided():
    rules = RuleSet.parse("a -> not b\nc -> d", SCHEMA)
    labels = torch.tensor([[1, 1, 0, 0], [1, 1, 1, -1], [1, -1, -1, 0], [-1, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.int8)
    report = rules.lint(labels)
    assert report.labels is not None
    assert (report.labels.decided, report.labels.broken) == ((4, 2), (2, 1))
    assert report.labels.share == (0.5, 0.5)
    assert (report.labels.faces_decided, report.labels.faces_broken, report.labels.total_share) == (4, 2, 0.5)
    frame = report.frame()
    assert list(frame.columns) == ["rule", "strength", "source", "findings", "decided", "broken", "share", "examples"]
    assert frame["broken"].tolist() == [2, 1]
    assert frame["examples"].tolist() == ["0, 1", "1"]


def test_a_rule_that_no_face_decides_has_no_share():
    report = RuleSet.parse("a -> b", SCHEMA).lint(torch.zeros(3, 4, dtype=torch.int8))
    assert report.labels is not None
    assert str(report.labels.share) == "(nan,)"
    assert str(report.labels.total_share) == "nan"


def test_the_report_prints_as_a_table():
    report = RuleSet.parse("a -> not b\na and b -> [x]".replace("[x]", "c"), SCHEMA).lint(
        torch.tensor([[1, 1, -1, 1], [-1, -1, -1, -1]], dtype=torch.int8)
    )
    text = str(report)
    assert "2 rules over 'custom'" in text
    assert "│ a -> not b   │ logical  │           │       2 │      1 │ 50.00% │" in text
    assert "│ a -> not b   │ 0 " in text
    assert "1 of 2 faces (50.00%) break at least one rule\n" in text
    assert text.endswith("exact match 50.00%, accuracy 87.50% (labels to change at least: 1)")
    assert "redundant: 'a and b -> c' already follows from the other rules" in text


def test_shares_are_told_apart_by_part_of_the_faces():
    rules = RuleSet.parse("a -> not b\nc -> d", SCHEMA)
    labels = torch.tensor([[1, 1, 1, 1], [1, 1, 1, -1], [1, -1, -1, 0], [0, 0, 1, -1]], dtype=torch.int8)
    first = torch.tensor([True, True, False, False])
    parts = {"half": {"1st": first, "2nd": ~first}}
    report = rules.lint(labels, files=["w.jpg", "x.jpg", "y.jpg", "z.jpg"], by=parts, undefined=0)
    frame = report.by_frame("half")
    assert frame.to_dict("list") == {"1st": [1.0, 0.5, 1.0], "2nd": [0.0, 0.5, 0.5]}
    assert frame.index.tolist() == ["a -> not b", "c -> d", "at least one"]
    text = str(report)
    assert "│ at least one │ 100.00% │ 50.00% │" in text
    assert "│ a -> not b │ w.jpg, x.jpg " in text


def test_the_report_is_plain_data_for_json():
    rules = RuleSet.parse("a -> not b\nnot (a and b)\nc -> d", SCHEMA)
    labels = torch.tensor([[1, 1, 0, 0], [-1, 1, 0, 0]], dtype=torch.int8)
    parts = {"split": {"train": torch.tensor([True, False]), "test": torch.tensor([False, True])}}
    data = json.loads(json.dumps(rules.lint(labels, by=parts).to_dict(), allow_nan=False))
    assert (data["schema"], data["sound"]) == ("custom", False)
    assert data["findings"] == [
        {"kind": "duplicate", "rules": [1], "message": "'not (a and b)' says the same as 'a -> not b'"}
    ]
    assert data["rules"][1] == {
        "rule": "not (a and b)", "strength": "logical", "source": None, "findings": ["duplicate"],
        "decided": 2, "broken": 1, "share": 0.5, "examples": ["0"],
    }  # fmt: skip
    assert (data["rules"][2]["decided"], data["rules"][2]["share"]) == (0, None)
    assert data["labels"]["exact_match_ceiling"] == 0.5
    assert data["labels"]["accuracy_ceiling"] == 0.75
    assert data["labels"]["by"]["split"]["train"]["broken"] == [1, 1, 0]
    assert data["labels"]["by"]["split"]["test"]["exact_match_ceiling"] == 1
    assert rules.lint().to_dict()["labels"] is None


def test_the_report_of_an_empty_set_is_sound():
    report = RuleSet(SCHEMA).lint(torch.ones(2, 4, dtype=torch.int8))
    assert report.ok
    assert len(report.frame()) == 0
    assert "the rules are sound" in str(report)
