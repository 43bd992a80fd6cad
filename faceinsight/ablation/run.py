"""One run: one variant with one seed, trained and tested in a folder of its own.

The folder holds ``config.yaml`` (runs again as ``faceinsight fit --config``), ``contents.json`` (the hashes of what it
names, and of this package), ``environment.json``, ``parts.csv``, ``predictions.csv`` (per face) with the ``labels.csv``
that they are scored against, the ``model`` (for ``from_pretrained``), files of single trained parts on which other
runs may rest, Lightning's ``log``, and last of all ``result.json``: if it is there and whole, and so is each file that
it lists, the run is finished. What is damaged is set aside, with a warning, and the run is done again. A run that
failed leaves ``error.txt`` instead. While it trains, its state after each epoch is in ``resume``: a run that was killed
goes on from there, and ends as if it had not been.
"""

import json
import os
import platform
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import save_model
from torch import nn

from faceinsight.ablation.contents import Contents, package_hash
from faceinsight.ablation.plan import Run
from faceinsight.data.table import FaceTable
from faceinsight.errors import InputError
from faceinsight.evaluation.labelled import LabelledFaces, write_faces
from faceinsight.evaluation.predictions import Predictions, write_predictions
from faceinsight.files import replacing, write_text
from faceinsight.models.contracts import PlainNetwork
from faceinsight.models.decoded import DecodedOutput, undecoded
from faceinsight.models.face_insight import FaceModel
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.training.callbacks import StepProgress, parts_table
from faceinsight.training.configure import built
from faceinsight.training.resume import WholeCheckpoints, newest, saved_every_epoch
from faceinsight.training.systems import AttributeSystem, TrainingSystem

__all__ = ["RunResult", "carry_out", "forget_error", "package_of", "read_error", "read_result"]

#: The folder of a run's state while it trains.
RESUME = "resume"

RESULT, CONTENTS = "result.json", "contents.json"

#: What belongs to a run but is not needed once it is finished.
NOT_LISTED = (RESULT, RESUME, "log", "error.txt")

PACKAGES = (
    "faceinsight",
    "torch",
    "timm",
    "transformers",
    "torch-geometric",
    "segmentation-models-pytorch",
    "lightning",
)


@dataclass(frozen=True)
class RunResult:
    """What a finished run measured.

    Args:
        metrics: the test metrics by name.
        trained: number of trained parameters.
        frozen: number of frozen parameters.
        seconds: wall time of training and testing, interruptions left out.
        files: the files that the run left, with their sizes in bytes.
    """

    metrics: Mapping[str, float]
    trained: int
    frozen: int
    seconds: float
    files: Mapping[str, int] = field(default_factory=dict)


def read_result(folder: Path) -> RunResult | None:
    """Return the result of a finished run, or None where the run is not finished or not whole."""
    try:
        return whole_result(folder)
    except (FileNotFoundError, InputError):
        return None


def whole_result(folder: Path) -> RunResult:
    """Return the result of a finished run.

    Raises:
        FileNotFoundError: the run is not finished.
        InputError: the result is damaged, or a file that the run left is missing or cut short.
    """
    path = folder / RESULT
    try:
        result = RunResult(**json.loads(path.read_text(encoding="utf-8")))
        sizes = {name: int(size) for name, size in result.files.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error})") from error
    for name, size in sizes.items():
        left = folder / name
        if not left.is_file():
            raise InputError(f"{left} is missing")
        if left.stat().st_size != size:
            raise InputError(f"{left} is damaged: it has {left.stat().st_size:,} bytes, not {size:,}")
    return result


def files_left(folder: Path) -> dict[str, int]:
    """Return the files of a run by name, with their sizes; hidden ones (locks, temporary files) are left out."""
    found = {}
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = sorted(each for each in folders if not (each in NOT_LISTED and here == Path()))
        for name in sorted(names):
            if not name.startswith(".") and name not in NOT_LISTED and ".damaged" not in name:
                found[(here / name).as_posix()] = (Path(place) / name).stat().st_size
    return found


def set_aside(path: Path, why: str) -> None:
    """Rename a damaged file, and say so."""
    aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
    os.replace(path, aside)
    warnings.warn(f"{why}; {path.name} was set aside as {aside}, and the run is done again", stacklevel=2)


def package_of(folder: Path) -> str:
    """Return the hash of this package's files when a run was carried out; empty where that is not known."""
    try:
        return str(json.loads((folder / CONTENTS).read_text(encoding="utf-8"))["package"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def read_error(folder: Path) -> str:
    """Return the last line of what a run failed with; empty where it did not fail."""
    path = folder / "error.txt"
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path.is_file() else []
    return lines[-1] if lines else ""


def forget_error(folder: Path) -> None:
    """Let a failed run be tried again."""
    (folder / "error.txt").unlink(missing_ok=True)


def carry_out(run: Run, report: Callable[[int, int], None]) -> RunResult:
    """Train and test one run, write everything it leaves, and return its result.

    Args:
        report: called with the steps done and all steps after each step.

    Raises:
        InputError: a file or source that the run depends on has changed since the runs were planned.
        Exception: whatever stopped the run, after its traceback was written to ``error.txt``.
    """
    check_contents(run)
    try:
        whole_result(run.folder)
    except FileNotFoundError:
        pass
    except InputError as error:
        set_aside(run.folder / RESULT, str(error))
    write_text(run.folder / "config.yaml", yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True))
    write_text(run.folder / "environment.json", json.dumps(environment(), indent=1))
    write_text(run.folder / CONTENTS, json.dumps({**run.contents, "package": package_hash()}, indent=1))
    try:
        result = train_and_test(run, report)
    except Exception:
        write_text(run.folder / "error.txt", traceback.format_exc())
        raise
    result = replace(result, files=files_left(run.folder))
    write_text(run.folder / RESULT, json.dumps(asdict(result), indent=1))
    shutil.rmtree(run.folder / RESUME, ignore_errors=True)
    return result


def check_contents(run: Run) -> None:
    """Refuse a run with other files or source than its folder is named after."""
    now = Contents().of(run.variant.config)
    for kind, known in run.contents.items():
        for name in sorted(known.keys() | now[kind].keys()):
            if known.get(name) != now[kind].get(name):
                raise InputError(f"{name} has changed since this ablation began; begin it again")


def train_and_test(run: Run, report: Callable[[int, int], None]) -> RunResult:
    """Build, train, test; predictions and trained parts are written, the result is not."""
    timer = Timer(verbose=False)
    callbacks = [StepProgress(report=report), timer, saved_every_epoch(run.folder / RESUME)]
    # a run keeps its newest state whatever the file says: a kill must not cost more than an epoch
    settings = {key: value for key, value in (run.config.get("trainer") or {}).items() if key != "enable_checkpointing"}
    objects = built({**run.config, "trainer": settings}, callbacks=callbacks, logger=False)
    trainer, system, data = objects.trainer, objects.model, objects.datamodule
    trainer.loggers = [CSVLogger(run.folder, name="log"), *trainer.loggers]  # and what the file names
    trainer.strategy.checkpoint_io = WholeCheckpoints()
    parts = parts_table(system.network)
    with replacing(run.folder / "parts.csv") as temporary:
        parts.to_csv(temporary, index=False)
    trained, frozen = (int(parts.iloc[-1][column]) for column in ("trained", "frozen"))
    if trained:
        fit(trainer, system, data, checkpoint(run.folder / RESUME))
    metrics = trainer.test(system, datamodule=data, verbose=False)[0]
    save_trained(system, run.folder)  # evidence with nothing to train beside it is fitted when it is tested
    if isinstance(system, AttributeSystem):
        write_predictions(run.folder / "predictions.csv", test_predictions(system, data.table))
        write_faces(run.folder, test_faces(system, data.table))
    named = {name.removeprefix("test/"): float(value) for name, value in metrics.items()}
    return RunResult(named, trained, frozen, timer.time_elapsed("train") + timer.time_elapsed("test"))


def checkpoint(folder: Path) -> Path | None:
    """Return the newest state of a run that was killed; one that cannot be read is set aside, and training begins
    again.
    """
    path = newest(folder)
    if path is None:
        return None
    try:
        WholeCheckpoints().load_checkpoint(path)["state_dict"]
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        why = f"{type(error).__name__}: {error}".splitlines()[0]  # of an empty file the error has no text
        set_aside(path, f"{path} cannot be read ({why})")
        return None
    return path


def fit(
    trainer: lightning.Trainer,
    system: lightning.LightningModule,
    data: lightning.LightningDataModule,
    checkpoint: Path | None,
) -> None:
    """Train, from a checkpoint if there is one.

    Ctrl-C stays a KeyboardInterrupt, which Lightning turns into ``sys.exit`` with the signal ignored.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(system, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def test_predictions(system: AttributeSystem, table: FaceTable) -> Predictions:
    """The test faces' probabilities by file name."""
    if system.test_probability is None or system.test_index is None:
        raise RuntimeError("the system has not been tested yet")
    rows = system.test_index.tolist()
    return Predictions(
        schema=system.network.schema,
        files=tuple(table.files[row] for row in rows),
        split=tuple(table.split[row] for row in rows),
        probability=system.test_probability,
    )


def test_faces(system: AttributeSystem, table: FaceTable) -> LabelledFaces:
    """The test faces with their labels, and the rules that predictions are held against."""
    rows = table.rows("test")
    files = tuple(table.files[row] for row in rows.tolist())
    return LabelledFaces(files, table.labels[rows], table.identity[rows], system.rules)


def save_trained(system: TrainingSystem, folder: Path) -> None:
    """Write the model as a directory, and each part that was trained and can be used elsewhere as a file of its own.

    The model keeps the rules that it was measured under, so that its probabilities, loaded again, are those of
    ``predictions.csv``: its own, and none where it has none. A directory holds no decoder. In place of a
    ``ConsistentDecoder`` stand its rules: then ``output.mode`` gives its decisions, and ``output.probability`` its
    probabilities before these are moved to the decisions' side of one half. What another decoder does is not kept.
    """
    network = undecoded(system.network)
    if isinstance(network, FaceModel):
        with kept_rules(network, system.network):
            network.save_pretrained(folder / "model")
    elif any(isinstance(part, PlainNetwork) for part in system.network.modules()):
        with replacing(folder / "network.safetensors") as temporary:
            save_model(network, str(temporary))
    for name, part in network.named_modules():
        whole = any(parameter.requires_grad for parameter in part.parameters())
        if whole and hasattr(part, "save"):
            part.save(folder / f"{name.split('.')[-1] or 'network'}.safetensors")


@contextmanager
def kept_rules(network: FaceModel, whole: nn.Module) -> Iterator[None]:
    """Give a network the rules of the decoder after it, for as long as it is saved."""
    own = network.rules
    if isinstance(whole, DecodedOutput):
        network.rules = whole.decoder.rules if isinstance(whole.decoder, ConsistentDecoder) else None
    try:
        yield
    finally:
        network.rules = own


def environment() -> dict[str, object]:
    """Return the versions and the machine that a run had."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
