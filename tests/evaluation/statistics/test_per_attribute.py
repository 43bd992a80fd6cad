"""Single attributes against loops over resampled faces, definitions by hand, and simulations whose truth is known."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from faceinsight.evaluation.statistics import paired_bootstrap
from faceinsight.evaluation.statistics.per_attribute import (
    AttributeComparison,
    benjamini_hochberg,
    degrees_of_freedom,
    studentised,
)
from faceinsight.evaluation.statistics.resampling import face_weights

NAMES = ("Bald", "Bangs", "Smiling")
Runs = dict[str, dict[int, Tensor]]

pytestmark = pytest.mark.usefixtures("one_thread")


def made_up(faces: int = 90) -> tuple[Runs, Tensor]:
    """Two variants with two seeds, ties and undefined labels among them."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(faces, 3, generator=generator) < 0.4).to(torch.int8) * 2 - 1
    runs: Runs = {"full": {}, "image only": {}}
    for variant, noise in (("full", 0.4), ("image only", 0.8)):
        for seed in range(2):
            drift = noise * torch.randn(faces, 3, generator=generator)
            runs[variant][seed] = ((0.5 + 0.25 * labels + drift).clamp(0, 1) * 20).round() / 20
    labels[torch.rand(faces, 3, generator=generator) < 0.15] = 0
    return runs, labels


def by_name(rows: tuple[AttributeComparison, ...], metric: str) -> dict[str, AttributeComparison]:
    return {each.attribute: each for each in rows if each.metric == metric}


def looped(metric: str, runs: dict[int, Tensor], labels: Tensor, attr: int, chosen: Tensor) -> float:
    """Mean over the seeds of one metric of the chosen faces, repeated as drawn."""
    truth = labels[chosen, attr].numpy()
    known, scores = truth != 0, []
    for probability in runs.values():
        p = probability[chosen, attr].double().numpy()[known]
        right = ((p > 0.5) == (truth[known] == 1)).mean()
        scores.append(right if metric == "accuracy" else average_precision_score(truth[known] == 1, p))
    return float(np.mean(scores))


@pytest.mark.parametrize("metric", ["accuracy", "average_precision"])
def test_every_number_equals_a_loop_over_the_same_resampled_identities(metric: str) -> None:
    runs, labels = made_up()
    clusters = torch.arange(90) // 2
    found = paired_bootstrap(runs, labels, {"image only": "full"}, clusters=clusters, names=NAMES, resamples=40, seed=3)
    rows = by_name(found.attributes, metric)
    weights = face_weights(90, resamples=40, seed=3, clusters=clusters)
    for attr, name in enumerate(NAMES):
        each = rows[name]
        mine, other = (looped(metric, runs[key], labels, attr, torch.arange(90)) for key in ("image only", "full"))
        assert (each.value, each.reference_value, each.difference) == pytest.approx((mine, other, mine - other))
        assert each.positives == int((labels[:, attr] == 1).sum())
        draws = []
        for row in weights:
            chosen = torch.arange(90).repeat_interleave(row.long())
            ours, theirs = (looped(metric, runs[key], labels, attr, chosen) for key in ("image only", "full"))
            draws.append(ours - theirs)
        error = np.std(draws, ddof=1)
        assert 2.01 < (each.high - each.low) / 2 / error < 2.09  # Student's t with 20 to 44 degrees of freedom
        assert (each.high + each.low) / 2 == pytest.approx(each.difference)
        assert (each.p < 0.05) == (not each.low <= 0 <= each.high)
    assert [(each.variant, each.reference) for each in rows.values()] == [("image only", "full")] * 3


def test_p_interval_and_detectable_are_students_by_the_printed_tables() -> None:
    """t at 9 degrees of freedom: 2.262 at 5 % two-sided, 3.250 at 1 %, 0.883 at 80 % one-sided; normal beside it."""
    freedom, error = np.array([9.0] * 5), np.array([0.1] * 5)
    _, low, high, p, q, detectable = studentised(np.array([0.2262, -0.3250, 0.0, 0.1, 0.1]), error, freedom)
    assert p[:3] == pytest.approx([0.05, 0.01, 1.0], abs=1e-4)
    assert (low[0], high[0]) == pytest.approx((0.0, 0.4524), abs=1e-4)
    assert detectable == pytest.approx([0.3250 + 0.0883] * 5, abs=1e-4)  # 5 % among five attributes
    assert q[1] == pytest.approx(0.05, abs=1e-3)
    many = studentised(np.zeros(40), np.ones(40), np.full(40, 1e9))[-1]
    assert many == pytest.approx([4.07] * 40, abs=0.005)


def test_a_faces_accuracy_is_its_mean_over_the_seeds() -> None:
    runs, labels = made_up()
    rows = by_name(
        paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES, resamples=9).attributes, "accuracy"
    )
    for attr, name in enumerate(NAMES):
        known = labels[:, attr] != 0
        of_faces = torch.stack(
            [((p > 0.5) == (labels == 1))[known, attr].double() for p in runs["image only"].values()]
        )
        assert rows[name].value == pytest.approx(of_faces.mean(0).mean().item())


def test_an_average_precision_is_the_mean_of_the_runs_and_not_that_of_an_ensemble() -> None:
    runs, labels = made_up()
    found = paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES, resamples=9)
    ensemble = {"full": runs["full"], "image only": {0: torch.stack(list(runs["image only"].values())).mean(0)}}
    other = paired_bootstrap(ensemble, labels, {"image only": "full"}, names=NAMES, resamples=9)
    for name in NAMES:
        ours, averaged = (by_name(each.attributes, "average_precision")[name].value for each in (found, other))
        assert averaged > ours + 0.01


def test_q_values_by_the_definition() -> None:
    generator = np.random.default_rng(0)
    p = np.concatenate([generator.random(30), generator.random(10) / 500])
    ranks = np.argsort(np.argsort(p)) + 1
    wanted = [min(1.0, min(40 * p[j] / ranks[j] for j in range(40) if p[j] >= p[i])) for i in range(40)]
    assert benjamini_hochberg(p) == pytest.approx(wanted)
    gaps = benjamini_hochberg(np.array([0.01, math.nan, 0.04]))
    assert gaps[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(gaps[1])
    assert np.isnan(benjamini_hochberg(np.array([math.nan]))).all()


def test_q_values_are_taken_within_one_variant_and_metric() -> None:
    runs, labels = made_up()
    runs["twin"] = runs["full"]
    found = paired_bootstrap(runs, labels, {"image only": "full", "twin": "full"}, names=NAMES, resamples=50).attributes
    families = {(each.variant, each.metric) for each in found}
    assert len(families) == 4
    for variant, metric in families:
        family = [each for each in found if (each.variant, each.metric) == (variant, metric)]
        assert [each.q for each in family] == pytest.approx(benjamini_hochberg(np.array([each.p for each in family])))
        assert [each.attribute for each in family] == list(NAMES)


def test_a_variant_compared_with_its_twin_differs_in_no_attribute() -> None:
    runs, labels = made_up()
    runs["twin"] = {seed: each.clone() for seed, each in runs["full"].items()}
    for each in paired_bootstrap(runs, labels, {"twin": "full"}, names=NAMES, resamples=30).attributes:
        assert (each.difference, each.low, each.high, each.p, each.q, each.detectable) == (0, 0, 0, 1, 1, 0)
        assert not each.discovered


def test_exchanging_variant_and_reference_turns_the_sign_and_keeps_p() -> None:
    runs, labels = made_up()
    forth = paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES, resamples=60).attributes
    back = paired_bootstrap(runs, labels, {"full": "image only"}, names=NAMES, resamples=60).attributes
    for one, other in zip(forth, back, strict=True):
        assert (one.difference, one.low, one.p, one.q) == pytest.approx(
            (-other.difference, -other.high, other.p, other.q)
        )


def test_degrees_of_freedom_count_the_identities_behind_a_metric() -> None:
    labels = torch.tensor([[1, 1, 0], [1, -1, 0], [1, -1, 1], [-1, 1, -1], [-1, 1, -1]], dtype=torch.int8)
    people = degrees_of_freedom(labels, torch.tensor([8, 8, 5, 3, 4]))
    assert people["average_precision"].tolist() == pytest.approx([1, 1, math.nan], nan_ok=True)
    assert people["accuracy"].tolist() == [3, 3, 2]
    faces = degrees_of_freedom(labels, None)
    assert faces["average_precision"].tolist() == pytest.approx([1, 1, math.nan], nan_ok=True)
    assert faces["accuracy"].tolist() == [4, 4, 2]


def test_an_attribute_of_one_person_keeps_its_score_and_is_not_tested() -> None:
    runs, labels = made_up()
    labels[:, 1] = -1
    labels[:2, 1] = 1  # two photographs of identity 0
    clusters = torch.arange(90) // 2
    found = paired_bootstrap(runs, labels, {"image only": "full"}, clusters=clusters, names=NAMES, resamples=50)
    each = by_name(found.attributes, "average_precision")["Bangs"]
    assert each.positives == 2
    assert each.difference == each.value - each.reference_value
    assert all(math.isnan(number) for number in (each.low, each.high, each.p, each.q, each.detectable))
    assert not each.discovered
    assert not math.isnan(by_name(found.attributes, "average_precision")["Bald"].q)


def correlated(pairs: int, faces: int, positives: list[int], generator: torch.Generator) -> tuple[Runs, Tensor]:
    """Equally good variants, whose errors in all attributes have a part in common, on labels that go together."""
    attrs = len(positives)
    latent = torch.randn(faces, 1, generator=generator) + torch.randn(faces, attrs, generator=generator)
    labels = torch.full((faces, attrs), -1, dtype=torch.int8)
    for attr, count in enumerate(positives):
        labels[latent[:, attr].topk(count).indices, attr] = 1
    shared = torch.randn(faces, attrs, generator=generator)
    runs: Runs = {}
    for pair in range(pairs):
        for kind in ("one", "same"):
            common, own = torch.randn(faces, 1, generator=generator), torch.randn(faces, attrs, generator=generator)
            runs[f"{kind} {pair}"] = {0: torch.sigmoid(1.2 * labels + shared + 0.6 * common + 0.5 * own)}
    return runs, labels


def test_false_discoveries_are_rare_where_nothing_differs_and_attributes_are_correlated() -> None:
    """Any discovery is false here, so at most one family in twenty should have one; a rare attribute is among them."""
    generator = torch.Generator().manual_seed(0)
    runs, labels = correlated(60, 300, [6, 12, 20, 30, 40, 60, 80, 100, 120, 150], generator)
    references = {f"same {pair}": f"one {pair}" for pair in range(60)}
    found = paired_bootstrap(runs, labels, references, names=[f"a{each}" for each in range(10)], resamples=200)
    for metric in ("average_precision", "accuracy"):
        rows = [each for each in found.attributes if each.metric == metric]
        assert len(rows) == 600
        raw = np.mean([each.p < 0.05 for each in rows])
        assert 0.02 < raw < 0.09  # 4 to 5 % over many such data sets: the tests of one are correlated
        assert np.mean([each.p < 0.05 for each in rows if each.attribute == "a0"]) <= 0.12
        families = {each.variant for each in rows if each.discovered}
        assert len(families) <= 7
        assert sum(each.p < 0.05 for each in rows if each.attribute == "a9") >= 1


def test_a_planted_effect_is_found_and_little_else_is() -> None:
    generator = torch.Generator().manual_seed(1)
    runs, labels = correlated(25, 300, [20, 60, 80, 100, 120, 150, 30, 40], generator)
    for pair in range(25):
        worse = runs[f"same {pair}"][0]
        worse[:, 2:4] = torch.sigmoid(0.3 * labels[:, 2:4] + torch.randn(300, 2, generator=generator))
    references = {f"same {pair}": f"one {pair}" for pair in range(25)}
    found = paired_bootstrap(runs, labels, references, names=[f"a{each}" for each in range(8)], resamples=200)
    discovered = [each for each in found.attributes if each.discovered and each.metric == "average_precision"]
    true = [each for each in discovered if each.attribute in ("a2", "a3")]
    assert len(true) >= 0.95 * 50
    assert all(each.difference < 0 for each in true)
    assert len(discovered) - len(true) <= 0.1 * len(discovered)


def test_a_difference_of_the_detectable_size_is_discovered_four_times_in_five() -> None:
    """One attribute of four is worse by what should be detectable, with accuracies known for an endless population."""
    generator, faces, truth, attrs = torch.Generator().manual_seed(2), 200, 0.8, 4
    spread = math.sqrt(2 * truth * (1 - truth) / faces)
    factor = 2.498 + 0.842  # normal quantiles at 0.05 / 4 two-sided and at 80 %
    labels = (torch.rand(faces, attrs, generator=generator) < 0.5).to(torch.int8) * 2 - 1
    runs: Runs = {}
    share = torch.full((attrs,), truth)
    share[0] -= factor * spread
    for trial in range(60):
        for kind, right in (("one", torch.tensor(truth)), ("worse", share)):
            hit = torch.rand(faces, attrs, generator=generator) < right
            runs[f"{kind} {trial}"] = {0: (torch.where(hit, labels, -labels) > 0).float()}
    references = {f"worse {trial}": f"one {trial}" for trial in range(60)}
    found = paired_bootstrap(runs, labels, references, names=[f"a{each}" for each in range(attrs)], resamples=200)
    planted = [each for each in found.attributes if each.metric == "accuracy" and each.attribute == "a0"]
    assert np.mean([each.discovered for each in planted]) == pytest.approx(0.8, abs=0.12)
    assert np.mean([each.detectable for each in planted]) == pytest.approx(factor * spread, rel=0.1)


def test_attributes_are_compared_only_where_they_are_named_and_each_has_a_name() -> None:
    runs, labels = made_up()
    assert paired_bootstrap(runs, labels, {"image only": "full"}, resamples=5).attributes == ()
    with pytest.raises(ValueError, match=r"3 attributes .*got 2; .*names"):
        paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES[:2], resamples=5)


def test_the_overall_numbers_do_not_depend_on_the_attributes() -> None:
    runs, labels = made_up()
    plain = paired_bootstrap(runs, labels, {"image only": "full"}, resamples=30)
    named = paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES, resamples=30)
    assert len(named.attributes) == 6
    assert replace(named, attributes=()) == plain


def test_a_row_has_the_columns_of_the_file() -> None:
    runs, labels = made_up()
    row = paired_bootstrap(runs, labels, {"image only": "full"}, names=NAMES, resamples=5).attributes[0]
    assert list(asdict(row)) == [
        "variant", "reference", "metric", "attribute", "positives", "value", "reference_value", "difference",
        "low", "high", "p", "q", "detectable",
    ]  # fmt: skip
