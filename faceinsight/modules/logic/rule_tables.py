"""A rule set on one device, each of its components served by what is cheapest for the faces that come."""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.logic.components import Component
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.logic.enumeration import EnumeratedComponent
from faceinsight.modules.logic.layered import LayeredComponent

__all__ = ["ComponentTable", "RuleTables", "check_logits", "refuse_nan", "rule_tables"]

ComponentTable = EnumeratedComponent | LayeredComponent

#: Enumeration costs a multiplication for each face and model, a diagram some calls for each level, whatever the faces.
#: So many multiplications cost what a level does; our choice, measured (``benchmarks/README.md``).
BREAK_EVEN = 2**14

#: Logits beyond this are set to it: far beyond where float64 knows a probability from 1, near enough to add others to.
LARGEST = 1e6

#: Above this many models a component is never enumerated: for so many even a single face takes longer.
MAX_LISTED = 2**12


@dataclass(frozen=True, eq=False)
class RuleTables:
    """A rule set on one device: its components, and the attributes that no rule mentions."""

    components: tuple[ComponentTable, ...]
    free: Int64[Tensor, " attr"]

    def __iter__(self) -> Iterator[ComponentTable]:
        return iter(self.components)


_TABLES: WeakKeyDictionary[RuleSet, dict[tuple[object, ...], RuleTables]] = WeakKeyDictionary()


def rule_tables(rules: RuleSet, like: Tensor) -> RuleTables:
    """Return the tables of ``rules`` for logits or labels ``[..., attr]``, on their device and in their type.

    They are made once for each choice of engines, and kept while ``rules`` live.
    """
    kept, faces = _TABLES.setdefault(rules, {}), like[..., 0].numel()
    dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
    listed = tuple(is_listed(component, faces) for component in rules.components)
    key = (like.device, dtype, listed)
    if key not in kept:
        components = tuple(
            EnumeratedComponent.of(component, like.device, dtype)
            if few
            else LayeredComponent.of(component, like.device)
            for component, few in zip(rules.components, listed, strict=True)
        )
        ruled = {position for component in rules.components for position in component.index.tolist()}
        free = torch.tensor(sorted(set(range(len(rules.schema))) - ruled), dtype=torch.int64, device=like.device)
        kept[key] = RuleTables(components, free)
    return kept[key]


def is_listed(component: Component, faces: int) -> bool:
    """Whether looking at every model of a component is the cheapest for so many faces."""
    return component.count <= MAX_LISTED and component.count * faces <= BREAK_EVEN * len(component)


def check_logits(logits: Float[Tensor, "*batch attr"], rules: RuleSet) -> Float[Tensor, "*batch attr"]:
    """Return the logits in float32 or wider, those beyond ``LARGEST`` set to it; every door of the logic does so.

    An infinite logit, such as ``torch.logit`` makes of a stored probability of 1, is certain and stays so. NaN stays
    NaN: a loss of it is NaN, and :func:`refuse_nan` refuses it wherever something is decided.

    Raises:
        InputError: the last axis is not the schema's attributes, or these are no floating-point numbers.
    """
    wanted = len(rules.schema)
    if logits.ndim == 0 or logits.shape[-1] != wanted:
        raise InputError(
            f"logits must be [..., {wanted}], one for each attribute of schema {rules.schema.name!r}, "
            f"got {list(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise InputError(f"logits must be floating point, got {logits.dtype}")
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return wide.clamp(-LARGEST, LARGEST)


def refuse_nan(logits: Float[Tensor, "*batch attr"], rules: RuleSet | None = None) -> Float[Tensor, "*batch attr"]:
    """Return the logits; not looked at inside ``torch.compile``.

    Raises:
        InputError: one of them is NaN; the first is named.
    """
    if torch.compiler.is_compiling() or logits.is_meta or not bool((wrong := logits.isnan()).any()):
        return logits
    *face, attr = wrong.nonzero()[0].tolist()
    name = attr if rules is None else repr(rules.schema.names[attr])
    raise InputError(
        f"logits must be numbers, got nan for {name} at {face}; look for a diverged loss, weights that are NaN, or an "
        "overflow in half precision"
    )
