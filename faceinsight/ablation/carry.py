"""Carrying out an ablation: what is finished stays, what is missing runs, one failure does not stop the others."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from faceinsight.ablation.plan import Run, planned_runs, read_ablation
from faceinsight.ablation.run import forget_error, read_result
from faceinsight.ablation.summary import summarise
from faceinsight.ablation.work import Event, carry_out_all, carry_out_in_processes, expected_warnings, silence_tips
from faceinsight.configure import built
from faceinsight.evaluation.heat_map import save_attributes
from faceinsight.evaluation.plot import save_plot
from faceinsight.evaluation.report import Report, print_report, write_report

__all__ = ["ablate"]

#: Columns that a table needs; a narrower terminal wraps lines rather than losing numbers.
TABLE_WIDTH = 150


def ablate(
    file: str | Path,
    *,
    settings: str | Path | None = None,
    output: str | Path | None = None,
    seeds: Sequence[int] | None = None,
    workers: int = 1,
    console: Console | None = None,
) -> Report:
    """Train and test every variant of an ablation file with every seed, and write and print its table.

    Finished runs are never done again, and a run that was killed goes on after its last whole epoch; an interrupt
    (Ctrl-C) leaves the table of what is finished.

    Args:
        file: the ablation, see :mod:`faceinsight.ablation.plan`.
        settings: a file of settings instead of the file's own, for example another data set.
        output: the folder for runs, tables and plot; ``runs/NAME`` by default, or ``runs/NAME-SETTINGS``. A file that
            extends another one then finds and keeps its runs in the other's folder.
        seeds: instead of the file's own.
        workers: processes that carry out runs side by side; they share the cores, and the GPUs in turn.
        console: where progress and table are printed.

    Raises:
        PlanError: the file cannot be carried out; nothing was run.
    """
    console = console or Console()
    silence_tips()
    ablation = read_ablation(file, settings)
    suffix = f"-{Path(settings).stem}" if settings is not None else ""
    folder, home = (Path(output or f"runs/{name}{suffix}") for name in (Path(file).stem, ablation.home))
    folder.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    runs = planned_runs(ablation, home, seeds)
    missing = [run for run in runs if read_result(run.folder) is None]
    console.print(f"[bold]{ablation.question}[/bold]\n{len(runs) - len(missing)} of {len(runs)} runs are finished.")
    for run in missing:
        forget_error(run.folder)
    board = Board(missing, console)
    try:
        with FileLock(home / ".data.lock"):
            prepare_data(missing)
        with board.progress:
            if workers > 1:
                carry_out_in_processes(missing, board, workers)
            else:
                carry_out_all(missing, board)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted: the table shows what is finished; the same command goes on.[/yellow]")
    with expected_warnings():
        report = summarise(ablation, runs, board.errors)
    write_report(report, folder)
    save_plot(report, folder / "plot.png")
    save_attributes(report.attributes, folder / "attributes.png")
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    console.print(f"Tables and plot: {folder}; runs: {home / 'runs'}")
    return report


def prepare_data(runs: Sequence[Run]) -> None:
    """Make or check each data set once, before the progress bar of the runs: drawing faces shows a bar of its own."""
    first = {json.dumps(run.config["data"], sort_keys=True): run for run in reversed(runs)}
    for run in first.values():
        with expected_warnings(), suppress(Exception):  # the run itself meets the error again, and reports it
            built(run.config).datamodule.prepare_data()


class Board:
    """The progress bars of an ablation, and the errors of what failed.

    Args:
        runs: to be carried out.
        console: where the bars are shown.
    """

    def __init__(self, runs: Sequence[Run], console: Console) -> None:
        columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console)
        self.runs = runs
        self.errors: dict[tuple[str, int], str] = {}
        self.everything = self.progress.add_task("all runs", total=len(runs))
        self.tasks: dict[int, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show what happens to a run."""
        run = self.runs[event.run]
        if event.kind == "begin":
            self.tasks[event.run] = self.progress.add_task(f"{run.variant.name}, seed {run.seed}", total=None)
        elif event.kind == "step":
            self.progress.update(self.tasks[event.run], completed=event.done, total=event.total)
        else:
            if event.run in self.tasks:
                self.progress.remove_task(self.tasks.pop(event.run))
            self.progress.advance(self.everything)
        if event.kind == "fail":
            self.errors[run.variant.name, run.seed] = event.message
            self.progress.console.print(f"[red]{run.variant.name}, seed {run.seed} failed:[/red] {event.message}")
