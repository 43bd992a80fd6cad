"""Rules as fuzzy logic: how true each one is of probabilities, connective by connective, and that as a loss.

A t-norm extends *and* from false and true to everything in between; here *not* is ``1 - x``, *or* the t-norm's dual,
and ``a -> b`` the S-implication ``not a or b``:

============= ================ ======================= =================
kind          ``a and b``      ``a or b``              ``a -> b``
============= ================ ======================= =================
product       ``a b``          ``a + b - a b``         Reichenbach's
goedel        ``min(a, b)``    ``max(a, b)``           Kleene and Dienes'
lukasiewicz   ``a + b - 1``    ``a + b``               Lukasiewicz'
============= ================ ======================= =================

(the last row cut off at 0 and 1). The loss of a face is ``-log truth`` for the product, ``1 - truth`` for the others,
summed over the rules.

They stand here for comparison with the semantic loss (:mod:`faceinsight.modules.logical`). Unlike that, a truth value
depends on how a rule is *written*: ``a -> b`` and ``a -> a and b`` say the same, have the same probability and another
fuzzy truth. The product's truth is the rule's probability only where the rule names each attribute once.

Sources:
    van Krieken, Acar and van Harmelen 2022, Analyzing Differentiable Fuzzy Logic Operators (operators, log-product)
    Stoian, Giunchiglia and Lukasiewicz 2023, Exploiting T-norms for Deep Learning in Autonomous Driving (``1 - truth``)

Choices of this library: ``1 - truth`` is summed over the rules where PiShield's loss averages, so that near the rules
every kind has the semantic loss's scale (``-log x`` is about ``1 - x``) and another rule takes nothing from the others;
``at_most_one`` is *and* over the pairs that exclude each other, ``at_least_one`` *or*, ``exactly_one`` both together;
``a <-> b`` is both implications. DL2 (Fischer et al. 2019) has losses that add up for *and* and multiply for *or*; that
is no t-norm, and is not here.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.logic.formula import (
    And,
    AtLeastOne,
    AtMostOne,
    Atom,
    ExactlyOne,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
)
from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.logic.rule_tables import check_logits

__all__ = ["FuzzyKind", "fuzzy_loss", "fuzzy_truth"]

FuzzyKind = Literal["product", "goedel", "lukasiewicz"]

#: How true and how false a formula is: two tensors, so that *not* exchanges them and nothing close to 1 is taken off 1.
#: For the product both are logarithms.
Truth = tuple[Tensor, Tensor]

#: How true and how false it is that every operand holds, the operands along the last axis; of none it is true.
TNorm = Callable[[Tensor, Tensor], Truth]

#: The product's logarithm of nothing: finite, so that no gradient is NaN; its exponential is 0.
LOG_NOTHING = -1e30


def product(true: Tensor, false: Tensor) -> Truth:
    """In logarithms. The falsity ``1 - prod t_i`` is summed as ``f_1 + t_1 f_2 + t_1 t_2 f_3 + ...``, all positive, so
    that nothing cancels and nothing underflows.
    """
    before = F.pad(true[..., :-1].cumsum(-1), (1, 0)) if true.shape[-1] else true
    return true.sum(-1), (before + false).logsumexp(-1).clamp(min=LOG_NOTHING, max=0)


def goedel(true: Tensor, false: Tensor) -> Truth:
    """Return the least true operand; equals share the gradient."""
    return F.pad(true, (0, 1), value=1.0).amin(-1), F.pad(false, (0, 1)).amax(-1)


def lukasiewicz(true: Tensor, false: Tensor) -> Truth:
    """Return what is left of 1 when every operand's falsity is taken off."""
    missing = false.sum(-1)
    return (1 - missing).clamp(min=0), missing.clamp(max=1)


T_NORMS: dict[str, TNorm] = {"product": product, "goedel": goedel, "lukasiewicz": lukasiewicz}


def fuzzy_truth(logits: Float[Tensor, "*batch attr"], rules: RuleSet, kind: FuzzyKind) -> Float[Tensor, "*batch rule"]:
    """How true each rule is of each face, in [0, 1]; on certain outputs 0 or 1, as ``Formula.evaluate`` has it.

    >>> from faceinsight.knowledge.schema import Schema
    >>> rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    >>> logits = torch.tensor([0.6, 0.7]).logit()
    >>> [round(fuzzy_truth(logits, rules, kind).item(), 4) for kind in ("product", "goedel", "lukasiewicz")]
    [0.58, 0.4, 0.7]
    """
    true, _ = _judged(logits, rules, kind)
    return true.exp() if kind == "product" else true


def fuzzy_loss(logits: Float[Tensor, "*batch attr"], rules: RuleSet, kind: FuzzyKind) -> Float[Tensor, "*batch"]:
    """Return the loss of each face, summed over the rules; never below 0, and 0 without rules.

    ``-log truth`` for the product, taken in log space: finite for finite logits, and its gradient does not fade.
    ``1 - truth`` for the others, whose gradient does where the sigmoid saturates; Lukasiewicz' is exactly 0 wherever a
    rule is true or false enough to be cut off.
    """
    true, false = _judged(logits, rules, kind)
    return -true.sum(-1) if kind == "product" else false.sum(-1)


def _judged(logits: Tensor, rules: RuleSet, kind: FuzzyKind) -> Truth:
    """How true and how false every rule is, ``[*batch, rule]`` each."""
    logits = check_logits(logits, rules)
    squash = F.logsigmoid if kind == "product" else torch.sigmoid
    true, false = (squash(each).unbind(-1) for each in (logits, -logits))
    atoms = dict(zip(rules.schema.names, zip(true, false, strict=True), strict=True))
    judged = [_truth(formula, atoms, T_NORMS[kind]) for formula in rules.formulas]
    return _stacked(judged) if judged else (logits[..., :0], logits[..., :0])


def _truth(formula: Formula, atoms: dict[str, Truth], every: TNorm) -> Truth:
    """Return a formula's truth from that of its parts: everything is *and* and *not*."""
    if isinstance(formula, Atom):
        return atoms[formula.name]
    parts = [_truth(part, atoms, every) for part in formula.parts]
    match formula:
        case Not():
            return _negated(parts[0])
        case And():
            return every(*_stacked(parts))
        case Or() | AtLeastOne():
            return _some(parts, every)
        case Implies():
            return _some([_negated(parts[0]), parts[1]], every)
        case Iff():
            left, right = parts
            return every(*_stacked([_some([_negated(left), right], every), _some([left, _negated(right)], every)]))
        case AtMostOne():
            return _at_most_one(parts, every)
        case ExactlyOne():
            return every(*_stacked([_some(parts, every), _at_most_one(parts, every)]))
    raise TypeError(f"no fuzzy reading of {type(formula).__name__}; add one beside those of the other connectives")


def _stacked(truths: Sequence[Truth]) -> Truth:
    true, false = zip(*truths, strict=True)
    return torch.stack(true, -1), torch.stack(false, -1)


def _negated(truth: Truth) -> Truth:
    true, false = truth
    return false, true


def _some(truths: Sequence[Truth], every: TNorm) -> Truth:
    return _negated(every(*_negated(_stacked(truths))))


def _at_most_one(truths: Sequence[Truth], every: TNorm) -> Truth:
    """Of every pair, not both."""
    true, false = _stacked(truths)
    pairs = torch.combinations(torch.arange(len(truths), device=true.device))
    return every(*_negated(every(true[..., pairs], false[..., pairs])))
