"""What is found of a shipped part later: it stands in its card and its numbers, and is held against the part."""

import json
import shutil
from pathlib import Path

import pytest

from experiments.tiny import face_parser, random_parts
from experiments.tiny.cards import beside, card_of_model, fitted_on_few, read, repeat
from experiments.tiny.face_parser import SPREAD
from experiments.tiny.words import card as language_model
from faceinsight import tiny
from faceinsight.modules.frozen import fingerprint

CARDS = {"face_parser": face_parser.card, "language_model": language_model.card, "model": card_of_model}


def copied(name: str, folder: Path) -> Path:
    return shutil.copytree(tiny.FOLDER / name, folder / name)


def moved(folder: Path, by: float) -> Path:
    """The same part, which finds photographs' pixels worse or better."""
    told = json.loads((folder / "metrics.json").read_text())
    told["scores"]["photographs"]["mean"] += by
    told["seed"] = 7
    (folder / "metrics.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("name", CARDS)
def test_a_shipped_card_says_what_its_numbers_say(name: str) -> None:
    assert (tiny.FOLDER / name / "README.md").read_text("utf-8") == CARDS[name](*read(tiny.FOLDER / name))


def test_another_run_within_the_spread_is_told_in_the_card(tmp_path: Path) -> None:
    part = copied("face_parser", tmp_path)
    before = (part / face_parser.FILE).read_bytes()
    same, other = (copied("face_parser", tmp_path / name) for name in ("same", "other"))
    moved(other, -0.9 * SPREAD["photographs"])
    (other / face_parser.FILE).write_bytes(b"trained elsewhere")
    repeat(part, [same, other])
    told, scores = read(part)
    assert [(run["seed"], run["same_weights"]) for run in told["repeated"]] == [(0, True), (7, False)]
    found = told["repeated"][1]["numbers"]
    assert found["photographs"] == pytest.approx(scores["photographs"]["mean"] - 0.9 * SPREAD["photographs"])
    assert found["drawn"] == scores["drawn"]["mean"]
    card = (part / "README.md").read_text()
    assert card == face_parser.card(told, scores)
    (line,) = (line for line in card.splitlines() if line.startswith("| seed 7"))
    assert line.endswith(f"other weights | {found['photographs']:.3f} | {found['drawn']:.3f} |")
    assert (part / face_parser.FILE).read_bytes() == before
    repeat(part, [same])
    assert "seed 7" not in (part / "README.md").read_text(), "what was found before is replaced"


def test_another_run_outside_the_spread_fails_and_is_told_all_the_same(tmp_path: Path) -> None:
    part, other = copied("face_parser", tmp_path), moved(copied("face_parser", tmp_path / "other"), 0.2)
    with pytest.raises(SystemExit, match=r"spread: seed 7: .* rather than "):
        repeat(part, [other])
    assert "| seed 7" in (part / "README.md").read_text()


def test_controls_stand_beside_the_model(tmp_path: Path) -> None:
    model, random = copied("model", tmp_path), copied("model", tmp_path / "random")
    told, scores = read(random)
    scores["FairFace"]["this"]["gender accuracy"] = 0.123
    scores["CelebA"]["Bald"] = 0.234
    (random / "metrics.json").write_text(json.dumps({**told, "scores": scores}))
    (tmp_path / "table.csv").write_text(
        'variant,seeds,auroc\n"no LLM, 7,096",3,0.87\n"no LLM, 100",3,0.765\n"trained parts, 100",2,0.7\n'
    )
    beside(model, random=random, few_labels=tmp_path)
    told, scores = read(model)
    assert list(scores["FairFace"]) == list(scores["UTKFace"]) == ["this", "random parts", "majority", "chance"]
    lines = (model / "README.md").read_text().splitlines()
    assert sum(line.startswith("| random parts | 0.123 | ") for line in lines) == 1
    assert f"| Bald | {scores['CelebA']['Bald']:.3f} | 0.234 |" in lines
    assert scores["CelebA"]["Bald"] != 0.234
    # more and more faces, in the order of numbers
    assert lines.index("| no LLM | 3 | 0.765 | 0.870 |") < lines.index("| trained parts | 2 | 0.700 |  |")
    again = (model / "README.md").read_text()
    beside(model, random=random, few_labels=tmp_path)
    assert (model / "README.md").read_text() == again


def test_accuracy_by_crop_size_stands_in_the_models_card(tmp_path: Path) -> None:
    model = copied("model", tmp_path)
    (tmp_path / "crops.csv").write_text("width,gender accuracy,mean AUROC\n0.6,0.8123,0.5\n1.0,0.9,0.75\n")
    beside(model, crops=tmp_path / "crops.csv")
    lines = (model / "README.md").read_text().splitlines()
    first = lines.index("| 0.6 | 0.812 | 0.500 |")
    assert lines[first - 2 : first] == ["| | gender accuracy | mean AUROC |", "|:--|--:|--:|"]
    assert lines[first + 1] == "| 1.0 | 0.900 | 0.750 |"


def test_the_areas_come_from_the_table_of_the_ablation(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text('variant,seeds,auroc\n"ridge on tokens, 1,000",1,0.5\n')
    assert fitted_on_few(tmp_path / "table.csv") == {"ridge on tokens": {"seeds": 1, "1,000 faces": 0.5}}


def test_random_parts_have_the_shapes_of_the_trained_ones_and_other_weights(tmp_path: Path) -> None:
    random_parts.main(tmp_path / "one")
    random_parts.main(tmp_path / "other", seed=1)
    trained, one, other = (tiny.parts(folder) for folder in (None, tmp_path / "one", tmp_path / "other"))
    for name in trained:
        shapes = [{key: value.shape for key, value in each[name].state_dict().items()} for each in (trained, one)]
        assert shapes[0] == shapes[1], name
        assert len({fingerprint(each[name]) for each in (trained, one, other)}) == 3, name
    words = [each["language_model"].tokenizer.get_vocab() for each in (trained, one)]
    assert words[0] == words[1]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"image_encoder", "face_parser", "language_model"}
