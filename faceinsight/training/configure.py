"""From one YAML configuration to a trainer, a system and a data module, by class path.

A configuration has the three keys ``model``, ``data`` and ``trainer`` (and ``seed_everything``), in the layout of
LightningCLI. ``class_path`` may name a class or a function that returns one, the user's own included.
"""

import inspect
import logging
import os
import pkgutil
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lightning
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from jsonargparse._deprecated import JsonargparseDeprecationWarning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from faceinsight.errors import InputError, did_you_mean, message_of
from faceinsight.files import PlainData, plain_yaml, read_text
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.training.callbacks import FrozenCheck, GradientCheck, parts_table

__all__ = ["ConfigurationError", "FaceCLI", "built", "built_data", "built_system", "expected_warnings", "silence_tips"]

T = TypeVar("T")

#: What libraries warn of although it is meant: frozen parts stay in eval mode, short runs log rarely, a run that was
#: killed goes on in its own folder, a configuration is given while a process has words of its own, the logger is set by
#: the run; and their own use of what torch 2.15 and jsonargparse 4.49 deprecate.
EXPECTED_WARNINGS = (
    "Found \\d+ module\\(s\\) in eval mode",
    "The number of training batches",
    "Checkpoint directory .* exists and is not empty",
    "The '\\w+' does not have many workers",
    "Experiment logs directory .* exists and is not empty",
    "`torch.jit.script` is deprecated",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
    "LightningCLI's args parameter is intended",
    "Starting from v1.9.0, `tensorboardX`",
    "GPU available but not used",
    r"\s*skip_none parameter was deprecated",
)


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Keep silent about :data:`EXPECTED_WARNINGS`, and about nothing else."""
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)
        yield


def silence_tips() -> None:
    """Keep Lightning's tips and seeds and transformers' bars of every loading from tearing the progress bars."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    downloads_told = not are_progress_bars_disabled()
    disable_progress_bar()  # which silences huggingface_hub's too
    if downloads_told:
        enable_progress_bars()


class ConfigurationError(InputError):
    """A configuration from which nothing can be built; the message names the key."""


class SavedConfig(SaveConfigCallback):
    """Writes the configuration of a training beside its checkpoints, and never over another one.

    Raises:
        InputError: there is one already.
    """

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        if stage != "fit" or self.already_saved:
            return
        path = Path(trainer.log_dir or ".") / self.config_filename  # the same on every process
        if trainer.strategy.broadcast(path.is_file()):
            raise InputError(
                f"{path} is there already, from an earlier training; remove it, or give another folder with "
                "--trainer.default_root_dir"
            )
        super().setup(trainer, pl_module, stage)


class FaceParser(LightningArgumentParser):
    """Lightning's parser, for configuration files that are read as every other YAML file of this library is."""

    def parse_path(self, path: str | os.PathLike[str], *arguments: Any, **named: Any) -> Any:
        """Parse a configuration file, once it is known to be plain YAML in UTF-8.

        Raises:
            InputError: as of :func:`~faceinsight.files.plain_yaml`: a repeated key, values without measure;
                or the file is no mapping.
        """
        if not isinstance(found := plain_yaml(read_text(path), path), dict):
            kind = "nothing" if found is None else f"a {type(found).__name__}"
            raise InputError(f"{path}: a configuration has the keys model, data and trainer; this file holds {kind}")
        return super().parse_path(path, *arguments, **named)


def check_parts(node: object) -> None:
    """Refuse what a configuration names as files of its parts where they are no plain YAML; as :class:`FaceParser`."""
    if isinstance(node, Mapping):
        if (path := node.get("__path__")) is not None:
            plain_yaml(read_text(path), path)
        for each in node.values():
            check_parts(each)
    elif isinstance(node, list):
        for each in node:
            check_parts(each)


def check_seed(seed: int | None) -> None:
    """Refuse a seed that numpy and Lightning do not take."""
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigurationError(f"seed_everything must be 0 to 2**32 - 1, got {seed}")


class FaceCLI(LightningCLI):
    """LightningCLI for any system and any data module, with this library's training checks always on.

    Args:
        args: a mapping, or command-line words; None for those of this process.
        run: whether to run the sub-command (``fit``, ``test``) that ``args`` begins with.
        trainer_defaults: of Lightning's Trainer; what the configuration says comes first, callbacks are added.
    """

    def __init__(self, args: ArgsType = None, *, run: bool = True, trainer_defaults: PlainData | None = None) -> None:
        # jsonargparse would fill the fields of a dataclass itself; these are named by their loaders' class paths
        set_parsing_settings(subclasses_enabled=[LabelGraph, RuleSet, Schema])
        defaults = dict(trainer_defaults or {})
        defaults["callbacks"] = [GradientCheck(), FrozenCheck(), *defaults.get("callbacks", [])]
        commands = self.subcommands() if run else ()
        super().__init__(
            lightning.LightningModule,
            lightning.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=SavedConfig if run else None,
            trainer_defaults=defaults,
            parser_kwargs={"exit_on_error": False, **({name: {"exit_on_error": False} for name in commands})},
            args=args,
            run=run,
            auto_configure_optimizers=False,
            parser_class=FaceParser,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        with refused_as_configuration():
            super().parse_arguments(parser, args)
            config = self.config.as_dict()
            check_parts(config)
            check_seed(config.get(str(config.get("subcommand")), config).get("seed_everything"))

    def instantiate_classes(self) -> None:
        with refused_as_configuration():
            super().instantiate_classes()

    def before_fit(self) -> None:
        """Print each part's trained and frozen parameters before ``fit``, once for all processes."""
        if self.trainer.is_global_zero:
            Console().print(parts_table(self.model.network).to_string(index=False))


@contextmanager
def refused_as_configuration() -> Iterator[None]:
    """Turn what a parser or a class says of a configuration into one short error.

    Any other error than one about a value, a file or an import may be a fault in the code: it goes on as it is, without
    what the parser wraps round it.

    Raises:
        ConfigurationError: naming the key.
    """
    try:
        yield
    except Exception as error:
        cause = said_by_the_class(error)
        if cause is None:
            raise ConfigurationError(shortened(str(error))) from error
        if isinstance(cause, MisconfigurationException | ValueError | TypeError | ImportError | OSError):
            raise ConfigurationError(message_of(cause)) from error
        raise cause from None


#: Modules whose errors are about a configuration's text or the names in it.
PARSING = ("jsonargparse.", "yaml.", "faceinsight._lazy")


def said_by_the_class(error: BaseException) -> BaseException | None:
    """Return the error that jsonargparse met, without what it wraps round it; None where it is its own."""
    while True:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        parsing = frames[-1].f_globals["__name__"].startswith(PARSING)
        if not isinstance(error, ArgumentError) and not parsing:
            return error
        if error.__cause__ is None:
            return None
        error = error.__cause__


#: What jsonargparse says beside the mistake itself.
NOISE = re.compile(r"(Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>$|Given value)")
KEY, CLASS = re.compile(r'Parser key "([^"]+)":\s*'), re.compile(r"Problem with given class_path '([^']+)':\s*")
UNKNOWN_KEY = re.compile(r"(?:does not accept option|Option) '([\w.]+)'|unrecognized arguments: --([\w.]+)")
UNKNOWN_NAME = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")


def shortened(text: str) -> str:
    r"""Return what jsonargparse says of a configuration in one line: the key, what is wrong, and the nearest name.

    >>> shortened("Parser key \"trainer\":\n  Errors:\n    - Option 'max_epoch' is not accepted")
    "trainer: Option 'max_epoch' is not accepted, did you mean 'max_epochs'?"
    """
    keys: list[str] = []
    path, said = "", []
    for line in text.splitlines():
        rest = line.strip().removeprefix("- ")
        if NOISE.match(rest):
            continue
        if found := KEY.match(rest):
            keys.append(found[1])
            rest = rest[found.end() :]
        if found := CLASS.match(rest):
            path, rest = found[1], rest[found.end() :]
        if rest and rest not in said:
            said.append(rest)
    place = ".".join(keys) + ": " if keys else ""
    return f"{place}{' or '.join(said[:3])}{hint(said[0] if said else '', path)}"


def hint(said: str, path: str) -> str:
    """Return the nearest name to one that a class, the trainer or a module does not have."""
    if found := UNKNOWN_KEY.search(said):
        name = (found[1] or found[2]).rpartition(".")[2]
        try:
            owner = pkgutil.resolve_name(path) if path else lightning.Trainer
            return did_you_mean(name, inspect.signature(owner).parameters)
        except (AttributeError, ImportError, TypeError, ValueError):
            return ""
    if (found := UNKNOWN_NAME.search(said)) and found[1] in sys.modules:
        return did_you_mean(found[2], dir(sys.modules[found[1]]))
    return ""


def built(config: Mapping[str, object], **trainer_defaults: object) -> FaceCLI:
    """Build ``.trainer``, ``.model`` and ``.datamodule`` from a configuration; nothing is run yet.

    Args:
        trainer_defaults: see :class:`FaceCLI`.

    Raises:
        ConfigurationError: a key or value that does not fit.
    """
    with expected_warnings():
        return FaceCLI(dict(config), run=False, trainer_defaults=trainer_defaults)


def built_data(config: Mapping[str, object]) -> lightning.LightningDataModule:
    """Build the data module of a configuration, and neither network nor trainer.

    Raises:
        ConfigurationError: as :func:`built`.
    """
    return _built_part(config, "data", lightning.LightningDataModule)


def built_system(config: Mapping[str, object]) -> lightning.LightningModule:
    """Build the system of a configuration, its network among it, and neither data module nor trainer.

    Raises:
        ConfigurationError: as :func:`built`.
    """
    return _built_part(config, "model", lightning.LightningModule)


def _built_part(config: Mapping[str, object], key: str, kind: type[T]) -> T:
    set_parsing_settings(subclasses_enabled=[LabelGraph, RuleSet, Schema])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, key, required=True)
    with refused_as_configuration(), expected_warnings():
        return parser.instantiate_classes(parser.parse_object({key: config[key]}))[key]
