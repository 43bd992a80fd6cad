"""What version 0.1.0 wrote is read as it was: the files under ``fixtures/version_0_1_0`` are never made again."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console

import faceinsight as fi
from faceinsight.ablation import ablate, read_ablation
from faceinsight.ablation.plan import planned_runs
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.models.controls import TokenClassifier
from faceinsight.training.configure import built

WRITTEN = Path(__file__).parent / "fixtures" / "version_0_1_0"

few_faces = pytest.mark.filterwarnings("ignore:constant on the .* training faces", "ignore:GPU available but not used")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the ablation, which names its faces relative to the folder that it is run from."""
    for name in ("faces", "out"):
        shutil.copytree(WRITTEN / name, tmp_path / name)
    shutil.copy(WRITTEN / "small.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_saved_model_with_its_frozen_parts_gives_the_same_logits() -> None:
    model = fi.FaceInsight.from_pretrained(WRITTEN / "model")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(images).logits
    wanted = torch.tensor(json.loads((WRITTEN / "logits.json").read_text()))
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-5)


@few_faces
def test_a_finished_ablation_is_found_again_and_gives_the_same_table(folder: Path) -> None:
    runs = {path: path.read_bytes() for path in folder.glob("out/runs/*/*") if path.is_file()}
    before = pd.read_csv(folder / "out" / "table.csv")
    (folder / "out" / "table.csv").unlink()
    report = ablate("small.yaml", output="out", console=Console(quiet=True))
    assert {row.status for row in report.variants} == {"finished"}
    assert {path: path.read_bytes() for path in folder.glob("out/runs/*/*") if path.is_file()} == runs
    after = pd.read_csv(folder / "out" / "table.csv")
    pd.testing.assert_frame_equal(after[before.columns], before, rtol=1e-4)


@few_faces
@pytest.mark.parametrize("variant", ["full", "plain", "shield", "ridge", "prior"])
def test_a_finished_runs_configuration_can_be_built(folder: Path, variant: str) -> None:
    (run,) = folder.glob(f"out/runs/{variant}-seed0-*")
    objects = built(yaml.safe_load((run / "config.yaml").read_text()))
    assert objects.model.network.schema == objects.datamodule.table.schema


def test_the_folders_of_its_runs_are_those_of_the_file(folder: Path) -> None:
    planned = {run.folder.name for run in planned_runs(read_ablation("small.yaml"), folder)}
    assert planned == {path.name for path in folder.glob("out/runs/*")}


def test_a_runs_model_gives_the_predictions_that_lie_beside_it(folder: Path) -> None:
    (run,) = folder.glob("out/runs/plain-seed0-*")
    model = TokenClassifier.from_pretrained(run / "model")
    config = yaml.safe_load((run / "config.yaml").read_text())
    data = fi.data.CelebA(**config["data"]["init_args"]["source"]["init_args"])
    table = data.table()
    files = [table.files[row] for row in table.rows("test").tolist()]
    module = fi.data.FaceDataModule(source=data, image_size=32, batch_size=len(files))
    module.setup("test")
    (batch,) = module.test_dataloader()
    with torch.no_grad():
        probability = model(batch.images).logits.sigmoid()
    wanted = read_predictions(run / "predictions.csv", model.schema).for_files(files)
    torch.testing.assert_close(probability, wanted, rtol=1e-3, atol=1e-4)
