"""The shield layer: probabilities clamped along an ordering of the attributes until their decisions keep the rules.

For a clause "h or l1 or l2 ..." whose last attribute in the ordering is that of h, ``p(h)`` is raised to at least
``min(1 - p(l1), 1 - p(l2), ...)``, where p of "not a" is ``1 - p(a)``. So an attribute is changed only for the sake of
those before it. The clauses are those of :func:`faceinsight.knowledge.logic.clauses.directional_closure`.

**What is guaranteed.** For every input without NaN the decisions, yes where the probability is above 0.5, satisfy every
rule; they are those of the network where its own satisfy the rules, and otherwise the attributes keep their decisions
as long as some consistent face agrees with what was decided before. Doing it twice changes nothing more. What is *not*
guaranteed is ``p(h) >= min(...)`` itself: where a bound from below and one from above cross (never across 0.5), the one
from above stands. Nor is the result the most probable consistent face: that is
:attr:`faceinsight.modules.constrained.ConstrainedBernoulli.mode`.

Sources:
    Stoian et al. 2024, PiShield: A PyTorch Package for Learning with Requirements (the layer, its ordering)
    Giunchiglia and Lukasiewicz 2021, Multi-Label Classification Neural Networks with Hard Logical Constraints (CCN+)

Choices of this library: computed on logits, where the probability's min and max are the same and ``1 - p`` is exact;
logits within ``MARGIN`` of 0 are moved that far to the side they are decided for, so that a decision survives the six
digits of a predictions file; an attribute that the rules fix is set to ``CERTAIN``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.knowledge.logic.clauses import directional_closure
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.logic.rule_tables import check_logits, refuse_nan

__all__ = ["Bounds", "ShieldLayer", "bounds_along", "shield"]

#: How far from 0 each logit that a rule speaks of is kept: a probability of at least 0.5000025 or at most 0.4999975.
MARGIN = 1e-5

#: The logit of an attribute that the rules fix: a probability of 1 in float32, yet finite.
CERTAIN = 20.0


@dataclass(frozen=True)
class Bounds:
    """What the clauses that end in one attribute demand of it.

    Args:
        attr: its position on the schema's axis.
        lower: for each clause that demands the attribute, the literals that must all be true for that: the attribute
            and whether it must be shown.
        upper: the same for each clause that forbids it.
    """

    attr: int
    lower: tuple[tuple[tuple[int, bool], ...], ...]
    upper: tuple[tuple[tuple[int, bool], ...], ...]


def bounds_along(rules: RuleSet, order: Sequence[str] | None = None) -> tuple[Bounds, ...]:
    """Return the rules as bounds on one attribute after the other; attributes that no rule mentions are left out.

    Args:
        order: names of attributes that come first, the most trusted one first; all others follow in the schema's order.

    Raises:
        UnsatisfiableError: no face satisfies the rules.
        ComponentTooLargeError: too many clauses in this ordering.
    """
    names = tuple(dict.fromkeys([*(order or ()), *rules.schema.names]))
    index = {name: rules.schema.index(name) for name in names}
    demands: dict[str, tuple[list, list]] = {
        name: ([], []) for name in names if any(name in each.names for each in rules.formulas)
    }
    for clause in directional_closure(rules.formulas, names):
        head, shown = max(clause, key=lambda literal: names.index(literal[0]))
        rest = sorted((index[name], not value) for name, value in clause if name != head)
        demands[head][0 if shown else 1].append(tuple(rest))
    return tuple(Bounds(index[name], tuple(lower), tuple(upper)) for name, (lower, upper) in demands.items())


def shield(logits: Float[Tensor, "*batch attr"], bounds: Sequence[Bounds]) -> Float[Tensor, "*batch attr"]:
    """Return the logits clamped between their bounds, one attribute after the other.

    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> shield(torch.tensor([[2.0, 3.0], [-2.0, 3.0]]), bounds_along(rules))
    tensor([[ 2., -2.],
            [-2.,  2.]])
    """
    values = list(logits.unbind(-1))
    for each in bounds:
        value = decided(values[each.attr])
        if each.lower:
            value = torch.maximum(value, demand(values, each.lower, like=value))
        if each.upper:
            value = torch.minimum(value, -demand(values, each.upper, like=value))
        values[each.attr] = value
    return torch.stack(values, dim=-1)


def demand(
    values: Sequence[Float[Tensor, "*batch"]], clauses: Sequence[Sequence[tuple[int, bool]]], like: Tensor
) -> Float[Tensor, "*batch"]:
    """How strongly the clauses demand their head: the largest over them of the smallest of what each rests on."""
    sure = torch.full_like(like, CERTAIN)
    smallest = [
        reduce(torch.minimum, [values[attr] if shown else -values[attr] for attr, shown in clause]) if clause else sure
        for clause in clauses
    ]
    return reduce(torch.maximum, smallest)


def decided(logits: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the logits, at least ``MARGIN`` away from 0 on the side that they are decided for; gradients pass
    unchanged.
    """
    side = torch.where(logits.detach().float().sigmoid() > 0.5, MARGIN, -MARGIN).to(logits.dtype)
    return torch.where(logits.abs() < MARGIN, side + (logits - logits.detach()), logits)


class ShieldLayer(nn.Module):
    """:func:`shield` for one rule set: logits to logits whose decisions satisfy every rule. It has no weights.

    Args:
        rules: what holds of every face.
        order: attributes that come first, see :func:`bounds_along`; the schema's order by default.

    Raises:
        UnsatisfiableError: no face satisfies the rules.
        ComponentTooLargeError: too many clauses in this ordering.

    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> ShieldLayer(rules=rules, order=["Bangs"])(torch.tensor([[2.0, 3.0]]))
    tensor([[-3.,  3.]])
    """

    def __init__(self, rules: RuleSet, *, order: Sequence[str] | None = None) -> None:
        super().__init__()
        self.rules = rules
        self.bounds = bounds_along(rules, order)

    @property
    def schema(self) -> Schema:
        """The attributes of the logits."""
        return self.rules.schema

    def forward(self, logits: Float[Tensor, "*batch attr"]) -> Float[Tensor, "*batch attr"]:
        return shield(check_logits(refuse_nan(logits, self.rules), self.rules), self.bounds)

    def extra_repr(self) -> str:
        return f"{len(self.rules)} rules over {self.rules.schema.name!r}"
