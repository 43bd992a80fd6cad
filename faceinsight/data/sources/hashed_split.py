"""Splits that follow from file names, for data sets that come without: the same on every machine, whatever is added."""

import hashlib
from pathlib import PurePosixPath

from faceinsight.data.table import Split

__all__ = ["hashed_split"]


def hashed_split(name: str, *, train: float, val: float = 0.0) -> Split:
    """Return the split of a picture by a hash of its name without folder and ending (our choice).

    Args:
        train: share of the pictures that go to train.
        val: share that goes to val; the rest goes to test.

    >>> [hashed_split(f"{number}.jpg", train=0.8, val=0.05) for number in range(6)]
    ['train', 'train', 'val', 'train', 'train', 'test']
    """
    share = int.from_bytes(hashlib.sha256(PurePosixPath(name).stem.encode()).digest()[:8]) / 2**64
    return "train" if share < train else "val" if share < train + val else "test"
