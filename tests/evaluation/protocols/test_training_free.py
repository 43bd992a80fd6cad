"""A checkpoint measured as it is: what it gives is kept, read in every way, and written down."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

import faceinsight as fi
from faceinsight.data.table import FaceTable
from faceinsight.evaluation import blank_images, blank_logits, evaluate_training_free, readings
from faceinsight.evaluation.predictions import read_predictions
from faceinsight.evaluation.protocols import training_free
from faceinsight.evaluation.protocols.training_free import (
    calibrated,
    text_answers,
    training_free_report,
    variants,
)
from faceinsight.evaluation.readings import Readings, asked, read_faces
from faceinsight.models.face_insight import FaceInsightOutput
from tests.models.test_face_insight import face_insight, segmentation
from tests.modules.checkpoints import write_llava

FACES = 7
SCHEMA = fi.Schema.from_dict(
    {
        "name": "few",
        "attributes": {
            "Bald": "who is bald",
            "Bangs": "with bangs",
            "Hat": {"prompt": "with a hat", "questions": ["Is there a hat?", "Is a hat worn?"]},
        },
    }
)
RULES = fi.RuleSet.parse("Bald -> not Bangs\nHat -> Bangs", SCHEMA)
COUNTS = [1, 1, 2]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> fi.FaceInsight:
    return fi.FaceInsight.from_llava(write_llava(tmp_path_factory.mktemp("llava")), schema=SCHEMA)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FaceTable:
    """Noise for faces; three of ten are to train."""
    root, generator = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for face in range(FACES + 3):
        Image.fromarray(generator.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(root / f"{face}.png")
    return FaceTable(
        schema=SCHEMA,
        root=root,
        files=tuple(f"{face}.png" for face in range(FACES + 3)),
        labels=torch.tensor(generator.choice([-1, 1], (FACES + 3, 3)), dtype=torch.int8),
        split=("test",) * FACES + ("train",) * 3,
        identity=torch.arange(FACES + 3),
    )


@pytest.fixture(scope="module")
def faces(table: FaceTable) -> FaceTable:
    return table.select(table.rows("test"))


def pixels(table: FaceTable) -> Tensor:
    """The pictures as the checkpoint's processor would cut and resize them."""
    squares = []
    for name in table.files:
        picture = Image.open(table.root / name).resize((12, 12), Image.Resampling.BICUBIC, box=(0, 2, 16, 18))
        squares.append(np.array(picture))
    return torch.from_numpy(np.stack(squares)).movedim(-1, 1) / 255


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Faces in each batch that the model really looks at; at the third, Ctrl-C is pressed."""
    looked: list[int] = []
    forward = fi.FaceInsight.forward

    def count(self: Any, images: Tensor, **options: Any) -> FaceInsightOutput:
        looked.append(len(images))
        if len(looked) == 3:
            raise KeyboardInterrupt
        return forward(self, images, **options)

    monkeypatch.setattr(fi.FaceInsight, "forward", count)
    return looked


# --- what the model gives ----------------------------------------------------------------------------------------


def test_faces_are_read_as_the_model_reads_them_whatever_the_batch(
    model: fi.FaceInsight, faces: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SHARD", 3)
    read = [read_faces(model, faces, folder=tmp_path / str(size), batch_size=size) for size in (1, 3)]
    with torch.no_grad():
        expected = model(pixels(faces)).logits
    assert expected.std(0).min() > 0.01
    for each in read:
        torch.testing.assert_close(each.logits, expected, rtol=0, atol=1e-4)
        assert each.texts is None
    assert len([*(tmp_path / "1").glob("logits-*.json")]) == 3


def test_an_interrupted_reading_goes_on_after_its_last_shard(
    model: fi.FaceInsight, faces: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    monkeypatch.setattr(readings, "SHARD", 3)
    told: list[tuple[str, int]] = []
    with pytest.raises(KeyboardInterrupt):
        read_faces(model, faces, folder=tmp_path, tell=lambda *each: told.append(each))
    assert passes == [3, 3, 3], "the blank pictures, one shard, and the next one, interrupted"
    assert sum(number for _, number in told) == 3
    told.clear()
    whole = read_faces(model, faces, folder=tmp_path, tell=lambda *each: told.append(each))
    assert passes[3:] == [3, 1]
    assert sum(number for _, number in told) == FACES
    again = read_faces(model, faces, folder=tmp_path)
    assert passes[5:] == []
    assert torch.equal(again.logits, whole.logits)
    next(tmp_path.glob("logits-*.json")).write_text('{"logits": [[1')  # cut short by another program
    with pytest.warns(UserWarning, match="computed again"):
        assert torch.equal(read_faces(model, faces, folder=tmp_path).logits, whole.logits)
    assert len(passes) == 6


def test_other_weights_prompts_or_pictures_are_read_anew(
    model: fi.FaceInsight, faces: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> int:
        read_faces(model, some, folder=tmp_path)
        return len([*tmp_path.glob("logits-*.json")])

    some = faces.select(torch.arange(2))
    assert files() == files() == 1
    weight = next(model.projector.parameters())
    with torch.no_grad():
        weight += 0.01
    assert files() == 2
    with torch.no_grad():
        weight -= 0.01
    monkeypatch.setattr(model, "instruction", "Look: {image} {question}")
    assert files() == 3
    some = faces.select(torch.arange(1, 3))
    assert files() == 4


def test_every_question_is_answered_in_words(model: fi.FaceInsight, faces: FaceTable, tmp_path: Path) -> None:
    some = faces.select(torch.arange(2))
    read = read_faces(model, some, folder=tmp_path, texts=True, max_new_tokens=4)
    assert asked(model)[2:] == ["Is there a hat?", "Is a hat worn?"]
    expected = [model.ask(pixels(some), question, max_new_tokens=4) for question in asked(model)]
    assert read.texts == tuple(zip(*expected, strict=True))
    assert read_faces(model, some, folder=tmp_path, texts=True, max_new_tokens=4).texts == read.texts
    assert set(read.seconds) == {"logits", "texts"}


def test_the_leaning_is_what_is_answered_about_nothing(model: fi.FaceInsight) -> None:
    blanks = torch.stack([torch.full((3, 12, 12), grey) for grey in (0.0, 0.5, 1.0)])
    assert torch.equal(blank_images(12), blanks)
    torch.testing.assert_close(blank_logits(model), model(blanks).logits.detach(), rtol=0, atol=1e-5)
    assert blank_logits(face_insight(segmentation=segmentation()).eval()).shape == (3, 5)


def test_soft_tokens_alone_cannot_be_answered_in_words() -> None:
    with pytest.raises(ValueError, match=r"soft tokens alone; .*{prompt}"):
        asked(face_insight())


# --- how it is read ----------------------------------------------------------------------------------------------


def test_calibration_divides_each_answer_by_its_share_without_content() -> None:
    """As the paper has it: p / p_content_free for yes and for no, made one again."""
    logits, blank = torch.tensor([[1.0, -2.0], [0.3, 4.0]]), torch.tensor([[0.7, -1.0]])
    yes, free = logits.sigmoid(), blank.sigmoid()
    divided = torch.stack([yes / free, (1 - yes) / (1 - free)])
    torch.testing.assert_close(calibrated(logits, blank).sigmoid(), divided[0] / divided.sum(0))
    several = torch.stack([blank[0] + 5, blank[0] - 5])
    torch.testing.assert_close(calibrated(logits, several), calibrated(logits, blank))


def test_texts_become_shares_of_yes_and_silence_is_counted_apart() -> None:
    said = text_answers([["Yes.", "no", "Yes", "No"], ["I cannot tell.", "Hat", "Yes", "I'm not sure"]], COUNTS)
    assert said.probability.tolist() == [[1.0, 0.0, 0.5], [0.5, 0.5, 1.0]]
    assert (said.refused, said.unclear) == (2 / 8, 1 / 8)


def made_up(texts: tuple[tuple[str, ...], ...] | None) -> Readings:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(FACES, 3, generator=generator) + 2
    return Readings(logits, torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 2.0]]), texts, {"logits": 1.0, "texts": 2.0})


def test_every_row_is_its_own_reading_and_those_with_rules_keep_them() -> None:
    read = made_up((("Yes", "No", "Yes", "Yes"),) * FACES)
    rows, said = variants(read, COUNTS, rules=RULES)
    assert [*rows] == [
        "yes/no logits",
        "yes/no logits + rules",
        "calibrated",
        "calibrated + rules",
        "text answers",
        "blank image",
    ]
    assert torch.equal(rows["yes/no logits"], read.logits.sigmoid())
    torch.testing.assert_close(rows["calibrated"], (read.logits - torch.tensor([1.5, 2.5, 2.5])).sigmoid())
    torch.testing.assert_close(rows["blank image"][3], torch.tensor([1.5, 2.5, 2.5]).sigmoid())
    broken = {name: bool(RULES.violations(each > 0.5).any()) for name, each in rows.items()}
    assert [name for name in rows if not broken[name]] == ["yes/no logits + rules", "calibrated + rules"]
    assert said is not None
    assert said.refused == said.unclear == 0
    assert [*variants(read, COUNTS, rules=None, show=["logits"])[0]] == ["yes/no logits"]
    assert "text answers" not in variants(made_up(None), COUNTS, rules=None)[0]


def test_calibrating_moves_no_ranking_but_decisions(faces: FaceTable) -> None:
    read = made_up((("Yes", "No", "Hat", "I cannot tell"),) * FACES)
    rows, said = variants(read, COUNTS, rules=RULES)
    report = training_free_report(rows, said, faces, rules=RULES, seconds={}, resamples=50)
    by_name = {each.name: each for each in report.variants}
    scores = {name: each.estimates for name, each in by_name.items()}
    assert scores["calibrated"]["auroc"].value == scores["yes/no logits"]["auroc"].value
    assert scores["calibrated"]["accuracy"].value != scores["yes/no logits"]["accuracy"].value
    assert by_name["calibrated + rules"].reference == "calibrated"
    assert by_name["text answers"].shares["refused"] == by_name["text answers"].shares["unclear"] == 0.25
    assert "refused" not in by_name["calibrated"].shares


def test_silence_is_never_right(faces: FaceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    bootstrap = training_free.paired_bootstrap
    monkeypatch.setattr(training_free, "paired_bootstrap", lambda *a, **k: drawn.append(1) or bootstrap(*a, **k))
    texts = tuple(("Yes" if face < 3 else "", "No", "Hat", "I cannot tell") for face in range(FACES))
    rows, said = variants(made_up(texts), COUNTS, rules=RULES)
    report = training_free_report(rows, said, faces, rules=RULES, seconds={}, resamples=50)
    assert len(drawn) == 1
    by_name = {each.name: each for each in report.variants}
    text = by_name["text answers"]
    bald, bangs = (faces.labels[:, column] for column in (0, 1))
    right = [int((bald[:3] == 1).sum()) / FACES, int((bangs == -1).sum()) / FACES, 0]
    assert text.estimates["accuracy"].value == pytest.approx(sum(right) / 3)
    assert text.estimates["exact_match"].value == 0
    difference = text.estimates["accuracy"].value - by_name["yes/no logits"].estimates["accuracy"].value
    assert text.comparisons["accuracy"].difference == pytest.approx(difference)
    hats = next(
        each
        for each in report.attributes
        if (each.variant, each.metric, each.attribute) == ("text answers", "accuracy", "Hat")
    )
    assert hats.value == 0
    assert "logical_accuracy" not in text.estimates.keys() | text.comparisons.keys()
    decided, _ = variants(made_up(None), COUNTS, rules=RULES)
    alone = training_free_report(decided, None, faces, rules=RULES, seconds={}, resamples=50)
    for each in alone.variants:
        assert each.estimates == by_name[each.name].estimates


# --- what is written ---------------------------------------------------------------------------------------------


def test_the_folder_holds_table_plot_predictions_and_answers(
    model: fi.FaceInsight, table: FaceTable, faces: FaceTable, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"rules": RULES, "show": ["calibrated", "text"], "max_new_tokens": 3, "resamples": 50}
    report = evaluate_training_free(model, table, tmp_path, **options, console=QUIET)
    rows = [each.name for each in report.variants]
    assert rows[-3:] == ["text answers", "blank image", "majority class"]
    frame = pd.read_csv(tmp_path / "table.csv").set_index("variant")
    assert [*frame.index] == rows
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name in rows:
        assert frame.loc[name, "accuracy"] == pytest.approx(metrics["rows"][name]["accuracy"]["value"], rel=1e-5)
        assert frame.loc[name, "calibration_error"] == pytest.approx(
            metrics["rows"][name]["calibration_error"], rel=1e-5
        )
    assert frame.loc["text answers", "unclear"] == metrics["rows"]["text answers"]["unclear"] > 0.5
    assert metrics["model"]["name_or_path"].endswith("llava0")
    with torch.no_grad():
        expected = model(pixels(faces)).logits.sigmoid()
    written = read_predictions(tmp_path / "predictions" / "yes_no_logits.csv", SCHEMA)
    torch.testing.assert_close(written.for_files(faces.files), expected, rtol=0, atol=1e-4)
    majority = read_predictions(tmp_path / "predictions" / "majority_class.csv", SCHEMA).probability
    torch.testing.assert_close(majority[0], (table.labels[FACES:] == 1).float().mean(0), rtol=0, atol=1e-5)
    answers = pd.read_csv(tmp_path / "answers.csv", keep_default_na=False)
    assert len(answers) == FACES * sum(COUNTS)
    assert set(answers["attribute"]) == {*SCHEMA.names}
    assert (answers["answer"] == "unclear").mean() == pytest.approx(metrics["rows"]["text answers"]["unclear"])
    text = (tmp_path / "table.md").read_text()
    assert "Brier ↓ | refused | unclear" in text
    assert "seeds" not in text
    with Image.open(tmp_path / "plot.png") as picture:
        assert len(picture.convert("L").getcolors()) > 20


def test_a_broken_picture_is_refused_or_named_skipped_and_counted(
    model: fi.FaceInsight, table: FaceTable, tmp_path: Path
) -> None:
    root = shutil.copytree(table.root, tmp_path / "faces")
    (root / "2.png").write_bytes(b"no picture")
    damaged = replace(table, root=root, mask_root=tmp_path / "masks that this model never sees")
    options: dict[str, Any] = {"show": ["logits"], "resamples": 20, "console": QUIET}
    with pytest.raises(fi.data.images.BrokenImageError, match=r"2\.png: not a picture") as caught:
        evaluate_training_free(model, damaged, tmp_path / "refused", **options)
    assert caught.value.__notes__ == ["broken='skip' (--broken skip) leaves out the faces whose files cannot be read"]
    with pytest.warns(UserWarning, match=r"1 of 7 faces(.|\n)*2\.png: not a picture"):
        report = evaluate_training_free(model, damaged, tmp_path / "skipped", broken="skip", **options)
    assert report.bootstrap is not None
    assert report.bootstrap.faces == FACES - 1
    counted = "Left out, since their files cannot be read: 1 of 7."
    assert counted in (tmp_path / "skipped" / "table.md").read_text()
    assert counted in json.loads((tmp_path / "skipped" / "metrics.json").read_text())["remarks"]
    written = read_predictions(tmp_path / "skipped" / "predictions" / "yes_no_logits.csv", SCHEMA)
    assert written.files == ("0.png", "1.png", "3.png", "4.png", "5.png", "6.png")


def test_faces_without_labels_and_other_attributes_are_refused(
    model: fi.FaceInsight, table: FaceTable, tmp_path: Path
) -> None:
    nothing = FaceTable(SCHEMA, table.root, table.files, table.labels * 0, table.split, table.identity)
    with pytest.raises(ValueError, match=r"^none of the 7 faces of .*label"):
        evaluate_training_free(model, nothing, tmp_path, console=QUIET)
    other = fi.Schema.from_names(["Bald", "Bangs", "Cap"])
    labelled = FaceTable(other, table.root, table.files, table.labels, table.split, table.identity)
    with pytest.raises(ValueError, match=r"^the data set: .*schema 'few'"):
        evaluate_training_free(model, labelled, tmp_path, console=QUIET)
