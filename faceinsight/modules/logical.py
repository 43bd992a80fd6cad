"""The logical constraint: losses that pull predictions towards faces that satisfy the rules.

FaceInsight (arXiv 2504.15624) trains with ``L_bce + L_c`` and publishes no formula for ``L_c``. Not in the paper:
exact logic. Two kinds are exact, both in nats and per face, averaged afterwards (never the log of an average):

``semantic``
    ``-log WMC(K)``: how improbable it is that independent attributes satisfy the rules. Added to BCE it has the shape
    of the paper's loss. It needs no labels. Source: Xu et al. 2018, A Semantic Loss Function.
``conditional``
    ``-log p(labels | K) = -log p(labels) + log WMC(K)``: the likelihood of the labels under the model conditioned on
    its rules; it stands in BCE's place. Source: Ahmed et al. 2022, Semantic Probabilistic Layers.

Mind the sign: the conditional loss *subtracts* the very term that the semantic loss adds. The semantic loss drives the
independent probabilities themselves to obey the rules; the conditional one leaves that to the conditioning.

Three more kinds, ``product``, ``goedel`` and ``lukasiewicz``, are fuzzy penalties for comparison, added to BCE as the
semantic loss is (:mod:`faceinsight.modules.logic.fuzzy`). The exact losses depend on what the rules say, the fuzzy ones
also on how they are written.
"""

from contextlib import suppress
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int8, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.logic.components import ComponentTooLargeError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.logic.fuzzy import FuzzyKind, fuzzy_loss
from faceinsight.modules.logic.log_space import BARRIER
from faceinsight.modules.logic.rule_tables import check_logits, rule_tables

__all__ = ["LogicalConstraint", "broken_components", "conditional_loss", "rule_costs", "semantic_loss"]

Labels = Int8[Tensor, "*batch attr"]
LogicalKind = Literal["semantic", "conditional", "product", "goedel", "lukasiewicz"]


def semantic_loss(logits: Float[Tensor, "*batch attr"], rules: RuleSet) -> Float[Tensor, "*batch"]:
    """``-log WMC`` of the rules for each face, in nats; never below 0, and 0 without rules.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> semantic_loss(torch.zeros(1, 2), rules).exp()  # three of four equally probable assignments satisfy it
    tensor([1.3333])
    """
    logits = check_logits(logits, rules)
    total = logits.new_zeros(logits.shape[:-1])
    return sum((-component.log_partition(logits) for component in rule_tables(rules, logits)), start=total)


def conditional_loss(
    logits: Float[Tensor, "*batch attr"],
    labels: Shaped[Tensor, "*batch attr"],
    rules: RuleSet,
    *,
    undefined: int | float | None = None,
) -> Float[Tensor, "*batch"]:
    """``-log p(labels | rules)`` for each face, in nats, summed over its attributes.

    Undefined labels are summed out: ``log p(e | K) = log WMC(K and e) - log WMC(K)`` for the defined labels e. Where
    the labels themselves break a component's rules there is no such probability: our choice, that component
    of that face gets plain BCE over its defined labels, and :func:`broken_components` counts it. Attributes in no
    rule get BCE always, so without rules this is BCE summed over the defined labels.

    Args:
        labels: 1 yes, -1 no, 0 undefined; or booleans.
        undefined: the value of undefined labels; needed where a batch has zeros and ones and no -1, see
            :func:`~faceinsight.knowledge.labels.three_valued`.

    Raises:
        InputError: labels of 0 and 1, or other values.
    """
    logits, labels = check_logits(logits, rules), checked(labels, rules, undefined)
    tables = rule_tables(rules, logits)
    entropy = _binary_cross_entropy(logits, labels)
    total = entropy.index_select(-1, tables.free).sum(-1)
    for component in tables:
        log_joint = component.log_partition(logits, labels)
        log_prob = (log_joint - component.log_partition(logits)).clamp(max=0)
        plain = entropy.index_select(-1, component.index).sum(-1)
        total = total + torch.where(log_joint < -BARRIER / 2, plain, -log_prob)
    return total


def checked(labels: Shaped[Tensor, "*batch attr"], rules: RuleSet, undefined: int | float | None) -> Labels:
    """Return the labels of a batch as int8; see :func:`~faceinsight.knowledge.labels.three_valued`."""
    return three_valued(labels, undefined=undefined, names=rules.schema.names, columns=False)


def broken_components(
    labels: Shaped[Tensor, "*batch attr"], rules: RuleSet, *, undefined: int | float | None = None
) -> Bool[Tensor, "*batch component"]:
    """Where no face that satisfies the component's rules has these labels, so that they have no conditional loss.

    ``broken_components(...).any(-1).sum()`` is the number of faces that fall back to BCE in part. This is sharper than
    ``rules.violations``: undefined labels count as broken when *no* way to fill them in satisfies the rules.

    Args:
        labels, undefined: as for :func:`conditional_loss`.
    """
    labels = checked(labels, rules, undefined)
    tables = rule_tables(rules, labels)
    broken = [component.contradicted(labels) for component in tables]
    return torch.stack(broken, -1) if broken else labels.new_zeros(*labels.shape[:-1], 0, dtype=torch.bool)


def rule_costs(logits: Float[Tensor, "*batch attr"], rules: RuleSet) -> Float[Tensor, "*batch rule"]:
    """``-log P(rule)`` for each face and rule, in nats: how improbable each rule is by itself. For a training log.

    Exact, whatever the kind that is trained with. A rule that costs most is the one that the outputs break most. The
    costs add up to the semantic loss only where no two rules share an attribute.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse(["a -> b", "a -> not b"], Schema.from_names("ab"))
    >>> rule_costs(torch.tensor([[2.0, 2.0]]), rules)
    tensor([[0.1109, 1.4952]])
    """
    costs = [semantic_loss(logits, rule) for rule in rules.singly]
    return torch.stack(costs, -1) if costs else check_logits(logits, rules)[..., :0]


class LogicalConstraint(nn.Module):
    """The rules as a loss: the mean over faces of :func:`semantic_loss`, :func:`conditional_loss` or
    :func:`~faceinsight.modules.logic.fuzzy.fuzzy_loss`.

    It has no weights; its tables follow the logits' device. Infinite logits are certain
    (:func:`~faceinsight.modules.logic.rule_tables.check_logits`); NaN in the logits is NaN in the loss, for the
    training loop to refuse.

    Args:
        rules: what holds of every face.
        kind: ``semantic`` (added to BCE, needs no labels), ``conditional`` (in BCE's place, needs labels), or for
            comparison ``product``, ``goedel``, ``lukasiewicz`` (added to BCE, need no labels, not exact).

    Raises:
        UnsatisfiableError: no face satisfies the rules.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> constraint = LogicalConstraint(rules=rules)
    >>> constraint(torch.tensor([[3.0, 3.0], [3.0, -3.0]]))
    tensor(1.2128)
    """

    def __init__(self, rules: RuleSet, *, kind: LogicalKind = "semantic") -> None:
        super().__init__()
        if kind not in get_args(LogicalKind):
            raise InputError(f"kind must be one of {', '.join(get_args(LogicalKind))}, got {kind!r}")
        self.rules, self.kind = rules, kind
        # contradictory rules are refused here, not at the first batch; a fuzzy kind sums over no models, so it may be
        # given rules that join too many attributes to tell
        with suppress(*[ComponentTooLargeError] if kind in get_args(FuzzyKind) else []):
            rules.components  # noqa: B018

    def forward(
        self,
        logits: Float[Tensor, "batch attr"],
        labels: Shaped[Tensor, "batch attr"] | None = None,
        *,
        undefined: int | float | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean over the faces that count.

        Args:
            labels, undefined: as for :func:`conditional_loss`; checked with every kind, read by ``conditional`` alone.

        Raises:
            InputError: labels of 0 and 1, or other values.
        """
        total, count = self.sum_and_count(logits, labels, undefined=undefined)
        return total / count.clamp(min=1)

    def sum_and_count(
        self,
        logits: Float[Tensor, "batch attr"],
        labels: Shaped[Tensor, "batch attr"] | None = None,
        *,
        undefined: int | float | None = None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the loss summed over the faces that count, and their number: with several processes, add each up and
        divide.

        Every face with a defined label counts for ``conditional``, every face for the other kinds.
        """
        if labels is not None:
            labels = checked(labels, self.rules, undefined)
        if self.kind == "conditional":
            if labels is None:
                raise InputError(
                    "LogicalConstraint(kind='conditional') needs labels: call it as constraint(logits, labels)"
                )
            loss = conditional_loss(logits, labels, self.rules, undefined=0)
            return loss.sum(), (labels != 0).any(-1).sum().to(loss)
        if self.kind == "semantic":
            loss = semantic_loss(logits, self.rules)
        else:
            loss = fuzzy_loss(logits, self.rules, self.kind)
        return loss.sum(), loss.new_tensor(len(loss))

    def extra_repr(self) -> str:
        return f"{len(self.rules)} rules over {self.rules.schema.name!r}, kind={self.kind!r}"


def _binary_cross_entropy(
    logits: Float[Tensor, "*batch attr"], labels: Int8[Tensor, "*batch attr"]
) -> Float[Tensor, "*batch attr"]:
    """``-log p(label)`` for each attribute; 0 where the label is undefined."""
    sign = labels.to(logits.dtype)
    return torch.where(labels != 0, -F.logsigmoid(logits * sign), 0.0)
