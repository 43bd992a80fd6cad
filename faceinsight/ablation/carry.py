"""Carrying out an ablation: what is finished stays, what is missing runs, one failure does not stop the others."""

import gc
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

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

#: What Lightning warns of although it is meant: frozen parts stay in eval mode, short runs log rarely, a run that was
#: interrupted begins its own log file again, and its own use of torch's pytree.
EXPECTED_WARNINGS = (
    "Found \\d+ module\\(s\\) in eval mode",
    "The number of training batches",
    "The '\\w+' does not have many workers",
    "Experiment logs directory .* exists and is not empty",
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

    Finished runs are never done again; an interrupt (Ctrl-C) leaves the table of what is finished.

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
    runs = planned_runs(ablation, folder, seeds)
    missing = [run for run in runs if read_result(run.folder) is None]
    console.print(f"[bold]{ablation.question}[/bold]\n{len(runs) - len(missing)} of {len(runs)} runs are finished.")
    errors: dict[tuple[str, int], str] = {}
    try:
        prepare_data(missing)
        carry_out_all(missing, console, errors)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted: the table shows what is finished; the same command goes on.[/yellow]")
    report = summarise(ablation, runs, errors)
    write_report(report, folder)
    save_plot(report, folder / "plot.png")
    save_attributes(report.attributes, folder / "attributes.png")
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    console.print(f"Tables, plot and runs: {folder}")
    return report


def prepare_data(runs: Sequence[Run]) -> None:
    """Make or check each data set once, before the progress bar of the runs: drawing faces shows a bar of its own."""
    first = {json.dumps(run.config["data"], sort_keys=True): run for run in reversed(runs)}
    for run in first.values():
        with suppress(Exception):  # the run itself meets the error again, and reports it
            built(run.config).datamodule.prepare_data()


def attempt(run: Run, report: Callable[[int, int], None]) -> None:
    """Carry out one run, unless one that it needs is missing."""
    if failed := [need.variant.name for need in run.needs if read_result(need.folder) is None]:
        raise RuntimeError(f"needs {failed[0]!r}, which failed")
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        carry_out(run, report)


def show(progress: Progress, task: TaskID, done: int, total: int) -> None:
    """Move a run's bar to ``done`` of ``total`` steps."""
    progress.update(task, completed=done, total=total)


def carry_out_all(runs: Sequence[Run], console: Console, errors: dict[tuple[str, int], str]) -> None:
    """Carry out every run that can be; the errors of those that could not are put into ``errors``."""
    columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        everything = progress.add_task("all runs", total=len(runs))
        for run in runs:
            task = progress.add_task(f"{run.variant.name}, seed {run.seed}", total=None)
            try:
                attempt(run, partial(show, progress, task))
            except Exception as error:
                errors[run.variant.name, run.seed] = f"{type(error).__name__}: {error}"
                console.print(f"[red]{run.variant.name}, seed {run.seed} failed:[/red] {error}", markup=True)
            finally:
                progress.remove_task(task)
                gc.collect()  # a trainer and its system hold each other, with all decoded pictures and features
            progress.advance(everything)
