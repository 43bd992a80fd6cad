"""Killed at any moment, begun twice, stopped while it writes: the same table in the end."""

import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from faceinsight.ablation import ablate
from faceinsight.ablation.plan import planned_runs, read_ablation

KILLS = 24


@pytest.fixture
def path(file: Callable[..., Path]) -> Path:
    """A tiny ablation of three runs that rest on each other, three epochs each."""
    path = file(alone={"against": "full", "change": {"model.network.correlation": None, "model.logical": None}})
    content = yaml.safe_load(path.read_text())
    content["base"]["trainer"]["max_epochs"] = 3
    path.write_text(yaml.safe_dump({**content, "seeds": [0]}, sort_keys=False))
    return path


def begun(path: Path, output: Path) -> ForkServerProcess:
    """``faceinsight ablate`` in a process of its own; all of them come from one server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faceinsight.ablation", "faceinsight.system", "faceinsight.model"])
    process = context.Process(target=ablate, args=(path,), kwargs={"output": output})
    process.start()
    return process


def result(path: Path, output: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table without its times, and every run's predictions to the last digit."""
    table = pd.read_csv(output / "table.csv").drop(columns="seconds")
    runs = planned_runs(read_ablation(path), output)
    return table, [(run.folder / "predictions.csv").read_text() for run in runs]


def check_same(path: Path, output: Path, wanted: tuple[pd.DataFrame, list[str]]) -> None:
    table, predictions = result(path, output)
    pd.testing.assert_frame_equal(table, wanted[0])
    assert predictions == wanted[1]
    assert (output / "plot.png").stat().st_size > 10_000


@pytest.fixture
def wanted(path: Path, tmp_path: Path) -> tuple[pd.DataFrame, list[str]]:
    """What comes out when nobody interferes."""
    process = begun(path, tmp_path / "calm")
    process.join(300)
    assert process.exitcode == 0
    assert not list(tmp_path.glob("calm/runs/*/resume"))
    return result(path, tmp_path / "calm")


def test_killed_at_random_moments_it_ends_with_the_same_table(path: Path, tmp_path: Path, wanted) -> None:
    draw, output = random.Random(0), tmp_path / "killed"
    (tmp_path / "features").rename(tmp_path / "features of the calm one")
    kills = finished = 0
    resumed = set()
    patience = 2.0
    while kills < KILLS or not finished:
        process = begun(path, output)
        process.join(draw.uniform(0, patience))
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            resumed |= set(output.glob("runs/*/resume/newest.ckpt"))
            patience *= 1.1  # however slow the machine, it comes to an end
            continue
        assert process.exitcode == 0
        check_same(path, output, wanted)
        finished += 1
        shutil.rmtree(output)
        shutil.rmtree(tmp_path / "features")
        patience = 2.0
    assert resumed  # some were killed between two epochs


def test_two_at_once_in_one_folder_share_the_work(path: Path, tmp_path: Path, wanted) -> None:
    output = tmp_path / "shared"
    both = [begun(path, output), begun(path, output)]
    for process in both:
        process.join(300)
        assert process.exitcode == 0
    check_same(path, output, wanted)
    for run in planned_runs(read_ablation(path), output):
        assert [log.name for log in (run.folder / "log").iterdir()] == ["version_0"]  # each run was done once


def test_a_kill_leaves_no_lock(path: Path, tmp_path: Path) -> None:
    process = begun(path, tmp_path / "output")
    while not list((tmp_path / "output").glob("runs/*/.lock")):
        time.sleep(0.01)
    process.kill()
    process.join()
    again = begun(path, tmp_path / "output")
    again.join(300)
    assert again.exitcode == 0


def test_two_workers_give_the_table_of_one_and_a_failure_is_told_once(path: Path, tmp_path: Path, wanted) -> None:
    content = yaml.safe_load(path.read_text())
    broken = {"against": "full", "change": {"model.network.projector.out_dim": 8}}
    more = path.with_name("more.yaml")
    more.write_text(yaml.safe_dump({**content, "variants": {**content["variants"], "narrow": broken}}, sort_keys=False))
    report = ablate(more, output=tmp_path / "workers", workers=2, console=Console(quiet=True))
    rows = {row.name: row for row in report.variants}
    assert [name for name, row in rows.items() if row.status != "finished"] == ["narrow"]
    assert list(rows["narrow"].errors) == [0]
    table = pd.read_csv(tmp_path / "workers" / "table.csv").set_index("variant")
    for metric in ("accuracy", "average_precision", "violation_rate"):
        for name, value in wanted[0].set_index("variant")[metric].items():
            assert table[metric][name] == pytest.approx(value, abs=1e-6)
