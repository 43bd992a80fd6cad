"""Exact sums and maxima over the models of a component too large to enumerate: level by level through a diagram.

A decision diagram (``knowledge/logic/diagram.py``) shares what its models have in common, so one pass through its
levels is a sum, a maximum or a sample over all of them, in log space. Batches lie along the last axis, so that a level
is a gather of whole rows. Where no gradient is asked of the result itself, the batch is taken in pieces; and as the
gradient of the log partition is known (how often a face's assignments take each side), it is taken with the value, so
that a training step keeps two numbers an attribute instead of a number a node.

Sources:
    Darwiche 2003, A differential approach to inference in Bayesian networks (marginals as the derivative)
    Maene, Derkinderen and Zuidberg Dos Martires 2025, KLay: Accelerating arithmetic circuits (layers on tensors)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int8, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.logic.components import Component
from faceinsight.modules.logic.log_space import BARRIER, bernoulli_entropy, literal_log_probs, widest

__all__ = ["LayeredComponent", "Levels"]

#: How many numbers of one kind, nodes times faces, a piece of a batch may have; our choice.
ROOM = 2**20

#: How many attributes one int64 orders.
BITS = 62

Literals = Float[Tensor, "attr face"]


@dataclass(frozen=True, eq=False)
class Levels:
    """Where the nodes of each level lead; see :class:`~faceinsight.knowledge.logic.diagram.DecisionDiagram`."""

    low: tuple[Int64[Tensor, " _"], ...]
    high: tuple[Int64[Tensor, " _"], ...]

    def __len__(self) -> int:
        return len(self.low)

    @property
    def nodes(self) -> int:
        """How many nodes all levels have together."""
        return sum(map(len, self.low))

    def upward(self, yes: Literals, no: Literals) -> tuple[Float[Tensor, " face"], list[Float[Tensor, "_ face"]]]:
        """Return the log of the sum over all models; and for each node how much likelier its present side is, in
        log-odds.

        Args:
            yes: log-weight of each attribute where it is present, in the order of the levels.
            no: the same where it is absent.
        """
        value, odds = torch.zeros_like(yes[:1]), []
        dead = torch.full_like(value, -BARRIER)
        for level in reversed(range(len(self))):
            below = torch.cat([value, dead])
            present = below.index_select(0, self.high[level]) + yes[level]
            absent = below.index_select(0, self.low[level]) + no[level]
            value = torch.logaddexp(present, absent)
            odds.append(present - absent)
        return value[0], odds[::-1]

    def downward(self, odds: list[Float[Tensor, "_ face"]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Level by level: how probable it is to pass through each node, and there to take either side."""
        reached = torch.ones_like(odds[0])
        for level in range(len(self)):
            present = reached * odds[level].sigmoid()
            absent = reached - present
            yield reached, present, absent
            if level + 1 < len(self):
                following = torch.zeros_like(odds[level + 1][:1]).expand(len(odds[level + 1]) + 1, -1)
                following = following.index_add(0, self.high[level], present)
                reached = following.index_add(0, self.low[level], absent)[:-1]

    def sides(self, odds: list[Float[Tensor, "_ face"]]) -> tuple[Literals, Literals]:
        """How probable each attribute is to be present, and to be absent."""
        passed = [(present.sum(0), absent.sum(0)) for _, present, absent in self.downward(odds)]
        return torch.stack([present for present, _ in passed]), torch.stack([absent for _, absent in passed])


class _LogPartition(torch.autograd.Function):
    """The upward pass in pieces, its gradient taken with it."""

    @staticmethod
    def forward(ctx: Any, yes: Tensor, no: Tensor, levels: Levels) -> Tensor:
        def with_gradient(yes: Tensor, no: Tensor) -> tuple[Tensor, ...]:
            value, odds = levels.upward(yes, no)
            return (value[None], *levels.sides(odds)) if wanted else (value[None],)

        ctx.levels, wanted = levels, any(ctx.needs_input_grad)
        value, *gradient = in_pieces(with_gradient, levels.nodes, yes, no)
        ctx.save_for_backward(yes, no, *gradient)
        return value[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        yes, no, present, absent = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of this gradient may be asked for
            present, absent = ctx.levels.sides(ctx.levels.upward(yes, no)[1])
        return grad * present, grad * absent, None


def in_pieces(function: Callable[..., tuple[Tensor, ...]], nodes: int, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return ``function`` of inputs whose last axis is the faces, some faces at a time unless a gradient is wanted."""
    size = max(1, ROOM // nodes)
    if (torch.is_grad_enabled() and any(each.requires_grad for each in inputs)) or inputs[0].shape[-1] <= size:
        return function(*inputs)
    pieces = [function(*piece) for piece in zip(*(each.split(size, -1) for each in inputs), strict=True)]
    return tuple(torch.cat(each, -1) for each in zip(*pieces, strict=True))


@dataclass(frozen=True, eq=False)
class LayeredComponent:
    """One component on one device: what its rules ask of logits, by way of its decision diagram.

    The methods are those of :class:`~faceinsight.modules.logic.enumeration.EnumeratedComponent`, and so are the
    results.

    Args:
        index: the component's attributes on the schema's axis.
        place: which of them each level decides.
        levels: its diagram.
    """

    index: Int64[Tensor, " attr"]
    place: Int64[Tensor, " attr"]
    levels: Levels

    @classmethod
    def of(cls, component: Component, device: torch.device) -> "LayeredComponent":
        """Put a component's diagram on a device."""
        low, high = (
            tuple(each.to(device) for each in side) for side in (component.diagram.low, component.diagram.high)
        )
        return cls(component.index.to(device), component.place.to(device), Levels(low, high))

    def log_partition(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """``log WMC``, see ``EnumeratedComponent.log_partition``."""
        value: Tensor = _LogPartition.apply(*self._literals(logits, labels), self.levels)
        return value.clamp(max=0).reshape(logits.shape[:-1])

    def contradicted(self, labels: Int8[Tensor, "*batch all"]) -> Bool[Tensor, "*batch"]:
        """Whether no model at all agrees with the defined labels."""
        own = self._columns(labels)
        value = torch.ones_like(own[:1], dtype=torch.bool)
        for level in reversed(range(len(self.levels))):
            below = torch.cat([value, torch.zeros_like(value[:1])])
            present = below.index_select(0, self.levels.high[level]) & (own[level] >= 0)
            value = present | (below.index_select(0, self.levels.low[level]) & (own[level] <= 0))
        return ~value[0].reshape(labels.shape[:-1])

    def marginals(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch attr"]:
        """``p(attribute | rules)`` for the component's own attributes."""

        def present(yes: Tensor, no: Tensor) -> tuple[Tensor]:
            return (self.levels.sides(self.levels.upward(yes, no)[1])[0],)

        (found,) = in_pieces(present, self.levels.nodes, *self._literals(logits, labels))
        return self._rows(found.clamp(max=1)).reshape(*logits.shape[:-1], -1)

    def mode(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch attr"]:
        """Return the most probable model, see ``EnumeratedComponent.mode``; ties are decided the same way."""
        own = self._columns(logits)
        known = torch.zeros_like(own, dtype=torch.int8) if labels is None else self._columns(labels)
        (best,) = in_pieces(lambda own, known: (self._best(own, known),), self.levels.nodes, own.to(widest(own)), known)
        return self._rows(best).to(logits.dtype).reshape(*logits.shape[:-1], -1)

    def _best(self, own: Literals, known: Int8[Tensor, "attr face"]) -> Bool[Tensor, "attr face"]:
        """Return the maximum upward, each node's better side remembered; then from the top along the better sides.

        With each maximum goes the number that its assignment is in binary order, for where two are equal.
        """
        bits = self._bits
        value, number = torch.zeros_like(own[:1]), own.new_zeros(bits.shape[1], 1, own.shape[1], dtype=torch.int64)
        better = []
        for level in reversed(range(len(self.levels))):
            low, high = self.levels.low[level], self.levels.high[level]
            value = torch.cat([value, torch.full_like(value[:1], -torch.inf)])
            number = torch.cat([number, torch.zeros_like(number[:, :1])], dim=1)
            present = (value.index_select(0, high) + own[level]).masked_fill(known[level] < 0, -torch.inf)
            absent = value.index_select(0, low).masked_fill(known[level] > 0, -torch.inf)
            with_it = number.index_select(1, high) + bits[level][:, None, None]
            without = number.index_select(1, low)
            take = (present > absent) | ((present == absent) & _smaller(with_it, without))
            value, number = torch.where(take, present, absent), torch.where(take, with_it, without)
            better.append(take)
        return self._followed(own.shape[1], lambda level, node: better[-1 - level].gather(0, node))[:, 0]

    def _followed(
        self, faces: int, chosen: Callable[[int, Int64[Tensor, "draw face"]], Bool[Tensor, "draw face"]], draws: int = 1
    ) -> Bool[Tensor, "attr draw face"]:
        """Return the assignments along paths from the top; ``chosen`` tells at each level who takes the present
        side.
        """
        node = torch.zeros(draws, faces, dtype=torch.int64, device=self.index.device)
        sides = []
        for level in range(len(self.levels)):
            side = chosen(level, node)
            node = torch.where(side, self.levels.high[level][node], self.levels.low[level][node])
            sides.append(side)
        return torch.stack(sides)

    def draw(
        self,
        logits: Float[Tensor, "batch all"],
        count: int,
        generator: torch.Generator | None = None,
        labels: Int8[Tensor, "batch all"] | None = None,
    ) -> Float[Tensor, "draw batch attr"]:
        """``count`` exact samples for each face."""

        def drawn(yes: Tensor, no: Tensor) -> tuple[Tensor]:
            odds = self.levels.upward(yes, no)[1]

            def chosen(level: int, node: Tensor) -> Tensor:
                share = torch.rand(node.shape, generator=generator, dtype=yes.dtype, device=yes.device)
                return share < odds[level].gather(0, node).sigmoid()

            return (self._followed(yes.shape[1], chosen, count),)

        with torch.no_grad():
            (found,) = in_pieces(drawn, self.levels.nodes, *self._literals(logits, labels))
        return self._rows(rearrange(found, "attr draw face -> attr face draw")).movedim(1, 0).to(logits.dtype)

    def entropy(
        self, logits: Float[Tensor, "*batch all"], labels: Int8[Tensor, "*batch all"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Return the entropy of the component's attributes under the rules, in nats: at each node that of its two
        sides.
        """

        def summed(yes: Tensor, no: Tensor) -> tuple[Tensor]:
            odds = self.levels.upward(yes, no)[1]
            passed = zip(self.levels.downward(odds), odds, strict=True)
            found = [(reached * bernoulli_entropy(each)).sum(0) for (reached, _, _), each in passed]
            return (torch.stack(found).sum(0, keepdim=True),)

        (found,) = in_pieces(summed, self.levels.nodes, *self._literals(logits, labels))
        return found.reshape(logits.shape[:-1])

    def divergence(
        self,
        logits: Float[Tensor, "*batch all"],
        others: Float[Tensor, "*batch all"],
        labels: Int8[Tensor, "*batch all"] | None = None,
        known: Int8[Tensor, "*batch all"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """KL divergence, see ``EnumeratedComponent.divergence``: at each node that of its two sides."""

        def summed(*literals: Tensor) -> tuple[Tensor]:
            odds, other = (self.levels.upward(*each)[1] for each in (literals[:2], literals[2:]))
            total = literals[0].new_zeros(literals[0].shape[1])
            for (_, present, absent), here, there in zip(self.levels.downward(odds), odds, other, strict=True):
                total = total + (present * (F.logsigmoid(here) - F.logsigmoid(there))).sum(0)
                total = total + (absent * (F.logsigmoid(-here) - F.logsigmoid(-there))).sum(0)
            return (total[None],)

        both = *self._literals(logits, labels), *self._literals(others, known)
        (found,) = in_pieces(summed, self.levels.nodes, *both)
        return found.reshape(logits.shape[:-1])

    def _columns(self, values: Tensor) -> Tensor:
        """Return the component's own columns as ``[attr, face]``, in the order of the levels."""
        return values.reshape(-1, values.shape[-1]).index_select(-1, self.index[self.place]).T.contiguous()

    def _rows(self, values: Shaped[Tensor, "attr face *draw"]) -> Shaped[Tensor, "face *draw attr"]:
        """Back from the order of the levels to that of the index, attributes last."""
        return values.index_select(0, self.place.argsort()).movedim(0, -1)

    def _literals(self, logits: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        return literal_log_probs(self._columns(logits), None if labels is None else self._columns(labels))

    @property
    def _bits(self) -> Int64[Tensor, "attr word"]:
        """What each attribute adds to the number of an assignment in binary order, in words of ``BITS`` bits."""
        rank = self.index.argsort().argsort()[self.place]
        words = torch.arange(-(-len(rank) // BITS), device=rank.device)
        return torch.where(rank[:, None] // BITS == words, 1 << (BITS - 1 - rank % BITS)[:, None], 0)


def _smaller(one: Int64[Tensor, "word node face"], other: Int64[Tensor, "word node face"]) -> Bool[Tensor, "node face"]:
    """Whether the first number is the smaller one; the first word counts most."""
    smaller = one[-1] < other[-1]
    for word in reversed(range(len(one) - 1)):
        smaller = (one[word] < other[word]) | ((one[word] == other[word]) & smaller)
    return smaller
