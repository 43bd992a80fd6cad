"""Decoding by the rules: the logits of any classifier, so that their decisions are the most probable consistent face.

The decoded logit of an attribute is that of its probability under the rules, ``p(attribute | rules)``, so what comes
out is calibrated if what went in was, and still ranks faces. Where the most probable consistent face decides otherwise
than one half of that probability would, the logit is moved just across 0.

Source: exact inference in the conditioned distribution (:mod:`faceinsight.modules.constrained`); that the logits are
those of the marginals is our choice. Compare :mod:`faceinsight.modules.logic.shield`, which changes
attributes along an ordering.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic.rule_tables import refuse_nan, rule_tables
from faceinsight.modules.logic.shield import MARGIN

__all__ = ["ConsistentDecoder", "decode"]

Decisions = Literal["mode", "marginals"]
Gradient = Literal["marginals", "straight_through"]


def decode(
    logits: Float[Tensor, "*batch attr"],
    rules: RuleSet,
    decisions: Decisions = "mode",
    threshold: float = 0.5,
    gradient: Gradient = "marginals",
) -> Float[Tensor, "*batch attr"]:
    """Logits whose decisions (yes above 0) follow the rules.

    Args:
        decisions: ``mode``: those of the most probable consistent face, so no rule is ever broken. ``marginals``: each
            attribute by itself, yes where ``p(attribute | rules)`` is above ``threshold``; best for each attribute's
            own accuracy, but such decisions can break a rule (of three equally probable ages none passes one half).
        threshold: for ``marginals``; the logits are moved so that it lies at 0.
        gradient: what reaches the logits in training: the derivative of the ``marginals``, or every logit's own
            unchanged (``straight_through``).

    Infinite logits are certain, see :func:`~faceinsight.modules.logic.rule_tables.check_logits`.

    Raises:
        InputError: logits of the wrong width, or NaN.

    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("exactly_one(Young, Middle, Old)", Schema.from_names(["Young", "Middle", "Old"]))
    >>> decode(torch.tensor([[-1.0, -1.1, -2.0]]), rules).sigmoid()  # 0.437 by itself, but the most probable
    tensor([[0.5000, 0.3981, 0.1619]])
    """
    faces = ConstrainedBernoulli(logits=refuse_nan(logits, rules), rules=rules, validate_args=False)
    values = faces.marginals.logit(eps=torch.finfo(faces.logits.dtype).eps)
    free = rule_tables(rules, faces.logits).free  # no rule mentions them: their logits stay as they are
    values = values.index_copy(-1, free, faces.logits.index_select(-1, free))
    if decisions == "mode":
        values = torch.where(faces.mode > 0.5, values.clamp(min=MARGIN), values.clamp(max=-MARGIN))
    else:
        values = values - torch.tensor(threshold, dtype=values.dtype).logit()
    return values if gradient == "marginals" else faces.logits + (values - faces.logits).detach()


class ConsistentDecoder(nn.Module):
    """:func:`decode` for one rule set: logits to logits, after any multi-label classifier. It has no weights.

    Args:
        rules: what holds of every face; the logits are those of its schema's attributes.
        decisions: see :func:`decode`.
        threshold: see :func:`decode`.
        gradient: see :func:`decode`.

    Raises:
        UnsatisfiableError: no face satisfies the rules.
        ComponentTooLargeError: the rules join more attributes than can be summed over.

    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> classifier = nn.Sequential(nn.Linear(8, 2), ConsistentDecoder(rules=rules))
    >>> rules.violations(classifier(torch.randn(100, 8)) > 0).any()
    tensor(False)
    """

    def __init__(
        self,
        rules: RuleSet,
        *,
        decisions: Decisions = "mode",
        threshold: float = 0.5,
        gradient: Gradient = "marginals",
    ) -> None:
        super().__init__()
        for given, known in ((decisions, Decisions), (gradient, Gradient)):
            if given not in get_args(known):
                raise InputError(f"{given!r} is none of {', '.join(get_args(known))}")
        if not 0 < threshold < 1:
            raise InputError(f"threshold must be between 0 and 1, got {threshold}")
        if decisions == "mode" and threshold != 0.5:
            raise InputError("the mode needs no threshold; give decisions='marginals' with one")
        self.rules, self.decisions, self.threshold, self.gradient = rules, decisions, threshold, gradient
        rules.components  # noqa: B018  contradictory rules are refused here, not at the first batch

    @property
    def schema(self) -> Schema:
        """The attributes of the logits."""
        return self.rules.schema

    def forward(self, logits: Float[Tensor, "*batch attr"]) -> Float[Tensor, "*batch attr"]:
        return decode(logits, self.rules, self.decisions, self.threshold, self.gradient)

    def extra_repr(self) -> str:
        return f"{len(self.rules)} rules over {self.rules.schema.name!r}, decisions={self.decisions!r}"
