"""The co-occurrence gain, against loops over its formula and against conditioning a Gaussian."""

import numpy as np
import pytest
import torch
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema, UnknownAttributeError
from faceinsight.modules.calibration import log_likelihood
from faceinsight.modules.cooccurrence import JITTER, LEAST_SLOPE, CooccurrenceGain, fit_score_model, wiener_gain

NAMES = ["Bald", "Beard", "Lipstick", "Male", "Smiling"]


def shown(faces: int, seed: int = 0) -> Tensor:
    """Labels of which all but the last go together, some of them the other way round."""
    draw = torch.Generator().manual_seed(seed)
    common = torch.randn(faces, 1, generator=draw) * torch.tensor([0.7, 1.0, -1.5, 2.0, 0.0])
    return common + torch.randn(faces, 5, generator=draw) > torch.tensor([1.5, 1.0, 0.2, 0.0, -0.3])


def graph(order: list[int] = [*range(5)]) -> LabelGraph:  # noqa: B006  # never changed
    return LabelGraph.from_labels(shown(2000)[:, order], Schema.from_names([NAMES[each] for each in order]))


def observed(faces: int = 300, noise: float = 0.4, undefined: float = 0.2, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Scores of other faces than those of the graph, and their labels."""
    truth, draw = shown(faces, seed), torch.Generator().manual_seed(seed)
    slope = torch.tensor([0.3, 0.5, 0.7, 0.9, 0.4])
    scores = 0.1 + slope * truth + noise * slope * torch.randn(faces, 5, generator=draw)
    labels = torch.where(truth, 1, -1).to(torch.int8)
    labels[torch.rand(faces, 5, generator=draw) < undefined] = 0
    return scores.double(), labels


def conditioned(gain: CooccurrenceGain, scores: Tensor, asked: list[int], heard: list[int]) -> np.ndarray:
    """The mean of the asked labels given the heard scores, both jointly normal: by numpy, from the joint covariance."""
    mean, covariance = gain.graph.mean.numpy(), gain.graph.covariance.numpy()
    slope = np.diag(gain.slope.numpy()[heard])
    within = slope @ covariance[np.ix_(heard, heard)] @ slope + np.diag(gain.noise.numpy()[heard])
    across = covariance[np.ix_(asked, heard)] @ slope
    off = scores.numpy()[:, heard] - (gain.intercept.numpy()[heard] + slope @ mean[heard])
    return mean[asked] + off @ np.linalg.inv(within) @ across.T


# how scores follow from labels


def test_slope_intercept_and_noise_are_those_of_a_straight_line_through_the_defined_faces() -> None:
    scores, labels = observed()
    model = fit_score_model(scores, labels)
    for attr in range(5):
        kept = (labels[:, attr] != 0).numpy()
        truth, score = (labels[kept, attr] == 1).double().numpy(), scores[kept, attr].numpy()
        slope, intercept = np.polyfit(truth, score, 1)
        assert model.slope[attr] == pytest.approx(slope)
        assert model.intercept[attr] == pytest.approx(intercept)
        assert model.noise[attr] == pytest.approx((score - slope * truth - intercept).var() + JITTER)


def test_a_score_that_runs_against_its_label_counts_a_little_and_an_untold_one_not_at_all() -> None:
    scores, labels = observed()
    labels[:, 1], labels[:, 2] = 0, 1
    scores[:, 0] *= -1
    model = fit_score_model(scores, labels)
    assert model.slope[:3].tolist() == [LEAST_SLOPE, 0, 0]
    kept = labels[:, 0] != 0
    share = (labels[kept, 0] == 1).double().mean()
    assert model.intercept[0] == pytest.approx(float(scores[kept, 0].mean() - LEAST_SLOPE * share))
    assert (model.noise > 0).all()


# the gain


def test_the_gain_is_its_formula() -> None:
    gain = CooccurrenceGain(graph=graph())
    covariance, slope = gain.covariance.numpy(), np.diag([0.3, 0.0, 0.7, 0.9, 0.4])
    noise = np.diag([0.1, 0.2, 0.3, 0.1, 0.05])
    expected = covariance[:2] @ slope @ np.linalg.inv(slope @ covariance @ slope + noise)
    given = (torch.from_numpy(each.diagonal().copy()) for each in (slope, noise))
    found = wiener_gain(gain.covariance[:2], gain.covariance, *given)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_every_estimate_is_the_formula_as_loops() -> None:
    scores, labels = observed()
    gain = CooccurrenceGain(graph=graph(), amounts=[0.5])
    gain.fit(scores, labels)
    mean, covariance = gain.graph.mean, gain.graph.covariance
    halved = [[covariance[i, j].item() * (1 if i == j else 0.5) for j in range(5)] for i in range(5)]
    slope, noise = gain.slope.tolist(), gain.noise.tolist()
    within = [[slope[i] * halved[i][j] * slope[j] + (noise[i] if i == j else 0) for j in range(5)] for i in range(5)]
    inverse = np.linalg.inv(within)
    for face, row in enumerate(gain(scores[:4])):
        for i in range(5):
            estimate = float(mean[i])
            for j in range(5):
                weight = sum(halved[i][k] * slope[k] * inverse[k][j] for k in range(5))
                estimate += weight * float(scores[face, j] - gain.intercept[j] - slope[j] * mean[j])
            assert float(row[i]) == pytest.approx(estimate)


def test_taken_whole_it_is_the_conditional_mean_of_a_gaussian() -> None:
    scores, labels = observed()
    gain = CooccurrenceGain(graph=graph(), amounts=[1.0])
    gain.fit(scores, labels)
    np.testing.assert_allclose(gain(scores), conditioned(gain, scores, [*range(5)], [*range(5)]), atol=1e-10)


def test_the_convolution_is_the_dense_product_in_either_precision_and_for_any_batch() -> None:
    scores, _ = observed()
    gain = CooccurrenceGain(graph=graph(), observed=NAMES[1:], asked=NAMES)
    expected_score = gain.intercept + gain.slope * gain.mean[1:]
    dense = gain.mean + (scores[:, 1:] - expected_score) @ gain.gain().T
    torch.testing.assert_close(gain(scores[:, 1:]), dense)
    torch.testing.assert_close(gain(scores[:, 1:].float()), dense.float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(gain(scores[:6, 1:].reshape(2, 3, 4)), dense[:6].reshape(2, 3, 5))
    torch.testing.assert_close(gain(scores[0, 1:]), dense[0])
    torch.testing.assert_close(torch.cat([gain(row[None]) for row in scores[:5, 1:]]), dense[:5])


def test_a_model_in_half_precision_has_a_gain_too() -> None:
    scores, labels = observed()
    gain = CooccurrenceGain(graph=graph())
    gain.fit(scores, labels)
    expected = gain(scores)
    found = gain.to(torch.bfloat16)(scores.to(torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, atol=0.1, rtol=0)


def test_before_anything_is_fitted_a_score_is_an_estimate_with_as_much_noise_as_its_label_varies() -> None:
    gain = CooccurrenceGain(graph=graph().identity())
    scores, _ = observed(5)
    torch.testing.assert_close(gain(scores), gain.mean + (scores - gain.mean) / 2, atol=1e-3, rtol=0)


# controls


def test_with_the_identity_graph_an_estimate_hears_only_its_own_score() -> None:
    scores, labels = observed()
    gain = CooccurrenceGain(graph=graph().identity())
    gain.fit(scores, labels)
    assert torch.equal(gain.gain(), torch.diag(gain.gain().diagonal()))
    for amount in (0.0, 1.0):
        assert torch.equal(gain.gain(amount), gain.gain())
    without = CooccurrenceGain(graph=graph(), amounts=[0.0])
    without.fit(scores, labels)
    torch.testing.assert_close(without(scores), gain(scores))


def test_the_true_graph_helps_where_scores_are_noisy_and_a_shuffled_one_harms() -> None:
    scores, labels = observed(noise=1.5)
    likelihood = {}
    for name, each in {"true": graph(), "identity": graph().identity(), "shuffled": graph().shuffled(0)}.items():
        gain = CooccurrenceGain(graph=each, amounts=[1.0])
        likelihood[name] = gain.fit(scores, labels)[1.0]
    assert likelihood["true"] > likelihood["identity"] > likelihood["shuffled"]


# how much of the graph is taken


def test_the_amount_is_the_one_of_greatest_likelihood_none_of_a_wrong_graph_and_clear_scores_need_no_graph() -> None:
    taken, spread = {}, {}
    for name, each, noise in [
        ("noisy", graph(), 1.5),
        ("wrong", graph().shuffled(0), 1.5),
        ("clear", graph(), 0.05),
    ]:
        scores, labels = observed(noise=noise)
        gain = CooccurrenceGain(graph=each)
        choices = gain.fit(scores, labels)
        for amount, likelihood in choices.items():
            alone = CooccurrenceGain(graph=each, amounts=[amount])
            assert alone.fit(scores, labels) == {amount: likelihood}
            assert log_likelihood(alone(scores), labels) == pytest.approx(likelihood)
        assert gain.amount == max(choices, key=lambda amount: choices[amount])
        taken[name], spread[name] = gain.amount.item(), max(choices.values()) - min(choices.values())
    assert taken["noisy"] > 0
    assert taken["wrong"] == 0
    assert spread["clear"] < 0.001 < spread["noisy"]


# attributes that no face is labelled with


def test_an_attribute_that_was_never_labelled_is_told_by_all_others_and_tells_nobody() -> None:
    scores, labels = observed()
    labels[:, 2], labels[:, 4] = 0, -1
    gain = CooccurrenceGain(graph=graph(), amounts=[0.25])
    gain.fit(scores, labels)
    assert gain.told.tolist() == [True, True, False, True, False]
    expected = conditioned(gain, scores, [2, 4], [0, 1, 3])
    np.testing.assert_allclose(gain(scores)[:, [2, 4]], expected, atol=1e-10)
    changed = scores.clone()
    changed[:, [2, 4]] += 5
    torch.testing.assert_close(gain(changed), gain(scores), atol=1e-12, rtol=0)
    kept = labels[:, 2] == 0
    together = np.corrcoef(gain(scores)[kept, 2], shown(300, 1)[kept, 2])[0, 1]
    assert together > 0.4, "lipstick is told by beard and sex"


def test_attributes_beyond_the_observed_are_conditioned_on_these() -> None:
    scores, labels = observed()
    known = [NAMES[each] for each in (0, 1, 3)]
    fitted = CooccurrenceGain(graph=graph(), observed=known, amounts=[1.0])
    fitted.fit(scores[:, [0, 1, 3]], labels[:, [0, 1, 3]])
    asked = CooccurrenceGain(graph=graph(), observed=known, asked=["Smiling", "Lipstick", "Male"])
    asked.load_state_dict(fitted.state_dict())
    assert asked.told.tolist() == [False, False, True]
    whole = CooccurrenceGain(graph=graph())  # numbers of all five, for the independent road
    for name in ("slope", "intercept", "noise"):
        getattr(whole, name)[[0, 1, 3]] = getattr(fitted, name)
    expected = conditioned(whole, scores, [4, 2, 3], [0, 1, 3])
    np.testing.assert_allclose(asked(scores[:, [0, 1, 3]]), expected, atol=1e-10)


def test_permuting_the_attributes_permutes_the_estimates() -> None:
    order = [3, 0, 4, 2, 1]
    scores, labels = observed()
    gain, turned = CooccurrenceGain(graph=graph()), CooccurrenceGain(graph=graph(order))
    gain.fit(scores, labels)
    turned.fit(scores[:, order], labels[:, order])
    assert turned.amount == gain.amount
    torch.testing.assert_close(turned(scores[:, order]), gain(scores)[:, order])
    by_name = CooccurrenceGain(graph=graph(order), observed=NAMES)
    by_name.fit(scores, labels)
    torch.testing.assert_close(by_name(scores), gain(scores))


# trained further


def test_a_trained_gain_starts_where_the_fit_puts_it_and_every_weight_has_a_gradient() -> None:
    scores, labels = observed()
    fixed, trained = CooccurrenceGain(graph=graph()), CooccurrenceGain(graph=graph(), trained=True)
    torch.testing.assert_close(trained(scores), fixed(scores), atol=1e-6, rtol=0)
    assert trained.fit(scores, labels) == fixed.fit(scores, labels)
    torch.testing.assert_close(trained(scores), fixed(scores), atol=1e-6, rtol=0)
    assert not list(fixed.parameters())
    trained(scores).square().sum().backward()
    assert trained.weight.grad.all()
    with torch.no_grad():
        trained.weight[0, 1] += 1
    assert (trained(scores) != fixed(scores)).any(0).tolist()[0]


def test_the_gradient_is_that_of_finite_differences() -> None:
    scores, _ = observed(4)
    gain = CooccurrenceGain(graph=graph(), asked=NAMES[:2], trained=True).double()
    given = scores.requires_grad_()
    assert torch.autograd.gradcheck(gain, given)
    assert torch.autograd.gradcheck(lambda weight: gain._estimate(given, weight), gain.weight)


# bad input


@pytest.mark.usefixtures("types_unchecked")
def test_what_is_no_gain_is_refused() -> None:
    for amounts in ([], [-0.1], [0.5, 1.5], [torch.nan]):
        with pytest.raises(InputError, match="shares from 0 to 1"):
            CooccurrenceGain(graph=graph(), amounts=amounts)
    for names in ({"observed": ["Bald", "Hat"]}, {"asked": ["Bald", "Hat"]}):
        with pytest.raises(UnknownAttributeError, match="Hat"):
            CooccurrenceGain(graph=graph(), **names)
    for twice in ({"observed": ["Bald", "Bald"]}, {"asked": ["Bald", "Bald"]}, {"observed": "Bald"}):
        with pytest.raises(InputError, match="each of them once"):
            CooccurrenceGain(graph=graph(), **twice)
    gain = CooccurrenceGain(graph=graph())
    with pytest.raises(InputError, match=r"observes 5 attributes, got scores \[3, 4\]"):
        gain(torch.zeros(3, 4))
    scores, labels = observed(9)
    for some, match in ((scores[:, :4], "observes 5"), (scores[:4], "observes 5"), (scores * torch.nan, "not finite")):
        with pytest.raises(InputError, match=match):
            gain.fit(some, labels)
    partly = CooccurrenceGain(graph=graph(), asked=NAMES[:3])
    with pytest.raises(InputError, match=r"does not ask for \['Male', 'Smiling'\]"):
        partly.fit(*observed(9))


@pytest.mark.parametrize("still", [1, -1, 0])
def test_a_graph_of_labels_that_never_vary_silences_no_score_that_does(still: int) -> None:
    table = torch.where(shown(2000), 1, -1).to(torch.int8)
    table[:, 3] = still
    gain = CooccurrenceGain(graph=LabelGraph.from_labels(table, Schema.from_names(NAMES), undefined=0))
    scores, labels = observed()
    gain.fit(scores, labels)
    assert gain.gain()[3].tolist() == [0, 0, 0, 1, 0], "the graph says nothing of it: its own score"
    moved = gain(scores)[:, 3] - scores[:, 3]
    torch.testing.assert_close(moved, moved[:1].expand(len(moved)))
    labels[:, 3] = 0  # without labels there is no score to silence
    gain.fit(scores, labels)
    assert gain(scores).isfinite().all()
