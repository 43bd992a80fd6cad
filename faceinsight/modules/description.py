"""What a part is, as plain data, and the part built again from it: for the files in which trained parts are kept.

A part is described by its class and its constructor's arguments; as in scikit-learn, it keeps each argument under its
own name, so that a new part needs nothing more. Plain arguments are written as they are, parts as parts. Three keys
mark what is not: ``class`` a part, ``file`` knowledge that has a file of its own, ``given`` whatever only the user can
build again: an own class, a function.

A description comes from a file, and a file must choose neither which code runs nor what is read: only the classes
listed in :mod:`faceinsight.modules` are ever built, and none that would fetch or open something for itself.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from torch import nn

import faceinsight.modules
from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.frozen import Frozen, fingerprint

__all__ = [
    "arguments_of",
    "build_arguments",
    "build_part",
    "described",
    "described_arguments",
    "differences",
    "file_of",
    "label",
    "parts_in",
]

#: Arguments that say where first weights come from; the saved tensors stand in their place.
SOURCES = ("weights", "pretrained")

#: Arguments, also among a trunk's options, that would make a part read files or the network.
READING = (*SOURCES, "checkpoint_path", "pretrained_cfg", "encoder_weights")

#: Wrappers that keep their ``module`` as it is; parts are described, given and named without them.
KEEPING = ("Frozen", "LoRA")

#: What a description holds of a part beside its arguments.
BESIDE = ("class", "preprocessing", "fingerprint")

Knowledge = Schema | RuleSet | LabelGraph

#: Knowledge, and the file that it has in a checkpoint.
FILES = {Schema: "schema.yaml", RuleSet: "rules.yaml", LabelGraph: "graph.yaml"}


def file_of(part: object, argument: str, knowledge: object) -> str:
    """Return the file of a part's knowledge: the usual one of its kind, or the part's own (``files`` by argument)."""
    own: Mapping[str, str] = getattr(part, "files", {})
    return own.get(argument, FILES[type(knowledge)])


#: Where a language model came from; its fingerprint tells whether another place holds the same one.
PLACES = ("name_or_path", "revision")

#: How a part computes what it computes; another way may be chosen for the same weights.
WAYS = ("form", "chunk")


def described(part: nn.Module) -> PlainData:
    """Return a part as plain data: class, arguments, preprocessing, and of what is frozen the fingerprint.

    >>> from faceinsight.modules.projector import Projector
    >>> described(Projector(in_dim=12, out_dim=32))
    {'class': 'Projector', 'in_dim': 12, 'out_dim': 32, 'pool': 1}
    >>> described(nn.Identity())  # no class of this library
    {'given': 'torch.nn.modules.linear.Identity'}
    """
    if isinstance(part, Frozen):
        kind = type(part) if builder(type(part).__name__) is type(part) else Frozen
        own = {name: plain(getattr(part, name)) for name in inspect.signature(kind).parameters if name != "module"}
        return {"class": kind.__name__, **own, "fingerprint": fingerprint(part), "module": described(part.module)}
    if builder(type(part).__name__) is not type(part):
        return {"given": full_name(part)}
    if (origin := getattr(part, "origin", None)) is not None:  # built by another way than its constructor
        return dict(origin)
    arguments = described_arguments(part)
    preprocessing = {"preprocessing": part.preprocessing} if hasattr(part, "preprocessing") else {}
    return {"class": type(part).__name__, **arguments, **preprocessing}


def described_arguments(part: nn.Module) -> PlainData:
    """Return the arguments of a part's constructor as plain data."""
    return {
        name: {"file": file_of(part, name, value)} if type(value) in FILES else plain(value)
        for name, value in arguments_of(part).items()
    }


def arguments_of(part: nn.Module) -> dict[str, object]:
    """Return the arguments of a part's constructor, each as the part keeps it under its own name."""
    parameters = inspect.signature(type(part)).parameters.values()
    named = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return {name: getattr(part, name) for name in named if name not in SOURCES}


def plain(value: object) -> Any:
    """Return an argument as plain data."""
    if isinstance(value, nn.Module):
        return described(value)
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return {"given": full_name(value)}


def full_name(value: object) -> str:
    """Return the module and name of a function or class, or of a value's class."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def builder(name: str) -> Callable[..., Any] | None:
    """Return what builds the parts of a class, if it is one of this library."""
    known = name in faceinsight.modules.__all__ or name == "LanguageModel.from_config"
    return attrgetter(name)(faceinsight.modules) if known else None


def build_part(spec: object, *, given: Mapping[str, object], knowledge: Mapping[str, Knowledge], name: str = "") -> Any:
    """Return the part, or the plain argument, that a description tells of.

    Args:
        spec: what :func:`described` made, read from a file.
        given: parts by name that are used as they are, not built.
        knowledge: by the file that it has.
        name: the part's own, see :func:`parts_in`.

    Raises:
        ValueError: a part that this library does not have, or one that cannot be built so; it is named.
    """
    if name in given:
        return as_described(given[name], spec if isinstance(spec, dict) else {}, name)
    if not isinstance(spec, dict) or not spec.keys() & {"class", "file"}:
        return spec
    if "file" in spec:
        if spec["file"] not in knowledge:
            raise InputError(f"{name} should stand in the file {spec['file']!r}, which is not there")
        return knowledge[spec["file"]]
    if (build := builder(spec["class"])) is None:
        raise InputError(f"{name} is a {spec['class']!r}, which this version of faceinsight does not have; update it")
    if reading := list(reads(spec)):
        raise InputError(f"{name} would read from elsewhere ({', '.join(reading)}); build it yourself and give it")
    arguments = build_arguments(spec, given=given, knowledge=knowledge, name=name)
    try:
        return build(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {label(spec)} cannot be built: {error}") from error


def build_arguments(
    spec: Mapping[str, object], *, given: Mapping[str, object], knowledge: Mapping[str, Knowledge], name: str = ""
) -> PlainData:
    """Return the constructor's arguments of the described part; the other arguments are those of :func:`build_part`."""
    return {
        key: build_part(value, given=given, knowledge=knowledge, name=below(name, key, spec))
        for key, value in spec.items()
        if key not in BESIDE
    }


def reads(spec: Mapping[str, object]) -> Iterator[str]:
    """Yield what in a part's own arguments names a place to read from: timm's ``hf-hub:`` names too, which ask the
    hub.
    """
    for key, value in spec.items():
        if key in READING:
            yield key
        elif key in ("name", "encoder") and ":" in str(value):
            yield str(value)
        elif key == "options" and isinstance(value, dict):
            yield from reads(value)


def as_described(part: Any, spec: PlainData, name: str) -> Any:
    """Return a given part, in the wrapper that the description tells of."""
    kind = spec.get("class")
    if isinstance(part, Frozen) and kind not in KEEPING:
        raise InputError(f"{name} was trained, but is given in Frozen; give it without, and freeze it after loading")
    if kind not in KEEPING or type(part).__name__ == kind:
        return part
    if kind == "Frozen":  # of another wrapper only where it stood round one
        around = spec["module"].get("class") in KEEPING
        return Frozen(part) if around or not isinstance(part, Frozen) else part
    arguments = {key: value for key, value in spec.items() if key not in (*BESIDE, "module")}
    return builder(kind)(module=part, **arguments)  # type: ignore[misc]  # it is one of this library


def parts_in(spec: Mapping[str, object], name: str = "") -> Iterator[tuple[str, PlainData]]:
    """Each part below ``spec`` by its name: the dotted path of arguments, with nothing for a wrapper on the way.

    >>> parser = {"class": "Frozen", "module": {"class": "FaceParser"}}
    >>> spec = {"segmentation": {"class": "SegmentationEncoder", "parser": parser, "route": {"class": "RegionTokens"}}}
    >>> [name for name, _ in parts_in(spec)]
    ['segmentation', 'segmentation.parser', 'segmentation.route']
    """
    for key, value in spec.items():
        if isinstance(value, dict) and value.keys() & {"class", "given"}:
            yield below(name, key, spec), value
            yield from parts_in(unwrapped(value), below(name, key, spec))


def unwrapped(spec: PlainData) -> PlainData:
    """Return the description of the part itself, without its wrapper."""
    inner: PlainData = spec["module"] if spec.get("class") in KEEPING else spec
    return inner


def below(name: str, key: str, spec: Mapping[str, object]) -> str:
    """Return the name of an argument of the part called ``name``."""
    if spec.get("class") in KEEPING and key == "module":
        return name
    return f"{name}.{key}" if name else key


def differences(spec: object, found: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    """Where two descriptions differ: a dotted name and the two values; a user's class may have moved elsewhere.

    An argument that an older file does not have, since the class had none, has its default there.

    >>> list(differences({"class": "Projector", "in_dim": 12}, {"class": "Projector", "in_dim": 16}))
    [('in_dim', 12, 16)]
    """
    if isinstance(spec, dict) and isinstance(found, dict) and "class" in spec and "class" in found:
        for key in sorted((spec.keys() | found.keys()) - {*PLACES, *WAYS}):
            there = spec[key] if key in spec else default_of(spec["class"], key)
            yield from differences(there, found.get(key), f"{name}.{key}" if name else key)
    elif isinstance(spec, dict) and isinstance(found, dict) and "given" in spec and "given" in found:
        if spec["given"].rpartition(".")[2] != found["given"].rpartition(".")[2]:
            yield name, spec["given"], found["given"]
    elif spec != found:
        yield name, spec, found


def default_of(kind: str, argument: str) -> Any:
    """Return the default of a constructor's argument as plain data; None where it has no default.

    >>> default_of("Projector", "pool"), default_of("Projector", "in_dim"), default_of("no class of ours", "pool")
    (1, None, None)
    """
    build = builder(kind)
    parameter = None if build is None else inspect.signature(build).parameters.get(argument)
    return None if parameter is None or parameter.default is parameter.empty else plain(parameter.default)


def label(spec: Mapping[str, object]) -> str:
    """Return a part in a few words, as it would be called.

    >>> label({"class": "Projector", "in_dim": 12, "out_dim": 32})
    'Projector(in_dim=12, out_dim=32)'
    """
    shown = [
        f"{key}={value!r}"
        for key, value in spec.items()
        if key not in (*BESIDE, "given") and isinstance(value, str | int | float)
    ]
    return f"{spec.get('class') or spec.get('given')}({', '.join(shown)})"
