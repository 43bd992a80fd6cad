"""The schema: names, labels, groups and the catalog files."""

from pathlib import Path

import pytest
import torch
import yaml

from faceinsight.errors import InputError
from faceinsight.knowledge.schema import (
    Attribute,
    Group,
    Schema,
    UnknownAttributeError,
    catalog_names,
    quoted,
    read_catalog,
)


def test_a_schema_survives_the_trip_through_plain_data():
    schema = Schema.load("fairface")
    again = Schema.from_dict(yaml.safe_load(yaml.safe_dump(schema.to_dict(), sort_keys=False)))
    assert again == schema
    assert again.groups["age"].years == schema.groups["age"].years
    assert again.names[:3] == ("0-2", "3-9", "10-19")


def test_an_unknown_attribute_is_answered_with_the_nearest_names():
    schema = Schema.from_names(["Smiling", "Wearing_Hat"])
    with pytest.raises(UnknownAttributeError, match=r"'Smilling'; did you mean 'Smiling'"):
        schema.index("Smilling")
    with pytest.raises(UnknownAttributeError, match=r"^unknown attribute 'zzz'$"):
        schema.index("zzz")
    assert "Smiling" in schema
    assert "Smilling" not in schema


def test_boolean_labels_become_one_and_minus_one():
    labels = Schema.from_names(["a", "b"]).check_labels(torch.tensor([[True, False]]))
    assert labels.tolist() == [[1, -1]]
    assert labels.dtype == torch.int8


def test_a_label_value_that_is_none_of_the_three_is_named():
    schema = Schema.from_names(["a", "b"])
    with pytest.raises(ValueError, match="got 2 for 'b' of face 1"):
        schema.check_labels(torch.tensor([[1, 0], [-1, 2]]))


def test_labels_of_the_wrong_width_are_refused():
    with pytest.raises(ValueError, match=r"\[face, 2\] .*'custom', got \[1, 3\]"):
        Schema.from_names(["a", "b"]).check_labels(torch.zeros(1, 3))


def test_two_attributes_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"attributes named twice: \['a'\]"):
        Schema("twice", (Attribute("a", "x"), Attribute("b", "y"), Attribute("a", "z")))
    with pytest.raises(ValueError, match=r"'custom': .*named twice: \['a'\]$"):
        Schema.from_names(["a", "b", "a"])
    with pytest.raises(ValueError, match="needs at least one attribute"):
        Schema("empty", ())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": {"a": "a"}}, r"group 'g': needs at least two labels, got \['a'\]"),
        ({"years": ((0, 9),)}, "group 'g': 1 year ranges for 2 labels"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused(changed: dict, message: str):
    fine = {"name": "g", "kind": "ordinal", "labels": {"a": "a", "b": "b"}}
    assert Group(**fine).rule == "exactly_one(a, b)"
    with pytest.raises(ValueError, match=message):
        Group(**(fine | changed))


def test_a_group_of_an_unknown_kind_is_refused():
    group = Group("g", "ordinal", {"a": "a", "b": "b"})
    object.__setattr__(group, "kind", "some")  # the tests' own type check would refuse it before the class does
    with pytest.raises(ValueError, match=r"group 'g': kind .*got 'some'"):
        group.__post_init__()


def test_a_groups_plain_labels_are_attributes_and_are_quoted_where_need_be():
    data = {"name": "s", "attributes": {"East Asian": "x", "White": "y"}}
    data["groups"] = {"race": {"kind": "at_most_one", "labels": ["East Asian", "White"]}}
    schema = Schema.from_dict(data)
    assert schema.attributes[0] == Attribute("East Asian", "x")
    assert schema.groups["race"].rule == 'at_most_one("East Asian", White)'
    assert [quoted(name) for name in ("5_o_Clock_Shadow", "0-2", "not")] == ["5_o_Clock_Shadow", '"0-2"', '"not"']


def test_catalogs_are_found_by_name_and_by_path(tmp_path: Path):
    assert {"celeba", "fairface"} <= set(catalog_names())
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nattributes: {Smiling: who is smiling}\n")
    assert Schema.load(str(path)).names == ("Smiling",)


def test_a_missing_catalog_lists_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"no catalog named 'celebb'.*celeba"):
        read_catalog("celebb")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "a catalog needs the keys 'name' and 'attributes'"),
        ("name: x\n", "a catalog needs the keys 'name' and 'attributes'"),
        ("name: x\nattributes: {a: b}\nrulez: 1\n", r"unknown keys \['rulez'\]"),
    ],
)
def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_catalog(str(path))


def test_a_saved_schema_comes_back_with_prompts_groups_and_years(tmp_path: Path) -> None:
    for schema in (Schema.load("fairface"), Schema.load("celeba"), Schema.from_names(["No", "1e3", "more: than", "Ü"])):
        schema.save(tmp_path / "schema.yaml")
        assert Schema.load(str(tmp_path / "schema.yaml")) == schema


def test_names_of_another_schema_or_order_are_refused_with_what_differs() -> None:
    schema = Schema.from_names(["Bald", "Male"])
    schema.check_names(["Bald", "Male"], "the rules")
    with pytest.raises(ValueError, match=r"^the rules: .*only one of them has 'Hat'"):
        schema.check_names(["Bald", "Male", "Hat"], "the rules")
    with pytest.raises(ValueError, match=r"^the graph: .*order is another.*reorder"):
        schema.check_names(["Male", "Bald"], "the graph")


def test_an_attribute_may_have_questions_of_its_own_and_keeps_them_in_its_file(tmp_path: Path) -> None:
    own = {"prompt": "in a blurry photo", "questions": ["Is this photo blurry?", "Is it out of focus?"]}
    schema = Schema.from_dict({"name": "two", "attributes": {"Bald": "who is bald", "Blurry": own}})
    asked = schema.questions(["Is this a person {prompt}?", "Do you see a person {prompt}?"])
    assert asked[0] == ("Is this a person who is bald?", "Do you see a person who is bald?")
    assert asked[1] == ("Is this photo blurry?", "Is it out of focus?")
    assert schema.prompts == ("who is bald", "in a blurry photo")
    schema.save(tmp_path / "schema.yaml")
    assert Schema.load(str(tmp_path / "schema.yaml")) == schema


def test_questions_that_ask_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"without '{prompt}' in it, got 'Bald\?'"):
        Schema.from_names(["Bald"]).questions(["Is this a person {prompt}?", "Bald?"])
    for told in ({"questions": ["Bald?"]}, {"prompt": "who is bald", "questions": "Bald?"}, {"prompt": "", "ask": []}):
        with pytest.raises(ValueError, match="attribute 'Bald' needs a 'prompt'"):
            Schema.from_dict({"name": "one", "attributes": {"Bald": told}})


def catalog(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_names_stay_as_they_are_written(tmp_path: Path) -> None:
    names = ["Yes", "No", "on", "20_29", "30_39", "010", "2024-05-01", "1e3", "5_o_Clock_Shadow", "0-2", "East Asian"]
    text = "name: 1990\nattributes:\n" + "".join(f"  {name}: who is {name}\n" for name in names)
    text += "groups:\n  off:\n    kind: ordinal\n    labels: [20_29, 30_39]\n    years: [[20, 29], [30, 39]]\n"
    schema = Schema.load(catalog(tmp_path, text))
    assert (list(schema.names), schema.name, schema.prompts[0]) == (names, "1990", "who is Yes")
    assert schema.groups["off"] == Group("off", "ordinal", {"20_29": "20_29", "30_39": "30_39"}, ((20, 29), (30, 39)))
    schema.save(tmp_path / "again.yaml")
    assert Schema.load(str(tmp_path / "again.yaml")) == schema


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nattributes: null", r"mine\.yaml, line 2: 'null' is nothing in YAML; quote it"),
        ("name: x\nattributes:", r"mine\.yaml: 'attributes' must be a mapping"),
        ("name: x\nattributes: [a, b]", "'attributes' must be a mapping"),
        ("name: x\nattributes: {}", "'attributes' must be a mapping"),
        ("name: x\nattributes:\n  a: b\n  a: c", "line 4: 'a' stands a second time"),
        ("name: x\nattributes:\n  null: b", "line 3: 'null' is nothing"),
        ("name: x\nattributes:\n  a: ~", "line 3: '~' is nothing"),
        ("name: x\nattributes:\n  a:", "mine.yaml: attribute 'a' has an empty prompt"),
        ("name: x\nattributes:\n  a: {prompt: p, questions: ['']}", "'a' has an empty prompt"),
        ("name: x\nattributes:\n  a: {prompt: [p]}", "a prompt is text"),
        ("name: x\nattributes:\n  'a\"b': c", "no double quotes"),
        ('name: x\nattributes:\n  "a\\nb": c', "line ends"),
        ("name: x\nattributes:\n  ' a': c", "blanks at its ends"),
        ("name: x\nattributes:\n  '': c", "not empty"),
        ("name: x\nattributes: {a: b}\ngroups: [g]", "'groups' must be a mapping"),
        ("name: x\nattributes: {a: b}\ngroups: {g: [a]}", "group 'g' needs 'kind' and 'labels'"),
        ("name: x\nattributes: {a: b}\ngroups: {g: {kind: ordinal, labels: [a, c]}}", "group 'g', label 'c': .* 'c'"),
        ("name: x\nattributes: {a: b}\ngroups: {g: {kind: ordinal, labels: {a: a, n: not (a}}}", "label 'n'"),
        ("name: x\nattributes: {a: b}\ngroups: {g: {kind: some, labels: {a: a, n: not a}}}", "kind must be one of"),
        ("name: x\nattributes: {a: b}\ngroups: {g: {kind: ordinal, labels: [a, a]}}", "named twice"),
        ("name: x\nattributes: {a: b, c: d}\ngroups: {g: {kind: ordinal, labels: [a, c], yeers: 1}}", "needs 'kind'"),
        ("name: x\nattributes: {a: b, c: d}\ngroups: {g: {kind: ordinal, labels: [a, c], years: [1, 2]}}", "years are"),
        ("name: [x]\nattributes: {a: b}", "quote it"),
    ],
)
def test_catalogs_that_say_something_else_are_refused_with_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Schema.load(catalog(tmp_path, text))


@pytest.mark.parametrize("name", [True, 2029, None, 1.5])
def test_names_that_yaml_has_made_something_else_of_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="quote it"):
        Schema.from_dict({"name": "x", "attributes": {name: "who"}})
    with pytest.raises(InputError, match="quote it"):
        Schema.from_dict({"name": "x", "attributes": {"a": name}})


def test_a_folder_or_a_pipe_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder"):
        Schema.load(str(tmp_path))


def test_an_unknown_attribute_is_a_mistake_of_input_and_a_missing_key() -> None:
    assert issubclass(UnknownAttributeError, InputError)
    assert issubclass(UnknownAttributeError, KeyError)


@pytest.mark.parametrize(("names", "says"), [("Male", "a list, got the text 'Male'"), ([""], "empty")])
def test_names_that_are_none_make_no_schema(names: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Schema.from_names(names)


def test_a_schema_says_what_its_attributes_were_learnt_from_and_is_the_same_without_it(tmp_path: Path) -> None:
    data = {"name": "two", "attributes": {"Bald": "who is bald", "Hat": "in a hat"}}
    plain, told = Schema.from_dict(data), Schema.from_dict({**data, "learnt_from": {"photographs": ["Hat"]}})
    assert (told.origin("Hat"), told.origin("Bald"), plain.origin("Hat")) == ("photographs", None, None)
    assert plain == told
    assert "learnt_from" not in plain.to_dict()
    told.save(tmp_path / "told.yaml")
    assert Schema.load(str(tmp_path / "told.yaml")).learnt_from == {"photographs": ("Hat",)}
    for wrong in ({"a": ["Hats"]}, {"a": ["Hat"], "b": ["Hat"]}, ["Hat"], {"a": "Hat"}):
        with pytest.raises(InputError, match="learnt_from"):
            Schema.from_dict({**data, "learnt_from": wrong})


def test_every_attribute_of_the_model_that_ships_was_learnt_from_pictures_of_a_named_kind() -> None:
    schema, photographs = Schema.load("tiny"), Schema.load("fairface")
    for name in schema.names:
        assert schema.origin(name) == ("photographs" if name in photographs else "drawn faces")
