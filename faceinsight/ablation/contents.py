"""What a run depends on beside the text of its configuration: the files that it names, and source outside the package.

A configuration names files (labels, rules, catalogs, graphs, weights), folders (data sets, checkpoints) and classes.
Their contents are part of a run's key, so that a result is never found again after one of them has changed. Source is
followed from each class that is neither installed nor of this package through every module that it imports, as far as
``import`` statements say so; a module that is imported by a computed name is not seen. Of this package one hash is
recorded with each run, and a table says when it differs.
"""

import ast
import hashlib
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import faceinsight

__all__ = ["Contents", "package_hash", "strings"]

PACKAGE = Path(faceinsight.__file__).parent

#: A class, function or module by its path.
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

#: Folders are read by the names of all their files, and by the contents of those that are no pictures.
PICTURES = {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

#: Stands in a folder of drawn faces, which are wholly determined by their settings.
DRAWN = "synthfaces.json"

#: Keys of a configuration under which folders are written, not read.
OUTPUTS = {"trainer"}

INSTALLED = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def strings(node: object) -> Iterator[str]:
    """Every string in nested mappings and lists."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from strings(each)
    elif isinstance(node, Sequence):
        for each in node:
            yield from strings(each)


class Contents:
    """The contents behind configurations; what several of them name is looked at once."""

    def __init__(self) -> None:
        importlib.invalidate_caches()
        self.path_of, self.modules_of = cache(existing), cache(own_modules)
        self.folder_of = cache(folder_hash)

    def of(self, config: Mapping[str, object]) -> dict[str, dict[str, str]]:
        """Return the SHA-256 of each file and folder by the words that name it, and of each module by its name.

        A file or folder that is not there is left out: once it is there, the contents are others.
        """
        files: dict[str, str] = {}
        modules: dict[str, str] = {}
        for key, section in config.items():
            for text in strings(section):
                path = self.path_of(text)
                if path is not None and path.is_file():
                    files[text] = file_hash(path)
                elif path is not None and path.is_dir() and key not in OUTPUTS and (found := self.folder_of(path)):
                    files[text] = found
                if DOTTED.fullmatch(text):
                    modules |= self.modules_of(text)
        return {"files": files, "modules": modules}


def existing(text: str) -> Path | None:
    """Return the file or folder that a string names, if there is one."""
    if not text or "\n" in text or "\0" in text or len(text) > 1024:
        return None
    path = Path(text)
    try:
        return path if path.is_file() or path.is_dir() else None
    except OSError:  # a name that is too long for the file system
        return None


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, read once for each state of it."""
    state = path.stat()
    return hash_of(path.resolve(), state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=4096)
def hash_of(path: Path, size: int, modified: int, inode: int) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """Return the hash of a folder's files and of those one floor below: every name, and the contents of what is no
    picture.

    Hidden files and folders of drawn faces are left out. Reads no picture: cached features know their pictures.

    Returns:
        the hash; empty where nothing is in the folder, as before faces are drawn into it.
    """
    found, empty = hashlib.sha256(), True
    for place in (folder, *sorted(each for each in folder.iterdir() if each.is_dir())):
        if place != folder and (place.name.startswith(".") or (place / DRAWN).exists()):
            continue
        with os.scandir(place) as entries:
            names = sorted(each.name for each in entries if not each.name.startswith(".") and each.is_file())
        empty &= not names
        for name in names:
            known = "" if Path(name).suffix.lower() in PICTURES else file_hash(place / name)
            found.update(f"{place.relative_to(folder)}\n{name}\n{known}\n".encode(errors="surrogateescape"))
    return "" if empty else found.hexdigest()


def own_modules(name: str) -> dict[str, str]:
    """Return the hash of the module that holds a class, and of those that it imports; none where that is installed."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        for spec in specs(waiting.pop()):
            if spec.name in found or not is_own(spec):
                continue
            path = Path(str(spec.origin))
            found[spec.name] = file_hash(path)
            if path.suffix == ".py":
                waiting += imported(path, spec)
    return found


def specs(name: str) -> list[ModuleSpec]:
    """Return the modules on the way to a dotted name, as far as there are any; nothing is imported to find them."""
    top, *rest = name.split(".")
    if top in sys.stdlib_module_names or top == faceinsight.__name__:
        return []
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: __main__, which is in no file
        return []
    found = []
    while spec is not None:
        found.append(spec)
        if not rest or spec.submodule_search_locations is None:
            break
        spec = PathFinder.find_spec(f"{spec.name}.{rest.pop(0)}", list(spec.submodule_search_locations))
    return found


def is_own(spec: ModuleSpec) -> bool:
    """Whether a module is neither installed nor of this package. What is installed as editable is its user's own."""
    if spec.origin is None or not Path(spec.origin).is_file():
        return False
    path = Path(spec.origin).resolve()
    if {"site-packages", "dist-packages"} & {*path.parts} or path.is_relative_to(PACKAGE.resolve()):
        return False
    return not any(path.is_relative_to(Path(place).resolve()) for place in INSTALLED if place)


def imported(path: Path, spec: ModuleSpec) -> list[str]:
    """Return the names that a module's ``import`` statements speak of, anywhere in it; ``from a import b`` gives
    ``a.b``.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it will say so
        return []
    package = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [f"{base}.{each.name}" for each in node.names]
    return names


@cache
def package_hash() -> str:
    """One hash of this package's own source and catalogs."""
    found = hashlib.sha256()
    for path in sorted(each for each in PACKAGE.rglob("*") if each.suffix in (".py", ".yaml")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
