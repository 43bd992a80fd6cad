"""Weights of one module in one safetensors file that also says what they are weights of.

The module's description lies beside the tensors, so that weights never go silently into a module that was built
otherwise: another trunk, another image size, another normalisation. Nothing is unpickled.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.files import PlainData, replacing
from faceinsight.modules.description import build_part, described, differences

__all__ = ["check_numbers", "check_tensors", "load_part", "load_weights", "save_weights"]

Part = TypeVar("Part", bound=nn.Module)

#: Arguments that say how many layers are built.
DEPTHS = ("depth", "depths", "layers", "num_layers", "num_hidden_layers", "num_blocks")

#: Arguments that say how large an image is, which is tried when a part is built.
SIDES = ("image_size", "img_size")
LARGEST_SIDE = 4096

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
    stored = load_file(path)
    check_tensors(stored, module.state_dict(), str(path))
    module.load_state_dict(stored)


def load_part(path: str | os.PathLike[str], kind: type[Part]) -> Part:
    """Build the module of class ``kind`` that :func:`save_weights` wrote, from the file alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not whole, or of another class, or its module cannot be built.
    """
    spec, stored = read_description(path, kind), load_file(path)
    check_numbers(spec, len(stored), str(path))
    with torch.device("meta"):  # takes no memory, whatever the description says
        shapes = build_part(spec, given={}, knowledge={}, name=str(path)).state_dict()
    check_tensors(stored, shapes, str(path))
    module = build_part(spec, given={}, knowledge={}, name=str(path))
    module.load_state_dict(stored)
    check_same(path, module)  # afterwards, since a frozen part inside has its fingerprint from the file
    return module


def check_tensors(
    stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str, elsewhere: Collection[str] = ()
) -> None:
    """Refuse stored tensors that are not those of a module: every one has its place, its shape, its kind of number.

    Args:
        wanted: the module's own, which may be on torch's meta device.
        where: what the tensors were read from, for the error.
        elsewhere: names of the module that belong into another file.

    Raises:
        InputError: naming the tensors; or one that holds NaN, or infinite weights.
    """
    wrong = [f"{name} is missing in {where}" for name in sorted(wanted.keys() - stored.keys())]
    for name in sorted(stored.keys() - wanted.keys()):
        why = "belongs to another file, as frozen or as trained" if name in elsewhere else "has no place in the model"
        wrong.append(f"{name} {why}")
    for name in sorted(wanted.keys() & stored.keys()):
        here, there = stored[name], wanted[name]
        if here.shape != there.shape:
            wrong.append(f"{name} is {list(here.shape)} in {where}, {list(there.shape)} in the model")
        elif kind_of_number(here.dtype) != kind_of_number(there.dtype):
            wrong.append(f"{name} is {here.dtype} in {where}, {there.dtype} in the model")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(f"its tensors do not fit ({'; '.join(wrong[:5])}{more}); give each part as it was trained")
    for name, tensor in stored.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(
                f"{name} in {where} holds {int((~tensor.isfinite()).sum()):,} values that are NaN or infinite: the "
                "training diverged, or the file was changed; take an earlier one"
            )


def kind_of_number(dtype: torch.dtype) -> str:
    """Half precision stays half precision, but whole numbers are no weights."""
    if dtype.is_complex or dtype == torch.bool:
        return str(dtype)
    return "floating point" if dtype.is_floating_point and dtype.itemsize > 1 else str(dtype)


def check_numbers(spec: object, tensors: int, where: str) -> None:
    """Refuse a description that asks for more layers than there are tensors, or for huge images, before it is obeyed.

    Args:
        spec: of a part, as :func:`~faceinsight.modules.description.described` makes it.
        tensors: how many are stored.
    """
    for key, value in numbers_in(spec):
        if key in DEPTHS and value > tensors:
            limit = f"only {tensors} tensors are stored"
        elif key in SIDES and value > LARGEST_SIDE:
            limit = f"images have at most {LARGEST_SIDE} px"
        else:
            continue
        raise InputError(f"{where} asks for {key}={value:,}, but {limit}; the description was changed or is damaged")


def numbers_in(spec: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number in a description, with the argument that it belongs to."""
    if isinstance(spec, dict):
        for name, value in spec.items():
            yield from numbers_in(value, name)
    elif isinstance(spec, list):
        for value in spec:
            yield from numbers_in(value, key)
    elif isinstance(spec, int):
        yield key, spec


def check_same(path: str | os.PathLike[str], module: nn.Module, apart_from: Collection[str] = ()) -> None:
    """Refuse a file that was written for another module; every difference is named."""
    spec = read_description(path, type(module))
    if differing := [each for each in differences(spec, described(module)) if each[0] not in apart_from]:
        listed = "; ".join(f"{name}: {wanted!r} in the file, {found!r} here" for name, wanted, found in differing)
        raise InputError(f"{path} holds weights of something else ({listed}); build the module as the file says")


def read_description(path: str | os.PathLike[str], kind: type[nn.Module]) -> PlainData:
    """Return what a file says of its module, which must be of class ``kind``."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights file {path}; write one with `save`, or give None to start from random")
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); write it again with `save`") from error
    if METADATA_KEY not in metadata:
        raise InputError(f"{path} does not say what it holds weights of; it was not written by a `save` of faceinsight")
    spec: PlainData = json.loads(metadata[METADATA_KEY])
    if spec["class"] != kind.__name__:
        raise InputError(f"{path} holds weights of a {spec['class']}, wanted those of a {kind.__name__}")
    return spec
