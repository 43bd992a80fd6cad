"""The paper's own form: the experiment at LLaVA-1.5's size, carried out on a tiny checkpoint of the same classes."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from faceinsight.ablation import ablate
from tests.modules.checkpoints import write_llava

PAPER = Path("experiments/paper.yaml")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the settings that differ: another checkpoint, its sizes, drawn faces, a few steps in float32."""
    folder = tmp_path_factory.mktemp("paper")
    values = {
        "checkpoint": str(write_llava(folder / "llava")),
        "image_size": 12,
        "image_dim": 24,
        "embed_dim": 32,
        "lora": {"rank": 2, "alpha": 4, "targets": "all-linear"},
        "parser": {
            "class_path": "faceinsight.modules.FaceParser",
            "init_args": {"architecture": "Segformer", "encoder": "mit_b0", "image_size": 64},
        },
        "catalog": "synthfaces",
        "source": {
            "class_path": "faceinsight.data.SynthFaces",
            "init_args": {"root": str(folder / "drawn"), "count": 24, "image_size": 32, "seed": 3},
        },
        "dtype": "float32",
        "precision": "32-true",
        "batch_size": 4,
        "limit_train": 16,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_every_setting_of_the_file_has_a_place_in_it() -> None:
    text = PAPER.read_text("utf-8")
    names = yaml.safe_load(text)["settings"]
    assert names
    for name in names:
        assert "${" + name + "}" in text, name


@pytest.mark.filterwarnings("ignore:constant on")  # 14 drawn faces
def test_the_papers_form_trains_and_is_measured_with_and_without_each_part(settings: Path, tmp_path: Path) -> None:
    chosen = ["full", "full, LoRA", "L_bce alone", "no parser"]
    report = ablate(PAPER, settings=settings, output=tmp_path, seeds=[0], only=chosen)
    states = {each.name: each.status for each in report.variants}
    assert {states[name] for name in chosen} == {"finished"}, [each.errors for each in report.variants]
    trained = {each.name: each.parameters for each in report.variants}
    assert trained["no parser"] < trained["full"] < trained["full, LoRA"]
    predictions = [*tmp_path.glob("runs/full-seed0-*/predictions.csv")]
    assert len(predictions) == 1
    assert pd.read_csv(predictions[0]).select_dtypes("number").notna().all().all()
