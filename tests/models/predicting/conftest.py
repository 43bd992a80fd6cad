"""The model that ships, loaded once, and files of pictures."""

from pathlib import Path

import pytest

import faceinsight as fi
from faceinsight.data.synthetic import population, renderer


@pytest.fixture(scope="session")
def tiny() -> fi.FaceInsight:
    return fi.FaceInsight.from_pretrained("tiny")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five drawn faces."""
    for index in range(5):
        renderer.render(population.face(seed=1, index=index))[0].save(tmp_path / f"{index}.png")
    return tmp_path
