"""A rule set on one device: each of its components served by what suits its size."""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int64
from torch import Tensor

from faceinsight.knowledge.diagram import DecisionDiagram
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.enumeration import EnumeratedComponent
from faceinsight.modules.layered import LayeredComponent

__all__ = ["ComponentTable", "RuleTables", "check_width", "rule_tables"]

ComponentTable = EnumeratedComponent | LayeredComponent


@dataclass(frozen=True, eq=False)
class RuleTables:
    """A rule set on one device: its components, and the attributes that no rule mentions."""

    components: tuple[ComponentTable, ...]
    free: Int64[Tensor, " attr"]

    def __iter__(self) -> Iterator[ComponentTable]:
        return iter(self.components)


_TABLES: WeakKeyDictionary[RuleSet, dict[tuple[torch.device, torch.dtype], RuleTables]] = WeakKeyDictionary()


def rule_tables(rules: RuleSet, like: Tensor) -> RuleTables:
    """The tables of ``rules`` on the device and in the type of ``like``; made once and kept while ``rules`` live."""
    kept, key = _TABLES.setdefault(rules, {}), (like.device, like.dtype)
    if key not in kept:
        components = tuple(
            LayeredComponent.of(component, like.device)
            if isinstance(component.table, DecisionDiagram)
            else EnumeratedComponent.of(component, *key)
            for component in rules.components
        )
        ruled = {position for component in rules.components for position in component.index.tolist()}
        free = torch.tensor(sorted(set(range(len(rules.schema))) - ruled), dtype=torch.int64, device=like.device)
        kept[key] = RuleTables(components, free)
    return kept[key]


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
