"""Weights of one module in one safetensors file that also says what they are weights of.

The module's configuration lies beside the tensors, so that weights never go silently into a module that was built
otherwise: another trunk, another image size, another normalisation. Nothing is unpickled.
"""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from faceinsight.files import replacing

__all__ = ["load_weights", "read_config", "save_weights"]

#: The one metadata key of a file; its value is the configuration as JSON, with the class's name.
METADATA_KEY = "faceinsight"


def save_weights(path: str | os.PathLike[str], module: nn.Module, config: dict[str, Any]) -> None:
    """Write a module's parameters and saved buffers with the plain data ``config``, whole or not at all."""
    described = {"class": type(module).__name__, **config}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={METADATA_KEY: json.dumps(described)})


def read_config(path: str | os.PathLike[str], kind: type[nn.Module]) -> dict[str, Any]:
    """The configuration that :func:`save_weights` wrote for a module of class ``kind``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a whole safetensors file, or not one of this library, or of another class.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights file {path}; write one with `save`, or give None to start from random")
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); write it again with `save`") from error
    if METADATA_KEY not in metadata:
        raise ValueError(f"{path} does not say what it holds weights of; it was not written by a `save` of faceinsight")
    config: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    if (found := config.pop("class")) != kind.__name__:
        raise ValueError(f"{path} holds weights of a {found}, wanted those of a {kind.__name__}")
    return config


def load_weights(path: str | os.PathLike[str], module: nn.Module, config: dict[str, Any]) -> None:
    """Read the file that :func:`save_weights` wrote into a module that was built in the same way.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not whole, or its configuration differs; every difference is named.
    """
    # through JSON, where a tuple and a list are the same
    wanted = json.loads(json.dumps(config))
    found = read_config(path, type(module))
    differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if differing:
        listed = "; ".join(f"{key}: {found.get(key)!r} in the file, {wanted.get(key)!r} here" for key in differing)
        raise ValueError(f"{path} holds weights of something else ({listed}); build the module as the file says")
    module.load_state_dict(load_file(path))
