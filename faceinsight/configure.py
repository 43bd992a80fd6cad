"""From one YAML configuration to a trainer, a system and a data module, by class path.

A configuration has the three keys ``model``, ``data`` and ``trainer`` (and ``seed_everything``), in the layout of
LightningCLI. ``class_path`` may name a class or a function that returns one, the user's own included.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from jsonargparse._deprecated import JsonargparseDeprecationWarning
from lightning.pytorch.cli import ArgsType, LightningCLI, SaveConfigCallback
from rich.console import Console

from faceinsight.callbacks import FrozenCheck, GradientCheck, parts_table
from faceinsight.errors import InputError, plain_cause, raised_in
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

__all__ = ["ConfigurationError", "FaceCLI", "built", "built_data"]


class ConfigurationError(InputError):
    """A configuration from which nothing can be built; the message names the key."""


class FaceCLI(LightningCLI):
    """LightningCLI for any system and any data module, with this library's training checks always on.

    Args:
        args: a mapping, or command-line words; None for those of this process.
        run: whether to run the sub-command (``fit``, ``test``) that ``args`` begins with.
        trainer_defaults: of Lightning's Trainer; what the configuration says comes first, callbacks are added.
    """

    def __init__(
        self, args: ArgsType = None, *, run: bool = True, trainer_defaults: dict[str, Any] | None = None
    ) -> None:
        # jsonargparse would fill the fields of a dataclass itself; these are named by their loaders' class paths
        set_parsing_settings(subclasses_enabled=[LabelGraph, RuleSet, Schema])
        defaults = dict(trainer_defaults or {})
        defaults["callbacks"] = [GradientCheck(), FrozenCheck(), *defaults.get("callbacks", [])]
        super().__init__(
            lightning.LightningModule,
            lightning.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=SaveConfigCallback if run else None,
            trainer_defaults=defaults,
            parser_kwargs={} if run else {"exit_on_error": False},
            args=args,
            run=run,
            auto_configure_optimizers=False,
        )

    def before_fit(self) -> None:
        """Print each part's trained and frozen parameters before ``fit``, once for all processes."""
        if self.trainer.is_global_zero:
            Console().print(parts_table(self.model.network).to_string(index=False))


@contextmanager
def refused_as_configuration() -> Iterator[None]:
    """Turn what jsonargparse says of a key or value into one short error."""
    try:
        yield
    except Exception as error:
        if not raised_in(error).startswith("jsonargparse.") and not isinstance(error, ArgumentError):
            raise
        raise ConfigurationError(str(plain_cause(error))) from error


def built(config: Mapping[str, Any], **trainer_defaults: Any) -> FaceCLI:
    """Build ``.trainer``, ``.model`` and ``.datamodule`` from a configuration; nothing is run yet.

    Args:
        trainer_defaults: see :class:`FaceCLI`.

    Raises:
        ConfigurationError: a key or value that does not fit; the message is the parser's own.
    """
    with refused_as_configuration(), warnings.catch_warnings():
        # this process's own command line, which is not read here; and the logger, which is set by the run
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
        warnings.filterwarnings("ignore", message="Starting from v1.9.0, `tensorboardX`")
        # Lightning 2.6 still calls what jsonargparse 4.49 deprecated
        warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)
        return FaceCLI(dict(config), run=False, trainer_defaults=trainer_defaults)


def built_data(config: Mapping[str, Any]) -> lightning.LightningDataModule:
    """Build the data module of a configuration, and neither network nor trainer.

    Raises:
        ConfigurationError: as :func:`built`.
    """
    set_parsing_settings(subclasses_enabled=[LabelGraph, RuleSet, Schema])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(lightning.LightningDataModule, "data", required=True)
    with refused_as_configuration():
        return parser.instantiate_classes(parser.parse_object({"data": config["data"]})).data
