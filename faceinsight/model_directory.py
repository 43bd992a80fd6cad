"""The files of a saved model: all written or none, and on reading each held against its hash.

.. code-block:: text

    config.json         library version, class, every part with its plain arguments, frozen parts with their SHA-256,
                        and the SHA-256 of each file below; it is written last
    model.safetensors   what was trained, with the buffers of the trained parts
    schema.yaml         names, prompts and groups of the attributes, in the order of the logits
    rules.yaml          the rules that the model keeps, in the rule language; if it has any
    graph.yaml          the label graph by attribute name; if there is one
    cooccurrence.yaml   the label graph of the co-occurrence gain; if there is one
    frozen.safetensors  what was frozen; only if it was asked for

Nothing is pickled or unpickled, and no other file is ever opened, whatever ``config.json`` says.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceinsight.files import replacing
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.description import FILES

__all__ = ["COOCCURRENCE", "FROZEN", "NAMES", "TRAINED", "SavedModel", "read_directory", "write_directory"]

CONFIG, TRAINED, FROZEN = "config.json", "model.safetensors", "frozen.safetensors"
SCHEMA, RULES, GRAPH = FILES[Schema], FILES[RuleSet], FILES[LabelGraph]

#: The label graph that a part keeps in a file of its own, which may hold more attributes than the model's schema.
COOCCURRENCE = CooccurrenceGain.files["graph"]

#: All files that a model's directory may hold.
NAMES = (CONFIG, SCHEMA, RULES, GRAPH, COOCCURRENCE, TRAINED, FROZEN)

#: The version of the layout; raise it when a directory can no longer be read as before.
FORMAT = 1


@dataclass(frozen=True)
class SavedModel:
    """What a directory holds.

    Args:
        model: the model's description.
        knowledge: schema, rules and graph, by file.
        tensors: by file and name.

    Raises:
        ValueError: the rules or the graph are of other attributes than the schema.
    """

    model: dict[str, Any]
    knowledge: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]

    def __post_init__(self) -> None:
        for file, each in self.knowledge.items():
            names = each.schema.names if isinstance(each, RuleSet) else each.names
            if file == COOCCURRENCE:
                each.places(self.knowledge[SCHEMA].names)
            else:
                self.knowledge[SCHEMA].check_names(names, file)


def write_directory(folder: Path, saved: SavedModel) -> None:
    """Write all files, or none: what stood there stays as it was if one cannot be written."""
    writers: dict[str, Callable[[Path], None]] = {name: each.save for name, each in saved.knowledge.items()}
    writers |= {name: partial(save_file, tensors) for name, tensors in saved.tensors.items()}
    with ExitStack() as stack:  # leaves in reverse: no file is replaced before all are written, config.json comes last
        written = {name: stack.enter_context(replacing(folder / name)) for name in (CONFIG, *writers)}
        for name, write in writers.items():
            write(written[name])
        config = {
            "faceinsight": metadata.version("faceinsight"),
            "format": FORMAT,
            "files": {name: sha256(written[name]) for name in writers},
            "model": saved.model,
        }
        written[CONFIG].write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
    for name in {RULES, GRAPH, COOCCURRENCE, FROZEN} - writers.keys():  # of a model that stood there before
        (folder / name).unlink(missing_ok=True)


def read_directory(folder: Path, kind: str) -> SavedModel:
    """Read what :func:`write_directory` wrote of a model whose class is called ``kind``.

    Raises:
        FileNotFoundError: the directory, or a file in it, is not there.
        ValueError: a file is damaged, was changed, or is of another class or a newer version.
    """
    config = read_config(folder / CONFIG)
    if (found := config["model"].get("class")) != kind:
        raise ValueError(f"{folder} holds a {found}, not a {kind}; load it with {found}.from_pretrained")
    check_files(folder, config["files"])
    try:
        schema = Schema.load(str(folder / SCHEMA))
        readers: dict[str, Callable[[Path], Any]] = {
            SCHEMA: lambda path: schema,
            RULES: lambda path: RuleSet.load(path, "all", schema),
            GRAPH: LabelGraph.load,
            COOCCURRENCE: LabelGraph.load,
        }
        knowledge = {name: read(folder / name) for name, read in readers.items() if name in config["files"]}
        tensors = {name: load_file(folder / name) for name in (TRAINED, FROZEN) if name in config["files"]}
        return SavedModel(config["model"], knowledge, tensors)
    except (LookupError, TypeError, ValueError, yaml.YAMLError, SafetensorError) as error:
        raise ValueError(f"{folder} cannot be read: {error}") from error


def read_config(path: Path) -> dict[str, Any]:
    """The contents of ``config.json``."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}: no model was saved there, or not to its end; "
            "save one with `save_pretrained`"
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a whole JSON file ({error}); save the model again") from error
    if not isinstance(config, dict) or not {"faceinsight", "format"} <= config.keys():
        raise ValueError(f"{path} was not written by `save_pretrained` of faceinsight")
    if config["format"] != FORMAT:
        raise ValueError(
            f"{path.parent} was saved by faceinsight {config['faceinsight']} in format {config['format']!r}; "
            f"this version, {metadata.version('faceinsight')}, reads format {FORMAT}: install the other one"
        )
    if not isinstance(config.get("model"), dict) or not isinstance(config.get("files"), dict):
        raise ValueError(f"{path} is not whole: it needs the keys 'model' and 'files'; save the model again")
    return config


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a directory in which a file is missing, damaged, changed or unknown."""
    known = {*NAMES} - {CONFIG}
    if unknown := files.keys() - known:
        raise ValueError(f"{folder / CONFIG} names {sorted(unknown)}, which are no files of a model: {sorted(known)}")
    wanted = {SCHEMA, TRAINED, *files}
    if missing := sorted(name for name in wanted if name not in files or not (folder / name).is_file()):
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; copy the whole directory, or save it again")
    for name, saved in files.items():
        if (found := sha256(folder / name)) != saved:
            raise ValueError(
                f"{folder / name} is not as it was saved: it is damaged, cut short or was changed (SHA-256 {found}, "
                f"{saved} in {CONFIG}); get it again. To change a model, load it and save it anew"
            )


def sha256(path: Path) -> str:
    """The hash of a file's bytes, as ``sha256sum`` tells it."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
