"""Scores to probabilities, against optimisers that know nothing of it."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.modules.calibration import LEAST_SLOPE, PULL, log_likelihood, matrix_scaling, platt_scaling, soft_logit

Drawn = tuple[Tensor, Tensor]


def drawn(faces: int = 200, noise: float = 0.3, seed: int = 0) -> Drawn:
    """Scores and labels of four attributes, frequent and rare, one label in five undefined."""
    draw = torch.Generator().manual_seed(seed)
    shown = torch.rand(faces, 4, generator=draw) < torch.tensor([0.5, 0.1, 0.02, 0.9])
    labels = torch.where(shown, 1, -1).to(torch.int8)
    labels[torch.rand(faces, 4, generator=draw) < 0.2] = 0
    scores = 0.6 * shown + noise * torch.randn(faces, 4, generator=draw)
    return scores.double(), labels


def smoothed(labels: np.ndarray) -> np.ndarray:
    yes, no = (labels == 1).sum(), (labels == -1).sum()
    return np.where(labels == 1, (yes + 1) / (yes + 2), 1 / (no + 2))


def loss(slope: float, offset: float, scores: np.ndarray, targets: np.ndarray) -> float:
    logits = slope * scores + offset
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def one_by_one(scores: Tensor, labels: Tensor) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Scores, labels and smoothed targets of each attribute, where it is defined."""
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        kept = label[label != 0].numpy()
        found.append((score[label != 0].numpy(), kept, smoothed(kept)))
    return found


def test_without_the_least_slope_it_is_scikit_learn_s_logistic_regression_on_both_answers_of_each_face() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    scores, labels = drawn(1000, 0.2)
    slope, offset = platt_scaling(scores, labels)
    for number, (score, _, targets) in enumerate(one_by_one(scores, labels)):
        assert slope[number] > LEAST_SLOPE / (targets.mean() * (1 - targets.mean()))
        # a face with the target 0.9 is nine tenths of a yes and a tenth of a no
        model = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
        yes = np.repeat([1, 0], len(score))
        model.fit(np.tile(score, 2)[:, None], yes, sample_weight=np.concatenate([targets, 1 - targets]))
        np.testing.assert_allclose(slope[number], model.coef_[0, 0], rtol=1e-4)
        np.testing.assert_allclose(offset[number], model.intercept_[0], rtol=1e-4)


@pytest.mark.parametrize("faces", [5, 20, 1000])
@pytest.mark.parametrize(("noise", "scale", "shift"), [(0.001, 1, 0), (0.05, 1, 0), (0.3, 1e-3, 5), (3.0, 1, 0)])
def test_nothing_within_the_bound_is_more_likely(faces: int, noise: float, scale: float, shift: float) -> None:
    """Labels that can be parted among them, scores far from 0 and scores that say nothing."""
    scores, labels = drawn(faces, noise)
    scores = scores * scale + shift
    slope, offset = platt_scaling(scores, labels, undefined=0)
    for number, (score, _, targets) in enumerate(one_by_one(scores, labels)):
        centre, deviation = score.mean(), max(score.std(), 1e-9)
        least = LEAST_SLOPE / (targets.mean() * (1 - targets.mean()))
        best = minimize(
            lambda at, s=(score - centre) / deviation, t=targets: loss(at[0], at[1], s, t),
            [1.0, 0.0],
            bounds=[(least * deviation, None), (None, None)],
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
        )
        assert slope[number] >= least * (1 - 1e-9)
        assert loss(slope[number].item(), offset[number].item(), score, targets) <= best.fun * (1 + 1e-6)


def test_scores_that_run_against_their_labels_keep_their_order_and_the_share_of_yes() -> None:
    scores, labels = drawn()
    slope, offset = platt_scaling(-scores, labels)
    for number, (score, _, targets) in enumerate(one_by_one(-scores, labels)):
        share = targets.mean()
        np.testing.assert_allclose(slope[number], LEAST_SLOPE / (share * (1 - share)))
        found = torch.sigmoid(slope[number] * torch.from_numpy(score) + offset[number]).mean()
        np.testing.assert_allclose(found, share)


def test_what_never_varies_gets_its_smoothed_share_and_what_is_undefined_one_half() -> None:
    labels = torch.tensor([[1, -1, 1, 0], [1, -1, -1, 0], [1, -1, 1, 0]], dtype=torch.int8)
    scores = torch.tensor([0.7, 0.7, 0.7, 0.5]).double().expand(3, 4)
    slope, offset = platt_scaling(scores, labels)
    share = np.array([4 / 5, 1 / 5, (3 / 4 + 1 / 3 + 3 / 4) / 3, 0.5])
    np.testing.assert_allclose(torch.sigmoid(slope * scores[0] + offset), share)
    np.testing.assert_allclose(slope, LEAST_SLOPE / (share * (1 - share)))


def test_the_log_likelihood_is_that_of_the_defined_labels_one_by_one() -> None:
    scores, labels = drawn(60)
    slope, offset = platt_scaling(scores, labels)
    terms = []
    for face in range(60):
        for attr in range(4):
            if labels[face, attr]:
                yes = 1 / (1 + np.exp(-(slope[attr] * scores[face, attr] + offset[attr]).item()))
                terms.append(np.log(yes if labels[face, attr] == 1 else 1 - yes))
    assert log_likelihood(scores, labels) == pytest.approx(np.mean(terms))
    assert log_likelihood(scores, torch.zeros_like(labels)) == 0


def test_the_soft_logit_is_the_logit_inside_and_its_tangent_outside() -> None:
    inside = torch.linspace(0.02, 0.98, 50, dtype=torch.float64)
    torch.testing.assert_close(soft_logit(inside), torch.log(inside / (1 - inside)))
    everywhere = soft_logit(torch.linspace(-2, 3, 5001, dtype=torch.float64))
    assert everywhere.isfinite().all()
    assert (everywhere.diff() > 0).all()
    torch.testing.assert_close(everywhere, -everywhere.flip(0))
    edges = torch.tensor([0.02, 0.98], dtype=torch.float64)
    small = 1e-6
    before, after = soft_logit(edges) - soft_logit(edges - small), soft_logit(edges + small) - soft_logit(edges)
    torch.testing.assert_close(before, after, rtol=1e-3, atol=0)
    assert torch.autograd.gradcheck(soft_logit, torch.tensor([-1.0, 0.3, 1.5], dtype=torch.float64, requires_grad=True))


# the labels of one choice


def choices(faces: int, kinds: int = 3, seed: int = 0) -> Drawn:
    """A position on a line for each face, its bin, and the scores of one-against-all regressions of the bins on it."""
    position = torch.rand(faces, 1, generator=torch.Generator().manual_seed(seed)).double()
    chosen = (position[:, 0] * kinds).long()
    basis = torch.cat([position, position**2, torch.ones_like(position)], dim=1)
    labels = torch.nn.functional.one_hot(chosen, kinds).double()
    noise = 0.02 * torch.randn(faces, kinds, generator=torch.Generator().manual_seed(seed + 1))
    return basis @ torch.linalg.lstsq(basis, labels).solution + noise, chosen


def start(kinds: int) -> Drawn:
    return torch.linspace(1, 2, kinds).double(), torch.linspace(-1, 0, kinds).double()


@pytest.mark.parametrize("kinds", [2, 4])
def test_without_the_pull_matrix_scaling_is_scikit_learn_s_multinomial_regression(kinds: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    draw = torch.Generator().manual_seed(0)
    chosen = torch.randint(kinds, (400,), generator=draw)
    scores = torch.nn.functional.one_hot(chosen, kinds) + torch.randn(400, kinds, generator=draw).double()
    weight, offset = matrix_scaling(scores, chosen, *start(kinds), pull=1e-6)
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(scores, chosen)
    found = torch.softmax(scores @ weight.T + offset, dim=1)
    np.testing.assert_allclose(found, model.predict_proba(scores), atol=1e-3)


@pytest.mark.parametrize("none", [False, True])
def test_nothing_near_the_matrix_is_better(none: bool) -> None:
    """The penalised likelihood, face by face in numpy, at the solution and beside it."""
    scores, chosen = choices(60)
    if none:
        chosen[:20] = 3
    slope, offset = start(3)
    middle, deviation = scores.numpy().mean(0), scores.numpy().std(0)

    def loss(weight: np.ndarray, level: np.ndarray) -> float:
        total = 0.0
        for score, kind in zip(scores.numpy(), chosen.numpy(), strict=True):
            logits = weight @ score + level
            logits = np.append(logits, 0.0) if none else logits
            total += np.log(np.exp(logits).sum()) - logits[kind]
        unit = (weight - np.diag(slope)) * deviation
        shift = (level + weight @ middle) - (offset.numpy() + slope.numpy() * middle)
        return total + PULL / 2 * ((unit**2).sum() + (shift**2).sum())

    weight, level = (each.numpy() for each in matrix_scaling(scores, chosen, slope, offset))
    least = loss(weight, level)
    assert least < loss(np.diag(slope), offset.numpy()) - 1
    draw = np.random.default_rng(0)
    for _ in range(20):
        beside = weight + 1e-2 * draw.standard_normal((3, 3)), level + 1e-2 * draw.standard_normal(3)
        assert loss(*beside) > least


def test_the_scores_of_a_choice_tell_more_together_than_each_by_itself() -> None:
    """Seven bins along a line, seen with noise: on other faces than those that it was fitted on."""
    draw = torch.Generator().manual_seed(0)
    position = torch.rand(4000, 1, generator=draw).double()
    chosen = ((position[:, 0] + 0.1 * torch.randn(4000, generator=draw)).clamp(0, 0.999) * 7).long()
    line, one_hot = torch.cat([position, torch.ones_like(position)], dim=1), torch.nn.functional.one_hot(chosen, 7)
    scores = line @ torch.linalg.lstsq(line, one_hot.double()).solution
    fitted, others = slice(2000), slice(2000, None)
    slope, offset = platt_scaling(scores[fitted], torch.where(one_hot == 1, 1, -1).to(torch.int8)[fitted])
    weight, level = matrix_scaling(scores[fitted], chosen[fitted], slope, offset)
    by_itself, together = scores * slope + offset, scores @ weight.T + level
    right = [(logits.argmax(1) == chosen)[others].double().mean() for logits in (by_itself, together)]
    loss = [torch.nn.functional.cross_entropy(logits[others], chosen[others]) for logits in (by_itself, together)]
    assert right[1] > right[0] + 0.01
    assert loss[1] < loss[0] - 0.1


def test_few_faces_and_scores_that_never_vary_stay_at_the_start() -> None:
    scores, chosen = choices(2)
    slope, offset = start(3)
    weight, _ = matrix_scaling(scores, chosen, slope, offset, pull=1e9)
    torch.testing.assert_close(weight, torch.diag(slope), atol=1e-4, rtol=0)
    weight, level = matrix_scaling(torch.ones(500, 3).double(), torch.arange(500) % 4 % 3, slope, offset)
    assert weight.isfinite().all()
    assert (torch.ones(3).double() @ weight.T + level).argmax() == 0, "half of the faces"


@pytest.mark.usefixtures("types_unchecked")
def test_what_cannot_be_calibrated_is_refused() -> None:
    scores, labels = torch.rand(4, 2).double(), torch.tensor([[1, -1], [-1, 1]] * 2, dtype=torch.int8)
    for some, match in ((scores * torch.nan, "finite"), (scores * 1e200, "finite"), (scores[:3], "the labels want")):
        with pytest.raises(InputError, match=match):
            platt_scaling(some, labels)
    slope, offset = torch.ones(2).double(), torch.zeros(2).double()
    for chosen, pull in (([0, 1, 3, 1], 1.0), ([0, -1, 1, 1], 1.0), ([0, 1, 0, 1], -1.0)):
        with pytest.raises(InputError, match="choices from 0 to 2"):
            matrix_scaling(scores, torch.tensor(chosen), slope, offset, pull=pull)
    with pytest.raises(InputError, match="at least one face"):
        matrix_scaling(scores[:0], torch.zeros(0, dtype=torch.int64), slope, offset)
