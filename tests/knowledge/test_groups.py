"""Groups read off labels."""

import torch

from faceinsight.knowledge.groups import group_labels, group_rows
from faceinsight.knowledge.schema import Attribute, Group, Schema

SCHEMA = Schema(
    "s",
    (Attribute("Male", "m"), Attribute("Red", "r"), Attribute("Blue", "b")),
    {
        "gender": Group("gender", "exactly_one", {"Male": "Male", "Female": "not Male"}),
        "hair": Group("hair", "at_most_one", {"red": "Red", "blue": "Blue", "purple": "Red and Blue"}),
    },
)


def test_a_group_is_read_as_the_position_of_its_one_true_label():
    labels = torch.tensor([[1, 1, -1], [-1, -1, 1], [-1, -1, -1]], dtype=torch.int8)
    found = group_labels(SCHEMA, labels)
    assert found["gender"].tolist() == [0, 1, 1]
    assert found["hair"].tolist() == [0, 1, -1]


def test_undefined_labels_leave_a_group_open_unless_one_label_is_sure():
    labels = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.int8)
    assert group_labels(SCHEMA, labels, undefined=0)["hair"].tolist() == [0, -1, -1]
    assert group_labels(SCHEMA, labels, undefined=0)["gender"].tolist() == [-1, 0, -1]


def test_labels_that_break_the_group_have_no_label():
    assert group_labels(SCHEMA, torch.tensor([[1, 1, 1]], dtype=torch.int8))["hair"].tolist() == [-1]


def test_the_same_in_words():
    labels = torch.tensor([[1, 1, -1], [0, -1, -1]], dtype=torch.int8)
    words = group_rows(SCHEMA, labels, undefined=0)
    assert words == [{"gender": "Male", "hair": "red"}, {"gender": None, "hair": None}]


def test_booleans_are_read_too():
    assert group_labels(SCHEMA, torch.tensor([[True, False, True]]))["hair"].tolist() == [1]
