"""The pictures of a source: a file, a folder, a pattern, a list of them, or pictures themselves."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from PIL import Image

from faceinsight.data.images import FORMATS, Picture, listed
from faceinsight.errors import InputError

__all__ = ["BrokenPicture", "find_pictures", "printable"]


@dataclass(frozen=True)
class BrokenPicture:
    """A picture that could not be read.

    Args:
        name: its file, or its number from 1.
        problem: what is wrong with it.
        index: its position among the source's pictures; None for a folder that could not be listed.
    """

    name: str
    problem: str
    index: int | None = None

    def __str__(self) -> str:
        """Return the problem with the name in front, on one line."""
        text = self.problem if self.name in self.problem else f"{self.name}: {self.problem}"
        return printable(text)


def find_pictures(source: object) -> tuple[list[Picture], list[BrokenPicture]]:
    """Return a source's pictures in order, and the folders in it that could not be listed.

    A folder stands for all pictures below it, sorted by path; they are known by their endings, and names that begin
    with a dot are left out. Links are followed, and a folder that is reached twice is read once. A text that names
    no file and has ``*``, ``?`` or ``[`` in it is a pattern (``**`` for folders of any depth).

    Args:
        source: a file, a folder, a pattern, a PIL image, an array or a tensor; or several of them.

    Raises:
        InputError: no such file or folder, a folder or pattern without pictures, or an empty list.
    """
    if isinstance(source, str | os.PathLike) and not str(source):
        raise InputError("the source is an empty text; give a file, a folder or a pattern such as 'photos/*.jpg'")
    found: list[Picture] = []
    unlisted: list[BrokenPicture] = []
    alone = isinstance(source, str | os.PathLike)
    for each in listed(source):
        if isinstance(each, str | os.PathLike):
            found += _files(os.fspath(each), unlisted, must_exist=alone)
        else:
            found.append(each)
    if not found and not unlisted:
        raise InputError("no pictures were given; give a file, a folder, a pattern, or pictures")
    return found, unlisted


def _files(name: str, unlisted: list[BrokenPicture], *, must_exist: bool) -> list[str]:
    """Return the files that one text stands for; a missing one in a list stays, to be named with the broken ones."""
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if os.path.isdir(name):
        before = len(unlisted)
        files = _below(name, lambda error: unlisted.append(_unlisted(error)))
        if not files and len(unlisted) == before:
            raise InputError(
                f"{printable(name)}: no pictures in this folder or below it; they are known by their endings, such as "
                ".jpg, .png and .webp"
            )
        return files
    if not os.path.lexists(name) and has_magic(name):
        matches = sorted(each for each in glob(name, recursive=True) if not os.path.isdir(each))
        if not matches:
            raise InputError(f"{printable(name)}: no file matches this pattern; quote it, so that the shell leaves it")
        return matches
    if must_exist and not os.path.exists(name):
        raise InputError(f"{printable(name)}: there is no such file or folder")
    return [name]


def _below(folder: str, tell: Callable[[OSError], None]) -> list[str]:
    """Return the pictures below a folder, sorted; each real folder is walked once, so cycles of links end."""
    endings, seen, files = _endings(), {_identity(folder)}, []
    for root, folders, names in os.walk(folder, followlinks=True, onerror=tell):
        kept = []
        for each in sorted(folders):
            path = os.path.join(root, each)
            if each.startswith(".") or (who := _identity(path)) in seen:
                continue
            seen.add(who)
            kept.append(each)
        folders[:] = kept
        files += [
            os.path.join(root, each)
            for each in names
            if not each.startswith(".") and os.path.splitext(each)[1].lower() in endings
        ]
    return sorted(files, key=lambda each: Path(each).parts)


def _identity(path: str) -> tuple[int, int]:
    state = os.stat(path)
    return state.st_dev, state.st_ino


def _unlisted(error: OSError) -> BrokenPicture:
    return BrokenPicture(str(error.filename), f"this folder cannot be listed: {error.strerror}")


def _endings() -> set[str]:
    """Return the endings of the formats that are read."""
    return {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}


def printable(name: str) -> str:
    r"""Return a name as it can be printed and stored: line ends and bytes that are no UTF-8 are escaped.

    >>> printable("a\nb.jpg")
    'a\\nb.jpg'
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
