"""Who carries out which run: one process or several, of one call or of many, in one folder.

Each run is locked while it is carried out. The lock goes with its process, so a kill leaves none behind; who finds a
run locked, or waiting for another one, does the next that is free.
"""

import gc
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout

from faceinsight.ablation.plan import Run
from faceinsight.ablation.run import carry_out, read_error, read_result
from faceinsight.files import make_folder
from faceinsight.training.configure import expected_warnings, silence_tips

__all__ = ["Event", "carry_out_all", "carry_out_in_processes", "expected_warnings", "silence_tips"]

#: What glibc's malloc keeps rather than give it back to the system, in bytes. A training step's large tensors would
#: otherwise come as fresh pages each time, a quarter of the step beside other work; the user's own settings win.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}

#: Seconds between two looks at runs that other processes carry out.
PATIENCE = 0.5


@dataclass(frozen=True)
class Event:
    """What happens to a run.

    Args:
        run: its place among the runs.
        kind: it begins, has done ``done`` of ``total`` steps, is finished, or failed with ``message``.
    """

    run: int
    kind: Literal["begin", "step", "finish", "fail"]
    done: int = 0
    total: int = 0
    message: str = ""


Tell = Callable[[Event], None]


class BusyError(Exception):
    """Another process is carrying out this run, or one that it needs."""


def carry_out_all(runs: Sequence[Run], tell: Tell) -> None:
    """Carry out every run that no other process does, and stay until all are finished or have failed."""
    waiting = list(range(len(runs)))
    failed: set[Path] = set()
    while waiting:
        busy = [each for each in waiting if not carried_out(runs[each], each, tell, failed)]
        if len(busy) == len(waiting):
            time.sleep(PATIENCE)
        waiting = busy


def carried_out(run: Run, place: int, tell: Tell, failed: set[Path]) -> bool:
    """Whether a run is finished or has failed, here or elsewhere, rather than being another process's.

    Args:
        failed: the folders of the runs that failed here; the disk may have been too full for them to say so.
    """
    try:
        attempt(run, place, tell, failed)
    except BusyError:
        return False
    except Exception as error:
        failed.add(run.folder)
        tell(Event(place, "fail", message=f"{type(error).__name__}: {error}"))
    else:
        tell(Event(place, "finish"))
    return True


def attempt(run: Run, place: int, tell: Tell, failed: set[Path]) -> None:
    """Carry out one run, unless another process has meanwhile.

    Raises:
        BusyError: another process is at it, or a run that it needs is not finished yet.
        RuntimeError: a run that it needs failed, or it failed in another process.
    """
    for need in run.needs:
        if read_result(need.folder) is None:
            if need.folder in failed or read_error(need.folder):
                raise RuntimeError(f"needs {need.variant.name!r}, which failed")
            raise BusyError
    make_folder(run.folder)
    try:
        with FileLock(run.folder / ".lock", timeout=0), expected_warnings():
            if read_result(run.folder) is not None:
                return
            if message := read_error(run.folder):
                raise RuntimeError(f"failed in another process: {message}")
            tell(Event(place, "begin"))
            try:
                carry_out(run, lambda done, total: tell(Event(place, "step", done, total)))
            finally:
                gc.collect()  # a trainer and its system hold each other, with all decoded pictures and features
    except Timeout:
        raise BusyError from None


def carry_out_in_processes(runs: Sequence[Run], tell: Tell, workers: int) -> None:
    """Carry out runs in several processes, which share the cores and, one each in turn, the GPUs.

    Raises:
        RuntimeError: a process ended before its time.
    """
    context = multiprocessing.get_context("spawn")
    events: multiprocessing.Queue[Event] = context.Queue()
    threads = max(1, (os.cpu_count() or 1) // workers)
    processes = [context.Process(target=work, args=(runs, events, number, threads)) for number in range(workers)]
    reported: set[int] = set()
    try:
        with started_with({**KEPT_MEMORY, **os.environ}):
            for process in processes:
                process.start()
        while any(process.is_alive() for process in processes) or not events.empty():
            try:
                event = events.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if event.kind in ("begin", "step") or event.run not in reported:  # each process tells the end of every run
                tell(event)
            if event.kind in ("finish", "fail"):
                reported.add(event.run)
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    if len(reported) < len(runs):
        codes = [process.exitcode for process in processes]
        raise RuntimeError(
            f"{len(runs) - len(reported)} runs were left undone: the worker processes ended with {codes}"
        )


@contextmanager
def started_with(values: Mapping[str, str]) -> Iterator[None]:
    """Set the environment of the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def work(runs: Sequence[Run], events: "multiprocessing.Queue[Event]", number: int, threads: int) -> None:
    """Carry out runs in one process; it ends with the process that began it."""
    parent = multiprocessing.parent_process()

    def tell(event: Event) -> None:
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt
        events.put(event)

    if gpus := torch.cuda.device_count():
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus)  # before CUDA is first used here
    torch.set_num_threads(threads)
    silence_tips()
    with suppress(KeyboardInterrupt):  # the first process says so
        carry_out_all(runs, tell)
