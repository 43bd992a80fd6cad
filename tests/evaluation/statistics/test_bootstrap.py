"""The paired bootstrap against loops over resampled faces, scikit-learn, and simulations whose truth is known."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from torch import Tensor

from faceinsight.evaluation.statistics.bootstrap import check_runs, face_weights, holm, paired_bootstrap
from faceinsight.evaluation.statistics.scores import METRICS
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling", "Hat"])
RULES = RuleSet.parse("Bald -> not Bangs\nBangs -> not Hat", SCHEMA)
Runs = dict[str, dict[int, Tensor]]

pytestmark = pytest.mark.usefixtures("one_thread")


def made_up(faces: int = 60, noise: float = 0.5) -> tuple[Runs, Tensor]:
    """Two variants with two seeds, the second one worse; ties and undefined labels among them."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(faces, 4, generator=generator) < 0.4).to(torch.int8) * 2 - 1
    runs: Runs = {"full": {}, "image only": {}}
    for variant, scale in (("full", 1.0), ("image only", 2.0)):
        for seed in range(2):
            drift = noise * scale * torch.randn(faces, 4, generator=generator)
            runs[variant][seed] = ((0.5 + 0.25 * labels + drift).clamp(0, 1) * 20).round() / 20
    labels[torch.rand(faces, 4, generator=generator) < 0.15] = 0
    return runs, labels


#: Metrics that a resample tells by itself; the pairs of the other are chosen once, see
#: tests/metrics/test_attributes.py.
LOOPED = tuple(name for name in METRICS if name != "contradicting_accuracy")


def looped(probability: Tensor, labels: Tensor, chosen: Tensor) -> dict[str, float]:
    """Every metric of the chosen faces (repeated as drawn), one attribute at a time, without the library's metrics."""
    p, y = probability[chosen].double().numpy(), labels[chosen].numpy()
    decided = np.where(p > 0.5, 1, -1)
    bald, bangs, _, hat = (decided[:, attr] == 1 for attr in range(4))
    broken = (bald & bangs) | (bangs & hat)
    columns: dict[str, list[float]] = {name: [] for name in LOOPED}
    for attr in range(4):
        keep = y[:, attr] != 0
        if keep.any():
            right = decided[keep, attr] == y[keep, attr]
            columns["accuracy"].append(right.mean())
            columns["logical_accuracy"].append((right & ~broken[keep]).mean())
        truth, score = y[keep, attr] == 1, p[keep, attr]
        if truth.any() and not truth.all():
            columns["balanced_accuracy"].append(balanced_accuracy_score(truth, score > 0.5))
            columns["average_precision"].append(average_precision_score(truth, score))
            columns["auroc"].append(roc_auc_score(truth, score))
    labelled = (y != 0).any(1)
    columns["exact_match"] = [((decided == y) | (y == 0)).all(1)[labelled].mean()]
    columns["violation_rate"] = [broken.mean()]
    return {name: float(np.mean(values)) for name, values in columns.items()}


def average(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in scores])) for name in LOOPED}


def drawn_faces(weight: Tensor) -> Tensor:
    return torch.arange(len(weight)).repeat_interleave(weight.long())


@pytest.mark.parametrize("clustered", [False, True])
def test_estimates_and_differences_equal_loops_over_resampled_faces(clustered: bool) -> None:
    runs, labels = made_up()
    clusters = torch.arange(60) // 3 if clustered else None
    found = paired_bootstrap(runs, labels, {"image only": "full"}, rules=RULES, clusters=clusters, resamples=15, seed=5)
    weights = face_weights(60, resamples=15, seed=5, clusters=clusters)
    resampled = {
        variant: [average([looped(each, labels, drawn_faces(row)) for each in by_seed.values()]) for row in weights]
        for variant, by_seed in runs.items()
    }
    on_all = {
        variant: {seed: looped(each, labels, torch.arange(60)) for seed, each in by_seed.items()}
        for variant, by_seed in runs.items()
    }
    compared = found.comparisons_of("image only")
    for name in LOOPED:
        for variant in runs:
            estimate = found.estimates[variant][name]
            by_hand = {seed: each[name] for seed, each in on_all[variant].items()}
            draws = [each[name] for each in resampled[variant]]
            assert estimate.by_seed == pytest.approx(by_hand, abs=1e-9)
            assert estimate.value == pytest.approx(np.mean(list(by_hand.values())), abs=1e-9)
            assert (estimate.low, estimate.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-6)
        draws = np.array([a[name] - b[name] for a, b in zip(*map(resampled.get, ("image only", "full")), strict=True)])
        difference = compared[name]
        assert difference.difference == pytest.approx(
            found.estimates["image only"][name].value - found.estimates["full"][name].value
        )
        assert (difference.low, difference.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-6)
        assert difference.p == pytest.approx(min(1, 2 * (min((draws <= 1e-9).sum(), (draws >= -1e-9).sum()) + 1) / 16))
        factor = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
        assert factor == pytest.approx(2.80, abs=0.005)
        assert difference.detectable == pytest.approx(factor * draws.std(ddof=1), abs=1e-6)
    assert len(compared) == len(METRICS) == len(LOOPED) + 1 == 8


def test_weights_are_multinomial_counts_from_the_seed() -> None:
    weights = face_weights(50, resamples=4000, seed=1)
    assert weights.shape == (4000, 50)
    assert (weights.sum(1) == 50).all()
    assert weights.mean(0).sub(1).abs().max() < 0.1
    assert weights.var(0).mean().item() == pytest.approx(1 - 1 / 50, abs=0.02)
    assert torch.equal(weights, face_weights(50, resamples=4000, seed=1))
    assert not torch.equal(weights, face_weights(50, resamples=4000, seed=2))


def test_faces_of_one_identity_are_drawn_together() -> None:
    clusters = torch.tensor([7, 3, 7, 7, 90, 3])
    weights = face_weights(6, resamples=200, seed=0, clusters=clusters)
    assert torch.equal(weights[:, 0], weights[:, 2])
    assert torch.equal(weights[:, 0], weights[:, 3])
    assert torch.equal(weights[:, 1], weights[:, 5])
    assert (weights[:, [0, 1, 4]].sum(1) == 3).all()
    assert weights.sum(1).unique().numel() > 1


def test_doubled_faces_narrow_the_interval_unless_they_are_clustered() -> None:
    runs, labels = made_up(faces=80)
    twice = {variant: {seed: p.repeat(2, 1) for seed, p in by_seed.items()} for variant, by_seed in runs.items()}
    single = paired_bootstrap(runs, labels, {}, resamples=800)
    naive = paired_bootstrap(twice, labels.repeat(2, 1), {}, resamples=800)
    honest = paired_bootstrap(twice, labels.repeat(2, 1), {}, clusters=torch.arange(80).repeat(2), resamples=800)
    spans = [
        each.estimates["full"]["accuracy"].high - each.estimates["full"]["accuracy"].low
        for each in (single, naive, honest)
    ]
    assert spans[2] == pytest.approx(spans[0])  # the same draws of the same identities
    assert spans[1] == pytest.approx(spans[0] / math.sqrt(2), rel=0.15)
    assert (honest.faces, honest.clusters, naive.clusters) == (160, 80, 160)


def test_a_variant_compared_with_its_twin_differs_by_nothing() -> None:
    runs, labels = made_up()
    runs["twin"] = {seed: probability.clone() for seed, probability in runs["full"].items()}
    for each in paired_bootstrap(runs, labels, {"twin": "full"}, rules=RULES, resamples=50).comparisons:
        assert (each.difference, each.low, each.high, each.detectable) == (0, 0, 0, 0)
        assert (each.p, each.p_holm, each.significant) == (1, 1, False)


def test_exchanging_variant_and_reference_turns_the_sign_and_keeps_p() -> None:
    runs, labels = made_up()
    forth = paired_bootstrap(runs, labels, {"image only": "full"}, rules=RULES, resamples=99).comparisons
    back = paired_bootstrap(runs, labels, {"full": "image only"}, rules=RULES, resamples=99).comparisons
    for one, other in zip(forth, back, strict=True):
        assert (one.difference, one.p) == pytest.approx((-other.difference, other.p))
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_the_pairing_makes_differences_surer_than_scores() -> None:
    runs, labels = made_up(faces=200, noise=0.4)
    generator = torch.Generator().manual_seed(4)
    runs["nearly"] = {
        s: (p + 0.02 * torch.randn(p.shape, generator=generator)).clamp(0, 1) for s, p in runs["full"].items()
    }
    found = paired_bootstrap(runs, labels, {"nearly": "full"}, resamples=300)
    score, difference = (
        found.estimates["nearly"]["average_precision"],
        found.comparisons_of("nearly")["average_precision"],
    )
    assert difference.high - difference.low < 0.5 * (score.high - score.low)


def test_only_shared_seeds_are_compared() -> None:
    runs, labels = made_up()
    runs["image only"][7] = torch.zeros_like(runs["full"][0])
    del runs["full"][0]
    comparison = paired_bootstrap(runs, labels, {"image only": "full"}, resamples=20).comparisons_of("image only")
    assert {name: list(each.by_seed) for name, each in comparison.items()} == {
        name: [1] for name in LOOPED[:4] + METRICS[6:]
    }
    alone = {variant: {1: by_seed[1]} for variant, by_seed in runs.items()}
    expected = paired_bootstrap(alone, labels, {"image only": "full"}, resamples=20).comparisons_of("image only")
    assert comparison == expected
    del runs["full"][1]
    runs["full"][3] = torch.ones_like(labels).float()
    unshared = paired_bootstrap(runs, labels, {"image only": "full"}, resamples=20)
    each = unshared.comparisons_of("image only")["accuracy"]
    assert each.by_seed == {}
    means = (unshared.estimates[name]["accuracy"].value for name in ("image only", "full"))
    assert each.difference == pytest.approx(next(means) - next(means))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(corrected[1])


def test_holm_is_taken_over_the_comparisons_of_one_metric() -> None:
    runs, labels = made_up()
    runs["twin"] = runs["full"]
    found = paired_bootstrap(runs, labels, {"image only": "full", "twin": "full"}, rules=RULES, resamples=199)
    for name in LOOPED:
        family = [each for each in found.comparisons if each.metric == name]
        assert [each.p_holm for each in family] == holm([each.p for each in family])
        assert len(family) == 2
    assert found.smallest_p == pytest.approx(2 * 2 / 200)


def test_intervals_errors_and_power_are_what_they_say_on_simulated_faces() -> None:
    """Predictors that are right on known shares of an endless population of faces, each drawn independently."""
    generator, faces, truth = torch.Generator().manual_seed(0), 200, 0.8
    spread = math.sqrt(2 * truth * (1 - truth) / faces)  # of the difference of two independent accuracies
    labels = (torch.rand(faces, 1, generator=generator) < 0.5).to(torch.int8) * 2 - 1
    runs: Runs = {}
    for trial in range(60):
        for kind, share in (("one", truth), ("same", truth), ("worse", truth - 2.8 * spread)):
            right = torch.rand(faces, 1, generator=generator) < share
            runs[f"{kind} {trial}"] = {0: (torch.where(right, labels, -labels) > 0).float()}
    references = {name: f"one {name.split()[1]}" for name in runs if not name.startswith("one")}
    found = paired_bootstrap(runs, labels, references, resamples=400)
    accuracy = [each for each in found.comparisons if each.metric == "accuracy"]
    same, worse = ([each for each in accuracy if each.variant.startswith(kind)] for kind in ("same", "worse"))
    scores = [each["accuracy"] for name, each in found.estimates.items() if not name.startswith("worse")]
    assert np.mean([each.low <= truth <= each.high for each in scores]) == pytest.approx(0.95, abs=0.05)
    assert np.mean([each.low <= 0 <= each.high for each in same]) == pytest.approx(0.95, abs=0.06)
    assert np.mean([each.p < 0.05 for each in same]) <= 0.12
    assert np.mean([each.p < 0.05 for each in worse]) == pytest.approx(0.8, abs=0.15)
    assert np.mean([each.detectable for each in same]) == pytest.approx(2.8 * spread, rel=0.05)


def test_attributes_that_a_resample_makes_constant_leave_only_that_resample() -> None:
    """One positive face: it is missing from a third of the resamples, in which the attribute has no AUROC."""
    labels = torch.full((20, 2), -1, dtype=torch.int8)
    labels[0, 0] = 1
    labels[:10, 1] = 1
    probability = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    found = paired_bootstrap({"full": {0: probability}}, labels, {}, resamples=200)
    assert not math.isnan(found.estimates["full"]["auroc"].low)
    assert found.constant_attributes == ()


def test_wholly_constant_labels_have_no_ranking_and_no_p() -> None:
    labels = torch.full((20, 4), -1, dtype=torch.int8)
    probability = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    runs = {"full": {0: probability}, "other": {0: 1 - probability}}
    found = paired_bootstrap(runs, labels, {"other": "full"}, rules=RULES, resamples=50)
    compared = found.comparisons_of("other")
    assert found.constant_attributes == (0, 1, 2, 3)
    assert math.isnan(found.estimates["full"]["auroc"].value)
    assert math.isnan(compared["average_precision"].p_holm)
    assert not compared["average_precision"].significant
    assert not math.isnan(compared["accuracy"].p_holm)
    assert found.label_violation_rate == 0


def test_without_rules_the_logical_metrics_are_left_out() -> None:
    runs, labels = made_up()
    found = paired_bootstrap(runs, labels, {}, resamples=10)
    assert set(METRICS) - set(found.estimates["full"]) == {"violation_rate", "logical_accuracy"}
    assert found.label_violation_rate is None


def test_the_labels_own_violation_rate_counts_decided_violations_only() -> None:
    labels = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [-1, 1, 1, 1], [-1, -1, 1, 1]], dtype=torch.int8)
    found = paired_bootstrap({"full": {0: torch.rand(4, 4)}}, labels, {}, rules=RULES, resamples=5, undefined=0)
    assert found.label_violation_rate == 0.5


def test_probabilities_of_other_faces_are_refused() -> None:
    runs, labels = made_up()
    with pytest.raises(ValueError, match=r"'full', seed 0: .*\[60, 4\].*\[50, 4\]"):
        check_runs(runs, labels[:50], {})


def test_a_comparison_with_a_variant_that_has_no_run_is_refused() -> None:
    runs, labels = made_up()
    with pytest.raises(ValueError, match="'identity' has no run"):
        paired_bootstrap(runs, labels, {"full": "identity"}, resamples=5)
    with pytest.raises(ValueError, match="'full' has no run"):
        paired_bootstrap(runs | {"full": {}}, labels, {}, resamples=5)


def test_one_face_or_one_identity_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least two faces, got 1"):
        face_weights(1, resamples=5)
    with pytest.raises(ValueError, match="at least two faces, got 0"):
        face_weights(0, resamples=5)
    with pytest.raises(ValueError, match="needs at least two identities, got 1"):
        face_weights(4, resamples=5, clusters=torch.zeros(4, dtype=torch.int64))
