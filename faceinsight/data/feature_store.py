"""What frozen encoders say about each face, computed once and kept on disk.

One safetensors file for each key. A key is a hash of everything that the features depend on: weights, preprocessing
and images. So nothing is ever stale: whatever changes, changes the key. Files are written whole or not at all, and two
processes that compute the same key write the same file, so it does not matter which of them is last.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import replacing

__all__ = ["FeatureStore", "key_of"]

#: Stands in every file's metadata beside the key; changes when the layout does.
LAYOUT = "faceinsight features 1"


def key_of(**parts: Any) -> str:
    """A key for plain data: equal parts give equal keys, in any order of writing.

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


class FeatureStore:
    """A folder of features, one file ``KEY.safetensors`` for each key.

    Args:
        folder: made when something is put into it.
        dtype: how floating-point features are stored; those whose values do not fit it keep their own type.
    """

    def __init__(self, folder: str | os.PathLike[str], *, dtype: torch.dtype = torch.float16) -> None:
        self.folder, self.dtype = Path(folder), dtype

    def path(self, key: str) -> Path:
        """The file of a key."""
        if not re.fullmatch(r"[0-9A-Za-z_-]+", key):
            raise InputError(f"a key is letters, digits, '-' and '_' only, as key_of makes it; got {key!r}")
        return self.folder / f"{key}.safetensors"

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The features of a key, or None where they are not stored.

        A file that is truncated, or is not of this store, is named in a warning and counts as not stored.
        """
        path = self.path(key)
        try:
            with safe_open(path, framework="pt") as opened:
                if (opened.metadata() or {}) != self._metadata(key):
                    return self._refuse(path, "it was not written by this store for this key")
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # not a dictionary
        except FileNotFoundError:
            return None
        except SafetensorError as error:
            return self._refuse(path, str(error))

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Store features, whole or not at all, and return them as :meth:`get` will: rounded to the stored type.

        Raises:
            OSError: they could not be written, for example because the disk is full; what was stored before remains.
        """
        stored = {name: self._rounded(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
        try:
            with replacing(self.path(key)) as temporary:
                save_file(stored, temporary, metadata=self._metadata(key))
        except SafetensorError as error:  # safetensors hides the system's error in its text
            found = re.search(r"os error (\d+)", str(error))
            raise OSError(int(found[1]) if found else 0, f"{error}; {self._nothing_lost()}") from error
        except OSError as error:
            error.add_note(self._nothing_lost())
            raise
        return stored

    def _rounded(self, tensor: Tensor) -> Tensor:
        if (
            not tensor.is_floating_point()
            or not tensor.numel()
            or tensor.abs().nan_to_num(0).amax() > torch.finfo(self.dtype).max
        ):
            return tensor
        return tensor.to(self.dtype)

    def _nothing_lost(self) -> str:
        return f"these features were not stored in {self.folder}: make room there, or choose another folder"

    @staticmethod
    def _metadata(key: str) -> dict[str, str]:
        return {"layout": LAYOUT, "key": key}

    @staticmethod
    def _refuse(path: Path, why: str) -> None:
        warnings.warn(f"{path} cannot be used and will be computed again: {why}", stacklevel=3)
