"""Writing drawn faces: one chunk of files, by this process or another."""

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

from numpy.random import default_rng

from faceinsight.data.synthetic.camera import to_jpeg
from faceinsight.data.synthetic.population import face
from faceinsight.data.synthetic.renderer import render

__all__ = ["CHUNK", "file_name", "leave_with_parent", "write_chunk"]

#: Faces per chunk; a killed run goes on at the first unfinished chunk.
CHUNK = 40


def file_name(index: int) -> str:
    """CelebA's numbering starts at 1.

    >>> file_name(0)
    '000001.jpg'
    """
    return f"{index + 1:06d}.jpg"


def write_chunk(folder: str, seed: int, image_size: int, first: int, last: int) -> int:
    """Draw faces ``first`` to ``last - 1`` into ``folder``, then mark the chunk as whole; returns how many."""
    root = Path(folder)
    for index in range(first, last):
        someone = face(seed, index)
        picture, mask = render(someone, image_size)
        name = file_name(index)
        jpeg = to_jpeg(picture, default_rng((someone.seed, 1)))
        (root / "img_align_celeba" / name).write_bytes(jpeg)
        mask.save(root / "masks" / f"{name[:-4]}.png", compress_level=3)
    mark = root / "chunks" / f"{first}-{last}"
    mark.with_suffix(f".{os.getpid()}").touch()
    mark.with_suffix(f".{os.getpid()}").replace(mark)
    return last - first


def leave_with_parent() -> None:
    """Make this worker end when the process that started it is killed; a pool's workers would wait for ever."""
    parent = parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
