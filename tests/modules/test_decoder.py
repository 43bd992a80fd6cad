"""Decoding: consistent decisions that are the best there are, calibrated logits, and two ways back."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.decoder import ConsistentDecoder, decode
from faceinsight.modules.logic.shield import ShieldLayer

SCHEMA = Schema.from_names(["a", "b", "c", "d", "e"])
RULES = RuleSet.parse("exactly_one(a, b, c)\nc -> d", SCHEMA)


def some_logits(faces: int = 500, scale: float = 2.0) -> Tensor:
    return torch.randn(faces, 5, generator=torch.Generator().manual_seed(0)) * scale


def consistent() -> Tensor:
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)))
    a, b, c, d, _ = every.unbind(1)
    return every[(a + b + c == 1) & ((c == 0) | (d == 1))]


def test_no_decision_breaks_a_rule_and_none_consistent_is_likelier():
    logits = some_logits()
    decided = decode(logits, RULES) > 0
    assert not RULES.violations(decided).any()
    best = consistent()[(logits.double() @ consistent().double().T).argmax(1)]
    assert torch.equal(decided, best > 0.5)
    shielded = ShieldLayer(rules=RULES)(logits) > 0  # consistent as well, but less likely on some faces
    gap = (logits * decided).sum(1) - (logits * shielded).sum(1)
    assert (gap >= -1e-5).all()
    assert (gap > 0.1).any()


def test_the_logits_are_those_of_the_marginals_except_where_the_mode_decides_otherwise():
    logits = some_logits()
    faces = ConstrainedBernoulli(logits=logits, rules=RULES)
    found, marginals = decode(logits, RULES).sigmoid(), faces.marginals
    same = (marginals > 0.5) == (faces.mode > 0.5)
    assert 0 < (~same).sum() < 0.1 * same.numel()
    torch.testing.assert_close(found[same], marginals[same], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[~same], torch.full_like(found[~same], 0.5), rtol=0, atol=1e-5)


def test_marginals_have_their_threshold_at_zero_and_may_break_a_rule():
    logits = some_logits()
    marginals = ConstrainedBernoulli(logits=logits, rules=RULES).marginals
    for threshold in (0.5, 0.3):
        decided = ConsistentDecoder(rules=RULES, decisions="marginals", threshold=threshold)(logits) > 0
        clear = (marginals - threshold).abs() > 1e-5
        assert torch.equal(decided[clear], (marginals > threshold)[clear])
    assert RULES.violations(decode(logits, RULES, "marginals") > 0).any()


def test_decoding_twice_changes_no_decision():
    once = decode(some_logits(), RULES)
    assert torch.equal(decode(once, RULES) > 0, once > 0)


def test_the_gradient_is_that_of_the_marginals_or_passes_straight_through():
    logits = some_logits(3, scale=0.7).double().requires_grad_()
    assert gradcheck(lambda x: decode(x, RULES, "marginals"), logits)
    weight = torch.randn(3, 5, dtype=torch.float64)
    (decode(logits, RULES, gradient="straight_through") * weight).sum().backward()
    torch.testing.assert_close(logits.grad, weight)


@pytest.mark.parametrize("gradient", ["marginals", "straight_through"])
def test_a_classifier_learns_through_the_decoder(gradient: str):
    torch.manual_seed(0)
    images, labels = torch.randn(64, 6), consistent()[torch.randint(len(consistent()), (64,))]
    network = torch.nn.Sequential(torch.nn.Linear(6, 5), ConsistentDecoder(rules=RULES, gradient=gradient))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_extreme_logits_stay_finite_with_finite_gradients():
    logits = (some_logits(50).sign() * 1e4).requires_grad_()
    decoded = decode(logits, RULES)
    assert decoded.isfinite().all()
    decoded.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_under_autocast_is_decoded_in_full():
    logits = some_logits(scale=6.0).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoded = decode(logits, RULES)
    assert torch.equal(decoded, decode(logits.float(), RULES))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decisions": "marginals", "threshold": 1.0}, "threshold must be between 0 and 1, got 1.0"),
        ({"threshold": 0.3}, "the mode needs no threshold"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        ConsistentDecoder(rules=RULES, **options)


def test_contradictory_rules_are_refused_when_the_decoder_is_built():
    with pytest.raises(UnsatisfiableError):
        ConsistentDecoder(rules=RuleSet.parse("a\nnot a", SCHEMA))
