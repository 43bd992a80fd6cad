"""Fixtures that several rooms of tests share."""

import os
import random
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def seed(name: str) -> None:
    """Start every source of random numbers from a name: what is drawn depends on no other test."""
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any) -> None:
    seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    seed(item.nodeid)


def real_data(name: str, cache: Path) -> Path:
    """The unzipped folder of one real data set, or skip the test where there is none.

    ``FACEINSIGHT_DATA`` names a folder of unzipped sets; else ``../shared/data/NAME.zip`` is unzipped into the cache.
    """
    if (folder := Path(os.environ.get("FACEINSIGHT_DATA", "/nowhere")) / name).is_dir():
        return folder
    archive = REPOSITORY.parent / "shared" / "data" / f"{name}.zip"
    if not archive.is_file():
        pytest.skip(f"no real {name} here")
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(cache)
        return cache / zipped.namelist()[0].partition("/")[0]  # UTKFace's folder keeps its owners' capitals


@pytest.fixture
def types_unchecked() -> Iterator[None]:
    """Without the type checks that only the tests have: what a user's wrong argument meets."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def celeba_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_data("celeba", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def fh37k_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_data("fh37k", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def fairface_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_data("fairface", tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def expw_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_data("expw", tmp_path_factory.mktemp("real"))
