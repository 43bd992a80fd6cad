"""What is computed once and kept on disk: one file for each key, whole or not at all, shared by processes.

A key is a hash of everything that a value depends on, such as weights, preprocessing and images. So nothing is ever
stale: whatever changes, changes the key. :meth:`Store.get_or_make` lets one process compute a value while the others
wait for it. :class:`FeatureStore` holds tensors, :class:`JsonStore` plain data.
"""

import hashlib
import json
import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import make_folder, replacing, write_text

__all__ = ["FeatureStore", "JsonStore", "Store", "key_of"]

T = TypeVar("T")

#: Stands in every file's metadata beside the key; changes when the layout does.
LAYOUT = "faceinsight features 1"


def key_of(**parts: object) -> str:
    """Return a key for plain data: equal parts give equal keys, in any order of writing.

    Args:
        parts: strings, numbers, booleans, None, and lists or dictionaries of them.

    Raises:
        TypeError: a part is something else (a path, a tensor), whose text might change from run to run.

    >>> key_of(weights="ab12", size=96) == key_of(size=96, weights="ab12") != key_of(weights="ab12", size=112)
    True
    """
    for name, part in parts.items():
        try:
            json.dumps(part, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise TypeError(f"key_of: {name} must be plain data, got {part!r} ({error})") from error
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Store(ABC, Generic[T]):
    """A folder of values, one file for each key.

    Args:
        folder: made when something is put into it.
    """

    suffix: str

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Return the file of a key.

        Raises:
            InputError: the key is not a file name, as :func:`key_of` makes one.
        """
        if not re.fullmatch(r"[0-9A-Za-z_-]+", key):
            raise InputError(f"a key is letters, digits, '-' and '_' only, as key_of makes it; got {key!r}")
        return self.folder / f"{key}{self.suffix}"

    def get(self, key: str) -> T | None:
        """Return the value of a key, or None where it is not stored.

        A file that is truncated, or is not of this store, is named in a warning and counts as not stored.
        """
        path = self.path(key)
        try:
            return self._read(path, key)
        except FileNotFoundError:
            return None
        except (SafetensorError, ValueError) as error:
            warnings.warn(f"{path} cannot be used and will be computed again: {error}", stacklevel=2)
            return None

    def put(self, key: str, value: T) -> T:
        """Store a value, whole or not at all, and return it as :meth:`get` will.

        Raises:
            OSError: it could not be written, for example because the disk is full; what was stored before remains.
        """
        try:
            return self._write(self.path(key), key, value)
        except SafetensorError as error:  # safetensors hides the system's error in its text
            found = re.search(r"os error (\d+)", str(error))
            raise OSError(int(found[1]) if found else 0, f"{error}; {self._nothing_lost()}") from error
        except OSError as error:
            error.add_note(self._nothing_lost())
            raise

    def get_or_make(self, key: str, make: Callable[[], T]) -> T:
        """Return the value of a key; where it is not stored, make and store it, in one process while others wait."""
        if (value := self.get(key)) is not None:
            return value
        lock = self.folder / f".{key}.lock"
        make_folder(self.folder)
        with FileLock(lock):
            if (value := self.get(key)) is None:
                value = self.put(key, make())
            with suppress(OSError):
                lock.unlink()  # a process that waits on it finds the value; at worst two compute it
        return value

    @abstractmethod
    def _read(self, path: Path, key: str) -> T: ...

    @abstractmethod
    def _write(self, path: Path, key: str, value: T) -> T: ...

    def _nothing_lost(self) -> str:
        return f"this was not stored in {self.folder}: make room there, or choose another folder"


class JsonStore(Store[Any]):
    """A folder of plain data, one file ``KEY.json`` for each key."""

    suffix = ".json"

    def _read(self, path: Path, key: str) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    def _write(self, path: Path, key: str, value: Any) -> Any:
        write_text(path, json.dumps(value, ensure_ascii=False))
        return value


class FeatureStore(Store[dict[str, Tensor]]):
    """A folder of tensors by name, one file ``KEY.safetensors`` for each key.

    Args:
        folder: made when something is put into it.
        dtype: how floating-point tensors are stored; those with values that do not fit it keep their own type.
    """

    suffix = ".safetensors"

    def __init__(self, folder: str | os.PathLike[str], *, dtype: torch.dtype = torch.float16) -> None:
        super().__init__(folder)
        self.dtype = dtype

    def _read(self, path: Path, key: str) -> dict[str, Tensor]:
        with safe_open(path, framework="pt") as opened:
            if (opened.metadata() or {}) != self._metadata(key):
                raise InputError("it was not written by this store for this key")
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # not a dictionary

    def _write(self, path: Path, key: str, value: Mapping[str, Tensor]) -> dict[str, Tensor]:
        stored = {name: self._rounded(tensor.detach().cpu()).contiguous() for name, tensor in value.items()}
        with replacing(path) as temporary:
            save_file(stored, temporary, metadata=self._metadata(key))
        return stored

    def _rounded(self, tensor: Tensor) -> Tensor:
        if (
            not tensor.is_floating_point()
            or not tensor.numel()
            or tensor.abs().nan_to_num(0).amax() > torch.finfo(self.dtype).max
        ):
            return tensor
        return tensor.to(self.dtype)

    @staticmethod
    def _metadata(key: str) -> dict[str, str]:
        return {"layout": LAYOUT, "key": key}
