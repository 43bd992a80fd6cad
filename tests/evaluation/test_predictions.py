"""The predictions file: exact enough, matched by name, whole or not at all."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from faceinsight.evaluation.predictions import Predictions, read_predictions, write_predictions
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "more than 70", "a 'quoted', name"])


@pytest.fixture
def predictions() -> Predictions:
    probability = torch.tensor([[0.123456789, 1e-9, 1.0], [0.5, 0.0, 0.999999], [1 / 3, 0.25, 3e-5]])
    return Predictions(SCHEMA, ("000003.jpg", "000001.jpg", "00002"), ("test", "test", "val"), probability)


@pytest.fixture
def path(tmp_path: Path, predictions: Predictions) -> Path:
    write_predictions(tmp_path / "run" / "predictions.csv", predictions)
    return tmp_path / "run" / "predictions.csv"


def test_predictions_come_back_to_six_digits(path: Path, predictions: Predictions) -> None:
    read = read_predictions(path, SCHEMA)
    assert (read.files, read.split) == (predictions.files, predictions.split)
    assert torch.allclose(read.probability, predictions.probability, rtol=1e-5, atol=0)
    assert read.probability.dtype == torch.float32


def test_the_file_is_readable_and_names_its_columns(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == "file,split,Bald,more than 70,\"a 'quoted', name\""
    assert lines[1:] == [
        "000003.jpg,test,0.123457,1e-09,1",
        "000001.jpg,test,0.5,0,0.999999",
        "00002,val,0.333333,0.25,3e-05",
    ]


def test_columns_are_matched_by_name_and_not_by_position(path: Path) -> None:
    frame = pd.read_csv(path, dtype=str)
    frame[list(reversed(frame.columns))].to_csv(path, index=False)
    assert read_predictions(path, SCHEMA).probability[0].tolist() == pytest.approx([0.123457, 1e-9, 1.0])


def test_faces_are_matched_by_name_and_not_by_position(predictions: Predictions) -> None:
    ours = predictions.for_files(["00002", "000003.jpg", "000001.jpg"])
    assert torch.equal(ours, predictions.probability[[2, 0, 1]])


def test_faces_that_were_not_predicted_or_not_asked_for_are_named(predictions: Predictions) -> None:
    with pytest.raises(ValueError, match=r"no prediction, first 000009\.jpg"):
        predictions.for_files([*predictions.files, "000009.jpg"])
    with pytest.raises(ValueError, match=r"not in the label table.*000001\.jpg"):
        predictions.for_files(["00002"])


def test_missing_and_unknown_columns_are_named(path: Path) -> None:
    with pytest.raises(ValueError, match=r"predictions\.csv: .*missing, first 'Smiling'$"):
        read_predictions(path, Schema.from_names([*SCHEMA.names, "Smiling"]))
    with pytest.raises(ValueError, match=r"predictions\.csv: .*first 'more than 70'$"):
        read_predictions(path, Schema.from_names(["Bald"]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,test,0.5,0.5,1.5", r"a\.jpg: probability of .*quoted.*, name.* must lie in \[0, 1\], got 1\.5$"),
        ("a.jpg,test,nan,0.5,0.5", r"a\.jpg: probability of 'Bald' is 'nan', not a number$"),
        ("a.jpg,test,0.5,0.5", r"a\.jpg: probability of .*quoted.*, name.* is '', not a number$"),
        ("a.jpg,test,0.5,high,0.5", r"a\.jpg: probability of 'more than 70' is 'high', not a number$"),
        ("a.jpg,test,0.5,0.5,0.5,0.5", "Expected 5 fields in line 5, saw 6"),
        ("000001.jpg,test,0.5,0.5,0.5", r"000001\.jpg has more than one line; a face is predicted once$"),
    ],
)
def test_a_damaged_line_is_named(path: Path, line: str, message: str) -> None:
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_predictions(path, SCHEMA)
    assert str(path) in str(caught.value)


def test_an_empty_file_and_no_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv: No columns"):
        read_predictions(tmp_path / "empty.csv", SCHEMA)
    with pytest.raises(FileNotFoundError):
        read_predictions(tmp_path / "none.csv", SCHEMA)


def test_lengths_and_names_are_checked_when_predictions_are_made() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\] and 2 splits, got \[2, 2\]"):
        Predictions(SCHEMA, ("a", "b"), ("test", "test"), torch.rand(2, 2))
    with pytest.raises(ValueError, match="cannot be called 'split'"):
        Predictions(Schema.from_names(["split"]), ("a",), ("test",), torch.rand(1, 1))


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    path: Path, predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_text()

    def disk_full(*arguments: object, **options: object) -> None:
        Path(str(arguments[1])).write_text("file,split,Ba")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", disk_full)
    with pytest.raises(OSError, match="No space left on device"):
        write_predictions(path, predictions)
    assert path.read_text() == before
    assert [each.name for each in path.parent.iterdir()] == ["predictions.csv"]
