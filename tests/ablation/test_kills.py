"""Killed at each moment that matters, begun twice, stopped while it writes: the same table in the end.

The moments are enumerated, none is drawn by time. A process stops itself where Python's audit events say that it is
about to do something: rename a temporary file to its final name, open a lock, remove a folder.
"""

import fnmatch
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock
from rich.console import Console

from faceinsight.ablation import ablate
from faceinsight.ablation.plan import planned_runs, read_ablation


@dataclass(frozen=True)
class Moment:
    """The ``count``-th time that a process is about to do ``event`` with a path that matches ``pattern``."""

    event: str
    pattern: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.event} {self.pattern} ({self.count})"


def writes(pattern: str, count: int = 1) -> Moment:
    """The whole temporary file is written and is about to take its name."""
    return Moment("os.rename", pattern, count)


#: In the order of the work: "plain" first, on which the other two rest. A checkpoint is written after each epoch.
KILLS = (
    Moment("open", "*/.data.lock"),  # nothing is done
    writes("*/plain-*/config.yaml"),  # the lock of the run is held
    writes("*/plain-*/resume/newest.ckpt"),  # in the first checkpoint: nothing to resume
    writes("*/plain-*/resume/newest.ckpt", 2),  # in the second: the first epoch can be resumed
    writes("*/plain-*/resume/newest.ckpt", 2),  # in the third: resumed once already
    writes("*/plain-*/image_encoder.safetensors"),  # trained, not saved
    writes("*/plain-*/predictions.csv"),  # tested
    writes("*/plain-*/result.json"),  # all but finished
    Moment("shutil.rmtree", "*/plain-*/resume"),  # finished, not tidied
    Moment("os.mkdir", "*/full-*/log/version_0"),  # before its first file
    writes("*/features/*.safetensors"),  # in the first features
    writes("*/features/*.safetensors", 2),  # in the second
    writes("*/full-*/resume/newest.ckpt", 3),  # in the last epoch's checkpoint
    writes("*/full-*/model/schema.yaml"),  # some files of the model are named, some not
    writes("*/full-*/result.json"),
    writes("*/alone-*/resume/newest.ckpt", 2),
    writes("*/alone-*/result.json"),
    writes("*/table.csv"),  # every run is finished
    writes("*/plot.png"),
)


@pytest.fixture
def path(file: Callable[..., Path]) -> Path:
    """A tiny ablation of three runs that rest on each other, three epochs each."""
    path = file(alone={"against": "full", "change": {"model.network.correlation": None, "model.logical": None}})
    content = yaml.safe_load(path.read_text())
    content["base"]["trainer"]["max_epochs"] = 3
    path.write_text(yaml.safe_dump({**content, "seeds": [0]}, sort_keys=False))
    return path


def call_at(moment: Moment, act: Callable[[object], None]) -> None:
    """Call ``act`` with the event's first argument when the moment comes, once, in this process."""
    left = [moment.count]

    def hook(event: str, arguments: tuple) -> None:
        if event != moment.event or not left[0]:
            return
        named = [str(each) for each in arguments[:2] if isinstance(each, str | os.PathLike)] or [""]
        if any(fnmatch.fnmatch(each, moment.pattern) for each in named):
            left[0] -= 1
            if not left[0]:
                act(arguments[0])

    sys.addaudithook(hook)


def killed_at(moment: Moment, path: Path, output: Path) -> None:
    """Run the ablation and kill this process at the moment; of what it was writing, half is left on the disk."""

    def kill(written: object) -> None:
        if moment.event == "os.rename":
            os.truncate(str(written), Path(str(written)).stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    call_at(moment, kill)
    ablate(path, output=output)


def waiting_at(moment: Moment, reached: Path, go: Path, path: Path, output: Path) -> None:
    """Run the ablation; at the moment write the file ``reached`` and wait until the file ``go`` is there."""

    def wait(_: object) -> None:
        reached.touch()
        while not go.exists():
            time.sleep(0.01)

    call_at(moment, wait)
    ablate(path, output=output)


def begun(function: Callable[..., object], *arguments: object, **named: object) -> ForkServerProcess:
    """A function in a process of its own; all of them come from one server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["faceinsight.ablation", "faceinsight.training.systems", "faceinsight.models.face_insight"]
    )
    process = context.Process(target=function, args=arguments, kwargs=named, daemon=True)
    process.start()
    return process


def wait_for(path: Path, process: ForkServerProcess) -> None:
    """Wait until a process has written a file."""
    while not path.exists():
        assert process.is_alive(), f"it ended without {path}"
        time.sleep(0.01)


def end_of(process: ForkServerProcess) -> int | None:
    """The exit code, however long it takes on this machine."""
    process.join()
    return process.exitcode


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


def check_no_lock(output: Path) -> None:
    """Whatever was locked can be locked at once."""
    for lock in [output / ".data.lock", *output.glob("runs/*/.lock")]:
        with FileLock(lock, timeout=0):
            pass


@pytest.fixture
def wanted(path: Path, tmp_path: Path) -> tuple[pd.DataFrame, list[str]]:
    """What comes out when nobody interferes."""
    assert end_of(begun(ablate, path, output=tmp_path / "calm")) == 0
    assert not list(tmp_path.glob("calm/runs/*/resume"))
    return result(path, tmp_path / "calm")


def test_killed_at_every_moment_that_matters_it_ends_with_the_same_table(path: Path, tmp_path: Path, wanted) -> None:
    output = tmp_path / "killed"
    (tmp_path / "features").rename(tmp_path / "features of the calm one")
    resumable = set()
    for moment in KILLS:
        assert end_of(begun(killed_at, moment, path, output)) == -signal.SIGKILL, f"it never came to: {moment}"
        check_no_lock(output)
        resumable |= {each.parts[-3] for each in output.glob("runs/*/resume/newest.ckpt")}
    assert end_of(begun(ablate, path, output=output)) == 0
    assert len(resumable) == 3  # of each run, training was killed between two epochs
    check_same(path, output, wanted)


def test_two_at_once_in_one_folder_share_the_work(path: Path, tmp_path: Path, wanted) -> None:
    output = tmp_path / "shared"
    holds, waits = tmp_path / "the first holds a run", tmp_path / "the second waits for it"
    first = begun(waiting_at, writes("*/plain-*/config.yaml"), holds, waits, path, output)
    wait_for(holds, first)
    with pytest.raises(TimeoutError), FileLock(next(output.glob("runs/plain-*/.lock")), timeout=0):
        pass
    # when the second looks at that run's lock again, it has found it held once
    second = begun(waiting_at, Moment("open", "*/plain-*/.lock", 2), waits, waits, path, output)
    wait_for(waits, second)
    assert [end_of(first), end_of(second)] == [0, 0]
    check_same(path, output, wanted)
    for run in planned_runs(read_ablation(path), output):
        assert [log.name for log in (run.folder / "log").iterdir()] == ["version_0"]  # each run was done once


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
