"""Listed images that are not on disk: refused, or left out and named."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from faceinsight.data.images import path_within
from faceinsight.data.sources.celeba_lists import counted

__all__ = ["MissingImages", "absent_files", "images_left_out", "left_out_notes", "names_there"]

#: The endings of copies in another format.
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")

#: What is done about listed images that are not on disk.
MissingImages = Literal["refuse", "skip"]


def absent_files(folder: Path, files: Sequence[str]) -> list[str]:
    """Return the files that are not in ``folder``, each of whose subfolders is listed once.

    Raises:
        InputError: a name leads out of ``folder``.
    """
    present: dict[str, set[str]] = {}
    absent = []
    for name in files:
        parent, _, own = name.rpartition("/")
        if parent not in present:
            place = path_within(folder, name).parent
            present[parent] = set(os.listdir(place)) if place.is_dir() else set()
        if own not in present[parent]:
            absent.append(name)
    return absent


def names_there(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """Return the name under which each listed image lies in ``folder``: its own, or that of a copy in another format.

    Raises:
        InputError: a name leads out of ``folder``.
    """
    names = dict(zip(files, files, strict=True))
    absent = absent_files(folder, files)
    if not absent:
        return names
    copies = {name: [f"{name.rpartition('.')[0] or name}{ending}" for ending in ENDINGS] for name in absent}
    gone = set(absent_files(folder, [copy for each in copies.values() for copy in each]))
    for name, each in copies.items():
        names[name] = next((copy for copy in each if copy not in gone), name)
    return names


def images_left_out(folder: Path, files: Sequence[str], *, missing_images: MissingImages, how: str) -> tuple[str, ...]:
    """Return the listed images that are not in ``folder`` and are to be left out, named in one warning.

    Args:
        missing_images: "refuse" them, or "skip" them.
        how: how to get the data set, for the refusal.

    Raises:
        FileNotFoundError: images are missing, and that is to be refused.
    """
    absent = absent_files(folder, files)
    what = f"{counted(absent)} of {len(files):,} listed images are not in {folder}"
    if absent and missing_images == "refuse":
        raise FileNotFoundError(f"{what}. {how}; missing_images='skip' leaves them out")
    if absent:
        warnings.warn(f"{what}; they are left out", stacklevel=3)
    return tuple(absent)


def left_out_notes(left_out: Sequence[str]) -> list[str]:
    """Return what a report says of them."""
    return [f"listed images that are not on disk, left out: {counted(left_out)}"] if left_out else []
