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

A save writes all files into a folder beside them (``.saving-...``). That folder becomes ``.complete`` in one step, and
only then do the files take their places. So a save that is killed at any moment leaves the model before it or the new
one: files in ``.complete`` come before those of the same name, and the next save puts them in their places.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import PlainData, make_folder
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

#: A save that is whole, whose files have not all taken their places.
COMPLETE = ".complete"

#: A save under way: the machine and the process that writes it.
SAVING = re.compile(r"\.saving-(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{8}")

#: What saves of earlier versions left when they were killed.
LEFT_OVER = re.compile(
    r"\.(?:config|model|frozen|schema|rules|graph|cooccurrence)-[a-z0-9_]{8}\.(?:json|safetensors|yaml)"
)

#: Seconds after which a save that cannot be asked whether it is still under way is taken for dead.
DEAD_AFTER = 24 * 3600

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

    model: PlainData
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
    """Write all files, or none: what stood there stays as it was if one cannot be written, or if this is killed."""
    make_folder(folder)
    sweep(folder)
    writers: dict[str, Callable[[Path], None]] = {name: each.save for name, each in saved.knowledge.items()}
    writers |= {name: partial(save_file, tensors) for name, tensors in saved.tensors.items()}
    beside = folder / f".saving-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        beside.mkdir()
        for name, write in writers.items():
            write(beside / name)
        config = {
            "faceinsight": metadata.version("faceinsight"),
            "format": FORMAT,
            "files": {name: sha256(beside / name) for name in writers},
            "model": saved.model,
        }
        (beside / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
        for path in beside.iterdir():
            with path.open("rb") as written:
                os.fsync(written.fileno())
        settle(folder)
        os.replace(beside, folder / COMPLETE)
    except OSError as error:
        error.add_note(f"while saving into {folder}; what stood there before is untouched")
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    settle(folder)
    for name in {RULES, GRAPH, COOCCURRENCE, FROZEN} - writers.keys():  # of a model that stood there before
        (folder / name).unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Put the files of a whole save in their places, ``config.json`` last."""
    complete = folder / COMPLETE
    for name in reversed(NAMES):
        if (complete / name).is_file():
            os.replace(complete / name, folder / name)
    shutil.rmtree(complete, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what dead processes left of saves that never became whole."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process sweeps too
            old = time.time() - path.stat().st_mtime > DEAD_AFTER
            if saving := SAVING.fullmatch(path.name):
                here = saving["host"] == socket.gethostname()
                if old or (here and not is_alive(int(saving["process"]))):
                    shutil.rmtree(path, ignore_errors=True)
            elif old and LEFT_OVER.fullmatch(path.name):
                path.unlink()


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def place(folder: Path, name: str) -> Path:
    """Where a file is: in a whole save that was killed before its files took their places, or in the directory."""
    waiting = folder / COMPLETE / name
    return waiting if waiting.is_file() else folder / name


def read_directory(folder: Path, kind: str) -> SavedModel:
    """Read what :func:`write_directory` wrote of a model whose class is called ``kind``.

    Raises:
        FileNotFoundError: the directory, or a file in it, is not there.
        ValueError: a file is damaged, was changed, or is of another class or a newer version.
    """
    config = read_config(place(folder, CONFIG))
    if (found := config["model"].get("class")) != kind:
        raise InputError(f"{folder} holds a {found}, not a {kind}; load it with {found}.from_pretrained")
    check_files(folder, config["files"])
    try:
        schema = Schema.load(str(place(folder, SCHEMA)))
        readers: dict[str, Callable[[Path], Any]] = {
            SCHEMA: lambda path: schema,
            RULES: lambda path: RuleSet.load(path, "all", schema),
            GRAPH: LabelGraph.load,
            COOCCURRENCE: LabelGraph.load,
        }
        knowledge = {name: read(place(folder, name)) for name, read in readers.items() if name in config["files"]}
        tensors = {name: load_file(place(folder, name)) for name in (TRAINED, FROZEN) if name in config["files"]}
        if RULES in knowledge and config["model"].get("rules") is None:
            raise InputError(f"{CONFIG} drops the rules that {RULES} holds")
        return SavedModel(config["model"], knowledge, tensors)
    except (LookupError, TypeError, ValueError, yaml.YAMLError, SafetensorError) as error:
        raise InputError(f"{folder} cannot be read: {error}") from error


def read_config(path: Path) -> PlainData:
    """Return the contents of ``config.json``."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}: no model was saved there, or not to its end; "
            "save one with `save_pretrained`"
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a whole JSON file ({error}); save the model again") from error
    if not isinstance(config, dict) or not {"faceinsight", "format"} <= config.keys():
        raise InputError(f"{path} was not written by `save_pretrained` of faceinsight")
    if config["format"] != FORMAT:
        raise InputError(
            f"{path.parent} was saved by faceinsight {config['faceinsight']} in format {config['format']!r}; "
            f"this version, {metadata.version('faceinsight')}, reads format {FORMAT}: install the other one"
        )
    if not isinstance(config.get("model"), dict) or not isinstance(config.get("files"), dict):
        raise InputError(f"{path} is not whole: it needs the keys 'model' and 'files'; save the model again")
    return config


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a directory in which a file is missing, damaged, changed or unknown."""
    known = {*NAMES} - {CONFIG}
    if unknown := files.keys() - known:
        raise InputError(f"{folder / CONFIG} names {sorted(unknown)}, which are no files of a model: {sorted(known)}")
    wanted = {SCHEMA, TRAINED, *files}
    if missing := sorted(name for name in wanted if name not in files or not place(folder, name).is_file()):
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; copy the whole directory, or save it again")
    for name, saved in files.items():
        if (found := sha256(place(folder, name))) != saved:
            raise InputError(
                f"{folder / name} is not as it was saved: it is damaged, cut short or was changed (SHA-256 {found}, "
                f"{saved} in {CONFIG}); get it again. To change a model, load it and save it again"
            )


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes, as ``sha256sum`` tells it."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
