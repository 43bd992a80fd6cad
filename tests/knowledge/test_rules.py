"""Rule sets: judging labels, reading and writing, and the strengths."""

import os
from pathlib import Path

import pytest
import torch

from faceinsight.errors import InputError
from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.logic.language import RuleSyntaxError, UnknownNameError
from faceinsight.knowledge.rules import Rule, RuleSet
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "Bangs", "Male", "East Asian"])


def faces(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int8)


def test_a_face_breaks_a_rule_that_its_labels_make_false():
    rules = RuleSet.parse("Bald -> not Bangs\nBald -> Male", SCHEMA)
    labels = faces([1, 1, 1, -1], [1, -1, -1, -1], [-1, 1, -1, 1])
    assert rules.violations(labels).tolist() == [[True, False], [False, True], [False, False]]
    assert rules.verdicts(labels).tolist() == [[-1, 1], [1, -1], [1, 1]]


def test_a_rule_with_an_undefined_attribute_is_not_judged_unless_the_rest_decides_it():
    rules = RuleSet.parse("Bald -> not Bangs", SCHEMA)
    labels = faces([1, 0, 0, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 0])
    assert rules.verdicts(labels, undefined=0).tolist() == [[0], [0], [1], [0]]
    assert not rules.violations(labels, undefined=0).any()


def test_booleans_are_labels_too():
    rules = RuleSet.parse("Bald -> not Bangs", SCHEMA)
    assert rules.violations(torch.tensor([[True, True, False, False], [True, False, False, False]])).tolist() == [
        [True],
        [False],
    ]


def test_labels_of_the_wrong_width_or_value_are_refused():
    rules = RuleSet.parse("Bald", SCHEMA)
    with pytest.raises(ValueError, match=r"\[face, 4\] .*'custom', got \[2, 3\]"):
        rules.violations(torch.ones(2, 3))
    with pytest.raises(ValueError, match="label values must be 1"):
        rules.violations(torch.full((1, 4), 5))


def test_an_empty_rule_set_judges_nothing():
    rules = RuleSet(SCHEMA)
    assert rules.violations(faces([1, 1, 1, 1])).shape == (1, 0)
    assert (len(rules), rules.components, rules.to_text(), rules.to_dict()) == (0, (), "", {})
    assert RuleSet.parse("# none\n", SCHEMA) == rules


def test_a_rule_keeps_its_text_strength_and_source():
    rules = RuleSet.parse(
        ["(Bald) -> (not Bangs)", {"rule": "Bald -> Male", "source": "a guess"}], SCHEMA, strength="statistical"
    )
    first, second = rules
    assert isinstance(first, Rule)
    assert (str(first), first.strength, first.source) == ("Bald -> not Bangs", "statistical", None)
    assert (second.text, second.source) == ("Bald -> Male", "a guess")
    assert rules.texts == ("Bald -> not Bangs", "Bald -> Male")


def test_rules_survive_the_trip_through_text_and_plain_data():
    rules = RuleSet.parse('Bald -> not ("East Asian" or Male)\nexactly_one(Male, Bangs)', SCHEMA)
    assert RuleSet.parse(rules.to_text(), SCHEMA) == rules
    assert hash(RuleSet.parse(rules.to_text(), SCHEMA)) == hash(rules)
    mixed = RuleSet(SCHEMA, rules.rules + RuleSet.parse([{"rule": "Male", "source": "s"}], SCHEMA, "statistical").rules)
    assert RuleSet.from_dict(mixed.to_dict(), SCHEMA) == mixed
    assert RuleSet.from_dict(mixed.to_dict(), SCHEMA, strength="logical") == rules


def test_saved_rules_are_readable_and_load_over_a_schema_in_any_order(tmp_path: Path):
    rules = RuleSet.parse([{"rule": "Bald -> Male", "source": "a guess"}], SCHEMA, "statistical")
    rules.save(tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == (
        "rules:\n  statistical:\n  - rule: Bald -> Male\n    source: a guess\n"
    )
    turned = Schema.from_names(reversed(SCHEMA.names))
    loaded = RuleSet.load(tmp_path / "mine.yaml", strength="all", schema=turned)
    assert loaded.rules == rules.rules
    assert loaded.violations(faces([-1, -1, -1, 1])).tolist() == [[True]]
    assert len(RuleSet.load(tmp_path / "mine.yaml", schema=turned)) == 0


def test_a_disk_that_is_full_leaves_the_saved_rules_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mine.yaml"
    RuleSet.parse("Bald", SCHEMA).save(path)
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        RuleSet.parse("Male", SCHEMA).save(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rules", "Bald -> not Bangs # one\n\nMale\n"),
        ("a.txt", "Bald -> not Bangs\nMale"),
        ("a.yaml", "- Bald -> not Bangs\n- {rule: Male, source: x}\n"),
        ("a.yml", "rules:\n  logical: [Bald -> not Bangs, Male]\n"),
        ("b.yaml", "name: b\nattributes: {Bald: x, Bangs: y, Male: z}\nrules: {logical: [Bald -> not Bangs, Male]}\n"),
    ],
)
def test_rules_load_from_text_lists_and_catalogs(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    assert RuleSet.load(tmp_path / name, schema=SCHEMA).texts == ("Bald -> not Bangs", "Male")


def test_a_file_without_attributes_asks_for_a_schema(tmp_path: Path):
    (tmp_path / "a.rules").write_text("Bald")
    with pytest.raises(ValueError, match=r"a\.rules .*no attributes.*schema="):
        RuleSet.load(tmp_path / "a.rules")
    with pytest.raises(FileNotFoundError, match="no catalog named 'nowhere'"):
        RuleSet.load("nowhere")


def test_a_catalogs_groups_come_first_and_those_nobody_can_break_are_left_out(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(
        "name: c\nattributes: {Male: x, Red: y, Blue: z}\n"
        "groups:\n"
        "  gender: {kind: exactly_one, labels: {Male: Male, Female: not Male}}\n"
        "  colour: {kind: at_most_one, labels: [Red, Blue]}\n"
        "rules:\n  logical: [Red -> Male]\n  statistical: [Blue -> not Male]\n"
    )
    rules = RuleSet.load(tmp_path / "c.yaml", strength="all")
    assert [(rule.text, rule.strength, rule.source) for rule in rules] == [
        ("at_most_one(Red, Blue)", "logical", "group colour"),
        ("Red -> Male", "logical", None),
        ("Blue -> not Male", "statistical", None),
    ]
    assert len(RuleSet.load(tmp_path / "c.yaml")) == 2


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["Bald", "Bald ->"], r"^logical rule 2, line 1, column 8: the rule ends too early"),
        (["Bald", {"rule": "Bld"}], r"^logical rule 2, line 1, column 1: .* no attribute 'Bld'; did you mean 'Bald'\?"),
    ],
)
def test_a_mistake_in_a_list_names_the_entry(entries: list, message: str):
    with pytest.raises(RuleSyntaxError, match=message):
        RuleSet.parse(entries, SCHEMA)


def test_an_entry_or_strength_of_the_wrong_kind_is_refused():
    with pytest.raises(ValueError, match=r"logical rule 1: .*'rule' and 'source'"):
        RuleSet.parse([{"Bald": "not Bangs"}], SCHEMA)
    with pytest.raises(ValueError, match=r"unknown rule strengths \['strict'\]"):
        RuleSet.from_dict({"strict": []}, SCHEMA)


def test_a_rule_over_an_unknown_attribute_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"'Blad'; did you mean 'Bald'"):
        RuleSet.parse("Blad -> Male", SCHEMA)


def test_contradictory_rules_parse_and_judge_but_have_no_components():
    rules = RuleSet.parse("Bald\nnot Bald", SCHEMA)
    assert rules.violations(faces([1, 1, 1, 1])).tolist() == [[False, True]]
    with pytest.raises(UnsatisfiableError, match="no face can satisfy"):
        _ = rules.components


def test_unknown_names_of_all_entries_of_a_list_are_told_together():
    entries = ["Bold", "Bald -> Bangs", {"rule": "Bang and Mael", "source": "a guess"}]
    with pytest.raises(UnknownNameError, match=r"^logical rule 1, line 1, column 1: .*'Bold'") as caught:
        RuleSet.parse(entries, SCHEMA)
    first, second = caught.value.__notes__
    assert first.startswith("logical rule 3, line 1, column 1: schema 'custom' has no attribute 'Bang'")
    assert second.startswith("logical rule 3, line 1, column 10: schema 'custom' has no attribute 'Mael'; did you mean")


def test_rules_files_are_read_as_text_and_errors_name_the_file(tmp_path: Path):
    schema = Schema.from_names(["Yes", "20_29", "Bald"])
    path = tmp_path / "rules.yaml"
    path.write_text("\ufeffrules:\n  logical:\n    - Yes\n    - 20_29 -> not Bald\n    - {rule: Bald, source: 1990}\n")
    rules = RuleSet.load(path, schema=schema)
    assert rules.texts == ("Yes", "20_29 -> not Bald", "Bald")
    assert rules.rules[2].source == "1990"
    for text, message in {
        "rules: [Bald]": "'rules' are a mapping",
        "rules: {logical: {a: b}}": "are a text or a list",
        "rules: {logical: [[Bald]]}": "an entry is a text",
        "rules: {logical: [{rule: [Bald]}]}": "an entry is a text",
        "rules: {logical: [~]}": "line 1: '~' is nothing",
        "rules: {logical: [Bold]}": "logical rule 1, line 1, column 1: .* 'Bold'",
        "rules: {logical: []}\nrules: {}": "'rules' stands a second time",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=rf"rules\.yaml.*{message}"):
            RuleSet.load(path, schema=schema)
