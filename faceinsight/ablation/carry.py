"""Carrying out an ablation: what is finished stays, what is missing runs, one failure does not stop the others."""

import errno
import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from faceinsight.ablation.contents import DOTTED, strings
from faceinsight.ablation.plan import AblationFile, PlanError, Run, needed, planned_runs, read_ablation
from faceinsight.ablation.run import RESULT, forget_error, read_result
from faceinsight.ablation.summary import summarise
from faceinsight.ablation.work import Event, carry_out_all, carry_out_in_processes
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.errors import InputError, did_you_mean
from faceinsight.evaluation.report.heat_map import save_attributes
from faceinsight.evaluation.report.plot import save_plot
from faceinsight.evaluation.report.writing import Report, print_report, write_report
from faceinsight.files import make_folder
from faceinsight.models.contracts import PlainNetwork
from faceinsight.training.configure import built_data, built_system, expected_warnings, silence_tips

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
    only: Sequence[str] | None = None,
    rerun: Sequence[str] | None = None,
    console: Console | None = None,
) -> Report:
    """Train and test every variant of an ablation file with every seed, and write and print its table.

    Finished runs are not done again, and a run that was killed goes on after its last whole epoch; an interrupt
    (Ctrl-C) leaves the table of what is finished. A run is found again by its configuration and by the contents of
    what that names: files, folders, source outside this package. To drop a run, delete its folder.

    An experiment file is code: it imports and calls what it names. Run only those that you trust.

    Args:
        file: the ablation, see :mod:`faceinsight.ablation.plan`.
        settings: a file of settings instead of the file's own, for example another data set.
        output: the folder for runs, tables and plot; ``runs/NAME`` by default, or ``runs/NAME-SETTINGS``. A file that
            extends another one then finds and keeps its runs in the other's folder.
        seeds: instead of the file's own.
        workers: processes that carry out runs side by side; they share the cores, and the GPUs in turn.
        only: the variants to carry out, with what they rest on; the table also shows what is finished of the others.
        rerun: variants whose finished runs are dropped and done again, with all that rest on them.
        console: where progress and table are printed.

    Raises:
        PlanError: the file cannot be carried out, or has no variant of a given name; nothing was run.
    """
    console = console or Console()
    silence_tips()
    ablation = read_ablation(file, settings)
    suffix = f"-{Path(settings).stem}" if settings is not None else ""
    folder, home = (Path(output or f"runs/{name}{suffix}") for name in (Path(file).stem, ablation.home))
    for option, names in (("only", only), ("rerun", rerun)):
        check_names(ablation, names or (), option)
    runs = planned_runs(ablation, home, seeds)
    if rerun:
        drop(runs, rerun)
    wanted = needed(only or [*ablation.variants], ablation.variants)
    missing = [run for run in runs if run.variant.name in wanted and read_result(run.folder) is None]
    finished = sum(read_result(run.folder) is not None for run in runs)
    console.print(f"[bold]{escape(ablation.question)}[/bold]\n{finished} of {len(runs)} runs are finished.")
    report_former(missing, folder, console)
    board = Board(missing, console)
    try:
        if missing:
            make_folder(home)
            for run in missing:
                forget_error(run.folder)
            check_networks(missing)
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
        report = summarise(ablation, runs, board.errors, only)
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    try:
        write_report(report, folder)
        save_plot(report, folder / "plot.png")
        save_attributes(report.attributes, folder / "attributes.png")
    except OSError as error:
        if missing or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        console.print(f"[yellow]Tables and plot are as they were: {escape(str(folder))} cannot be written.[/yellow]")
    console.print(
        escape(f"Tables and plot: {folder}; runs: {home / 'runs'}. To drop a run, delete its folder there; ")
        + "--rerun NAME does a variant again."
    )
    return report


def check_names(ablation: AblationFile, names: Sequence[str], option: str) -> None:
    """Refuse names that the file does not have."""
    for name in names:
        if name not in ablation.variants:
            hint = did_you_mean(name, ablation.variants) or ";"
            raise PlanError(f"--{option}: the file has no variant {name!r}{hint} it has {', '.join(ablation.variants)}")


def drop(runs: Sequence[Run], names: Collection[str]) -> None:
    """Delete what the runs of these variants left, and the runs that rest on them.

    Raises:
        PlanError: another process is carrying out one of them.
    """
    dropped: set[Path] = set()
    for run in runs:  # what is needed comes first
        if run.variant.name not in names and not any(need.folder in dropped for need in run.needs):
            continue
        dropped.add(run.folder)
        if not run.folder.is_dir():
            continue
        try:
            with FileLock(run.folder / ".lock", timeout=0):
                (run.folder / RESULT).unlink(missing_ok=True)  # first: a kill in between leaves an unfinished run
                for each in run.folder.iterdir():
                    if each.is_dir():
                        shutil.rmtree(each)
                    elif each.name != ".lock":
                        each.unlink()
        except Timeout:
            raise PlanError(f"--rerun: {run.folder} is being carried out by another process; wait for it") from None


#: Where the table of runs that were made before contents were recorded is kept.
FORMER = "made before contents were recorded"


def report_former(missing: Sequence[Run], folder: Path, console: Console) -> None:
    """Name the runs whose results are too old to know what they were made of, and keep the table made of them."""
    former = [run for run in missing if run.former is not None and (run.former / RESULT).is_file()]
    if not former:
        return
    names = ", ".join(f"{run.variant.name} (seed {run.seed})" for run in former)
    console.print(
        f"[yellow]{len(former)} finished runs were made before contents were recorded: {escape(names)}. Whether their "
        f"files and source are still the same cannot be known, so they are not shown and are done again. Their folders "
        f"stay, and their tables are kept in {escape(str(folder / FORMER))}.[/yellow]"
    )
    if not (folder / FORMER).exists():
        for each in [*folder.glob("table.*"), *folder.glob("attributes.*"), *folder.glob("plot.*")]:
            (folder / FORMER).mkdir(exist_ok=True)
            shutil.copy2(each, folder / FORMER / each.name)


def check_networks(runs: Sequence[Run]) -> None:
    """Refuse a network of the user's with another output than the attributes' logits, before any run begins.

    Networks of this library have been checked when they are built. One that rests on another run's weights cannot be
    built yet: its own run checks it.

    Raises:
        PlanError: naming the variant.
    """
    own = {json.dumps(run.config["model"], sort_keys=True): run for run in runs if not run.needs and has_own_part(run)}
    for run in own.values():
        try:
            with expected_warnings(), torch.random.fork_rng(devices=[]):
                data, system = built_data(run.config), built_system(run.config)
        except Exception:  # the run itself meets it again, and reports it
            continue
        for network in system.modules():
            if isinstance(network, PlainNetwork) and isinstance(data, FaceDataModule):
                try:
                    network.check(data.reader.image_size)
                except InputError as error:
                    raise PlanError(f"variant {run.variant.name!r}: {error}") from error


def has_own_part(run: Run) -> bool:
    """Whether a run's network is named by a class path outside this library."""
    network = (run.config["model"].get("init_args") or {}).get("network")
    return any(DOTTED.fullmatch(each) and not each.startswith("faceinsight.") for each in strings(network))


def prepare_data(runs: Sequence[Run]) -> None:
    """Make or check each data set once, before the progress bar of the runs: drawing faces shows a bar of its own."""
    first = {json.dumps(run.config["data"], sort_keys=True): run for run in reversed(runs)}
    for run in first.values():
        with expected_warnings(), suppress(Exception):  # the run itself meets the error again, and reports it
            built_data(run.config).prepare_data()


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
            self.tasks[event.run] = self.progress.add_task(escape(f"{run.variant.name}, seed {run.seed}"), total=None)
        elif event.kind == "step":
            self.progress.update(self.tasks[event.run], completed=event.done, total=event.total)
        else:
            if event.run in self.tasks:
                self.progress.remove_task(self.tasks.pop(event.run))
            self.progress.advance(self.everything)
        if event.kind == "fail":
            self.errors[run.variant.name, run.seed] = event.message
            failed = escape(f"{run.variant.name}, seed {run.seed} failed:")
            self.progress.console.print(f"[red]{failed}[/red] {escape(event.message)}")
