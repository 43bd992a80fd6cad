"""Groups against scikit-learn and by hand."""

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from faceinsight.knowledge.schema import Schema
from faceinsight.metrics.groups import group_accuracy, group_macro_f1, group_metrics, within_one_bin, years_error

SCHEMA = Schema.from_dict(
    {
        "name": "small",
        "attributes": {name: name for name in ("Male", "young", "middle", "old", "Black", "Blond")},
        "groups": {
            "gender": {"kind": "exactly_one", "labels": {"Male": "Male", "Female": "not Male"}},
            "age": {"kind": "ordinal", "labels": ["young", "middle", "old"], "years": [[0, 19], [20, 59], [60, 99]]},
            "hair": {"kind": "at_most_one", "labels": ["Black", "Blond"]},
        },
    }
)


def test_accuracy_and_macro_f1_agree_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(-1, 4, (200,), generator=generator)
    predicted = torch.where(
        torch.rand(200, generator=generator) < 0.6, true, torch.randint(-1, 4, (200,), generator=generator)
    )
    keep = true >= 0
    assert group_accuracy(predicted, true) == pytest.approx(accuracy_score(true[keep], predicted[keep]))
    f1 = f1_score(true[keep], predicted[keep], labels=[0, 1, 2, 3], average="macro")
    assert group_macro_f1(predicted, true) == pytest.approx(f1)


def test_every_group_of_a_schema_by_hand() -> None:
    labels = torch.tensor(
        [[1, 1, -1, -1, 1, -1], [-1, -1, -1, 1, -1, -1], [0, -1, 1, -1, -1, 1]], dtype=torch.int8
    )  # man, young, black; woman, old, neither; unknown, middle, blond
    predicted = torch.tensor(
        [[1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, -1], [1, -1, -1, -1, 1, -1]], dtype=torch.int8
    )  # man, middle, black; man, young, black; man, no age, black
    found = group_metrics(SCHEMA, predicted, labels)
    assert found["gender"] == {"faces": 2, "accuracy": 0.5, "macro_f1": pytest.approx(1 / 3)}
    assert found["hair"] == {"faces": 2, "accuracy": 0.5, "macro_f1": pytest.approx(1 / 3)}
    assert found["age"] == {
        "faces": 3,
        "accuracy": 0.0,
        "macro_f1": 0.0,
        "within_one_bin": pytest.approx(1 / 3),
        "years_error": pytest.approx((30 + 70) / 2),
    }


def test_a_prediction_without_a_label_is_wrong_even_beside_the_first_bin() -> None:
    assert within_one_bin(torch.tensor([-1, 0, 1, 2]), torch.tensor([0, 0, 0, 0])) == 0.5


def test_a_group_without_labelled_faces_has_no_score() -> None:
    nobody = torch.tensor([-1, -1])
    assert math.isnan(group_accuracy(nobody, nobody))
    assert math.isnan(group_macro_f1(nobody, nobody))
    assert math.isnan(years_error(nobody, nobody, ((0, 1), (2, 3))))
