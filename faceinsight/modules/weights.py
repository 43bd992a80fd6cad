"""Weights of one module in one safetensors file that also says what they are weights of.

The module's description lies beside the tensors, so that weights never go silently into a module that was built
otherwise: another trunk, another image size, another normalisation. Nothing is unpickled.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from faceinsight.errors import InputError
from faceinsight.files import replacing
from faceinsight.modules.description import build_part, described, differences

__all__ = ["load_part", "load_weights", "save_weights"]

#: The one metadata key of a file; its value is the module's description as JSON.
METADATA_KEY = "faceinsight"


def save_weights(path: str | os.PathLike[str], module: nn.Module, dtype: torch.dtype | None = None) -> None:
    """Write a module's parameters and saved buffers with its description, whole or not at all.

    Args:
        dtype: what floating-point numbers are stored as. The module's own are rounded to it first, in place: so what
            is measured afterwards is what the file holds.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if dtype is not None:
        state = {name: each.to(dtype) if each.is_floating_point() else each for name, each in state.items()}
        module.load_state_dict(state)
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={METADATA_KEY: json.dumps(described(module))})


def load_weights(path: str | os.PathLike[str], module: nn.Module, apart_from: Collection[str] = ()) -> None:
    """Read the file that :func:`save_weights` wrote into a module that was built in the same way.

    Args:
        apart_from: what may have been built otherwise, since it does not change what the weights are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not whole, or was written for another module; every difference is named.
    """
    check_same(path, module, apart_from)
    module.load_state_dict(load_file(path))


def load_part(path: str | os.PathLike[str], kind: type[nn.Module]) -> Any:
    """Build the module of class ``kind`` that :func:`save_weights` wrote, from the file alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not whole, or of another class, or its module cannot be built.
    """
    module = build_part(read_description(path, kind), given={}, knowledge={}, name=str(path))
    module.load_state_dict(load_file(path))
    check_same(path, module)  # afterwards, since a frozen part inside has its fingerprint from the file
    return module


def check_same(path: str | os.PathLike[str], module: nn.Module, apart_from: Collection[str] = ()) -> None:
    """Refuse a file that was written for another module; every difference is named."""
    told = read_description(path, type(module))
    if differing := [each for each in differences(told, described(module)) if each[0] not in apart_from]:
        listed = "; ".join(f"{name}: {wanted!r} in the file, {found!r} here" for name, wanted, found in differing)
        raise InputError(f"{path} holds weights of something else ({listed}); build the module as the file says")


def read_description(path: str | os.PathLike[str], kind: type[nn.Module]) -> dict[str, Any]:
    """What a file says of its module, which must be of class ``kind``."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights file {path}; write one with `save`, or give None to start from random")
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); write it again with `save`") from error
    if METADATA_KEY not in metadata:
        raise InputError(f"{path} does not say what it holds weights of; it was not written by a `save` of faceinsight")
    told: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    if told["class"] != kind.__name__:
        raise InputError(f"{path} holds weights of a {told['class']}, wanted those of a {kind.__name__}")
    return told
