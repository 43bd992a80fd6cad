"""Data sets by name, as the command line names them."""

import os
from collections.abc import Callable
from pathlib import Path

from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.sources.celebamask import CelebAMask
from faceinsight.data.sources.expw import ExpW
from faceinsight.data.sources.fairface import FairFace
from faceinsight.data.sources.maad import MAADFace
from faceinsight.data.sources.rafdb import RAFDB
from faceinsight.data.sources.synthfaces import SynthFaces
from faceinsight.data.sources.utkface import UTKFace
from faceinsight.data.table import FaceSource
from faceinsight.errors import InputError

__all__ = ["source", "source_names"]


def source(name: str, root: str | os.PathLike[str]) -> FaceSource:
    """The data set ``name`` in the folder ``root``.

    Args:
        name: ``celeba``, ``expw``, ``fairface``, ``maad``, ``rafdb``, ``utkface`` (their owners' layouts),
            ``celebamask`` (photographs and class-index masks), or ``synthfaces``.
        root: for drawn faces the folder of one set (``v.../synthfaces.json`` lies in it), which is read as it is; or
            the folder for all sets, in which the default one is drawn if it is not there yet.

    Raises:
        InputError: no data set of this name.
    """
    if name not in _SOURCES:
        raise InputError(f"no data set named {name!r}; known are {', '.join(_SOURCES)}")
    return _SOURCES[name](Path(root))


def _celeba(root: Path) -> FaceSource:
    return CelebA(root=root)


def _celebamask(root: Path) -> FaceSource:
    return CelebAMask(root=root)


def _expw(root: Path) -> FaceSource:
    return ExpW(root=root)


def _fairface(root: Path) -> FaceSource:
    return FairFace(root=root)


def _maad(root: Path) -> FaceSource:
    return MAADFace(root=root)


def _rafdb(root: Path) -> FaceSource:
    return RAFDB(root=root)


def _synthfaces(root: Path) -> FaceSource:
    if (root / "synthfaces.json").is_file():
        return CelebA(root=root, schema="synthfaces", split="official", mask_folder="masks")
    return SynthFaces(root=root)


def _utkface(root: Path) -> FaceSource:
    return UTKFace(root=root)


_SOURCES: dict[str, Callable[[Path], FaceSource]] = {
    "celeba": _celeba,
    "celebamask": _celebamask,
    "expw": _expw,
    "fairface": _fairface,
    "maad": _maad,
    "rafdb": _rafdb,
    "synthfaces": _synthfaces,
    "utkface": _utkface,
}


def source_names() -> list[str]:
    """The names that :func:`source` knows."""
    return sorted(_SOURCES)
