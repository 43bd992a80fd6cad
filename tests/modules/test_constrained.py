"""The conditioned distribution, against every assignment looked at one by one in float64."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Bernoulli, Independent, OneHotCategorical, kl_divergence
from torch.nn import functional as F

from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic import rule_tables as tables_module
from faceinsight.modules.logic.enumeration import EnumeratedComponent
from faceinsight.modules.logic.layered import LayeredComponent
from faceinsight.modules.logic.log_space import log_sum_exp
from faceinsight.modules.logic.rule_tables import rule_tables

SCHEMA = Schema.from_names(["a", "b", "c", "d", "e", "f"])

#: Two components and a free attribute (f); written once for the library and once as plain Python.
RULES = RuleSet.parse("a -> not b\nexactly_one(a, b, c)\nd or e", SCHEMA)


@pytest.fixture(autouse=True, params=[EnumeratedComponent, LayeredComponent])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """Every test with each way to sum over models, whatever would serve these rules by itself."""
    monkeypatch.setattr(tables_module, "is_listed", lambda component, faces: request.param is EnumeratedComponent)
    monkeypatch.setattr(tables_module, "_TABLES", {})
    return request.param


def satisfied(y: tuple[float, ...]) -> bool:
    a, b, c, d, e, _ = y
    return not (a and b) and a + b + c == 1 and bool(d or e)


def all_assignments(count: int = 6) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=count)), dtype=torch.float64)


def log_joint(logits: Tensor) -> tuple[Tensor, Tensor]:
    """``log p(y)`` of every consistent assignment under independent attributes, and the assignments."""
    kept = torch.stack([y for y in all_assignments() if satisfied(tuple(y.tolist()))])
    probability = logits.double().sigmoid()[..., None, :]
    return (kept * probability + (1 - kept) * (1 - probability)).log().sum(-1), kept


def some_logits(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(seed)) * scale


def test_the_rules_leave_eighteen_of_sixty_four_assignments():
    assert sum(satisfied(tuple(y.tolist())) for y in all_assignments()) == 3 * 3 * 2


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_every_quantity_equals_its_sum_over_all_assignments(shape: tuple[int, ...]):
    logits = some_logits(*shape)
    faces = ConstrainedBernoulli(logits=logits, rules=RULES)
    joint, kept = log_joint(logits)
    posterior = joint.softmax(-1)
    torch.testing.assert_close(faces.log_partition.double(), joint.logsumexp(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(faces.marginals.double(), posterior @ kept, rtol=0, atol=1e-6)
    torch.testing.assert_close(faces.entropy().double(), -(posterior * posterior.log()).sum(-1), rtol=0, atol=1e-6)
    assert torch.equal(faces.mode.double(), kept[joint.argmax(-1)])
    for index, y in enumerate(kept):
        expected = joint[..., index] - joint.logsumexp(-1)
        torch.testing.assert_close(faces.log_prob(y).double(), expected, rtol=0, atol=1e-5)
    assert (faces.batch_shape, faces.event_shape) == (shape, (6,))
    assert torch.equal(faces.mean, faces.marginals)
    torch.testing.assert_close(faces.variance, faces.marginals - faces.marginals**2)


def test_probabilities_of_all_assignments_sum_to_one_and_inconsistent_ones_have_none():
    faces = ConstrainedBernoulli(logits=some_logits(4), rules=RULES)
    log_prob = faces.log_prob(all_assignments()[:, None])
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(4))
    consistent = torch.tensor([satisfied(tuple(y.tolist())) for y in all_assignments()])
    assert torch.equal(log_prob.isneginf(), ~consistent[:, None].expand(-1, 4))
    assert torch.equal(faces.support.check(all_assignments()), consistent)
    assert not faces.support.check(torch.full((6,), 0.5))


def test_zero_one_and_boolean_values_have_the_same_probability():
    faces = ConstrainedBernoulli(logits=some_logits(), rules=RULES)
    y = torch.tensor([1, 0, 0, 1, 0, 1])
    assert faces.log_prob(y.bool()) == faces.log_prob(y.float()) == faces.log_prob(y)


QUANTITIES: dict[str, Callable[[ConstrainedBernoulli], Tensor]] = {
    "log_partition": lambda faces: faces.log_partition,
    "marginals": lambda faces: faces.marginals,
    "entropy": lambda faces: faces.entropy(),
    "log_prob": lambda faces: faces.log_prob(torch.tensor([0.0, 0, 1, 1, 1, 0])),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_are_right(name: str):
    logits = some_logits(3).double().requires_grad_()
    assert gradcheck(lambda x: QUANTITIES[name](ConstrainedBernoulli(logits=x, rules=RULES)), logits)


def test_the_gradient_of_the_log_partition_is_marginal_minus_probability():
    logits = some_logits(4).requires_grad_()
    faces = ConstrainedBernoulli(logits=logits, rules=RULES)
    (gradient,) = torch.autograd.grad(faces.log_partition.sum(), logits)
    torch.testing.assert_close(gradient, (faces.marginals - logits.sigmoid()).detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [15.0, 100.0, 1e4])
@pytest.mark.parametrize("name", QUANTITIES)
def test_extreme_logits_stay_finite_with_finite_gradients(name: str, size: float):
    signs = all_assignments().float() * 2 - 1
    logits = (signs * size).requires_grad_()
    value = QUANTITIES[name](ConstrainedBernoulli(logits=logits, rules=RULES))
    assert value.isfinite().all()
    value.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    if name in ("log_partition", "log_prob"):
        assert (value <= 0).all()


def test_the_log_partition_is_never_above_zero_where_the_one_sided_sum_is():
    schema = Schema.from_names([f"a{index}" for index in range(12)])
    rules = RuleSet.parse(f"at_least_one({', '.join(schema.names)})", schema)
    logits = torch.randn(2000, 12, generator=torch.Generator().manual_seed(0)) * 15
    faces = ConstrainedBernoulli(logits=logits, rules=rules)
    exact = ConstrainedBernoulli(logits=logits.double(), rules=rules).log_partition
    assert (faces.log_partition <= 0).all()
    torch.testing.assert_close(faces.log_partition.double(), exact, rtol=0, atol=1e-5)
    models = rules.components[0].models.float()
    one_sided = (logits @ models.T + F.logsigmoid(-logits).sum(-1, keepdim=True)).logsumexp(-1)
    assert (one_sided > 1e-5).any()  # the trap is real, so this test can fail


def test_a_mode_is_the_true_argmax_even_at_extreme_logits():
    logits = some_logits(200, scale=5000.0)
    faces = ConstrainedBernoulli(logits=logits, rules=RULES)
    kept = torch.stack([y for y in all_assignments() if satisfied(tuple(y.tolist()))])
    # independent attributes: log p differs between assignments by the sum of the logits that are on
    best = (logits.double() @ kept.T).argmax(-1)
    assert torch.equal(faces.mode.double(), kept[best])
    assert not RULES.violations(faces.mode > 0.5).any()


def test_ties_of_the_mode_go_to_the_first_in_binary_order_at_any_batch_size():
    schema = Schema.from_names([f"a{index}" for index in range(20)])
    rules = RuleSet.parse(f"exactly_one({', '.join(schema.names)})", schema)
    for size in (1, 3, 64, 257):
        for level in (0.0, 0.1, -3.3, 7.7):
            mode = ConstrainedBernoulli(logits=torch.full((size, 20), level), rules=rules).mode
            assert torch.equal(mode, F.one_hot(torch.tensor(19), 20).float().expand(size, 20))
    zero = ConstrainedBernoulli(logits=torch.zeros(6), rules=RULES).mode
    assert zero.tolist() == [0, 0, 1, 0, 1, 0]


def test_sums_that_are_equal_tie_whatever_their_order():
    rules = RuleSet.parse("a <-> b\nb <-> c\nd <-> e\ne <-> f\nexactly_one(a, d)", SCHEMA)
    logits = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    mode = ConstrainedBernoulli(logits=torch.cat([logits, logits.roll(1, -1)], -1), rules=rules).mode
    assert torch.equal(mode, torch.tensor([0.0, 0, 0, 1, 1, 1]).expand(500, 6))


def test_samples_are_consistent_and_as_frequent_as_their_probability():
    faces = ConstrainedBernoulli(logits=some_logits(2, scale=1.0), rules=RULES)
    generator = torch.Generator().manual_seed(0)
    drawn = faces.sample((20_000,), generator=generator)
    assert drawn.shape == (20_000, 2, 6)
    assert not RULES.violations(drawn.reshape(-1, 6) > 0.5).any()
    code = (drawn @ torch.tensor([32.0, 16, 8, 4, 2, 1])).long()
    frequency = torch.stack([code[:, face].bincount(minlength=64) for face in range(2)]) / 20_000
    probability = faces.log_prob(all_assignments()[:, None]).exp().T
    deviation = (frequency - probability).abs() / (probability * (1 - probability) / 20_000).sqrt().clamp(min=1e-4)
    assert deviation.max() < 4.5
    assert torch.equal(drawn, faces.sample((20_000,), generator=generator.manual_seed(0)))


def test_a_sample_has_the_shape_that_torch_promises():
    faces = ConstrainedBernoulli(logits=some_logits(2, 3), rules=RULES)
    assert faces.sample().shape == (2, 3, 6)
    assert faces.sample((4, 5)).shape == (4, 5, 2, 3, 6)
    assert faces.sample((0,)).shape == (0, 2, 3, 6)
    assert ConstrainedBernoulli(logits=torch.zeros(6), rules=RULES).sample().shape == (6,)
    assert ConstrainedBernoulli(logits=torch.zeros(0, 6), rules=RULES).sample((3,)).shape == (3, 0, 6)


def test_a_model_of_no_probability_is_never_drawn():
    logits = torch.tensor([1e4, -1e4, -1e4, 1e4, -1e4, 1e4])
    drawn = ConstrainedBernoulli(logits=logits, rules=RULES).sample((5000,))
    assert torch.equal(drawn, torch.tensor([1.0, 0, 0, 1, 0, 1]).expand(5000, 6))


def test_without_rules_it_is_an_independent_bernoulli():
    logits = some_logits(3)
    faces, plain = ConstrainedBernoulli(logits=logits, rules=RuleSet(SCHEMA)), Independent(Bernoulli(logits=logits), 1)
    y = (some_logits(3, seed=1) > 0).float()
    torch.testing.assert_close(faces.log_prob(y), plain.log_prob(y))
    torch.testing.assert_close(faces.entropy(), plain.entropy())
    torch.testing.assert_close(faces.marginals, plain.mean)
    assert torch.equal(faces.log_partition, torch.zeros(3))
    assert torch.equal(faces.mode, (logits > 0).float())


def test_one_group_is_a_categorical_and_its_likelihood_softmax_cross_entropy():
    rules = RuleSet.parse("exactly_one(a, b, c, d, e, f)", SCHEMA)
    logits, target = some_logits(5), torch.tensor([0, 5, 2, 2, 3])
    faces = ConstrainedBernoulli(logits=logits, rules=rules)
    log_prob = faces.log_prob(F.one_hot(target, 6))
    torch.testing.assert_close(-log_prob, F.cross_entropy(logits, target, reduction="none"), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(faces.entropy(), OneHotCategorical(logits=logits).entropy(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(faces.marginals, logits.softmax(-1), rtol=1e-5, atol=1e-6)


def test_half_precision_and_autocast_do_not_reach_the_inside():
    logits = some_logits(64, scale=6.0).bfloat16()
    plain = ConstrainedBernoulli(logits=logits.float(), rules=RULES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        faces = ConstrainedBernoulli(logits=logits, rules=RULES)
        partition, marginals, mode = faces.log_partition, faces.marginals, faces.mode
    assert partition.dtype == marginals.dtype == mode.dtype == torch.float32
    assert torch.equal(partition, plain.log_partition)
    assert torch.equal(marginals, plain.marginals)
    assert torch.equal(mode, plain.mode)


def test_rounded_matrix_products_do_not_reach_the_inside():
    rules = RuleSet.load("celeba")
    logits = torch.randn(256, 40, generator=torch.Generator().manual_seed(0)) * 3
    plain = ConstrainedBernoulli(logits=logits, rules=rules).log_partition
    torch.set_float32_matmul_precision("medium")  # rounds products to bfloat16 where the processor can
    try:
        rounded = ConstrainedBernoulli(logits=logits, rules=rules).log_partition
    finally:
        torch.set_float32_matmul_precision("highest")
    torch.testing.assert_close(rounded, plain, rtol=0, atol=1e-5)


def test_the_result_of_a_face_does_not_depend_on_its_batch():
    logits = some_logits(33)
    whole = ConstrainedBernoulli(logits=logits, rules=RULES)
    for face in range(33):
        alone = ConstrainedBernoulli(logits=logits[face : face + 1], rules=RULES)
        torch.testing.assert_close(alone.log_partition[0], whole.log_partition[face], rtol=0, atol=1e-6)
        assert torch.equal(alone.mode[0], whole.mode[face])


def test_the_order_of_the_attributes_does_not_matter():
    turned = Schema.from_names(reversed(SCHEMA.names))
    rules = RuleSet.parse(RULES.to_text(), turned)
    logits = some_logits(7)
    here = ConstrainedBernoulli(logits=logits, rules=RULES)
    there = ConstrainedBernoulli(logits=logits.flip(-1), rules=rules)
    torch.testing.assert_close(there.log_partition, here.log_partition)
    torch.testing.assert_close(there.marginals.flip(-1), here.marginals)
    assert torch.equal(there.mode.flip(-1), here.mode)


def test_expanding_shares_the_logits():
    faces = ConstrainedBernoulli(logits=some_logits(3), rules=RULES).expand((4, 3))
    assert (faces.batch_shape, faces.event_shape) == ((4, 3), (6,))
    assert faces.log_partition.shape == (4, 3)
    assert faces.sample((2,)).shape == (2, 4, 3, 6)


def test_tables_are_made_once_and_shared_by_equal_rule_sets(engine: type):
    logits = some_logits(2)
    assert {type(each) for each in rule_tables(RULES, logits)} == {engine}
    again = RuleSet.parse(RULES.to_text(), SCHEMA)
    assert rule_tables(RULES, logits) is rule_tables(again, logits)
    assert rule_tables(RULES, logits) is not rule_tables(RULES, logits.double())
    assert rule_tables(RULES, logits).free.tolist() == [5]


def test_summing_by_log_softmax_equals_logsumexp():
    scores = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)).double() * 40
    scores[:, 7] -= 1e30
    scores.requires_grad_()
    torch.testing.assert_close(log_sum_exp(scores), scores.logsumexp(-1))
    gradients = [torch.autograd.grad(f(scores).sum(), scores)[0] for f in (log_sum_exp, lambda x: x.logsumexp(-1))]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(2, 5), r"logits must be \[\.\.\., 6\], one for each attribute of schema 'custom', got \[2, 5\]"),
        (torch.tensor([[0.0, 1, math.nan, 0, 0, 0]]), r"got nan for 'c' at \[0\]"),
        (torch.tensor([0.0, 1, 0, 0, 0, math.nan]), r"got nan for 'f' at \[\]"),
    ],
)
def test_logits_that_cannot_be_meant_are_refused(logits: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        ConstrainedBernoulli(logits=logits, rules=RULES)


def test_values_that_are_not_zero_or_one_are_refused():
    faces = ConstrainedBernoulli(logits=some_logits(2), rules=RULES)
    with pytest.raises(ValueError, match=r"\[\.\.\., 6\], got \[2, 5\]"):
        faces.log_prob(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"0 or 1; .*conditional_loss"):
        faces.log_prob(torch.tensor([1.0, 0, -1, 0, 1, 0]))


def test_contradictory_rules_have_no_distribution():
    faces = ConstrainedBernoulli(logits=torch.zeros(6), rules=RuleSet.parse("a\nnot a", SCHEMA))
    with pytest.raises(UnsatisfiableError, match="no face can satisfy"):
        _ = faces.log_partition


def conditioned(logits: Tensor, agrees: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """``log p(y)`` of the consistent assignments that agree with something known, and these assignments."""
    joint, kept = log_joint(logits)
    chosen = agrees(kept)
    return joint[..., chosen], kept[chosen]


def test_evidence_leaves_the_assignments_that_agree_with_it():
    logits = some_logits(5)
    faces = ConstrainedBernoulli(logits=logits, rules=RULES).condition({"b": False, "d": True, "f": True})
    joint, kept = conditioned(logits, lambda y: (y[:, 1] == 0) & (y[:, 3] == 1) & (y[:, 5] == 1))
    posterior = joint.softmax(-1)
    torch.testing.assert_close(faces.log_partition.double(), joint.logsumexp(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(faces.marginals.double(), posterior @ kept, rtol=0, atol=1e-6)
    torch.testing.assert_close(faces.entropy().double(), -(posterior * posterior.log()).sum(-1), rtol=0, atol=1e-6)
    assert torch.equal(faces.mode.double(), kept[joint.argmax(-1)])
    torch.testing.assert_close(faces.log_prob(kept[:, None]).double(), joint.log_softmax(-1).T, rtol=0, atol=1e-5)
    against = torch.tensor([0.0, 1, 0, 1, 0, 1])  # keeps the rules, but has b
    assert faces.log_prob(against).isneginf().all()
    assert not faces.support.check(against).any()
    drawn = faces.sample((300,), generator=torch.Generator().manual_seed(0))
    assert faces.support.check(drawn).all()


def test_evidence_may_differ_from_face_to_face_and_be_added_to():
    logits = some_logits(4)
    prior = ConstrainedBernoulli(logits=logits, rules=RULES)
    has_a = torch.tensor([True, False, True, False])
    faces = prior.condition({"a": has_a}).condition({"e": False})
    for face, shown in enumerate(has_a.tolist()):
        alone = ConstrainedBernoulli(logits=logits[face], rules=RULES).condition({"a": shown, "e": False})
        torch.testing.assert_close(faces.marginals[face], alone.marginals)
    assert torch.equal(faces.marginals[:, 0], has_a.float())
    assert (faces.marginals[:, 3] == 1).all()  # d or e
    assert torch.equal(faces.expand((2, 4)).marginals[1], faces.marginals)
    assert prior.evidence is None


def test_evidence_that_the_rules_or_earlier_evidence_contradict_is_refused_by_name():
    faces = ConstrainedBernoulli(logits=some_logits(2), rules=RULES)
    with pytest.raises(UnsatisfiableError, match="d or e") as caught:
        faces.condition({"d": torch.tensor([True, False]), "e": False, "f": True})
    assert caught.value.rules == ("d or e", "not d", "not e")
    with pytest.raises(UnsatisfiableError) as caught:
        faces.condition({"a": True}).condition({"a": False})
    assert caught.value.rules == ("a", "not a")
    with pytest.raises(KeyError, match="unknown attribute 'g'"):
        faces.condition({"g": True})


def test_divergence_equals_its_sum_over_all_assignments_and_is_zero_from_itself():
    logits, others = some_logits(5), some_logits(5, seed=1)
    p, q = (ConstrainedBernoulli(logits=each, rules=RULES) for each in (logits, others))
    here, there = (log_joint(each)[0].log_softmax(-1) for each in (logits, others))
    expected = (here.exp() * (here - there)).sum(-1)
    torch.testing.assert_close(kl_divergence(p, q).double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(kl_divergence(p, p), torch.zeros(5), rtol=0, atol=1e-6)
    leaf = logits.double().requires_grad_()
    fixed = ConstrainedBernoulli(logits=others.double(), rules=RULES)
    assert gradcheck(lambda x: kl_divergence(ConstrainedBernoulli(logits=x, rules=RULES), fixed), leaf)


def test_what_evidence_tells_is_the_divergence_that_it_makes_and_too_much_of_it_is_infinite():
    prior = ConstrainedBernoulli(logits=some_logits(5), rules=RULES)
    known = prior.condition({"c": True, "f": False})
    told = prior.log_partition - known.log_partition  # -log p(evidence | rules)
    torch.testing.assert_close(kl_divergence(known, prior), told, rtol=0, atol=1e-5)
    assert kl_divergence(prior, known).isinf().all()
    assert kl_divergence(known, known.condition({"a": False, "b": False})).isfinite().all()  # c says so already


def test_divergence_under_different_rules_is_refused():
    other = RuleSet.parse("a -> b", SCHEMA)
    p, q = (ConstrainedBernoulli(logits=some_logits(2), rules=rules) for rules in (RULES, other))
    with pytest.raises(ValueError, match="same rules, got 3 rules over 'custom'"):
        kl_divergence(p, q)
