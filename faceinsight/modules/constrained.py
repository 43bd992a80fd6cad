"""Independent attributes conditioned on the rules: an exact distribution over consistent faces.

With probabilities ``p = sigmoid(logits)`` and rules K, ``p(y | K) = p(y) / WMC(K)`` for every y that satisfies K, and 0
for the others; ``WMC(K)``, the weighted model count, is the probability that independent attributes satisfy K.

Sources:
    Xu et al. 2018, A Semantic Loss Function for Deep Learning with Symbolic Knowledge (the count, as a loss)
    Ahmed et al. 2022, Semantic Probabilistic Layers (the conditional distribution)
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.enumeration import RuleTables, check_width, rule_tables

__all__ = ["Consistent", "ConstrainedBernoulli"]


class Consistent(constraints.Constraint):
    """Zero-one vectors that satisfy the rules."""

    is_discrete = True
    event_dim = 1

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        super().__init__()

    def check(self, value: Tensor) -> Bool[Tensor, "*batch"]:
        binary = ((value == 0) | (value == 1)).all(-1)
        broken = self.rules.violations((value > 0.5).reshape(-1, value.shape[-1])).any(-1)
        return binary & ~broken.reshape(value.shape[:-1])


class ConstrainedBernoulli(Distribution):
    """Independent Bernoulli attributes, conditioned on rules; exact, in log space, differentiable.

    Without rules this is ``Independent(Bernoulli(logits=logits), 1)``; for one ``exactly_one`` group over all
    attributes it is a one-hot categorical, and ``-log_prob`` is softmax cross-entropy.

    Cost grows with the number of models of the largest component (see ``RuleSet.components``). Computed in float32 or
    wider, under autocast too.

    Args:
        logits: ``[..., attr]``, one for each attribute of the rules' schema.
        rules: what holds of every face.
        validate_args: check the logits (finite) and the values given to :meth:`log_prob` (0 or 1).

    Raises:
        ValueError: logits of the wrong width, or not finite.
        UnsatisfiableError: no face satisfies the rules.

    >>> from faceinsight.knowledge.rules import RuleSet
    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> faces = ConstrainedBernoulli(logits=torch.tensor([[2.0, 1.0]]), rules=rules)
    >>> faces.mode, faces.marginals
    (tensor([[1., 0.]]), tensor([[0.6652, 0.2447]]))
    >>> faces.log_prob(torch.tensor([[1.0, 1.0]]))
    tensor([-inf])
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self, *, logits: Float[Tensor, "*batch attr"], rules: RuleSet, validate_args: bool | None = None
    ) -> None:
        self.logits, self.rules = check_width(logits, rules), rules
        super().__init__(self.logits.shape[:-1], self.logits.shape[-1:], validate_args=False)
        # torch's own check of the constraint names no attribute, and fails on an empty batch
        self._validate_args = type(self)._validate_args if validate_args is None else validate_args
        if self._validate_args:
            _check_finite(self.logits, rules)

    @property
    def support(self) -> Consistent:
        return Consistent(self.rules)

    @property
    def log_partition(self) -> Float[Tensor, "*batch"]:
        """``log WMC``: the log-probability that independent attributes satisfy the rules; never above 0."""
        total = self.logits.new_zeros(self.batch_shape)
        return sum((component.log_partition(self.logits) for component in self._tables), start=total)

    @property
    def marginals(self) -> Float[Tensor, "*batch attr"]:
        """``p(attribute | rules)`` for each attribute."""
        probability = self.logits.sigmoid()
        for component in self._tables:
            probability = probability.index_copy(-1, component.index, component.marginals(self.logits))
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
        for component in self._tables:
            assignment = assignment.index_copy(-1, component.index, component.mode(self.logits))
        return assignment

    def log_prob(self, value: Tensor) -> Float[Tensor, "*batch"]:
        """``log p(value | rules)``; ``-inf`` for values that break a rule.

        Args:
            value: ``[..., attr]`` of 0 and 1, or booleans; it may have sample axes in front.

        Raises:
            ValueError: a width that is not the schema's, or (with ``validate_args``) a value that is not 0 or 1.
        """
        if value.shape[-1:] != self.event_shape:
            raise ValueError(f"value must be [..., {self.event_shape[0]}], got {list(value.shape)}")
        if self._validate_args and not ((value == 0) | (value == 1)).all():
            raise ValueError("value must be 0 or 1; for undefined labels use conditional_loss")
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
        drawn = logits.sigmoid().expand(count, *logits.shape).bernoulli(generator=generator)
        for component in self._tables:
            drawn = drawn.index_copy(-1, component.index, component.draw(logits, count, generator))
        return drawn.reshape(shape + self.event_shape)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """The entropy in nats."""
        free = self.logits.index_select(-1, self._tables.free)
        # of a Bernoulli: log(1 + e^-|x|) + |x| sigmoid(-|x|), which stays finite and keeps its gradient
        alone = F.softplus(-free.abs()) + free.abs() * torch.sigmoid(-free.abs())
        return sum((component.entropy(self.logits) for component in self._tables), start=alone.sum(-1))

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: "ConstrainedBernoulli | None" = None
    ) -> "ConstrainedBernoulli":
        logits = self.logits.expand(torch.Size(batch_shape) + self.event_shape)
        return type(self)(logits=logits, rules=self.rules, validate_args=self._validate_args)

    @property
    def _tables(self) -> RuleTables:
        return rule_tables(self.rules, self.logits)


def _check_finite(logits: Tensor, rules: RuleSet) -> None:
    wrong = ~logits.isfinite()
    if wrong.any():
        *face, attr = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"logits must be finite, got {logits[(*face, attr)].item()} for {rules.schema.names[attr]!r} "
            f"at {face}; look for a diverged loss or an overflow in half precision"
        )
