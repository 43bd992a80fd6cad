"""Results that no longer belong to their files, damaged results, and parts of an ablation."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from faceinsight.ablation import PlanError, ablate, run
from faceinsight.ablation.plan import planned_runs, read_ablation
from faceinsight.ablation.run import read_result
from faceinsight.data.sources.celeba import CelebA

pytestmark = pytest.mark.filterwarnings(
    "ignore:constant on the .* training faces",  # so few faces cannot show everything
    "ignore:GPU available but not used",
)

#: What the trained image encoder of the variant "plain" is kept in.
WEIGHTS = "${run:plain}/image_encoder.safetensors"

NETWORK = """
from faceinsight.models.controls import PriorClassifier
from own_numbers import SHIFT

class Shifted(PriorClassifier):
    def forward(self, *arguments, **named):
        output = super().forward(*arguments, **named)
        return type(output)(logits=output.logits + SHIFT, features={})
"""


@pytest.fixture
def path(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ablation that trains nothing: the prior, and a user's own class; over a label list that can be changed."""
    shutil.copytree(next(each for each in drawn.iterdir() if each.is_dir()), tmp_path / "set")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "own_network.py").write_text(NETWORK)
    (tmp_path / "source" / "own_numbers.py").write_text("SHIFT = 1.0")
    monkeypatch.syspath_prepend(tmp_path / "source")
    (tmp_path / "rules.txt").write_text("Bald -> not Bangs")

    def part(name: str, /, **arguments: object) -> dict:
        return {"class_path": name, "init_args": arguments}

    schema = part("faceinsight.Schema.load", name_or_path="synthfaces")
    source = part("faceinsight.data.CelebA", root=str(tmp_path / "set"), schema=schema, mask_folder="masks")
    data = part("faceinsight.data.FaceDataModule", source=source, image_size=32)
    prior = part("faceinsight.data.label_prior", data=data)
    content = {
        "question": "Is it stale?",
        "seeds": [0, 1],
        "base": {
            "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "num_sanity_val_steps": 0},
            "data": data,
            "model": part(
                "faceinsight.training.systems.AttributeSystem",
                rules=part("faceinsight.RuleSet.load", name_or_path=str(tmp_path / "rules.txt"), schema=schema),
                network=part("faceinsight.models.controls.PriorClassifier", schema=schema, prior=prior),
            ),
        },
        "variants": {
            "prior": {"section": "controls"},
            "own": {
                "section": "controls",
                "against": "prior",
                "change": {"model.network": part("own_network.Shifted", schema=schema, prior=prior)},
            },
        },
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def carry_out(path: Path, **options: object) -> tuple[pd.DataFrame, str]:
    """The table by variant, and what was printed."""
    with (path.parent / "printed.txt").open("w") as printed:
        ablate(path, output=path.parent / "out", console=Console(file=printed, width=400), **options)
    return pd.read_csv(path.parent / "out" / "table.csv").set_index("variant"), (
        path.parent / "printed.txt"
    ).read_text()


def folders(path: Path) -> dict[tuple[str, int], Path]:
    return {(run.variant.name, run.seed): run.folder for run in planned_runs(read_ablation(path), path.parent / "out")}


def test_after_a_change_of_what_the_file_names_its_runs_are_done_again(path: Path) -> None:
    tables = [carry_out(path)[0]]

    def change(file: str, old: str, new: str) -> int:
        text = (path.parent / file).read_text()
        assert old in text
        (path.parent / file).write_text(text.replace(old, new))
        table, printed = carry_out(path)
        tables.append(table)
        return int(printed.split(" of 4 runs are finished")[0].split()[-1])

    assert "4 of 4 runs are finished" in carry_out(path)[1]
    assert change("source/own_numbers.py", "1.0", "-4.0") == 2, "only the runs of the class that imports it"
    assert tables[-1]["accuracy"]["prior"] == tables[-2]["accuracy"]["prior"]
    assert change("rules.txt", "Bald -> not Bangs", "Male or not Young") == 0
    assert change("set/list_attr_celeba.txt", " -1 ", "  1 ") == 0
    assert tables[-1]["accuracy"]["prior"] != tables[-2]["accuracy"]["prior"]
    assert len([*(path.parent / "out" / "runs").iterdir()]) == 14, "nothing that was measured is deleted"


def test_a_table_needs_no_data_once_its_runs_are_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = carry_out(path, seeds=[0])
    monkeypatch.setattr(CelebA, "table", None)
    pd.testing.assert_frame_equal(carry_out(path, seeds=[0])[0], first)


def test_runs_that_were_tested_on_other_labels_are_not_compared(path: Path) -> None:
    carry_out(path)
    old = folders(path)["own", 0]  # the newest is that of seed 1
    text = (old / "labels.csv").read_text()
    (old / "labels.csv").write_text(text.replace(",-1,", ",1,", 1).replace(",1,", ",-1,", 1).replace(",-1,1", ",1,-1"))
    assert (old / "labels.csv").stat().st_size == len(text)
    table, printed = carry_out(path)
    assert "tested on other faces or labels" in printed
    assert table["seeds"].to_dict() == {"prior": 2, "own": 1}


def test_results_from_before_contents_were_recorded_are_named_kept_and_not_shown(path: Path) -> None:
    first, _ = carry_out(path)
    runs = planned_runs(read_ablation(path), path.parent / "out")
    for each in runs:  # as they lay there before
        each.folder.rename(each.former)
    (path.parent / "out" / "table.csv").write_text("variant,accuracy\nprior,0.123\n")
    table, printed = carry_out(path, only=["own"])
    assert "2 finished runs were made before contents were recorded: own (seed 0), own (seed 1)" in printed
    assert table.index.to_list() == ["own"]
    assert table["accuracy"]["own"] == first["accuracy"]["own"]
    assert all((each.former / "predictions.csv").is_file() for each in runs)
    kept = path.parent / "out" / "made before contents were recorded" / "table.csv"
    assert kept.read_text() == "variant,accuracy\nprior,0.123\n"


def test_runs_made_with_other_files_of_the_package_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "other files of faceinsight" not in carry_out(path, seeds=[0])[1]
    monkeypatch.setattr(run, "package_hash", lambda: "of another version")
    carry_out(path, seeds=[0], rerun=["own"])
    monkeypatch.undo()
    monkeypatch.syspath_prepend(path.parent / "source")
    assert (
        "1 of 2 runs were made with other files of faceinsight than it has now (own)" in carry_out(path, seeds=[0])[1]
    )


def test_a_part_of_the_variants_is_carried_out_and_the_table_keeps_what_is_finished(path: Path) -> None:
    table, printed = carry_out(path, seeds=[0], only=["prior"])
    assert table.index.to_list() == ["prior"]
    assert "Not asked for, and not run yet: own." in printed
    table, printed = carry_out(path, seeds=[0], only=["own"])
    assert table.index.to_list() == ["prior", "own"]
    assert "1 of 2 runs are finished" in printed


def test_a_variant_is_done_again_with_what_rests_on_it_and_nothing_else(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    content["variants"]["resting"] = {"section": "s", "change": {"model.lr": "${run:own}"}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    runs = planned_runs(read_ablation(path), path.parent / "out")
    for each in runs:
        each.folder.mkdir(parents=True)
        (each.folder / "result.json").write_text("{}")
    from faceinsight.ablation.carry import drop

    drop(runs, ["own"])
    left = {each.variant.name for each in runs if (each.folder / "result.json").exists()}
    assert left == {"prior"}


def test_a_logger_that_the_file_names_is_used_as_well(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    arguments = {"save_dir": str(path.parent / "logged")}
    content["base"]["trainer"]["logger"] = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": arguments}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    carry_out(path, seeds=[0], only=["prior"])
    assert [*(path.parent / "logged").rglob("metrics.csv")]
    assert [*folders(path)["prior", 0].glob("log/*/metrics.csv")]


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_state_of_a_training_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "newest.ckpt").write_bytes(damage)
    with pytest.warns(UserWarning, match=r"newest.ckpt.*newest.damaged.ckpt"):
        assert run.checkpoint(tmp_path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["newest.damaged.ckpt"]
    assert run.checkpoint(tmp_path) is None


@pytest.mark.parametrize("option", ["only", "rerun"])
def test_a_variant_that_is_not_in_the_file_is_refused(path: Path, option: str) -> None:
    with pytest.raises(PlanError, match=f"{option}.*'onw'.*'own'"):
        carry_out(path, **{option: ["onw"]})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("result.json", lambda path: path.write_text(""), "result.json is damaged"),
        ("result.json", lambda path: path.write_text("[1]"), "result.json is damaged"),
        ("predictions.csv", Path.unlink, "predictions.csv is missing"),
        ("predictions.csv", cut, "predictions.csv is damaged"),
        ("labels.csv", Path.unlink, "labels.csv is missing"),
    ],
)
def test_a_damaged_run_is_set_aside_and_done_again(path: Path, file: str, damage: Callable, says: str) -> None:
    first, _ = carry_out(path, seeds=[0])
    folder = folders(path)["own", 0]
    damage(folder / file)
    with pytest.warns(UserWarning, match=f"{says}.*result.damaged.json"):
        table, printed = carry_out(path, seeds=[0])
    assert "1 of 2 runs are finished" in printed
    assert (folder / "result.damaged.json").is_file()
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), first.drop(columns="seconds"))
    assert read_result(folder) is not None


@pytest.mark.parametrize("damage", [Path.unlink, cut], ids=["lost", "cut"])
def test_a_trunk_without_its_weights_is_set_aside_and_done_again(
    file: Callable[..., Path], tmp_path: Path, damage: Callable
) -> None:
    on_top = {"against": "plain", "from": "plain", "change": {"model.network.image_encoder.weights": WEIGHTS}}
    path, options = file(top=on_top), {"seeds": [0], "only": ["top"]}
    first, _ = carry_out(path, **options)
    trunk, top = (folders(path)[name, 0] for name in ("plain", "top"))
    damage(trunk / "image_encoder.safetensors")
    wanted, result = (top / "predictions.csv").read_bytes(), (top / "result.json").stat().st_mtime_ns
    with pytest.warns(UserWarning, match=r"image_encoder.safetensors.*result.damaged.json"):
        table, printed = carry_out(path, **options)
    assert "1 of 3 runs are finished" in printed, "what rests on the trunk is still whole"
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), first.drop(columns="seconds"))
    assert (trunk / "image_encoder.safetensors").is_file()
    assert read_result(trunk) is not None
    assert ((top / "predictions.csv").read_bytes(), (top / "result.json").stat().st_mtime_ns) == (wanted, result)


def test_damage_that_keeps_the_size_of_a_file_costs_one_row(path: Path) -> None:
    carry_out(path, seeds=[0])
    predictions = folders(path)["own", 0] / "predictions.csv"
    predictions.write_bytes(b"x" * predictions.stat().st_size)
    table, printed = carry_out(path, seeds=[0])
    assert table["status"].to_dict() == {"prior": "finished", "own": "failed"}
    assert "--rerun 'own'" in printed


def test_a_finished_ablation_on_a_disk_that_cannot_be_written_shows_its_table(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(path, seeds=[0])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for function in ("os.open", "os.mkdir", "os.rename", "os.replace", "os.unlink", "tempfile.mkstemp"):
        monkeypatch.setattr(function, refuse)
    _, printed = carry_out(path, seeds=[0])
    assert "2 of 2 runs are finished" in printed
    assert "cannot be written" in printed
    assert printed.count("prior") > 1


def test_a_file_that_changes_while_the_runs_are_carried_out_stops_the_later_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_and_test = run.train_and_test

    def changing(*arguments: object) -> object:
        (path.parent / "rules.txt").write_text("Male or not Young")
        return train_and_test(*arguments)

    monkeypatch.setattr(run, "train_and_test", changing)
    table, _ = carry_out(path, seeds=[0])
    assert table["status"].to_dict() == {"prior": "finished", "own": "failed"}
    assert "rules.txt has changed since this ablation began" in table["error"]["own"]
    recorded = json.loads((next((path.parent / "out" / "runs").glob("prior-*")) / "contents.json").read_text())
    assert recorded["files"].keys() == {str(path.parent / "rules.txt"), str(path.parent / "set")}
