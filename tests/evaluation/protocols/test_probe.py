"""Closed-form readouts at each stage of a model."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

import faceinsight as fi
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.evaluation.protocols.probe import probe, readout
from tests.models.test_face_insight import full

QUIET = Console(quiet=True)
RUNGS = ["image encoder", "mean image token", "face parts", "projector", "layer 1, image tokens", "layer 1, answers"]
RUNGS += ["layer 2, image tokens", "layer 2, answers", "final state", "reading"]


def test_a_readout_ranks_unseen_faces_as_ridge_regression_does() -> None:
    states, labels = torch.randn(60, 8), torch.ones(40, 2, dtype=torch.int8)
    labels[states[:40, :2] < 0] = -1
    found = readout(states, labels, ["A", "B"])
    middle, deviation = states[:40].mean(0), states[:40].std(0, correction=0)
    scaled = (states - middle) / deviation.maximum(deviation.median())
    penalties = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    expected = [Ridge(8 * each).fit(scaled[:40], labels == 1).predict(scaled) for each in penalties]
    for column in (0, 1):
        order = found[:, column].argsort()
        assert any(torch.equal(order, torch.tensor(each[:, column]).argsort()) for each in expected)


def test_each_attribute_is_read_from_its_own_states_alone() -> None:
    labels = torch.where(torch.randn(80, 2) > 0, 1, -1).to(torch.int8)
    states = torch.randn(120, 2, 6)
    states[:80, 0, 3] += 4 * labels[:, 0]
    states[80:, 0, 3] += 4 * (truth := torch.where(torch.arange(40) % 2 == 0, 1.0, -1.0))
    found = readout(states, labels, ["seen", "hidden"])[80:]
    assert roc_auc_score(truth > 0, found[:, 0]) > 0.99
    assert roc_auc_score(truth > 0, found[:, 1]) < 0.8, "the second attribute's states say nothing of the first"
    changed = states.clone()
    changed[:, 0] = 0
    torch.testing.assert_close(readout(changed, labels, ["seen", "hidden"])[80:, 1], found[:, 1])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FaceTable:
    source = fi.data.SynthFaces(root=tmp_path_factory.mktemp("drawn"), count=24, seed=0)
    source.prepare()
    drawn = source.table()
    schema = fi.Schema.from_names([f"a{number}" for number in range(5)])
    split = ("train",) * 14 + ("test",) * 10
    return replace(drawn, schema=schema, labels=drawn.labels[:, :5].contiguous(), split=split, mask_root=None)


def test_a_ladder_has_a_rung_for_each_stage_with_table_plots_and_predictions(table: FaceTable, tmp_path: Path) -> None:
    model = full()
    model.schema = table.schema
    model.train()
    report = probe(model, table, tmp_path, train_limit=12, limit=8, console=QUIET, batch_size=5, resamples=20)
    assert model.training, "the model is left in the mode that it was in"
    assert [each.name for each in report.variants] == RUNGS
    assert report.bootstrap is not None
    assert report.bootstrap.faces == 8
    assert [*pd.read_csv(tmp_path / "table.csv").variant] == RUNGS
    assert (tmp_path / "ladder.png").stat().st_size > 10_000
    written = read_predictions(tmp_path / "predictions" / "final_state.csv", table.schema)
    assert written.files == table.select(table.rows("test")[:8]).files
    again = probe(model, table, tmp_path / "b", train_limit=12, limit=8, console=QUIET, batch_size=3, resamples=20)
    for one, other in zip(report.variants, again.variants, strict=True):
        assert one.estimates["auroc"].value == pytest.approx(other.estimates["auroc"].value, abs=1e-6), one.name


def test_a_probe_needs_faces_on_both_sides_and_the_models_attributes(table: FaceTable, tmp_path: Path) -> None:
    model = full()
    with pytest.raises(InputError, match="data set"):
        probe(model, table, tmp_path, console=QUIET)
    model.schema = table.schema
    with pytest.raises(InputError, match="'train'"):
        probe(model, replace(table, split=("test",) * len(table)), tmp_path, console=QUIET)
    with pytest.raises(InputError, match="two or more"):
        probe(model, table, tmp_path, train_limit=1, console=QUIET)
    assert not [*tmp_path.iterdir()]
