"""Independent attributes conditioned on the rules: an exact distribution over consistent faces.

With probabilities ``p = sigmoid(logits)`` and rules K, ``p(y | K) = p(y) / WMC(K)`` for every y that satisfies K, and 0
for the others; ``WMC(K)``, the weighted model count, is the probability that independent attributes satisfy K. What is
known of a face besides (that it is bald, say) can be added to the rules as evidence.

Sources:
    Xu et al. 2018, A Semantic Loss Function for Deep Learning with Symbolic Knowledge (the count, as a loss)
    Ahmed et al. 2022, Semantic Probabilistic Layers (the conditional distribution)
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int8, Shaped
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.logic.components import UnsatisfiableError, minimal_conflict
from faceinsight.knowledge.logic.formula import Atom, Formula, Not
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.logic.log_space import bernoulli_entropy, literal_log_probs
from faceinsight.modules.logic.rule_tables import RuleTables, check_logits, refuse_nan, rule_tables

__all__ = ["Consistent", "ConstrainedBernoulli"]


class Consistent(constraints.Constraint):
    """Zero-one vectors that satisfy the rules and agree with the evidence."""

    is_discrete = True
    event_dim = 1

    def __init__(self, rules: RuleSet, evidence: Int8[Tensor, "*batch attr"] | None = None) -> None:
        self.rules, self.evidence = rules, evidence
        super().__init__()

    def check(self, value: Tensor) -> Bool[Tensor, "*batch"]:
        binary = ((value == 0) | (value == 1)).all(-1)
        broken = self.rules.violations((value > 0.5).reshape(-1, value.shape[-1])).any(-1)
        consistent = binary & ~broken.reshape(value.shape[:-1])
        if self.evidence is None:
            return consistent
        return consistent & ~((self.evidence != 0) & ((self.evidence > 0) != (value > 0.5))).any(-1)


class ConstrainedBernoulli(Distribution):
    """Independent Bernoulli attributes, conditioned on rules; exact, in log space, differentiable.

    Without rules this is ``Independent(Bernoulli(logits=logits), 1)``; for one ``exactly_one`` group over all
    attributes it is a one-hot categorical, and ``-log_prob`` is softmax cross-entropy.

    A component with few models costs one product with their matrix; one with many, or many faces, a pass through its
    decision diagram, whose size depends on how far apart the rules' attributes lie (see ``RuleSet.components``). What
    is cheaper is chosen, the results are the same. Computed in float32 or wider, under autocast too.

    Args:
        logits: ``[..., attr]``, one for each attribute of the rules' schema. Those beyond a million, infinite ones too,
            are taken as a million: certain.
        rules: what holds of every face.
        evidence: ``[..., attr]``, what is known of each face: 1 yes, -1 no, 0 unknown, or booleans where all
            is known; see :meth:`condition`.
        validate_args: check the logits (no NaN) and the values given to :meth:`log_prob` (0 or 1).

    Raises:
        InputError: logits of the wrong width, or NaN; evidence that does not fit them.
        UnsatisfiableError: no face satisfies the rules.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> faces = ConstrainedBernoulli(logits=torch.tensor([[2.0, 1.0]]), rules=rules)
    >>> faces.mode, faces.marginals
    (tensor([[1., 0.]]), tensor([[0.6652, 0.2447]]))
    >>> faces.log_prob(torch.tensor([[1.0, 1.0]]))
    tensor([-inf])
    >>> faces.condition({"Bangs": True}).marginals
    tensor([[0., 1.]])
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self,
        *,
        logits: Float[Tensor, "*batch attr"],
        rules: RuleSet,
        evidence: Shaped[Tensor, "*#batch attr"] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.logits, self.rules = check_logits(logits, rules), rules
        if evidence is not None:
            evidence = three_valued(evidence, undefined=0, names=rules.schema.names).to(logits.device)
        self.evidence = None if evidence is None else evidence.expand(logits.shape)
        super().__init__(self.logits.shape[:-1], self.logits.shape[-1:], validate_args=False)
        # torch's own check of the constraint names no attribute, and fails on an empty batch
        self._validate_args = type(self)._validate_args if validate_args is None else validate_args
        if self._validate_args:
            refuse_nan(self.logits, rules)

    @property
    def support(self) -> Consistent:
        return Consistent(self.rules, self.evidence)

    def condition(self, evidence: Mapping[str, bool | Bool[Tensor, "*batch"]]) -> "ConstrainedBernoulli":
        """Return the distribution of the same faces once some attributes are known: what if this person were bald?

        Args:
            evidence: attribute name -> whether the faces have it, one answer for all or one for each face. It is added
                to what is known already.

        Raises:
            KeyError: an attribute that the schema does not have; the nearest name is given.
            UnsatisfiableError: no face that satisfies the rules agrees with it.
        """
        known = torch.zeros_like(self.logits, dtype=torch.int8) if self.evidence is None else self.evidence.clone()
        for name, value in evidence.items():
            position, shown = self.rules.schema.index(name), torch.as_tensor(value, device=known.device)
            answer = torch.where(shown, 1, -1).to(torch.int8).expand(self.batch_shape)
            if (known[..., position] * answer < 0).any():
                raise UnsatisfiableError([_literal(name, yes=True), _literal(name, yes=False)])
            known[..., position] = answer
        self._check_possible(known)
        return type(self)(logits=self.logits, rules=self.rules, evidence=known, validate_args=self._validate_args)

    def _check_possible(self, known: Int8[Tensor, "*batch attr"]) -> None:
        """Refuse evidence that the rules contradict, naming the smallest part of it and of them that does."""
        for component in self._tables:
            if (wrong := component.contradicted(known)).any():
                face = known[wrong][0].tolist()
                names = self.rules.schema.names
                literals = [_literal(name, yes=value > 0) for name, value in zip(names, face, strict=True) if value]
                raise UnsatisfiableError(minimal_conflict([*self.rules.formulas, *literals]))

    @property
    def log_partition(self) -> Float[Tensor, "*batch"]:
        """``log WMC``: the log-probability that independent attributes satisfy the rules; never above 0.

        With evidence, that they satisfy the rules and agree with it.
        """
        total = self.logits.new_zeros(self.batch_shape)
        if self.evidence is not None:
            free, known = (each.index_select(-1, self._tables.free) for each in (self.logits, self.evidence))
            total = torch.where(known == 0, 0.0, F.logsigmoid(free * known)).sum(-1)
        return sum((each.log_partition(self.logits, self.evidence) for each in self._tables), start=total)

    @property
    def marginals(self) -> Float[Tensor, "*batch attr"]:
        """``p(attribute | rules)`` for each attribute; 0 or 1 where it is known."""
        probability = self.logits.sigmoid()
        if self.evidence is not None:
            probability = torch.where(self.evidence == 0, probability, (self.evidence > 0).to(probability))
        for component in self._tables:
            found = component.marginals(self.logits, self.evidence)
            probability = probability.index_copy(-1, component.index, found)
        return probability

    @property
    def mean(self) -> Float[Tensor, "*batch attr"]:
        return self.marginals

    @property
    def variance(self) -> Float[Tensor, "*batch attr"]:
        return self.marginals * (1 - self.marginals)

    @property
    @torch.no_grad()
    def mode(self) -> Float[Tensor, "*batch attr"]:
        """The most probable consistent assignment, as 0 and 1.

        Ties go to the assignment that comes first in binary order (of the schema's attributes, the first counting
        most), so an attribute at logit 0 is left out where the rules leave it free.
        """
        assignment = (self.logits > 0).to(self.logits.dtype)
        if self.evidence is not None:
            assignment = torch.where(self.evidence == 0, assignment, (self.evidence > 0).to(assignment))
        for component in self._tables:
            assignment = assignment.index_copy(-1, component.index, component.mode(self.logits, self.evidence))
        return assignment

    def log_prob(self, value: Tensor) -> Float[Tensor, "*batch"]:
        """``log p(value | rules)``; ``-inf`` for values that break a rule.

        Args:
            value: ``[..., attr]`` of 0 and 1, or booleans; it may have sample axes in front.

        Raises:
            ValueError: a width that is not the schema's, or (with ``validate_args``) a value that is not 0 or 1.
        """
        if value.shape[-1:] != self.event_shape:
            raise InputError(f"value must be [..., {self.event_shape[0]}], got {list(value.shape)}")
        if self._validate_args and not ((value == 0) | (value == 1)).all():
            raise InputError("value must be 0 or 1; for undefined labels use conditional_loss")
        sign = torch.where(value > 0.5, 1.0, -1.0).to(self.logits)
        log_prob = F.logsigmoid(self.logits * sign).sum(-1) - self.log_partition
        return torch.where(self.support.check((value > 0.5).to(sign)), log_prob.clamp(max=0), -torch.inf)

    @torch.no_grad()
    def sample(
        self, sample_shape: torch.Size | list[int] | tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> Float[Tensor, "*draw attr"]:
        """Exact, independent samples ``[*sample_shape, *batch, attr]`` of 0 and 1."""
        shape = torch.Size(sample_shape) + self.batch_shape
        count, logits = torch.Size(sample_shape).numel(), self.logits.reshape(-1, *self.event_shape)
        if shape.numel() == 0:
            return logits.new_zeros(shape + self.event_shape)
        known = None if self.evidence is None else self.evidence.reshape(logits.shape)
        drawn = logits.sigmoid().expand(count, *logits.shape).bernoulli(generator=generator)
        if known is not None:
            drawn = torch.where(known == 0, drawn, (known > 0).to(drawn))
        for component in self._tables:
            drawn = drawn.index_copy(-1, component.index, component.draw(logits, count, generator, known))
        return drawn.reshape(shape + self.event_shape)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Return the entropy in nats."""
        alone = bernoulli_entropy(self.logits.index_select(-1, self._tables.free))
        if self.evidence is not None:
            alone = torch.where(self.evidence.index_select(-1, self._tables.free) == 0, alone, 0.0)
        return sum((each.entropy(self.logits, self.evidence) for each in self._tables), start=alone.sum(-1))

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: "ConstrainedBernoulli | None" = None
    ) -> "ConstrainedBernoulli":
        logits = self.logits.expand(torch.Size(batch_shape) + self.event_shape)
        return type(self)(logits=logits, rules=self.rules, evidence=self.evidence, validate_args=self._validate_args)

    def _free_log_probs(self) -> Float[Tensor, "*batch free 2"]:
        """Of the attributes that no rule mentions: the log-probabilities of yes and no."""
        free = self._tables.free
        known = None if self.evidence is None else self.evidence.index_select(-1, free)
        return torch.stack(literal_log_probs(self.logits.index_select(-1, free), known), -1).log_softmax(-1)

    @property
    def _tables(self) -> RuleTables:
        return rule_tables(self.rules, self.logits)


@register_kl(ConstrainedBernoulli, ConstrainedBernoulli)
def _divergence(p: ConstrainedBernoulli, q: ConstrainedBernoulli) -> Float[Tensor, "*batch"]:
    """``KL(p || q)`` in nats for two under the same rules; infinite where q knows what p does not.

    Raises:
        ValueError: they are under different rules.
    """
    if p.rules != q.rules:
        raise InputError(
            f"the KL divergence is for two distributions under the same rules, got {len(p.rules)} rules over "
            f"{p.rules.schema.name!r} and {len(q.rules)} others over {q.rules.schema.name!r}"
        )
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    p, q = p.expand(shape), q.expand(shape)
    here, there = p._free_log_probs(), q._free_log_probs()
    total = (here.exp() * (here - there)).sum((-1, -2))
    for component in p._tables:
        total = total + component.divergence(p.logits, q.logits, p.evidence, q.evidence)
    return total.masked_fill(_knows_more(q, p), torch.inf)


def _knows_more(q: ConstrainedBernoulli, p: ConstrainedBernoulli) -> Bool[Tensor, "*batch"]:
    """Where some face that p allows contradicts q's evidence."""
    found = torch.zeros(p.batch_shape, dtype=torch.bool, device=p.logits.device)
    if q.evidence is None:
        return found
    known = torch.zeros_like(q.evidence) if p.evidence is None else p.evidence
    for position in (q.evidence != 0).reshape(-1, *p.event_shape).any(0).nonzero().flatten().tolist():
        stated = q.evidence[..., position]
        opposite = known.clone()
        opposite[..., position] = torch.where(stated == 0, known[..., position], -stated)
        impossible = sum((each.contradicted(opposite) for each in p._tables), start=torch.zeros_like(found))
        found |= (stated != 0) & (known[..., position] != stated) & ~impossible
    return found


def _literal(name: str, *, yes: bool) -> Formula:
    return Atom(name) if yes else Not(Atom(name))
