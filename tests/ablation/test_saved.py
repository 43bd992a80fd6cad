"""What a table measured, what lies beside it as predictions, and what the saved model says are one and the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from faceinsight.ablation import ablate
from faceinsight.ablation.plan import planned_runs, read_ablation
from faceinsight.evaluation.labelled import read_faces
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics import brier
from faceinsight.models.controls import TokenClassifier
from faceinsight.training.configure import built_data

pytestmark = [
    pytest.mark.filterwarnings("ignore:constant on the .* training faces"),  # so few faces cannot show everything
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
]


def part(name: str, /, **arguments: object) -> dict:
    return {"class_path": f"faceinsight.{name}", "init_args": arguments}


def test_a_saved_model_gives_the_probabilities_that_were_measured(file: Callable[..., Path], tmp_path: Path) -> None:
    rules = part("RuleSet.load", name_or_path="synthfaces")
    plain = yaml.safe_load(file().read_text())["variants"]["plain"]["change"]["model.network"]

    def behind(decoder: dict) -> dict:
        return {"model.network": part("models.decoded.DecodedOutput", network=plain, decoder=decoder)}

    marginals = part("modules.ConsistentDecoder", rules=rules, decisions="marginals")
    path = file(
        ruled={"from": "plain", "change": {"model.network.rules": rules}},
        bce={"from": "ruled", "change": {"model.logical": None}},
        decoded={"change": behind(marginals)},
        decided={"change": behind(part("modules.ConsistentDecoder", rules=rules))},
    )
    measured = ["plain", "ruled", "bce", "decoded", "decided"]
    ablate(path, output=tmp_path / "out", seeds=[0], only=measured, console=Console(quiet=True))
    known, found = RuleSet.load("synthfaces"), {}
    for run in planned_runs(read_ablation(path), tmp_path / "out", seeds=[0]):
        if run.variant.name not in measured:
            continue
        model = TokenClassifier.from_pretrained(run.folder / "model")
        data = built_data(run.config)
        data.prepare_data()
        data.setup("test")
        batches = list(data.test_dataloader())
        with torch.no_grad():
            output = model(torch.cat([each.images for each in batches]))
        files = [data.table.files[row] for each in batches for row in each.index.tolist()]
        stored = read_predictions(run.folder / "predictions.csv", known.schema).for_files(files)
        faces = read_faces(run.folder)
        labels = faces.labels[[faces.files.index(each) for each in files]]
        metrics = yaml.safe_load((run.folder / "result.json").read_text())["metrics"]
        assert (model.rules is None) == (run.variant.name == "plain")
        if run.variant.name == "decided":
            assert torch.equal(stored > 0.5, output.mode.bool())
            free = (stored > 0.5) == (output.probability > 0.5)
            torch.testing.assert_close(stored[free], output.probability[free].to(stored), atol=1e-4, rtol=0)
            continue
        torch.testing.assert_close(stored, output.probability.to(stored), atol=2e-6, rtol=0)
        scored = float(brier(output.probability, labels, undefined=0).mean())
        assert metrics["brier"] == pytest.approx(scored, abs=1e-5)
        found[run.variant.name] = output
    for name in ("ruled", "bce"):
        far = (found[name].probability - found[name].logits.sigmoid()).abs().max()
        assert far > 1e-3, "the rules say something here"
