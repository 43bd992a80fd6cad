"""Exact sums and maxima over a component's models, in log space, by looking at every one.

A component's models are one matrix, so what the rules ask of a batch is one matrix product. Its two sides,
``[M, 1 - M]`` times ``[log p, log(1 - p)]``, add negative numbers only; the shorter ``M @ logits + sum log(1 - p)``
cancels, and in float32 it gave log-probabilities above zero from logits of about 15 on. Autocast is switched off
inside, because half precision sums shift the result by a tenth of a nat; and where
``torch.set_float32_matmul_precision`` lets float32 products be rounded the same way, they are taken in float64.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor

from faceinsight.knowledge.logic.components import Component
from faceinsight.modules.logic.log_space import full_product, literal_log_probs, log_sum_exp, widest

__all__ = ["EnumeratedComponent"]


@dataclass(frozen=True, eq=False)
class EnumeratedComponent:
    """One component on one device: what its rules ask of logits, by looking at every model.

    Every method takes the logits of *all* attributes, and where it says so what is known of them (1, -1, 0 unknown),
    and reads its own columns. :class:`~faceinsight.modules.logic.layered.LayeredComponent` has the same methods.

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

    def scores(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch model"]:
        """``log p(model)`` of every model under independent attributes; far below any of them where labels differ."""
        known = None if labels is None else labels.index_select(-1, self.index)
        return full_product(torch.cat(literal_log_probs(logits.index_select(-1, self.index), known), -1), self.literals)

    def log_partition(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """``log WMC``: the log-probability that the rules hold, and what is known with them; never above 0.

        Where the rules contradict the labels it is below any log-probability (``-BARRIER`` or less), but finite.
        """
        scores = self.scores(logits, labels)
        return (scores.logsumexp(-1) if labels is None else log_sum_exp(scores)).clamp(max=0)

    def contradicted(self, labels: Int8[Tensor, "*batch all"]) -> Bool[Tensor, "*batch"]:
        """Whether no model at all agrees with the defined labels."""
        return self.differ(labels).all(-1)

    def differ(self, labels: Int8[Tensor, "*batch all"]) -> Bool[Tensor, "*batch model"]:
        """Which models differ from the defined labels."""
        own = labels.index_select(-1, self.index)
        against = torch.cat([own < 0, own > 0], dim=-1).to(self.literals.dtype)
        return full_product(against, self.literals) > 0.5

    def marginals(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch attr"]:
        """``p(attribute | rules)`` for the component's own attributes."""
        return full_product(self.scores(logits, labels).softmax(-1), self.models).clamp(max=1)

    def mode(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch attr"]:
        """Return the most probable model; of equals the first in binary order.

        ``log p`` differs between models by a sum of logits, which float64 adds exactly for float32 logits of ordinary
        range: so ties are ties whatever the batch size.
        """
        own = logits.index_select(-1, self.index)
        total = full_product(own.to(widest(own)), self.models.T.to(widest(own)))
        if labels is not None:
            total = total.masked_fill(self.differ(labels), -torch.inf)
        return self.models[total.argmax(-1)]

    def draw(
        self,
        logits: Float[Tensor, "batch all"],
        count: int,
        generator: torch.Generator | None = None,
        labels: Int8[Tensor, "batch all"] | None = None,
    ) -> Float[Tensor, "draw batch attr"]:
        """``count`` exact samples for each face."""
        below = self.scores(logits, labels).softmax(-1).to(widest(logits)).cumsum(-1)
        share = torch.rand(len(logits), count, generator=generator, dtype=below.dtype, device=below.device)
        whole = below[:, -1:]
        # rounding may lift a share to the whole, which would lie beyond the last model
        share = torch.minimum(share * whole, torch.nextafter(whole, torch.zeros_like(whole)))
        chosen = torch.searchsorted(below, share, right=True)
        return self.models[rearrange(chosen, "batch draw -> draw batch")]

    def entropy(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Return the entropy of the component's attributes under the rules, in nats."""
        log_prob = self.scores(logits, labels).log_softmax(-1)
        return -(log_prob.exp() * log_prob).sum(-1)

    def divergence(
        self,
        logits: Float[Tensor, "*batch all"],
        others: Float[Tensor, "*batch all"],
        labels: Int8[Tensor, "*batch all"] | None = None,
        known: Int8[Tensor, "*batch all"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """KL divergence from the distribution of the logits to that of the others, in nats.

        Args:
            labels: what is known besides the logits.
            known: what is known besides the others.
        """
        here, there = self.scores(logits, labels).log_softmax(-1), self.scores(others, known).log_softmax(-1)
        return (here.exp() * (here - there)).sum(-1)
