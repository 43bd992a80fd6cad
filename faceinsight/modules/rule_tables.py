"""A rule set on one device, each of its components served by what is cheapest for the faces that come."""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int64
from torch import Tensor

from faceinsight.knowledge.components import Component
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.enumeration import EnumeratedComponent
from faceinsight.modules.layered import LayeredComponent

__all__ = ["ComponentTable", "RuleTables", "check_width", "rule_tables"]

ComponentTable = EnumeratedComponent | LayeredComponent

#: Enumeration costs a multiplication for each face and model, a diagram some calls for each level, whatever the faces.
#: So many multiplications cost what a level does; choice of this library, measured (``benchmarks/README.md``).
BREAK_EVEN = 2**14

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
    """The tables of ``rules`` for logits or labels ``[..., attr]``, on their device and in their type.

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


def check_width(logits: Tensor, rules: RuleSet) -> Tensor:
    """Return the logits in float32 or wider; raises ValueError unless the last axis is the schema's attributes."""
    wanted = len(rules.schema)
    if logits.ndim == 0 or logits.shape[-1] != wanted:
        raise ValueError(
            f"logits must be [..., {wanted}], one for each attribute of schema {rules.schema.name!r}, "
            f"got {list(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}")
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
