"""The command line, from words to exit codes."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import faceinsight
from faceinsight.ablation.plan import changed
from faceinsight.cli import commands as cli
from faceinsight.data.sources import source, source_names
from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.data.synthetic import population, renderer
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from tests.modules.checkpoints import write_llava

pytestmark = pytest.mark.filterwarnings("ignore:constant on the 14 training faces")

FACES = {"count": 24, "image_size": 32, "workers": 1, "progress": False}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one small set of drawn faces."""
    faces = SynthFaces(root=tmp_path_factory.mktemp("synthfaces"), **FACES)
    faces.prepare()
    return faces.folder


@pytest.fixture
def ablation(drawn: Path, tmp_path: Path) -> Path:
    """One control that trains nothing and is done at once."""
    faces = {"class_path": "faceinsight.data.SynthFaces", "init_args": {"root": str(drawn.parent), **FACES}}
    data = {"class_path": "faceinsight.data.FaceDataModule", "init_args": {"source": faces, "image_size": 32}}
    network = {
        "schema": {"class_path": "faceinsight.Schema.load", "init_args": {"name_or_path": "synthfaces"}},
        "prior": {"class_path": "faceinsight.data.label_prior", "init_args": {"data": data}},
    }
    model = {
        "rules": {"class_path": "faceinsight.RuleSet.load", "init_args": {"name_or_path": "synthfaces"}},
        "network": {"class_path": "faceinsight.models.controls.PriorClassifier", "init_args": network},
    }
    trainer = {"accelerator": "cpu", "enable_progress_bar": False, "enable_checkpointing": False}
    plan = {
        "question": "Does it run?",
        "seeds": [0, 1, 2],
        "base": {
            "trainer": trainer,
            "data": data,
            "model": {"class_path": "faceinsight.training.systems.AttributeSystem", "init_args": model},
        },
        "variants": {"majority class": {"section": "controls"}},
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_every_command_is_listed_with_a_line_of_its_own(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):  # argparse's own way for --help
        assert cli.main(words) == 0
    shown = capsys.readouterr().out.split("commands:")[1].split("exit codes:")[0].splitlines()
    listed = {line.split()[0]: len(line.split()) for line in shown if line.startswith("    ")}
    assert list(listed) == ["predict", "ablate", "fit", "validate", "test", "evaluate", "probe", "data", "lint", "mine"]
    assert min(listed.values()) > 4


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from faceinsight import cli; cli.main([]); print({'torch', 'rich', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_data_alone_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data"]) == 0
    assert "check" in (shown := capsys.readouterr().out)
    assert "sheet" in shown


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"faceinsight {faceinsight.__version__}\n"


def test_the_entry_point_hands_on_the_exit_code() -> None:
    script = Path(sysconfig.get_path("scripts")) / "faceinsight"
    done = subprocess.run([script, "lint", "celebra"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        "error: no catalog named 'celebra' and no such file; catalogs of this library: celeba"
    )
    assert done.stderr.count("\n") == 1


def test_a_data_set_is_checked_and_its_broken_file_named(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drawn, tmp_path / "set")
    (tmp_path / "set" / "img_align_celeba" / "000003.jpg").write_bytes(b"no picture")
    assert cli.main(["data", "check", "synthfaces", str(tmp_path / "set")]) == 0
    assert "cannot be read" not in capsys.readouterr().out
    assert cli.main(["data", "check", "synthfaces", str(tmp_path / "set"), "--read-images"]) == 1
    shown = "".join(capsys.readouterr().out.split())  # a narrow screen may break a path anywhere
    assert shown.startswith("24facesof7people")
    assert "facesthatcannotberead:1" in shown
    assert "000003.jpg:notapicture" in shown


def test_a_contact_sheet_is_written_with_and_without_masks(drawn: Path, tmp_path: Path) -> None:
    plain, masked = tmp_path / "plain.png", tmp_path / "masked.png"
    assert cli.main(["data", "sheet", "synthfaces", str(drawn), "--output", str(plain)]) == 0
    assert cli.main(["data", "sheet", "synthfaces", str(drawn), "--output", str(masked), "--masks"]) == 0
    pictures = [np.array(Image.open(path)) for path in (plain, masked)]
    assert pictures[0].shape == pictures[1].shape
    assert not np.array_equal(*pictures)


def test_a_sheet_of_no_picture_format_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "sheet", "celeba", "/nowhere", "--output", "sheet.txt"]) == 2
    assert capsys.readouterr().err == "error: sheet.txt: no picture format has the ending '.txt'; .png is a good one\n"


def test_a_set_of_drawn_faces_is_read_as_it_is_and_another_folder_is_drawn_in(drawn: Path, tmp_path: Path) -> None:
    assert isinstance(source("synthfaces", drawn), CelebA)
    assert len(source("synthfaces", drawn).table()) == FACES["count"]
    assert isinstance(source("synthfaces", tmp_path), SynthFaces)


def test_a_checkpoint_is_measured_as_it_is_and_the_same_command_finds_its_readings(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--setting", "training-free", "--model", str(write_llava(tmp_path / "llava"))]
    words += ["--data", "synthfaces", str(drawn), "--split", "train", "--limit", "3", "--output", str(tmp_path / "out")]
    words += ["--readings", "calibrated", "text", "--max-new-tokens", "2"]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("yes/no logits + rules", "calibrated + rules", "text answers", "ECE ↓"))
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 7
    written = {path: path.read_bytes() for path in (tmp_path / "out" / "readings").iterdir()}
    assert len(written) == 3
    shutil.rmtree(tmp_path / "out" / "predictions")
    assert cli.main([*words, "--batch-size", "2", "--rules", "none"]) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out" / "readings").iterdir()} == written
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 5
    assert "rules" not in capsys.readouterr().out
    paraphrases = ["Is this a person {prompt}?", "A person {prompt}?"]
    assert cli.main([*words, "--readings", "logits", "--broken", "skip", "--question", *paraphrases]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["question"] == paraphrases
    assert cli.main([*words, "--question", "Bald?"]) == 2
    assert "error: a question asks for every attribute alike without '{prompt}' in it" in capsys.readouterr().err


def test_a_checkpoint_and_a_saved_model_are_probed(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "synthfaces", str(drawn), "--split", "val", "--output", str(tmp_path / "out"), "--layers", "1"]
    assert cli.main(["probe", str(write_llava(tmp_path / "llava")), *words]) == 0
    assert "final state" in capsys.readouterr().out
    assert cli.main(["probe", "tiny", *words]) == 0
    assert (tmp_path / "out" / "ladder.png").is_file()
    assert cli.main(["probe", "tiny", *words, "--crop", "0.6", "0.6", "0", "0"]) == 2
    assert "crop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model", "/nowhere", "--data", "synthfaces", "{drawn}"],
            "no directory /nowhere; give a checkpoint's direc",
        ),
        (["--model", "{drawn}", "--data", "synthfaces", "{drawn}"], "no config.json in {drawn}: this is no checkpoint"),
        (["--model", "/nowhere", "--data", "celebra", "{drawn}"], "no data set named 'celebra'; known are celeba,"),
    ],
)
def test_a_checkpoint_or_a_data_set_that_is_not_there_is_told_in_one_message(
    words: list[str], message: str, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", "--setting", "training-free", *(word.format(drawn=drawn) for word in words)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message.format(drawn=drawn)}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["data", "check", "celebra", "."],
            "no data set named 'celebra'; known are celeba, celebamask, expw, fairface, ",
        ),
        (["data", "check", "celeba", "/nowhere"], "/nowhere lacks list_attr_celeba.txt, list_eval_partition.txt,"),
        (["data", "sheet", "celeba", "{drawn}"], "{drawn}/list_attr_celeba.txt: missing columns ['Attractive', "),
        (["lint", "celeba", "--labels", "/nowhere/list.txt"], "/nowhere/list.txt: No such file or directory"),
        (["lint", "celeba", "--labels", "{drawn}/list_attr_celeba.txt"], "{drawn}/list_attr_celeba.txt: missing colum"),
        (["lint", "{drawn}/identity_CelebA.txt"], "{drawn}/identity_CelebA.txt has rules but no attributes of its own"),
        (["lint", "{drawn}/img_align_celeba/000001.jpg"], "{drawn}/img_align_celeba/000001.jpg"),
        (["mine", "/nowhere/list.txt", "--schema", "celeba"], "/nowhere/list.txt: No such file or directory"),
        (
            ["mine", "{drawn}/list_attr_celeba.txt", "--schema", "synthfaces", "--support", "20"],
            "confidence, support and alpha are shares from 0 to 1",
        ),
        (["ablate", "/nowhere.yaml"], "/nowhere.yaml: No such file or directory"),
        (["ablate", "{drawn}/synthfaces.json"], "{drawn}/synthfaces.json: an ablation file needs the keys question, "),
    ],
)
def test_a_mistake_is_told_in_one_message_without_a_traceback(
    words: list[str], message: str, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([word.format(drawn=drawn) for word in words]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {message.format(drawn=drawn)}")
    assert "Traceback" not in shown.err
    assert shown.err.count("\n") == 1


def test_a_broken_image_is_a_mistake_too(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(drawn, tmp_path / "set")
    (tmp_path / "set" / "img_align_celeba" / "000001.jpg").write_bytes(b"no picture")
    assert cli.main(["data", "sheet", "synthfaces", str(tmp_path / "set"), "--output", str(tmp_path / "s.png")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/set/img_align_celeba/000001.jpg: not a picture\n"
    assert not (tmp_path / "s.png").exists()


def test_data_check_ends_with_1_where_files_cannot_be_read(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drawn, tmp_path / "set")
    words = ["data", "check", "synthfaces", str(tmp_path / "set"), "--read-images"]
    assert cli.main(words) == 0
    (tmp_path / "set" / "img_align_celeba" / "000001.jpg").write_bytes(b"no picture")
    assert cli.main(words) == 1
    assert "000001.jpg" in capsys.readouterr().out


def test_a_note_on_an_error_is_told_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> int:
        error = OSError(28, "No space left on device", "sheet.png")
        error.add_note("what stood there before is untouched")
        raise error

    monkeypatch.setattr(cli, "lint", full)
    assert cli.main(["lint", "celeba"]) == 2
    expected = "error: sheet.png: No space left on device\nwhat stood there before is untouched\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("error", [ValueError("a fault in the code"), RuntimeError("another"), KeyError("third")])
def test_any_other_error_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(**_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "lint", faulty)
    with pytest.raises(type(error)) as caught:
        cli.main(["lint", "celeba"])
    assert caught.value is error


MISTAKES = [
    ({"model.lrr": 1}, "model: Option 'lrr' is not accepted, did you mean 'lr'?"),
    ({"model.lr": "fast"}, "model.lr: Expected a <class 'float'>. Got value: fast"),
    ({"trainer.max_epoch": 1}, "did you mean 'max_epochs'?"),
    ({"trainer.accelerator": "cuda9"}, "accelerator='cuda9'"),
    ({"trainer.max_epochs": None, "trainer.max_time": "00:00:00:05"}, "give trainer.max_epochs or trainer.max_steps"),
    ({"model.network.class_path": "faceinsight.models.controls.TokenClasifier"}, "did you mean 'TokenClassifier'?"),
    ({"model.network.image_encoder.name": "vit_tinny_patch16_224"}, "did you mean 'vit_tiny_patch16_224' or"),
    ({"model.network.image_encoder.nmae": "x"}, "model.network.image_encoder: Option 'nmae'"),
    ({"model.part_lr": {"hed": 0.1}}, "did you mean 'head'?"),
    ({"model.trained": ["hed"]}, "did you mean 'head'?"),
    ({"model.network.class_path": "faceinsight.models.TokenClasifier"}, "'TokenClasifier', did you mean"),
    ({"model.network.embed_dim": 13}, "the tokens are 12 wide"),
    ({"model.lr": -0.1}, "lr must be a finite number of at least 0, got -0.1"),
    ({"model.part_lr": {"head": float("nan")}}, "part_lr['head'] must be a finite number"),
    ({"model.logical_weight": -1.0}, "logical_weight must be a finite number"),
    ({"model.warmup": 2.0}, "warmup is a share of all steps"),
    ({"seed_everything": -3}, "seed_everything must be 0 to"),
]


@pytest.fixture
def training(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The configuration of a tiny network that trains for one epoch, and a folder to do it in."""
    config = yaml.safe_load(ablation.read_text())["base"]
    schema = config["model"]["init_args"]["network"]["init_args"]["schema"]
    options = {"embed_dim": 12, "depth": 1, "num_heads": 2}
    vit = {"name": "vit_tiny_patch16_224", "image_size": 32, "options": options}
    encoder = {"class_path": "faceinsight.modules.ImageEncoder", "init_args": vit}
    network = {"schema": schema, "embed_dim": 12, "image_encoder": encoder}
    config["model"]["init_args"]["network"] = {
        "class_path": "faceinsight.models.controls.TokenClassifier",
        "init_args": network,
    }
    config["trainer"] |= {"max_epochs": 1, "enable_model_summary": False, "logger": False}
    monkeypatch.chdir(ablation.parent)
    return config


def fit(config: dict, changes: dict, monkeypatch: pytest.MonkeyPatch) -> int:
    Path("single.yaml").write_text(yaml.safe_dump(changed(config, changes)))
    monkeypatch.setattr(sys, "argv", ["faceinsight", "fit", "--config", "single.yaml"])
    return cli.main()


@pytest.mark.parametrize(("changes", "says"), MISTAKES, ids=[" ".join(changes) for changes, _ in MISTAKES])
def test_a_mistake_in_a_configuration_is_one_line_of_fit(
    training: dict, changes: dict, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = dict(changes)
    if path := left.pop("model.network.class_path", None):
        training["model"]["init_args"]["network"]["class_path"] = path
    assert fit(training, left, monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: f"{text}trainer: {{max_epochs: 2}}\n", "line [0-9]+: 'trainer' stands a second time"),
        (
            lambda text: text.replace("  max_epochs:", "  max_epochs: 7\n  max_epochs:"),
            "line [0-9]+: 'max_epochs' stands a second time",
        ),
        (lambda text: text.replace("trainer:", "trainer: [", 1), "not a whole YAML file: line [0-9]+: "),
        (lambda text: "- 1\n", "the keys model, data and trainer; this file holds a list"),
        (lambda text: "", "this file holds nothing"),
    ],
)
def test_a_mistake_in_the_text_of_a_configuration_is_one_line_of_fit_with_its_file(
    training: dict, change: Callable[[str], str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("single.yaml").write_text(change(yaml.safe_dump(training)))
    assert cli.main(["fit", "--config", "single.yaml"]) == 2
    error = capsys.readouterr().err
    assert re.match(f"error: single.yaml.*{says}", error)
    assert error.count("\n") == 1


def test_a_key_that_stands_twice_in_a_part_of_a_configuration_is_refused_with_the_parts_file(
    training: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data.yaml").write_text(f"{yaml.safe_dump(training['data'])}class_path: faceinsight.data.FaceDataModule\n")
    Path("single.yaml").write_text(yaml.safe_dump({**training, "data": "data.yaml"}))
    assert cli.main(["fit", "--config", "single.yaml"]) == 2
    assert re.match("error: .*data.yaml, line [0-9]+: 'class_path' stands a second time", capsys.readouterr().err)


def test_fit_is_quiet_and_never_writes_over_an_earlier_configuration(
    training: dict, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(training, {}, monkeypatch) == 0
    shown = "".join(capfd.readouterr())
    assert not [word for word in ("Tip", "litlogger", "deprecated", "GPU", "TPU", "Seed set") if word in shown]
    assert fit(training, {"model.lr": 0.5}, monkeypatch) == 2
    error = capfd.readouterr().err
    assert "config.yaml is there already" in error
    assert "--trainer.default_root_dir" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtype", "bfloat61"], "--dtype bfloat61: not a type of weights, did you mean 'bfloat16'?"),
        (["--device", "gpu0"], "--device gpu0: not a device of this machine; it has cpu"),
    ],
)
def test_a_type_or_device_that_is_none_is_refused_before_anything_is_read(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--model", "/nowhere", "--data", "celeba", "/nowhere"]
    assert cli.main(["evaluate", "--setting", "training-free", *nowhere, *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablate", "x.yaml", "--ony", "full"], "unrecognized arguments: --ony full, did you mean '--only'?"),
        (["ablate", "x.yaml", "--work", "2"], "unrecognized arguments: --work 2, did you mean '--workers'?"),
        (["ablate", "x.yaml", "--seeds", "one"], "argument --seeds: invalid int value: 'one'"),
        (["lint"], "the following arguments are required: CATALOG_OR_FILE"),
    ],
)
def test_flags_are_written_out_and_a_wrong_one_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert f"faceinsight {words[0]} --help" in error
    assert error.count("\n") == 1


def test_the_help_of_data_check_names_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["data", "check", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ", ".join(source_names()) in shown


def test_the_help_of_ablate_says_that_a_file_is_code_and_how_to_drop_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["ablate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "An experiment file is code" in shown
    assert "To drop a run, delete its folder" in shown


def test_words_that_are_no_command_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["annihilate"])
    assert stop.value.code == 2
    assert "invalid choice: 'annihilate'" in capsys.readouterr().err


def test_sound_rules_are_held_against_a_list_of_labels(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "synthfaces", "--labels", str(drawn / "list_attr_celeba.txt")]) == 0
    shown = capsys.readouterr().out
    assert "the rules are sound" in shown
    assert "0 of 24 faces (0.00%) break at least one rule" in shown


@pytest.fixture
def labelled(tmp_path: Path) -> list[str]:
    """The words that lint rules against four faces, one of which breaks them."""
    (tmp_path / "catalog.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "small",
                "attributes": dict.fromkeys(["Bald", "Bangs", "Male"], "x"),
                "groups": {"gender": {"kind": "exactly_one", "labels": {"Male": "Male", "Female": "not Male"}}},
                "rules": {"logical": ["Bald -> not Bangs"]},
            }
        )
    )
    rows = [
        "file,Bald,Bangs,Male,split",
        "a.jpg,1,1,1,train",
        "b.jpg,1,-1,1,train",
        "c.jpg,-1,1,1,test",
        "d.jpg,-1,1,-1,test",
    ]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return ["lint", str(tmp_path / "catalog.yaml"), "--labels", str(tmp_path / "labels.csv")]


def test_labels_that_break_rules_fail_only_on_request(labelled: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(labelled) == 0
    assert cli.main([*labelled, "--max-broken", "0.25"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*labelled, "--max-broken", "0.2"]) == 1
    assert capsys.readouterr().err == "error: 25.00% of the faces break a rule, more than --max-broken 20.00%\n"


def test_broken_labels_are_told_by_split_and_group_and_as_json(
    labelled: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out" / "report.json"
    assert cli.main([*labelled, "--by", "gender", "Bald", "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert [f"broken share by {name}" in shown for name in ("split", "gender", "Bald")] == [True] * 3
    assert "│ Bald -> not Bangs │ a.jpg " in shown
    assert "exact match 75.00%, accuracy 91.67% (labels to change at least: 1)" in " ".join(shown.split())
    data = json.loads(path.read_text())
    shares = {
        name: {part: each["share"] for part, each in parts.items()} for name, parts in data["labels"]["by"].items()
    }
    assert shares == {
        "split": {"train": 0.5, "test": 0},
        "gender": {"Male": 1 / 3, "Female": 0},
        "Bald": {"Bald": 0.5, "not Bald": 0},
    }
    # splits of another file, which leaves a face out
    (tmp_path / "splits.txt").write_text("d.jpg 1\na.jpg 2\n")
    assert cli.main([*labelled, "--split", str(tmp_path / "splits.txt"), "--json", str(path)]) == 0
    data = json.loads(path.read_text())["labels"]
    assert (data["faces"], data["by"]["split"]["test"]["broken"], data["by"]["split"]["val"]["broken"]) == (2, [1], [0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "gendre"], "unknown attribute 'gendre'; did you mean 'gender'?"),
        (["--split", "/nowhere.txt"], "/nowhere.txt: No such file or directory"),
    ],
)
def test_what_labels_cannot_be_told_apart_by_is_a_mistake(
    labelled: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*labelled, *words]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("words", [["--by", "gender"], ["--split", "x"], ["--max-broken", "0"]])
def test_what_is_said_of_labels_needs_labels(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "celeba", *words]) == 2
    assert "give them by --labels FILE" in capsys.readouterr().err


def test_all_strengths_are_more_rules(capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    for words in ([], ["--strength", "all"]):
        assert cli.main(["lint", "celeba", *words]) == 0
        counts.append(int(capsys.readouterr().out.split()[0]))
    assert counts[1] > counts[0] > 0


def test_mined_rules_are_printed_and_written_for_who_asks_for_them(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, path = str(drawn / "list_attr_celeba.txt"), tmp_path / "rules.yaml"
    words = ["mine", table, "--schema", "synthfaces", "--confidence", "0.6", "--support", "0.1", "--lift", "1.2"]
    assert cli.main([*words, "--output", str(path)]) == 0
    shown = capsys.readouterr().out
    schema = Schema.load("synthfaces")
    written = RuleSet.load(path, strength="all", schema=schema)
    assert len(written) > 0
    assert shown.startswith(f"{len(written)} statistical rules proposed over 'synthfaces'")
    assert shown.endswith(f"rules: {path}\n")
    assert "mined from list_attr_celeba.txt" in (written.rules[0].source or "")
    assert len(RuleSet.load(path, schema=schema)) == 0


@pytest.mark.parametrize(
    ("rules", "code", "says"),
    [
        ("Bald -> not Bangs\nMale -> not Bangs", 0, "the rules are sound"),
        ("Bald -> not Bangs\nBangs -> not Bald", 1, "duplicate: 'Bangs -> not Bald' says the same as"),
        ("Bald and Bangs\nBald -> not Bangs", 1, "unsatisfiable: no face can satisfy"),
        ("exactly_one(Male, Young)\nBald -> Bags", 1, "rules.txt: line 2, column 9: schema 'celeba' has no attribute"),
        ("Bold -> Young\nMael", 1, "\nline 2, column 1: schema 'celeba' has no attribute 'Mael'; did you mean 'Male'"),
        ("Bald -> -> Bangs", 1, "rules.txt: line 1, column 9: unexpected '->'"),
    ],
)
def test_rules_with_a_finding_exit_with_1(
    rules: str, code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.txt"
    path.write_text(rules)
    assert cli.main(["lint", str(path), "--schema", "celeba"]) == code
    shown = capsys.readouterr()
    assert says in shown.out + shown.err


def test_a_rule_s_error_points_at_its_place_however_long_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Bald", "Wearing_Hat", "Wearing_Necktie", "Youngg"]
    path = tmp_path / "rules.txt"
    path.write_text(f"at_least_one({', '.join(names)})")
    assert cli.main(["lint", str(path), "--schema", "celeba"]) == 1
    line, caret = capsys.readouterr().err.splitlines()[1:]
    assert line.index("Youngg") == caret.index("^")


@pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter was deprecated")  # Lightning 2.6 with jsonargparse 4.49
def test_an_ablation_is_carried_out_with_the_seeds_given(
    ablation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ablate", str(ablation), "--output", str(tmp_path / "out"), "--seeds", "3", "4"]
    assert cli.main(words) == 0
    assert "0 of 2 runs are finished" in capsys.readouterr().out
    assert cli.main(words) == 0
    assert "2 of 2 runs are finished" in capsys.readouterr().out
    config = next((tmp_path / "out" / "runs").glob("majority-class-seed3-*")) / "config.yaml"
    # one of its runs on its own, with LightningCLI
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["faceinsight", "test", "--config", str(config), "--trainer.logger=false"])
    assert cli.main() == 0
    assert "test/accuracy" in capsys.readouterr().out


def test_what_a_class_says_of_its_settings_is_told_without_the_parser_s_dump(
    ablation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ablation.write_text(ablation.read_text().replace("name_or_path: synthfaces", "name_or_path: synthface"))
    assert cli.main(["ablate", str(ablation), "--output", str(tmp_path / "out"), "--seeds", "0"]) == 1
    printed = capsys.readouterr().out
    assert "failed: ConfigurationError: no catalog named 'synthface' and no such file; " in " ".join(printed.split())
    assert "Given value" not in printed


def test_a_failed_run_exits_with_1(ablation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("faceinsight.ablation.work.carry_out", fail)
    assert cli.main(["ablate", str(ablation), "--output", str(tmp_path / "out"), "--seeds", "0"]) == 1


def test_an_interrupted_ablation_shows_its_table_and_exits_with_130(
    ablation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("faceinsight.ablation.work.carry_out", interrupt)
    assert cli.main(["ablate", str(ablation), "--output", str(tmp_path / "out")]) == 130
    assert "Interrupted" in capsys.readouterr().out


def test_ctrl_c_exits_with_130_even_if_lightning_turns_it_into_an_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> int:
        raise KeyboardInterrupt

    def interrupt_in_lightning(**_: object) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    for stop in (interrupt, interrupt_in_lightning):
        monkeypatch.setattr(cli, "lint", stop)
        assert cli.main(["lint", "celeba"]) == 130


def photographs(folder: Path, faces: int = 2) -> list[Path]:
    """Drawn faces as files."""
    files = [folder / f"{index}.png" for index in range(faces)]
    folder.mkdir(parents=True, exist_ok=True)
    for index, path in enumerate(files):
        renderer.render(population.face(seed=1, index=index))[0].save(path)
    return files


def test_predict_prints_a_table_of_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs(tmp_path)
    assert cli.main(["predict", str(tmp_path), "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "0.png" in shown.out
    assert "%" in shown.out
    assert "2 faces" in shown.err


def test_predict_writes_json_a_csv_and_a_picture_a_face_and_names_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs(tmp_path / "faces")
    (tmp_path / "faces" / "text\n😀.jpg").write_text("no picture")
    words = ["predict", str(tmp_path / "faces"), "--device", "cpu", "--batch-size", "1"]
    assert cli.main([*words, "--json"]) == 1
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert [Path(face["path"]).name for face in told["faces"]] == ["0.png", "1.png"]
    assert len(told["broken"]) == 1
    assert "1 picture cannot be read" in shown.err
    assert "text\\n😀.jpg" in shown.err
    assert cli.main([*words, "--csv", str(tmp_path / "out" / "a.csv"), "--annotate", str(tmp_path / "plots")]) == 1
    assert len((tmp_path / "out" / "a.csv").read_text().splitlines()) == 3
    plots = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in plots] == ["00001_0.png", "00002_1.png"]
    with Image.open(plots[0]) as plot:
        assert plot.size[0] > 500


@pytest.mark.parametrize(
    "words", [["missing.jpg"], ["no/*.png"], ["."], [".", "--csv", "a.xls"], ["a.png", "--json", "--csv", "b.csv"]]
)
def test_predict_refuses_what_the_user_can_mend_before_the_model_is_loaded(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faceinsight.FaceInsight, "from_pretrained", lambda *_: pytest.fail("loaded"))
    with contextlib.suppress(SystemExit):
        assert cli.main(["predict", *words]) == 2
    assert "error" in capsys.readouterr().err
