"""Metrics against scikit-learn attribute by attribute, torchmetrics where it is right, and small cases by hand."""

import copy
import math
import pickle
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error, multilabel_exact_match

from faceinsight import metrics
from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics import attribute_metrics, contradicting_accuracy

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling", "Hat", "Beard"])
RULES = RuleSet.parse("Bald -> not Bangs\nat_most_one(Bangs, Hat, Beard)", SCHEMA)

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{
        name: getattr(metrics, name)
        for name in ("accuracy", "balanced_accuracy", "f1", "average_precision", "auroc", "brier", "calibration_error",
                     "exact_match")
    },
    "violation_rate": lambda probability, labels: metrics.violation_rate(probability, RULES),
    "broken_rules": lambda probability, labels: metrics.broken_rules(probability, RULES),
    "logical_accuracy": lambda probability, labels: metrics.logical_accuracy(probability, labels, RULES),
}  # fmt: skip


@pytest.fixture
def faces() -> tuple[Tensor, Tensor]:
    """120 faces with ties among the probabilities and a fifth of the labels undefined."""
    generator = torch.Generator().manual_seed(0)
    probability = (torch.rand(120, 5, generator=generator) * 12).round() / 12
    positive = torch.rand(120, 5, generator=generator) < probability * torch.tensor([0.3, 0.5, 1.0, 0.7, 0.9])
    labels = positive.to(torch.int8) * 2 - 1
    labels[torch.rand(120, 5, generator=generator) < 0.2] = 0
    return probability, labels


def by_attribute(function: Callable, probability: Tensor, labels: Tensor) -> list[float]:
    """An oracle over (truth, probability) of one attribute's defined faces, for each attribute."""
    defined = [labels[:, attr] != 0 for attr in range(labels.shape[1])]
    return [
        function((labels[keep, attr] == 1).numpy(), probability[keep, attr].double().numpy())
        for attr, keep in enumerate(defined)
    ]


ORACLES: dict[str, Callable] = {
    "accuracy": lambda truth, p: oracle.accuracy_score(truth, p > 0.5),
    "balanced_accuracy": lambda truth, p: oracle.balanced_accuracy_score(truth, p > 0.5),
    "f1": lambda truth, p: oracle.f1_score(truth, p > 0.5),
    "average_precision": oracle.average_precision_score,
    "auroc": oracle.roc_auc_score,
    "brier": oracle.brier_score_loss,
}


@pytest.mark.parametrize("name", ORACLES)
def test_each_attribute_agrees_with_scikit_learn_on_its_defined_faces(name: str, faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = faces
    ours = getattr(metrics, name)(probability.double(), labels)
    assert ours.tolist() == pytest.approx(by_attribute(ORACLES[name], probability, labels), abs=1e-12)
    assert attribute_metrics(SCHEMA)[name](probability, labels).item() == pytest.approx(ours.mean().item(), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in ORACLES if name != "brier"])
def test_weighted_metrics_agree_with_scikit_learn_sample_weights(name: str, faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = faces
    weights = torch.randint(0, 4, (3, 120), generator=torch.Generator().manual_seed(1)).float()
    ours = getattr(metrics, name)(probability, labels, weights)
    functions: dict[str, Callable] = {
        "accuracy": lambda truth, p, w: oracle.accuracy_score(truth, p > 0.5, sample_weight=w),
        "balanced_accuracy": lambda truth, p, w: oracle.balanced_accuracy_score(truth, p > 0.5, sample_weight=w),
        "f1": lambda truth, p, w: oracle.f1_score(truth, p > 0.5, sample_weight=w),
        "average_precision": lambda truth, p, w: oracle.average_precision_score(truth, p, sample_weight=w),
        "auroc": lambda truth, p, w: oracle.roc_auc_score(truth, p, sample_weight=w),
    }
    for row, weight in enumerate(weights):
        for attr in range(5):
            keep = labels[:, attr] != 0
            truth, p, w = (labels[keep, attr] == 1).numpy(), probability[keep, attr].numpy(), weight[keep].numpy()
            assert ours[row, attr].item() == pytest.approx(functions[name](truth, p, w), abs=1e-6)


def test_whole_weights_equal_repeating_the_faces_in_every_metric(faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = faces[0].double(), faces[1]
    weight = torch.randint(0, 4, (120,), generator=torch.Generator().manual_seed(2))
    chosen = torch.arange(120).repeat_interleave(weight)
    names = [*ORACLES, "calibration_error", "exact_match"]
    for name in names:
        function = getattr(metrics, name)
        weighted, repeated = (
            function(probability, labels, weight.double()),
            function(probability[chosen], labels[chosen]),
        )
        assert torch.allclose(weighted, repeated, atol=1e-12), name
    for name in ("violation_rate", "broken_rules"):
        function = getattr(metrics, name)
        weighted, repeated = function(probability, RULES, weight.double()), function(probability[chosen], RULES)
        assert torch.allclose(weighted, repeated, atol=1e-12), name


def test_calibration_error_agrees_with_torchmetrics_and_with_loops(faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = torch.rand(120, 5, generator=torch.Generator().manual_seed(5)), faces[1]
    ours = metrics.calibration_error(probability.double(), labels)
    for attr in range(5):
        keep = labels[:, attr] != 0
        p, truth = probability[keep, attr], (labels[keep, attr] == 1).int()
        assert ours[attr].item() == pytest.approx(binary_calibration_error(p, truth, n_bins=15).item(), abs=1e-6)
        bins, looped = [min(int(each * 15), 14) for each in p.double().tolist()], 0.0
        for each in set(bins):
            inside = np.array(bins) == each
            looped += abs(p.numpy()[inside].mean() - truth.numpy()[inside].mean()) * inside.mean()
        assert ours[attr].item() == pytest.approx(looped, abs=1e-6)


def test_a_certain_and_right_prediction_is_calibrated() -> None:
    labels = torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)
    assert metrics.calibration_error((labels == 1).double(), labels).tolist() == [0.0, 0.0]
    assert metrics.calibration_error((labels == -1).double(), labels).tolist() == [1.0, 1.0]


def test_exact_match_asks_the_defined_labels_only_and_agrees_with_torchmetrics(faces: tuple[Tensor, Tensor]) -> None:
    by_hand_p = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.1]])
    by_hand = torch.tensor([[1, -1], [1, 0], [1, -1], [0, 0]], dtype=torch.int8)
    assert metrics.exact_match(by_hand_p, by_hand, undefined=0).item() == pytest.approx(
        2 / 3
    )  # the last face has no label
    probability, labels = faces
    keep = (labels != 0).any(1)
    target = torch.where(labels == 0, torch.tensor(-1), (labels == 1).int())
    theirs = multilabel_exact_match(probability[keep], target[keep], num_labels=5, ignore_index=-1)
    assert metrics.exact_match(probability, labels).item() == pytest.approx(theirs.item(), abs=1e-6)


def test_logical_metrics_by_hand() -> None:
    probability = torch.tensor(
        [[0.9, 0.8, 0.2, 0.7, 0.1], [0.9, 0.1, 0.2, 0.1, 0.1], [0.2, 0.9, 0.2, 0.1, 0.8]]
    )  # breaks both rules; none; the second
    labels = torch.tensor([[1, 1, -1, 1, -1], [1, -1, 1, -1, 0], [-1, 1, -1, -1, -1]], dtype=torch.int8)
    assert RULES.violations(metrics.decisions(probability)).tolist() == [[True, True], [False, False], [False, True]]
    assert metrics.violation_rate(probability, RULES).item() == pytest.approx(2 / 3)
    assert metrics.broken_rules(probability, RULES).item() == pytest.approx(1.0)
    # only the second face may earn credit: right on Bald, Bangs and Hat, wrong on Smiling, Beard undefined
    logical = metrics.logical_accuracy(probability, labels, RULES)
    assert logical.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0])
    assert (logical <= metrics.accuracy(probability, labels)).all()


def test_constant_attributes_are_left_out_of_the_means_and_counted() -> None:
    labels = torch.tensor([[1, 1, -1, 0, 1], [-1, 1, -1, 0, 0], [1, 1, -1, 0, -1]], dtype=torch.int8)
    probability = torch.tensor([[0.9, 0.2, 0.1, 0.4, 0.6], [0.4, 0.9, 0.2, 0.3, 0.9], [0.3, 0.9, 0.8, 0.9, 0.2]])
    assert metrics.constant_attributes(labels).tolist() == [False, True, True, True, False]
    for name in ("balanced_accuracy", "f1", "average_precision", "auroc"):
        values = getattr(metrics, name)(probability.double(), labels)
        assert values.isnan().tolist() == [False, True, True, True, False], name
    collection = attribute_metrics(SCHEMA, RULES)
    collection.update(probability, labels)
    found = {name: value.item() for name, value in collection.compute().items()}
    assert found["ranked_attributes"] == 2
    assert found["auroc"] == pytest.approx((0.5 + 1.0) / 2)
    # accuracy has no need of both values, only of a defined one: Hat alone is left out
    assert found["accuracy"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 1) / 4)


def test_labels_that_are_all_undefined_give_nan_and_no_crash() -> None:
    collection = attribute_metrics(SCHEMA, RULES)
    collection.update(torch.full((3, 5), 0.7), torch.zeros(3, 5, dtype=torch.int8))
    found = {name: value.item() for name, value in collection.compute().items()}
    assert found.pop("violation_rate") == 1.0
    assert found.pop("broken_rules") == 2.0
    assert found.pop("ranked_attributes") == 0
    assert len(found) == 10
    assert all(np.isnan(value) for value in found.values())


def test_batches_give_what_all_faces_at_once_give(faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = faces
    whole, parts = attribute_metrics(SCHEMA, RULES), attribute_metrics(SCHEMA, RULES)
    whole.update(probability, labels)
    for start in range(0, 120, 50):
        parts.update(probability[start : start + 50], labels[start : start + 50])
    assert whole.compute() == parts.compute()
    assert len(whole.compute()) == 13


def test_the_faces_are_stored_once_for_the_whole_collection(faces: tuple[Tensor, Tensor]) -> None:
    collection = attribute_metrics(SCHEMA, RULES, prefix="test/")
    collection.update(*faces)
    assert len(collection.compute_groups) == 1
    assert set(collection.compute()) == {f"test/{name}" for name in attribute_metrics(SCHEMA, RULES)}
    stored = {id(metric.probability) for metric in collection.values(copy_state=False)}
    assert len(stored) == 1


def test_without_rules_no_logical_metric_is_reported(faces: tuple[Tensor, Tensor]) -> None:
    assert set(attribute_metrics(SCHEMA, RULES)) - set(attribute_metrics(SCHEMA)) == {
        "violation_rate",
        "broken_rules",
        "logical_accuracy",
    }


def test_order_of_attributes_and_of_faces_does_not_matter(faces: tuple[Tensor, Tensor]) -> None:
    probability, labels = faces[0].double(), faces[1]
    attr, face = torch.tensor([3, 0, 4, 1, 2]), torch.randperm(120, generator=torch.Generator().manual_seed(3))
    for name in [*ORACLES, "calibration_error"]:
        function = getattr(metrics, name)
        permuted = function(probability[face][:, attr], labels[face][:, attr])
        assert torch.allclose(function(probability, labels)[attr], permuted, atol=1e-12), name


def test_a_collection_can_be_copied_pickled_and_reset(faces: tuple[Tensor, Tensor]) -> None:
    collection = attribute_metrics(SCHEMA, RULES)
    collection.update(*faces)
    expected = collection.compute()
    assert copy.deepcopy(collection).compute() == expected
    assert pickle.loads(pickle.dumps(collection)).compute() == expected
    collection.reset()
    collection.update(*faces)
    assert collection.compute() == expected


def test_low_precision_probabilities_are_taken(faces: tuple[Tensor, Tensor]) -> None:
    collection = attribute_metrics(SCHEMA)
    collection.update(faces[0].bfloat16(), faces[1])
    assert 0 < collection.compute()["accuracy"] < 1


def test_a_thousand_faces_take_less_than_a_third_of_a_second() -> None:
    schema = Schema.from_names([f"a{attr}" for attr in range(40)])
    rules = RuleSet.parse([f"a{attr} -> not a{attr + 1}" for attr in range(12)], schema)
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(1000, 40, generator=generator)
    labels = (torch.rand(1000, 40, generator=generator) < 0.3).to(torch.int8) * 2 - 1
    seconds, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # and processor time: other processes on the machine are not this test's subject
    for _ in range(3):
        collection = attribute_metrics(schema, rules)
        start = time.process_time()
        collection.update(probability, labels)
        collection.compute()
        seconds.append(time.process_time() - start)
    torch.set_num_threads(threads)
    assert min(seconds) < 0.3


def test_logits_and_nan_are_refused_with_the_face_and_attribute() -> None:
    metric = attribute_metrics(SCHEMA)["accuracy"]
    probability, labels = torch.full((2, 5), 0.5), torch.ones(2, 5, dtype=torch.int8)
    probability[1, 2] = 3.25
    with pytest.raises(ValueError, match=r"got 3.25 for 'Smiling' of face 1"):
        metric.update(probability, labels)
    probability[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"got nan for 'Smiling' of face 1"):
        metric.update(probability, labels)


def test_wrong_shapes_and_wrong_labels_are_refused() -> None:
    metric = attribute_metrics(SCHEMA)["accuracy"]
    with pytest.raises(ValueError, match=r"\[face, 5\] .*'custom', got \[2, 4\]"):
        metric.update(torch.rand(2, 4), torch.ones(2, 4, dtype=torch.int8))
    with pytest.raises(ValueError, match=r"label values .*got 2 for 'Bald'"):
        metric.update(torch.rand(2, 5), torch.full((2, 5), 2))
    with pytest.raises(ValueError, match=r"\[3, 5\] but labels are \[2, 5\]"):
        metric.update(torch.rand(3, 5), torch.ones(2, 5, dtype=torch.int8))


@pytest.mark.parametrize("wrong", [math.nan, 3.25, -0.01, math.inf])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_metric_refuses_what_is_no_probability(name: str, wrong: float) -> None:
    probability, labels = torch.full((4, 5), 0.5), torch.ones(4, 5, dtype=torch.int8)
    labels[0] = -1
    labels[2, 1] = 0  # also where no label is defined
    probability[2, 1] = wrong
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        FUNCTIONS[name](probability, labels)


def contradicting_by_loops(probability: Tensor, labels: Tensor, pairs: int) -> float:
    """The same number by numpy's own correlations, face by face."""
    truth = (labels == 1).double().numpy()
    correlation = np.corrcoef(truth.T)
    width = truth.shape[1]
    ordered = sorted(((i, j) for i in range(width) for j in range(i)), key=lambda pair: -abs(correlation[pair]))
    right = counted = 0
    for face in range(len(truth)):
        against = set()
        for i, j in ordered[:pairs]:
            alike = truth[face, i] == truth[face, j]
            if alike != (correlation[i, j] > 0):
                against |= {i, j}
        counted += len(against)
        right += sum((probability[face, attr] > 0.5) == (truth[face, attr] > 0.5) for attr in against)
    return float(right / counted)


def test_contradicting_accuracy_counts_both_attributes_of_every_face_that_contradicts_a_pair() -> None:
    draw = torch.Generator().manual_seed(4)
    common = torch.randn(200, 1, generator=draw)
    labels = torch.where(common + torch.randn(200, 6, generator=draw) > 0, 1, -1).to(torch.int8)
    probability = torch.rand(200, 6, generator=draw)
    found = contradicting_accuracy(probability, labels, pairs=4).item()
    assert found == pytest.approx(contradicting_by_loops(probability, labels, 4))
    doubled = contradicting_accuracy(probability, labels, torch.full((200,), 2.0), pairs=4).item()
    assert doubled == pytest.approx(found)


def test_labels_without_any_pair_have_no_contradicting_face() -> None:
    labels = torch.ones(3, 2, dtype=torch.int8)
    assert contradicting_accuracy(torch.full((3, 2), 0.9), labels).isnan()
