"""One face: exact groups, what if, what the rules changed."""

import itertools
import json
import math

import pytest
import torch

import faceinsight as fi
from faceinsight.errors import InputError
from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.models.predicting.face_prediction import FacePrediction

SCHEMA = fi.Schema.from_dict({
    "name": "six",
    "attributes": {name: f"who is {name}" for name in ("Young", "Old", "Male", "Bald", "Beard", "Hat")},
    "groups": {
        "age": {"kind": "exactly_one", "labels": ["Young", "Old"]},
        "gender": {"kind": "exactly_one", "labels": {"Male": "Male", "Female": "not Male"}},
        "head": {
            "kind": "at_most_one",
            "labels": {"bare": "Bald and not Hat", "covered": "Hat", "never": "Bald and Beard"},
        },
    },
})  # fmt: skip
RULES = fi.RuleSet.parse("exactly_one(Young, Old)\nBeard -> Male\nnot (Bald and Beard)\nYoung -> not Bald", SCHEMA)
LOGITS = torch.tensor([0.4, 0.9, -0.3, 1.2, 0.8, -2.0], dtype=torch.float64)


def face() -> FacePrediction:
    return FacePrediction(0, "photo.jpg", LOGITS, RULES)


def probability(holds: object, given: object = lambda y: True) -> float:
    """Look at every assignment."""
    mass = {True: 0.0, False: 0.0}
    for values in itertools.product([False, True], repeat=6):
        y = dict(zip(SCHEMA.names, values, strict=True))
        kept = y["Young"] != y["Old"] and (y["Male"] or not y["Beard"]) and not (y["Bald"] and y["Beard"])
        if kept and not (y["Young"] and y["Bald"]) and given(y):
            mass[bool(holds(y))] += math.exp(sum(z for z, yes in zip(LOGITS.tolist(), values, strict=True) if yes))
    return mass[True] / sum(mass.values())


def test_probabilities_and_those_of_every_groups_labels_are_exact() -> None:
    for name in SCHEMA.names:
        assert face().probabilities[name] == pytest.approx(probability(lambda y, name=name: y[name]))
    meant = {
        "age": {"Young": lambda y: y["Young"], "Old": lambda y: y["Old"]},
        "gender": {"Male": lambda y: y["Male"], "Female": lambda y: not y["Male"]},
        "head": {"bare": lambda y: y["Bald"] and not y["Hat"], "covered": lambda y: y["Hat"], "never": lambda y: False},
    }
    found = face().group_probabilities
    assert found.keys() == meant.keys()
    for group, labels in meant.items():
        assert found[group] == pytest.approx({label: probability(holds) for label, holds in labels.items()})


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ({"Bald": True}, lambda y: y["Bald"]),
        ({"Bald": False, "Hat": True}, lambda y: not y["Bald"] and y["Hat"]),
        ("Old and not Male", lambda y: y["Old"] and not y["Male"]),
        ("Hat or Bald", lambda y: y["Hat"] or y["Bald"]),
        ({"gender": "Female"}, lambda y: not y["Male"]),
        ({"gender": "Female", "Hat": True}, lambda y: not y["Male"] and y["Hat"]),
    ],
)
def test_what_if_is_exact(what: object, holds: object) -> None:
    told = face().given(what)
    for name in SCHEMA.names:
        assert told.probabilities[name] == pytest.approx(probability(lambda y, name=name: y[name], holds))
    assert holds(told.attributes)
    assert face().probabilities == face().probabilities
    assert told.path == "photo.jpg"


def test_what_if_again_adds_to_what_is_known() -> None:
    both = face().given({"Old": True}).given("Hat").given({"gender": "Male"})
    assert both.probabilities["Bald"] == pytest.approx(
        probability(lambda y: y["Bald"], lambda y: y["Old"] and y["Hat"] and y["Male"])
    )
    assert json.loads(json.dumps(both.to_dict()))["given"] == ["Old", "Hat", "Male"]


@pytest.mark.parametrize("what", [{"Young": True, "Bald": True}, "Young and Bald", {"gender": "Female", "Male": True}])
def test_what_no_face_can_be_is_refused_at_once(what: object) -> None:
    with pytest.raises(UnsatisfiableError):
        face().given(what)
    with pytest.raises(UnsatisfiableError):
        face().given({"Old": True}).given({"Old": False})


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"Bold": True}, "Bald"),
        ({"Bald": 1}, "True or False"),
        ({"gender": "Femal"}, "Female"),
        ({"gander": "Male"}, "gender"),
        ("Bald and", "expected"),
        ("Bold", "Bald"),
        (["Bald"], "names"),
    ],
)
def test_a_question_that_cannot_be_understood_is_refused(what: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        face().given(what)


def test_what_the_rules_changed_is_named() -> None:
    assert face().broken_rules == (RULES.texts[0], RULES.texts[1], RULES.texts[2], RULES.texts[3])
    assert face().changed == {
        name: yes for name, yes in face().attributes.items() if yes != (LOGITS[SCHEMA.index(name)] > 0)
    }
    assert face().changed
    calm = FacePrediction(0, torch.zeros(3, 8, 8), torch.tensor([1.0, -1, 1, -1, -1, -1]), RULES)
    assert calm.broken_rules == ()
    assert calm.changed == {}
    assert calm.name == "picture 1"
    assert calm.groups == {"age": "Young", "gender": "Male", "head": None}


def test_what_needs_the_picture_says_so_without_a_model() -> None:
    for needing in (lambda: face().segmentation, lambda: face().image, lambda: face().explain("Bald")):
        with pytest.raises(InputError, match="no model"):
            needing()
