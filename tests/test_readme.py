"""What the README and CONTRIBUTING say is so."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text()


def test_the_readmes_python_runs_as_it_stands() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_readmes_pictures_and_links_are_there() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(targets) > 4
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


def test_the_readmes_make_targets_exist() -> None:
    named = set(re.findall(r"\bmake (\w+)", README))
    targets = set(re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"ablation", "test"} <= named <= targets


@pytest.mark.parametrize(
    "folder",
    [
        "knowledge",
        "modules",
        "data",
        "metrics",
        "tiny",
        "models",
        "training",
        "evaluation",
        "ablation",
        "cli",
    ],
)
def test_contributing_names_every_room(folder: str) -> None:
    assert f"{folder}/" in (REPOSITORY / "CONTRIBUTING.md").read_text()
