"""A model in a directory, to be published and trusted: what was trained, and the hash of what was not.

The files are those of :mod:`faceinsight.models.saving.directory`. What they lack is given again by its name: frozen
parts, which are then held against their hash, and users' own classes, which get their trained weights. A frozen part of
:mod:`faceinsight.tiny` is known by its hash, and need not be given.

>>> import tempfile
>>> import torch
>>> import faceinsight as fi
>>> vit = fi.modules.ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
>>> llm = fi.modules.LanguageModel.from_config(embed_dim=16, depth=1, num_heads=2)
>>> frozen = {"image_encoder": fi.modules.Frozen(vit), "language_model": fi.modules.Frozen(llm)}
>>> model = fi.FaceInsight(
...     schema=fi.Schema.load("celeba"),
...     rules=fi.RuleSet.load("celeba"),
...     projector=fi.modules.Projector(in_dim=12, out_dim=16),
...     text_encoder=fi.modules.TextEncoder(),
...     query=fi.modules.AttributeQuery(prompt_dim=16, embed_dim=16),
...     head=fi.modules.SharedHead(embed_dim=16),
...     **frozen,
... )
>>> with tempfile.TemporaryDirectory() as folder:
...     model.save_pretrained(folder)
...     again = fi.FaceInsight.from_pretrained(folder, **frozen)
>>> faces = torch.rand(2, 3, 32, 32)
>>> torch.equal(again(faces).logits, model(faces).logits), again.rules == model.rules
(True, True)
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from faceinsight import tiny
from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.saving.directory import (
    CONFIG,
    COOCCURRENCE,
    FROZEN,
    TRAINED,
    SavedModel,
    read_directory,
    write_directory,
)
from faceinsight.modules.description import (
    FILES,
    as_described,
    below,
    build_arguments,
    described_arguments,
    differences,
    file_of,
    label,
    parts_in,
    plain,
    unwrapped,
)
from faceinsight.modules.frozen import frozen_names
from faceinsight.modules.weights import LARGEST_SIDE, check_numbers, check_tensors, numbers_in

__all__ = ["load_model", "save_model"]

Model = TypeVar("Model", bound=nn.Module)

#: Parts that cannot be built on torch's meta device: adapters are put into a part that is given, and what reckons with
#: a graph's numbers when it is built.
NOT_ON_META = ("LoRA", "CorrelationConstraint", "CooccurrenceGain", "Evidence", "Gate")


def save_model(model: nn.Module, directory: str | os.PathLike[str], *, include_frozen: bool = False) -> None:
    """Write a model into a directory, all of it or nothing.

    Args:
        model: a module with a ``schema`` and ``rules`` (or None) that keeps its constructor's arguments by name.
        include_frozen: also write the frozen parts, so that they need not be given again.

    Raises:
        ValueError: the rules or the graph are of other attributes than the model, a state is no tensor, or the
            directory has the name of the model that ships with the package.
    """
    if directory == tiny.NAME:
        raise InputError(
            f"{directory!r} is the name of the model that ships with the package; for a directory of that name give "
            f"'./{directory}'"
        )
    held = [(model, name) for name in ("schema", "rules")] + [(part, "graph") for part in model.modules()]
    named = [(part, name, getattr(part, name, None)) for part, name in held]
    knowledge = {file_of(part, name, each): each for part, name, each in named if type(each) in FILES}
    trained, frozen = split_state(model)
    tensors = {TRAINED: trained} | ({FROZEN: frozen} if include_frozen else {})
    write_directory(Path(directory), SavedModel(spec_of(model), knowledge, tensors))


def load_model(
    kind: type[Model],
    directory: str | os.PathLike[str],
    given: Mapping[str, object],
    *,
    schema: Schema | None = None,
    rules: RuleSet | None = None,
    graph: LabelGraph | None = None,
) -> Model:
    """Build the model that :func:`save_model` wrote, on the CPU and in evaluation mode.

    Args:
        kind: the model's class.
        given: parts by name (``language_model``, ``segmentation.parser``) that are used instead of being built.
        schema: other attributes than it was saved with, of a model that keeps no weights for each of them.
        rules: over these; none by default.
        graph: over these, for a model with a correlation constraint.

    Raises:
        FileNotFoundError: the directory, or a file in it, is not there.
        ValueError: the directory is damaged, or of another class or a newer version; or a part must be given, is given
            but unknown, or is not the one that the model was trained with; or schema, rules or graph are of another
            type.
    """
    for name, part, wanted in (("schema", schema, Schema), ("rules", rules, RuleSet), ("graph", graph, LabelGraph)):
        if part is not None and not isinstance(part, wanted):
            raise InputError(
                f"{name} must be a {wanted.__name__}, got {part!r:.80}; make one, or load it from its file"
            )
    saved = read_directory(Path(directory), kind.__name__)
    if schema is not None:
        saved = asked_for(saved, schema, rules, graph)
    elif rules is not None or graph is not None:
        raise InputError("rules or a graph were given without schema=...; those that were saved belong to its own")
    try:
        given = with_shipped(saved, given, kind)
        check_sizes(kind, saved, given, asked=schema is not None)
        model = kind(**build_arguments(saved.model, given=given, knowledge=saved.knowledge))
        of_graph = graph_buffers(model) if schema is not None else set()
        try:
            states = split_state(model)
            for file, held in zip((TRAINED, FROZEN), states, strict=True):
                if file in saved.tensors:
                    own = {name: held[name] for name in of_graph & held.keys()}
                    fill(model, held, {**saved.tensors[file], **own}, file, {**states[0], **states[1]})
        except ValueError:
            check_same(saved.model, spec_of(model))  # another base says more than tensors that do not fit
            raise
        check_same(saved.model, spec_of(model))
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{directory} cannot be loaded as a {kind.__name__}: {error}") from error
    return model.eval()


def spec_of(model: nn.Module) -> PlainData:
    """Return the model as plain data: its class and all its parts."""
    return {"class": type(model).__name__, **described_arguments(model)}


def split_state(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the model's tensors by name, on the CPU: what is not in Frozen, and what is."""
    inside = frozen_names(model)
    split: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    seen = set()
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise InputError(
                f"the state {name!r} is a {type(value).__name__}, but only tensors are saved; leave it out"
            )
        tensor = value.cpu().contiguous()
        if (place := tensor.untyped_storage().data_ptr()) in seen:  # tied weights: safetensors wants each apart
            tensor = tensor.clone()
        seen.add(place)
        split[name in inside][name] = tensor
    return split


def graph_buffers(model: nn.Module) -> set[str]:
    """Return the names of the tensors that follow from a label graph; a part may say which (``from_graph``)."""
    return {
        f"{name}.{buffer}"
        for name, part in model.named_modules()
        if isinstance(getattr(part, "graph", None), LabelGraph)
        for buffer in getattr(part, "from_graph", [each for each, _ in part.named_buffers(recurse=False)])
    }


class Stub(nn.Module):
    """A place-holder without weights for a part that is not built.

    Args:
        asked: of evidence, the attributes that it would be of.
    """

    #: what evidence and a language model must have, see :mod:`faceinsight.modules.contracts`
    sources: tuple[str, ...] = ()
    logits = backbone = tokenizer = prompt_ids = embed_tokens = None

    def __init__(self, asked: Sequence[str]) -> None:
        super().__init__()
        self.asked = tuple(asked)


def check_sizes(kind: type[nn.Module], saved: SavedModel, given: Mapping[str, object], *, asked: bool) -> None:
    """Refuse a description whose parts would not fit the stored tensors, before they are built and take memory.

    The model is built on torch's meta device, where weights have shapes alone. Parts of :data:`NOT_ON_META` are left
    out; no number in them may be larger than what is stored.

    Args:
        asked: whether the model is asked for other attributes, so that what follows from its graph is not the stored.
    """
    stored = {name: tensor for tensors in saved.tensors.values() for name, tensor in tensors.items()}
    check_numbers(without_given(saved.model, given), len(stored), CONFIG)
    every = {name: unfrozen(part) for name, part in parts_in(saved.model)}
    out = {name: part for name, part in every.items() if part.get("class") in NOT_ON_META}
    longest = max((max(tensor.shape, default=1) for tensor in stored.values()), default=1)
    for name, part in out.items():
        if wrong := [(key, value) for key, value in numbers_in(part) if value > max(longest, LARGEST_SIDE)]:
            raise InputError(
                f"{name} asks for {wrong[0][0]}={wrong[0][1]:,}, but no stored tensor is longer than {longest}"
            )
    inside = {name: part for name, part in given.items() if not is_below(name, out)}
    with torch.device("meta"):
        stubs = {name: Stub(saved.knowledge[FILES[Schema]].names) for name in out}
        spec = without(saved.model, NOT_ON_META)
        try:
            model = kind(**build_arguments(spec, given={**inside, **stubs}, knowledge=saved.knowledge))
        except (LookupError, TypeError, ValueError):
            raise
        except Exception as error:  # whatever comes of a part with wrong values
            raise InputError(f"{type(error).__name__}: {error}") from error
    frozen, of_graph = frozen_names(model), graph_buffers(model) if asked else set()
    state = {
        name: value for name, value in model.state_dict().items() if isinstance(value, Tensor) and name not in of_graph
    }
    for file, is_frozen in ((TRAINED, False), (FROZEN, True)):
        if file not in saved.tensors:
            continue
        # adapters that are frozen stand in a part that is given; that they fit is seen when the tensors are filled in
        state = {name: value for name, value in state.items() if ".lora_" not in name}
        wanted = {name: value for name, value in state.items() if (name in frozen) is is_frozen}
        own = {
            name: value
            for name, value in saved.tensors[file].items()
            if name not in of_graph and not is_below(name, out) and ".lora_" not in name
        }
        try:
            check_tensors(own, wanted, where(file), elsewhere=state)
        except InputError:  # another base says more than tensors that do not fit
            again = {name: part for name, part in inside.items() if name in saved.model}
            here = {name: plain(as_described(part, saved.model[name], name)) for name, part in again.items()}
            check_same({name: saved.model[name] for name in here}, here)
            raise


def unfrozen(spec: PlainData) -> PlainData:
    """Return the description of a part without the Frozen round it."""
    inner: PlainData = spec["module"] if spec.get("class") == "Frozen" else spec
    return inner


def without(spec: object, classes: Collection[str]) -> Any:
    """Return a description in which parts of these classes are the user's own, which are given."""
    if not isinstance(spec, dict):
        return spec
    if spec.get("class") in classes:
        return {"given": spec["class"]}
    return {key: without(value, classes) for key, value in spec.items()}


def without_given(spec: object, given: Mapping[str, object], name: str = "") -> Any:
    """Return a description without the parts that are given."""
    if not isinstance(spec, dict):
        return spec
    inner = {key: below(name, key, spec) for key in spec}
    return {key: without_given(spec[key], given, called) for key, called in inner.items() if called not in given}


def where(file: str) -> str:
    """How a directory's file is called in errors."""
    return f"the directory's {file}"


def fill(
    model: nn.Module,
    held: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    file: str,
    everything: Mapping[str, Tensor],
) -> None:
    """Put stored tensors into the model: each has its place among what the model holds, and none stays without."""
    check_tensors(stored, held, where(file), elsewhere=everything)
    for name, tensor in stored.items():  # half precision stays half precision
        owner, _, last = name.rpartition(".")
        place = getattr(model.get_submodule(owner), last)
        place.data = place.data.to(tensor.dtype)
    model.load_state_dict(dict(stored), strict=False)


def asked_for(saved: SavedModel, schema: Schema, rules: RuleSet | None, graph: LabelGraph | None) -> SavedModel:
    """Return a saved model with other knowledge in place of its own.

    Evidence keeps the attributes that it was fitted on; its gain is asked for the others. The gain's graph must then
    hold both, and the correlation constraint takes the part of it that is asked for.
    """
    spec: PlainData = {**saved.model, "rules": None if rules is None else {"file": FILES[RuleSet]}}
    held = {FILES[LabelGraph], COOCCURRENCE} & saved.knowledge.keys()
    if held and graph is None:
        raise InputError(
            "its correlation constraint, or its co-occurrence gain, needs a graph over the attributes of "
            f"{schema.name!r}: give graph=LabelGraph.from_labels(labels, schema)"
            + ("; the gain's graph holds the model's own attributes, too" if COOCCURRENCE in held else "")
        )
    if not held and graph is not None:
        raise InputError("a graph was given, but the model was saved without a part that uses one; leave it out")
    known: dict[str, Any] = {FILES[Schema]: schema, FILES[RuleSet]: rules}
    if (evidence := spec.get("evidence")) is not None:
        if (gain := evidence["gain"]) is None:
            raise InputError(
                f"its evidence was fitted on {', '.join(evidence['names'][:3])}, ... and has no co-occurrence gain, by "
                "which other attributes could be asked; train one with a gain, or without evidence"
            )
        if gain["trained"]:
            raise InputError(
                "its co-occurrence gain was trained for the attributes that it has; for others train a model with "
                "trained=False in its gain"
            )
        both = dict.fromkeys((*(gain.get("observed") or evidence["names"]), *schema.names))
        if graph is not None and (lacking := [name for name in both if name not in graph.names]):
            raise InputError(
                f"the graph lacks {len(lacking)} attributes, such as {', '.join(lacking[:3])}: it must hold the "
                f"{len(both)} that the evidence was fitted on or that are asked for. Count it from labels of all, "
                "0 where you have none: LabelGraph.from_labels(labels, Schema.from_names([*model.schema.names, "
                "...]), undefined=0)"
            )
        spec["evidence"] = {**evidence, "gain": {**gain, "asked": [*schema.names]}}
    if graph is not None:
        known[COOCCURRENCE] = graph
        known[FILES[LabelGraph]] = graph if graph.names == schema.names else graph.select(schema.names)
    knowledge = {file: each for file, each in known.items() if each is not None}
    unused = {FILES[LabelGraph], COOCCURRENCE} - held
    return SavedModel(spec, {file: each for file, each in knowledge.items() if file not in unused}, saved.tensors)


def is_below(name: str, others: Iterable[str]) -> bool:
    """Whether a part is one of the others, or within one."""
    return any(f"{name}.".startswith(f"{other}.") for other in others)


def with_shipped(saved: SavedModel, given: Mapping[str, object], kind: type[nn.Module]) -> dict[str, object]:
    """Return the given parts, with those that ship with the package.

    Given parts that the model does not have are refused, and to go on without those that only the user has.
    """
    parts = dict(parts_in(saved.model))
    if unknown := sorted(given.keys() - parts.keys()):
        raise InputError(f"it has no part {', '.join(unknown)}, which was given; its parts are {', '.join(parts)}")
    reasons: dict[str, str] = {}
    shipped: dict[str, Callable[[], nn.Module]] = {}
    for name, part in parts.items():
        if is_below(name, (*given, *shipped, *reasons)):
            continue
        inner = unwrapped(part)
        if part is not inner and FROZEN not in saved.tensors:
            if (build := tiny.builder_of(part["fingerprint"])) is not None:
                shipped[name] = build
                continue
            reasons[name] = f"{label(inner)}, frozen and therefore not saved, SHA-256 {part['fingerprint']}"
            if (release := tiny.FORMER.get(part["fingerprint"])) is not None:
                reasons[name] += f"; it shipped with faceinsight {release}: install that release"
        elif "given" in inner:
            reasons[name] = f"{label(inner)}, which only you can build"
    if reasons:
        listed = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
        call = ", ".join(f"{name!r}: ..." for name in reasons)
        raise InputError(
            f"these parts are not in the directory:{listed}\ngive them again: {kind.__name__}.from_pretrained("
            f"directory, **{{{call}}}). What is frozen can also be saved along, by include_frozen=True"
        )
    return {**given, **{name: build() for name, build in shipped.items()}}


def check_same(saved: Mapping[str, object], built: Mapping[str, object]) -> None:
    """Refuse a model that was built from other parts than the saved one."""
    differing = list(differences(saved, built))
    for name, there, here in differing:
        if name.endswith(".fingerprint"):
            place = name.removesuffix(".fingerprint")
            part = dict(parts_in(saved)).get(place)
            what = "" if part is None else f", {label(unwrapped(part))}"
            raise InputError(
                f"{place} is not the frozen part that the model was trained with{what}: SHA-256 "
                f"{there} there, {here} here; give the one it was trained with, or train again on this one"
            )
    if differing:
        listed = "; ".join(f"{name}: {there!r} there, {here!r} here" for name, there, here in differing)
        raise InputError(f"its parts were others ({listed}); give them as they were")
