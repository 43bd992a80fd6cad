"""Exact sums and maxima over a component's models, in log space.

A component's models are one matrix, so what the rules ask of a batch is one matrix product. Its two sides,
``[M, 1 - M]`` times ``[log p, log(1 - p)]``, add negative numbers only; the shorter ``M @ logits + sum log(1 - p)``
cancels, and in float32 it gave log-probabilities above zero from logits of about 15 on. Autocast is switched off
inside, because half precision sums shift the result by a tenth of a nat; and where
``torch.set_float32_matmul_precision`` lets float32 products be rounded the same way, they are taken in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.components import Component
from faceinsight.knowledge.rules import RuleSet

__all__ = ["EnumeratedComponent", "RuleTables", "check_width", "full_product", "log_sum_exp", "rule_tables"]

#: Taken off a model's log-probability for each label it differs in: beyond any sum of logits, well within float32.
BARRIER = 1e30


def full_product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` in the precision of ``left``, whatever autocast and the matmul settings say."""
    with torch.autocast(left.device.type, enabled=False):
        if left.dtype == torch.float32 and _products_are_rounded():
            return (left.to(_widest(left)) @ right.to(_widest(left))).to(left.dtype)
        return left @ right


def log_sum_exp(scores: Float[Tensor, "*batch model"]) -> Float[Tensor, "*batch"]:
    """``log sum exp`` over the models where most of them fall far behind.

    ``torch.logsumexp`` gives the same, but on a CPU its ``exp`` slows down wherever terms underflow: for 256 faces and
    927 models of which most are out, forward and backward took it 6 ms, and by way of ``log_softmax`` 0.7 ms; where
    none underflow it is the faster (0.4 ms; torch 2.15, one core).
    """
    top, at = scores.max(-1, keepdim=True)
    return (top - scores.log_softmax(-1).gather(-1, at)).squeeze(-1)


@dataclass(frozen=True, eq=False)
class EnumeratedComponent:
    """One component on one device: what its rules ask of logits, by looking at every model.

    Every method takes the logits of *all* attributes and reads its own columns. A component too large to enumerate
    can be served by any other class with these methods.

    Args:
        index: the component's attributes on the schema's axis.
        literals: one column a model; the upper half says which attributes it has, the lower half which it lacks.
    """

    index: Int64[Tensor, " attr"]
    literals: Float[Tensor, "literal model"]

    @classmethod
    def of(cls, component: Component, device: torch.device, dtype: torch.dtype) -> "EnumeratedComponent":
        """Put a component's models on a device."""
        models = rearrange(component.models, "model attr -> attr model").to(device)
        return cls(component.index.to(device), torch.cat([models, ~models]).to(dtype))

    @property
    def models(self) -> Float[Tensor, "model attr"]:
        """One row a model: 1 where it has the attribute."""
        return rearrange(self.literals[: len(self.index)], "attr model -> model attr")

    def scores(self, logits: Float[Tensor, "*batch all"]) -> Float[Tensor, "*batch model"]:
        """``log p(model)`` of every model under independent attributes."""
        own = logits.index_select(-1, self.index)
        return full_product(F.logsigmoid(torch.cat([own, -own], dim=-1)), self.literals)

    def log_partition(self, logits: Float[Tensor, "*batch all"]) -> Float[Tensor, "*batch"]:
        """``log WMC``: the log-probability that the component's rules hold; never above 0."""
        return self.scores(logits).logsumexp(-1).clamp(max=0)

    def log_evidence(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"]
    ) -> Float[Tensor, "*batch"]:
        """``log p(labels | rules)``, undefined labels summed out; ``-inf`` where no model agrees with the labels."""
        scores = self.scores(logits)
        # a model that differs from the labels falls so far behind that it adds exactly nothing
        agreeing = scores - BARRIER * self.differences(labels)
        value = log_sum_exp(agreeing) - scores.logsumexp(-1)
        return torch.where(value > -BARRIER / 2, value.clamp(max=0), -torch.inf)

    def contradicted(self, labels: Int8[Tensor, "*batch all"]) -> Bool[Tensor, "*batch"]:
        """Whether no model at all agrees with the defined labels."""
        return (self.differences(labels) > 0.5).all(-1)

    def differences(self, labels: Int8[Tensor, "*batch all"]) -> Float[Tensor, "*batch model"]:
        """In how many defined labels each model differs."""
        own = labels.index_select(-1, self.index)
        against = torch.cat([own < 0, own > 0], dim=-1).to(self.literals.dtype)
        return full_product(against, self.literals)

    def marginals(self, logits: Float[Tensor, "*batch all"]) -> Float[Tensor, "*batch attr"]:
        """``p(attribute | rules)`` for the component's own attributes."""
        return full_product(self.scores(logits).softmax(-1), self.models).clamp(max=1)

    def mode(self, logits: Float[Tensor, "*batch all"]) -> Float[Tensor, "*batch attr"]:
        """The most probable model; of equals the first in binary order.

        ``log p`` differs between models by a sum of logits, which float64 adds exactly for float32 logits of ordinary
        range: so ties are ties whatever the batch size.
        """
        own = logits.index_select(-1, self.index)
        total = full_product(own.to(_widest(own)), self.models.T.to(_widest(own)))
        return self.models[total.argmax(-1)]

    def draw(
        self, logits: Float[Tensor, "batch all"], count: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "draw batch attr"]:
        """``count`` exact samples for each face."""
        below = self.scores(logits).softmax(-1).to(_widest(logits)).cumsum(-1)
        share = torch.rand(len(logits), count, generator=generator, dtype=below.dtype, device=below.device)
        whole = below[:, -1:]
        # rounding may lift a share to the whole, which would lie beyond the last model
        share = torch.minimum(share * whole, torch.nextafter(whole, torch.zeros_like(whole)))
        chosen = torch.searchsorted(below, share, right=True)
        return self.models[rearrange(chosen, "batch draw -> draw batch")]

    def entropy(self, logits: Float[Tensor, "*batch all"]) -> Float[Tensor, "*batch"]:
        """The entropy of the component's attributes under the rules, in nats."""
        log_prob = self.scores(logits).log_softmax(-1)
        return -(log_prob.exp() * log_prob).sum(-1)


@dataclass(frozen=True, eq=False)
class RuleTables:
    """A rule set on one device: its components, and the attributes that no rule mentions."""

    components: tuple[EnumeratedComponent, ...]
    free: Int64[Tensor, " attr"]

    def __iter__(self) -> Iterator[EnumeratedComponent]:
        return iter(self.components)


_TABLES: WeakKeyDictionary[RuleSet, dict[tuple[torch.device, torch.dtype], RuleTables]] = WeakKeyDictionary()


def rule_tables(rules: RuleSet, like: Tensor) -> RuleTables:
    """The tables of ``rules`` on the device and in the type of ``like``; made once and kept while ``rules`` live."""
    kept, key = _TABLES.setdefault(rules, {}), (like.device, like.dtype)
    if key not in kept:
        components = tuple(EnumeratedComponent.of(component, *key) for component in rules.components)
        ruled = {position for component in rules.components for position in component.index.tolist()}
        free = torch.tensor(sorted(set(range(len(rules.schema))) - ruled), dtype=torch.int64, device=like.device)
        kept[key] = RuleTables(components, free)
    return kept[key]


def _widest(logits: Tensor) -> torch.dtype:
    """float64, where the device has it."""
    return torch.float32 if logits.device.type == "mps" else torch.float64


@torch.compiler.assume_constant_result
def _products_are_rounded() -> bool:
    return torch.get_float32_matmul_precision() != "highest"


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
