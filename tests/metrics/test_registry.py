"""One entry is all that a metric is: logs, statistics, tables and plots read the registry."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from faceinsight import metrics
from faceinsight.errors import InputError
from faceinsight.evaluation.report import scores_sheet
from faceinsight.evaluation.statistics.scores import score
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics import ATTRIBUTE_METRICS, BY_ATTRIBUTE, GROUP_METRICS, INTERVALS, TEXT_METRICS
from faceinsight.metrics.entry import MetricEntry
from tests.evaluation.made_up import made_up_report

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
RULES = RuleSet.parse("Bald -> not Bangs", SCHEMA)
PROBABILITY = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(-1, 2, (30, 3), generator=torch.Generator().manual_seed(1)).to(torch.int8)


def test_of_one_level_no_two_metrics_have_a_name_or_a_title() -> None:
    for entries in ((*ATTRIBUTE_METRICS, *TEXT_METRICS), GROUP_METRICS):
        assert len({entry.name for entry in entries}) == len({entry.title for entry in entries}) == len(entries)


def test_every_metric_is_what_its_own_function_gives() -> None:
    found = metrics.measure(PROBABILITY, LABELS, rules=RULES)
    assert [*found] == [entry.name for entry in ATTRIBUTE_METRICS]
    for name in ("violation_rate", "broken_rules"):
        assert found[name].item() == getattr(metrics, name)(PROBABILITY, RULES).item()
    torch.testing.assert_close(found["logical_accuracy"], metrics.logical_accuracy(PROBABILITY, LABELS, RULES))
    for name in found.keys() - {"violation_rate", "broken_rules", "logical_accuracy", "ranked_attributes"}:
        torch.testing.assert_close(found[name].squeeze(), getattr(metrics, name)(PROBABILITY, LABELS).squeeze())
    assert found["ranked_attributes"].item() == int((~metrics.constant_attributes(LABELS, undefined=0)).sum())


def test_metrics_that_need_rules_are_left_out_without_rules() -> None:
    left_out = {"violation_rate", "broken_rules", "logical_accuracy"}
    assert metrics.measure(PROBABILITY, LABELS).keys() == {entry.name for entry in ATTRIBUTE_METRICS} - left_out


def test_a_function_of_several_metrics_is_called_once() -> None:
    calls: list[int] = []

    def both(*arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        return torch.tensor([0.25]), torch.tensor([0.75])

    first = MetricEntry(name="a", title="a", function=both, direction="up", level="attribute", part=0)
    found = metrics.measure(PROBABILITY, LABELS, entries=[first, replace(first, name="b", part=1)])
    assert (found["a"].item(), found["b"].item(), len(calls)) == (0.25, 0.75, 1)


def test_an_undecided_probability_is_wrong_where_the_entry_says_so() -> None:
    half = torch.full((4, 3), 0.5)
    no = torch.full((4, 3), -1, dtype=torch.int8)
    assert metrics.measure(half, no)["accuracy"].tolist() == [1, 1, 1]
    graded = metrics.measure(half, no, undecided=True)
    assert graded["accuracy"].tolist() == [0, 0, 0]
    assert graded["brier"].tolist() == [0.25, 0.25, 0.25]


def test_a_run_is_scored_in_every_metric_with_an_interval() -> None:
    run = score(PROBABILITY, LABELS, torch.ones(2, 30), RULES)
    assert tuple(run.value) == tuple(run.draws) == INTERVALS
    assert tuple(run.attribute_value) == BY_ATTRIBUTE == ("average_precision", "accuracy")


def test_a_tables_columns_are_the_entries_headings() -> None:
    headings = [metrics.find_metric(name).heading for name in INTERVALS]
    assert list(scores_sheet(made_up_report()).header[2:-2]) == headings
    assert headings[4] == "violations ↓"


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        metrics.find_metric("acuracy")
