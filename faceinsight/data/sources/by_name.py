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

__all__ = ["SOURCES", "source", "source_names"]


#: The data sets that can be named.
SOURCES: dict[str, Callable[..., FaceSource]] = {
    "celeba": CelebA,
    "celebamask": CelebAMask,
    "expw": ExpW,
    "fairface": FairFace,
    "maad": MAADFace,
    "rafdb": RAFDB,
    "synthfaces": SynthFaces,
    "utkface": UTKFace,
}


def source(name: str, root: str | os.PathLike[str]) -> FaceSource:
    """Return the data set ``name`` in the folder ``root``.

    Args:
        name: a key of :data:`SOURCES`. All are read in their owners' layout, ``celebamask`` as photographs with
            class-index masks.
        root: for drawn faces (``synthfaces``) the folder of one set (``v.../synthfaces.json`` lies in it), which is
            read as it is; or the folder for all sets, in which the default one is drawn if it is not there yet.

    Raises:
        InputError: no data set of this name.
    """
    if name not in SOURCES:
        raise InputError(f"no data set named {name!r}; known are {', '.join(SOURCES)}")
    if name == "synthfaces" and (Path(root) / "synthfaces.json").is_file():
        return CelebA(root=root, schema="synthfaces", split="official", mask_folder="masks")
    return SOURCES[name](root=root)


def source_names() -> list[str]:
    """Return the names that :func:`source` knows."""
    return sorted(SOURCES)
