"""Which parts train, said in one place by name; every other one is frozen.

A part is called as a saved model calls it: by the constructor's argument, and a part of a part by its path, such as
``segmentation.route``.
"""

import difflib
import inspect
from collections.abc import Iterator, Sequence

from torch import nn

from faceinsight.errors import InputError
from faceinsight.modules.frozen import Frozen

__all__ = ["freeze_all_but", "part_names"]


def freeze_all_but(network: nn.Module, names: Sequence[str]) -> nn.Module:
    """Put every part that is not named into :class:`Frozen`, in place, and return the network.

    Parts of a network with a frozen language model are ``projector``, ``segmentation.route``, ``correlation``,
    ``query`` (the soft prompts), ``head`` and, in :class:`~faceinsight.modules.language.lora.LoRA`, ``language_model``.

    Args:
        names: the parts that train. One that is not built (None) may be named, so that a variant without it needs no
            list of its own.

    Raises:
        ValueError: an unknown part, with the nearest names; or one in which nothing would train: it is frozen, or has
            no weights.

    >>> network = nn.ModuleDict({"trunk": nn.Linear(2, 3), "head": nn.Linear(3, 1)})
    >>> _ = freeze_all_but(network, ["head"])
    >>> [name for name, each in network.named_parameters() if each.requires_grad]
    ['head.weight', 'head.bias']
    """
    parts = {name: part_called(network, name) for name in names}
    for name, part in parts.items():
        if part is not None and not any(each.requires_grad for each in part.parameters()):
            why = "is frozen; give it without Frozen, or in LoRA" if [*part.parameters()] else "has no weights"
            raise InputError(f"{name!r} is to train, but it {why}")
    freeze_around(network, {each for each in parts.values() if each is not None}, {*built_parts(network).values()})
    return network


def freeze_around(module: nn.Module, trained: set[nn.Module], units: set[nn.Module]) -> None:
    """Freeze the weights of ``module`` outside ``trained``; ``units`` that hold none of these are frozen whole."""
    for parameter in module.parameters(recurse=False):
        parameter.requires_grad_(False)
    for name, child in [*module.named_children()]:
        inside = {*child.modules()}
        if child in trained or type(child) is Frozen:
            continue
        if inside & trained or (child not in units and inside & units):
            freeze_around(child, trained, units)
        elif getattr(child, "closed_form", False):
            child.requires_grad_(False)  # it is still to be fitted, which Frozen says it is not
        elif child.state_dict():
            setattr(module, name, Frozen(child))


def built_parts(part: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that a part's constructor was given, by argument."""
    found = {name: getattr(part, name, None) for name in inspect.signature(type(part)).parameters}
    return {name: each for name, each in found.items() if isinstance(each, nn.Module)}


def part_names(part: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of a network's parts, with nothing for a wrapper on the way; then those of its other modules.

    >>> from faceinsight.modules.segmentation import RegionTokens, SegmentationEncoder
    >>> route = RegionTokens(image_dim=8, embed_dim=16)
    >>> list(part_names(nn.ModuleDict({"segmentation": SegmentationEncoder(parser=None, route=route)})))
    ['segmentation', 'segmentation.route']
    """
    given = built_parts(part)
    known = {*given.values()}
    beside = {name: each for name, each in part.named_children() if not prefix and known.isdisjoint(each.modules())}
    for name, each in {**given, **beside}.items():
        inner = each.module if isinstance(each, Frozen) else each
        yield f"{prefix}{name}"
        yield from part_names(inner, f"{prefix}{name}.")


def part_called(network: nn.Module, name: str) -> nn.Module | None:
    """Return the part of a name; None where it is an argument that was not given."""
    part: object = network
    for step in name.split("."):
        if part is None:
            return None
        if not hasattr(part, step):
            known = [*part_names(network)]
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else f"its parts: {', '.join(known)}"
            raise InputError(f"{type(network).__name__} has no part {name!r} that could train; {hint}")
        part = getattr(part, step)
    if part is not None and not isinstance(part, nn.Module):
        raise InputError(f"{name!r} is no part but a {type(part).__name__}; parts: {', '.join(part_names(network))}")
    return part
