"""Modules and class paths of version 0.1.0 resolve as before."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from faceinsight._lazy import MOVED

#: Every public name of every module that moved, as it was called in version 0.1.0.
CLASS_PATHS = (Path(__file__).parent / "fixtures" / "version_0_1_0" / "class_paths.txt").read_text().split()


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_both_names_are_one_module(old: str, new: str) -> None:
    module = importlib.import_module(f"faceinsight.{old}")
    assert module is importlib.import_module(f"faceinsight.{new}")
    assert module.__name__ == module.__spec__.name == f"faceinsight.{new}"


def test_every_class_path_resolves() -> None:
    found = {
        path: getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in CLASS_PATHS
    }
    assert len(found) > 250


#: Imports as users write them, and the module that what they import is in now.
IMPORTS = {
    "import faceinsight.model; x = faceinsight.model.FaceInsight": "models.face_insight",
    "from faceinsight.system import AttributeSystem as x": "training.systems",
    "from faceinsight.decoding import DecodedOutput as x": "models.decoded",
    "from faceinsight import controls; x = controls.TokenClassifier": "models.controls",
    "import faceinsight as fi; x = fi.controls.TokenClassifier": "models.controls",
    "from faceinsight.data import sheet; x = sheet.save_sheet": "data.inspection.sheet",
    "from faceinsight.metrics import f1 as x": "metrics.attributes",
    "from faceinsight.evaluation.report import Report as x": "evaluation.report.results",
    "from faceinsight.knowledge.lint import lint as x": "knowledge.lint.findings",
    "from faceinsight.data.sources import source as x": "data.sources.by_name",
    "from faceinsight.cli import main as x": "cli.commands",
}


def test_imports_by_old_names_work_in_a_fresh_process() -> None:
    code = "\n".join(f"{line}; print(x.__module__)" for line in IMPORTS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"faceinsight.{module}" for module in IMPORTS.values()]


def test_an_unknown_module_is_as_unknown_as_before() -> None:
    with pytest.raises(ModuleNotFoundError, match="sytem"):
        importlib.import_module("faceinsight.sytem")


def test_no_old_name_hides_a_module_that_exists() -> None:
    package = Path(sys.modules["faceinsight"].__file__).parent
    old = [package.joinpath(*name.split(".")) for name in MOVED]
    assert [path for path in old if path.is_dir() or path.with_suffix(".py").exists()] == []
