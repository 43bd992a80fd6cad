"""Carrying out an ablation: what is finished stays, what is missing runs, one failure does not stop the others.

Several processes may carry out one ablation in one folder: each run is locked while it is carried out (the lock goes
with its process, so a kill leaves none behind), and who finds it locked does another run first.
"""

import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from faceinsight.ablation.plan import Run, planned_runs, read_ablation
from faceinsight.ablation.run import carry_out, read_result
from faceinsight.ablation.summary import summarise
from faceinsight.configure import built
from faceinsight.evaluation.heat_map import save_attributes
from faceinsight.evaluation.plot import save_plot
from faceinsight.evaluation.report import Report, print_report, write_report

__all__ = ["ablate"]

#: Columns that a table needs; a narrower terminal wraps lines rather than losing numbers.
TABLE_WIDTH = 150

#: What libraries warn of although it is meant: frozen parts stay in eval mode, short runs log rarely, a run that was
#: killed goes on in its own folder; and their own use of what torch 2.15 deprecates.
EXPECTED_WARNINGS = (
    "Found \\d+ module\\(s\\) in eval mode",
    "The number of training batches",
    "Checkpoint directory .* exists and is not empty",
    "The '\\w+' does not have many workers",
    "Experiment logs directory .* exists and is not empty",
    "`torch.jit.script` is deprecated",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
)


def ablate(
    file: str | Path,
    *,
    settings: str | Path | None = None,
    output: str | Path | None = None,
    seeds: Sequence[int] | None = None,
    console: Console | None = None,
) -> Report:
    """Train and test every variant of an ablation file with every seed, and write and print its table.

    Finished runs are never done again, and a run that was killed goes on after its last whole epoch; an interrupt
    (Ctrl-C) leaves the table of what is finished.

    Args:
        file: the ablation, see :mod:`faceinsight.ablation.plan`.
        settings: a file of settings instead of the file's own, for example another data set.
        output: the folder for runs, tables and plot; ``runs/NAME`` by default, or ``runs/NAME-SETTINGS``.
        seeds: instead of the file's own.
        console: where progress and table are printed.

    Raises:
        PlanError: the file cannot be carried out; nothing was run.
    """
    console = console or Console()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips would tear the progress bar
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    ablation = read_ablation(file, settings)
    name = "-".join(Path(each).stem for each in (file, settings) if each is not None)
    folder = Path(output) if output is not None else Path("runs") / name
    folder.mkdir(parents=True, exist_ok=True)
    runs = planned_runs(ablation, folder, seeds)
    missing = [run for run in runs if read_result(run.folder) is None]
    console.print(f"[bold]{ablation.question}[/bold]\n{len(runs) - len(missing)} of {len(runs)} runs are finished.")
    errors: dict[tuple[str, int], str] = {}
    try:
        with FileLock(folder / ".data.lock"):
            prepare_data(missing)
        carry_out_all(missing, console, errors)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted: the table shows what is finished; the same command goes on.[/yellow]")
    with expected_warnings():
        report = summarise(ablation, runs, errors)
    write_report(report, folder)
    save_plot(report, folder / "plot.png")
    save_attributes(report.attributes, folder / "attributes.png")
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    console.print(f"Tables, plot and runs: {folder}")
    return report


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Keep silent about :data:`EXPECTED_WARNINGS`, and about nothing else."""
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def prepare_data(runs: Sequence[Run]) -> None:
    """Make or check each data set once, before the progress bar of the runs: drawing faces shows a bar of its own."""
    first = {json.dumps(run.config["data"], sort_keys=True): run for run in reversed(runs)}
    for run in first.values():
        with expected_warnings(), suppress(Exception):  # the run itself meets the error again, and reports it
            built(run.config).datamodule.prepare_data()


class BusyError(Exception):
    """Another process is carrying out this run, or one that it needs."""


def attempt(run: Run, report: Callable[[int, int], None], *, wait: bool) -> None:
    """Carry out one run, unless another process has meanwhile.

    Args:
        wait: for another process that is at it; else :class:`BusyError` is raised.

    Raises:
        RuntimeError: a run that it needs failed.
    """
    if missing := [need.variant.name for need in run.needs if read_result(need.folder) is None]:
        if not wait:
            raise BusyError
        raise RuntimeError(f"needs {missing[0]!r}, which failed")
    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run.folder / ".lock", timeout=-1 if wait else 0), expected_warnings():
            if read_result(run.folder) is None:
                carry_out(run, report)
    except Timeout:
        raise BusyError from None


def show(progress: Progress, task: TaskID, done: int, total: int) -> None:
    """Move a run's bar to ``done`` of ``total`` steps."""
    progress.update(task, completed=done, total=total)


def carry_out_all(runs: Sequence[Run], console: Console, errors: dict[tuple[str, int], str]) -> None:
    """Carry out every run that can be; the errors of those that could not are put into ``errors``."""
    columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        everything = progress.add_task("all runs", total=len(runs))
        busy = []
        for run in runs:
            if carried_out(run, progress, errors, wait=False):
                progress.advance(everything)
            else:
                busy.append(run)
        for run in busy:
            carried_out(run, progress, errors, wait=True)
            progress.advance(everything)


def carried_out(run: Run, progress: Progress, errors: dict[tuple[str, int], str], *, wait: bool) -> bool:
    """Whether a run is done with, be it finished or failed, rather than another process's."""
    task = progress.add_task(f"{run.variant.name}, seed {run.seed}", total=None)
    try:
        attempt(run, partial(show, progress, task), wait=wait)
    except BusyError:
        return False
    except Exception as error:
        errors[run.variant.name, run.seed] = f"{type(error).__name__}: {error}"
        progress.console.print(f"[red]{run.variant.name}, seed {run.seed} failed:[/red] {error}", markup=True)
    finally:
        progress.remove_task(task)
        gc.collect()  # a trainer and its system hold each other, with all decoded pictures and features
    return True
