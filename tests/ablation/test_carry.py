"""An ablation from file to table, on a few tiny drawn faces."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub.utils import are_progress_bars_disabled
from rich.console import Console
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from faceinsight.ablation import ablate, work
from faceinsight.ablation.plan import planned_runs, read_ablation
from faceinsight.ablation.run import read_result
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import TokenClassifier
from tests.ablation.conftest import FACES

pytestmark = pytest.mark.filterwarnings(
    "ignore:constant on the .* training faces",  # so few faces cannot show everything
    "ignore:GPU available but not used",
)


class OwnClassifier(TokenClassifier):
    """A user's own network, named in a file by its class path alone."""


def run(path: Path, console: Console | None = None, **options: object):
    return ablate(path, output=path.parent / "out", console=console or Console(quiet=True), **options)


def test_every_variant_and_seed_is_trained_tested_and_compared_once(file: Callable[..., Path]) -> None:
    path = file()
    report = run(path)
    assert [(row.name, row.status, row.seeds) for row in report.variants] == [
        ("full", "finished", (0, 1)), ("plain", "finished", (0, 1)),
    ]  # fmt: skip
    output = path.parent / "out"
    table = pd.read_csv(output / "table.csv")
    assert table["variant"].tolist() == ["full", "plain"]
    assert table["accuracy"].between(0.3, 1).all()
    assert (output / "plot.png").stat().st_size > 10_000
    assert (output / "attributes.png").stat().st_size > 10_000
    attributes = pd.read_csv(output / "attributes.csv")
    assert attributes.groupby(["variant", "metric"]).size().tolist() == [len(Schema.load("synthfaces"))] * 2
    for each in planned_runs(read_ablation(path), output):
        result = read_result(each.folder)
        assert result is not None
        assert result.trained > 0
        assert {"config.yaml", "environment.json", "parts.csv", "predictions.csv"} <= {
            entry.name for entry in each.folder.iterdir()
        }

    written = {entry: entry.stat().st_mtime_ns for entry in output.glob("runs/*/*")}
    again = run(path)
    assert {entry: entry.stat().st_mtime_ns for entry in output.glob("runs/*/*")} == written
    assert again.variants == report.variants


def test_predictions_are_those_of_the_test_faces_by_name(file: Callable[..., Path], drawn: Path) -> None:
    path = file()
    run(path, seeds=[0])
    table = SynthFaces(root=drawn, **FACES).table()
    wanted = [table.files[row] for row in table.rows("test").tolist()]
    for folder in (path.parent / "out" / "runs").iterdir():
        predictions = read_predictions(folder / "predictions.csv", table.schema)
        assert predictions.for_files(wanted).shape == (len(wanted), len(table.schema))


def test_a_failing_variant_is_reported_and_the_others_finish(file: Callable[..., Path]) -> None:
    path = file(
        exploding={"against": "full", "change": {"model.lr": 1e30}},
        misspelt={"against": "full", "change": {"model.network.projector.in_dmi": 3}},
        narrow={"against": "full", "change": {"model.network.projector.out_dim": 8}},
        own={"against": "full"},
    )
    content = yaml.safe_load(path.read_text())
    plain = content["variants"]["plain"]["change"]["model.network"]
    content["variants"]["own"]["change"] = {"model.network": {**plain, "class_path": f"{__name__}.OwnClassifier"}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    report = run(path, seeds=[0])
    rows = {row.name: row for row in report.variants}
    assert rows["full"].status == rows["plain"].status == rows["own"].status == "finished"
    assert "LossNotFiniteError: the training loss is" in rows["exploding"].errors[0]
    assert "in_dmi" in rows["misspelt"].errors[0]
    assert rows["narrow"].status == "failed"
    traces = list((path.parent / "out" / "runs").glob("*/error.txt"))
    assert len(traces) == 3
    assert all("Traceback" in trace.read_text() for trace in traces)


def test_ctrl_c_while_a_network_trains_is_an_interrupt_like_any_other(
    file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(self, batch, batch_index):
        raise KeyboardInterrupt

    path = file()
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("faceinsight.training.systems.AttributeSystem.training_step", pressed)
    report = run(path, seeds=[0])
    assert {row.status for row in report.variants} == {"missing"}
    assert signal.getsignal(signal.SIGINT) is handler
    assert (path.parent / "out" / "table.md").is_file()


def test_an_interrupt_leaves_the_table_of_what_is_finished_and_the_next_call_goes_on(
    file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = file(), []
    carry_out = work.carry_out

    def interrupted(each, report):
        if done:
            raise KeyboardInterrupt
        done.append(each)
        return carry_out(each, report)

    monkeypatch.setattr(work, "carry_out", interrupted)
    report = run(path)
    assert {row.name: row.status for row in report.variants} == {"full": "missing", "plain": "partial"}
    monkeypatch.undo()
    before = read_result(done[0].folder)
    report = run(path)
    assert {row.status for row in report.variants} == {"finished"}
    assert read_result(done[0].folder) == before


def test_loading_a_model_shows_no_bar_of_its_own_but_a_download_does() -> None:
    shown = transformers_logging.is_progress_bar_enabled()
    try:
        transformers_logging.enable_progress_bar()
        work.silence_tips()
        assert not transformers_logging.is_progress_bar_enabled()
        assert not are_progress_bars_disabled()
    finally:
        (transformers_logging.enable_progress_bar if shown else transformers_logging.disable_progress_bar)()


def test_the_resolved_configuration_of_a_run_gives_the_same_result_again(file: Callable[..., Path]) -> None:
    path = file()
    run(path, seeds=[0])
    output = path.parent / "out"
    folder = next((output / "runs").glob("full-seed0-*"))
    first = json.loads((folder / "result.json").read_text())["metrics"]
    (folder / "result.json").unlink()
    run(path, seeds=[0])
    again = json.loads((folder / "result.json").read_text())["metrics"]
    torch.testing.assert_close(again, first, atol=1e-6, rtol=0, equal_nan=True)


def test_controls_are_named_by_class_path_and_a_shield_keeps_every_rule(file: Callable[..., Path]) -> None:
    base = yaml.safe_load(file().read_text())["base"]
    network, rules = base["model"]["init_args"]["network"], base["model"]["init_args"]["rules"]
    parts = network["init_args"]

    def control(name: str, /, **arguments: object) -> dict:
        change = {"model.network": {"class_path": f"faceinsight.{name}", "init_args": arguments}}
        return {"section": "controls", "against": "full", "change": change}

    shield = {"class_path": "faceinsight.modules.ShieldLayer", "init_args": {"rules": rules}}
    ridge = {"class_path": "faceinsight.data.pixel_ridge", "init_args": {"data": base["data"], "size": 8}}
    graph = {part: parts[part] for part in ("schema", "image_encoder", "correlation")}
    path = file(
        shielded=control("decoding.DecodedOutput", network=network, decoder=shield),
        ridge=control("controls.RidgeClassifier", schema=parts["schema"], regression=ridge),
        gcn=control("controls.MLGCNClassifier", **graph, prompt_dim=16, embed_dim=12),
    )
    report = run(path, seeds=[0])
    assert {row.name: row.errors for row in report.variants if row.status != "finished"} == {}
    output = path.parent / "out"
    table = pd.read_csv(output / "table.csv").set_index("variant")
    assert table["violation_rate"]["full"] > 0
    assert table["violation_rate"]["shielded"] == 0
    folders = {each.variant.name: each.folder for each in planned_runs(read_ablation(path), output, [0])}
    sizes = {name: read_result(folder).trained for name, folder in folders.items()}
    assert sizes["shielded"] == sizes["full"] > sizes["gcn"] > sizes["ridge"] == 0
    assert (folders["shielded"] / "parts.csv").read_text() == (folders["full"] / "parts.csv").read_text()
    saved = [load_file(folders[name] / "model" / "model.safetensors") for name in ("full", "shielded")]
    assert saved[0].keys() == saved[1].keys()
    # the wrapped network reads the features that were stored for the network itself
    assert len(list((path.parent / "features").glob("*.safetensors"))) == 2


def test_a_plain_network_and_a_source_without_annotations_are_a_variant_as_they_are(
    file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = yaml.safe_load(file().read_text())["base"]
    drawn = base["data"]["init_args"]["source"]["init_args"]
    folder = file().parent
    (folder / "my_faces.py").write_text(
        "import torch\n"
        "from faceinsight.data import SynthFaces\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, width: int = 4):\n"
        "        super().__init__(torch.nn.AdaptiveAvgPool2d(width), torch.nn.Flatten(), torch.nn.LazyLinear(45))\n"
        "        self(torch.zeros(1, 3, 8, 8))\n"
        "class Faces:\n"
        "    def __init__(self, folder: str):\n"
        f"        self.faces = SynthFaces(**{ {**drawn, 'root': None}!r} | {{'root': folder}})\n"
        "    def prepare(self):\n"
        "        self.faces.prepare()\n"
        "    def table(self):\n"
        "        return self.faces.table()\n"
    )
    monkeypatch.syspath_prepend(folder)
    path = file(
        own={
            "section": "mine",
            "against": "plain",
            "change": {
                "model.network": {"class_path": "my_faces.Net"},
                "data.source": {"class_path": "my_faces.Faces", "init_args": {"folder": drawn["root"]}},
            },
        }
    )
    report = run(path, seeds=[0], only=["own"])
    assert {row.name: (row.status, row.errors) for row in report.variants if row.name == "own"} == {
        "own": ("finished", {})
    }
    (left,) = (path.parent / "out" / "runs").glob("own-seed0-*")
    assert load_file(left / "network.safetensors").keys() == {"2.weight", "2.bias"}
