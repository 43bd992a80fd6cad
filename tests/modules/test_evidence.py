"""Ridge regression with exact leave-one-out, against scikit-learn and against fitting again without each face."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema
from faceinsight.modules import evidence as evidence_module
from faceinsight.modules.calibration import matrix_scaling, platt_scaling, soft_logit
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.evidence import Evidence, Gate, pool_levels, ridge

NAMES = ["Bald", "Hat", "Male"]
#: More faces than features, and fewer: the two forms in which the same regression is solved.
SIZES = [(25, 4), (9, 30)]


def drawn(faces: int, features: int, undefined: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features, and labels of three attributes that follow from them, some undefined."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(faces, features, generator=draw, dtype=torch.float64)
    shown = inputs[:, :3] + 0.5 * torch.randn(faces, 3, generator=draw) > torch.tensor([0.3, 0.0, -0.2])
    labels = torch.where(shown, 1, -1).to(torch.int8)
    labels[torch.rand(faces, 3, generator=draw) < undefined] = 0
    return inputs, labels


def refitted(inputs: Tensor, labels: Tensor, penalty: float) -> Tensor:
    """Each face's score from scikit-learn's regression on all other faces where the attribute is defined."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    scores = torch.empty(labels.shape, dtype=torch.float64)
    for attr in range(labels.shape[1]):
        for face in range(len(inputs)):
            kept = (labels[:, attr] != 0) & (torch.arange(len(inputs)) != face)
            model = linear_model.Ridge(alpha=penalty).fit(inputs[kept], labels[kept, attr] == 1)
            scores[face, attr] = float(model.predict(inputs[face : face + 1])[0])
    return scores


# pooling


def test_each_slice_is_averaged_over_the_cells_of_its_own_grid() -> None:
    tokens = torch.randn(2, 6 * 4, 5, generator=torch.Generator().manual_seed(0))
    found = pool_levels(tokens, (6, 4), [(2, 2), (3, 1)])
    for face, row in enumerate(found.tolist()):
        cells = [
            [tokens[face, (3 * up + r) * 4 + 2 * left + c, number] for r in range(3) for c in range(2)]
            for number in (0, 1)
            for up in (0, 1)
            for left in (0, 1)
        ]
        cells += [[*tokens[face, :, number]] for number in (2, 3, 4)]
        assert row == pytest.approx([float(sum(cell) / len(cell)) for cell in cells], abs=1e-6)


@pytest.mark.parametrize(("grid", "levels"), [((2, 2), [(1, 1)]), ((2, 3), [(2, 1)])])
def test_levels_that_are_not_the_tokens_are_refused(grid: tuple[int, int], levels: Sequence[tuple[int, int]]) -> None:
    with pytest.raises(InputError, match="grid and levels of this encoder"):
        pool_levels(torch.zeros(1, 4, 2), grid, levels)


# ridge


@pytest.mark.parametrize(("faces", "features"), SIZES)
@pytest.mark.parametrize("undefined", [0.0, 0.3])
def test_the_regression_is_scikit_learn_s_on_the_faces_where_the_attribute_is_defined(
    faces: int, features: int, undefined: float
) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    inputs, labels = drawn(faces, features, undefined)
    inputs = inputs + 3  # the intercept is not penalised
    fit = ridge(inputs, labels, [0.7])
    for attr in range(3):
        kept = labels[:, attr] != 0
        model = linear_model.Ridge(alpha=0.7).fit(inputs[kept], labels[kept, attr] == 1)
        np.testing.assert_allclose(fit.weight[attr], model.coef_, atol=1e-10)
        np.testing.assert_allclose(fit.bias[attr], model.intercept_, atol=1e-10)


@pytest.mark.parametrize(("faces", "features"), SIZES)
@pytest.mark.parametrize("undefined", [0.0, 0.3])
def test_leave_one_out_is_the_regression_refitted_without_each_face(
    faces: int, features: int, undefined: float
) -> None:
    inputs, labels = drawn(faces, features, undefined)
    fit = ridge(inputs + 3, labels, [0.7])
    torch.testing.assert_close(fit.left_out, refitted(inputs + 3, labels, 0.7), atol=1e-9, rtol=0)


@pytest.mark.parametrize("penalty", [1e-12, 1e-6])
@pytest.mark.parametrize(("faces", "features"), [(9, 30), (9, 9), (9, 8)])
def test_a_small_penalty_costs_leave_one_out_no_digits(faces: int, features: int, penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    inputs, labels = drawn(faces, features)
    found = ridge(inputs, labels, [penalty]).left_out
    for face in range(faces):
        others = torch.arange(faces) != face
        model = linear_model.Ridge(alpha=penalty, solver="svd").fit(inputs[others], labels[others] == 1)
        wanted = torch.from_numpy(model.predict(inputs[face : face + 1]))[0]
        torch.testing.assert_close(found[face], wanted, atol=1e-8, rtol=0)


def test_no_block_of_rows_changes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for faces, features in SIZES:
        inputs, labels = drawn(faces, features, 0.3)
        whole = ridge(inputs, labels, [0.7])
        monkeypatch.setattr(evidence_module, "CHUNK", 4)
        parts = ridge(inputs, labels, [0.7])
        monkeypatch.undo()
        torch.testing.assert_close(parts.left_out, whole.left_out, atol=1e-10, rtol=0)
        torch.testing.assert_close(parts.weight, whole.weight, atol=1e-10, rtol=0)


def test_the_inputs_stay_as_they_were() -> None:
    inputs, labels = drawn(25, 4)
    before = inputs.clone()
    ridge(inputs, labels, [0.7])
    assert torch.equal(inputs, before)


def test_of_two_labelled_faces_each_is_told_by_the_other_alone() -> None:
    for labels in ([[1], [-1], [0]], [[1], [0], [-1]]):
        inputs = torch.tensor([[0.0, 2.0], [1.0, 0.5], [4.0, 1.0]], dtype=torch.float64)
        column = torch.tensor(labels, dtype=torch.int8)
        fit = ridge(inputs, column, [1.0])
        (other,) = [face for face in range(1, 3) if column[face]]
        assert fit.left_out[[0, other], 0].tolist() == pytest.approx([0.0, 1.0])
        torch.testing.assert_close(fit.left_out, refitted(inputs, column, 1.0))


def test_what_never_varies_gets_its_share_and_no_weights() -> None:
    inputs, labels = drawn(25, 4)
    labels[:, 1], labels[:, 2] = 1, 0
    labels[0, 1] = 0
    fit = ridge(inputs, labels, [0.7], undefined=0)
    assert fit.bias[1:].tolist() == [1, 0.5]
    assert not fit.weight[1:].any()
    assert fit.left_out[:, 1:].unique(dim=0).tolist() == [[1, 0.5]]
    torch.testing.assert_close(fit.left_out[:, :1], refitted(inputs, labels[:, :1], 0.7), atol=1e-9, rtol=0)
    labels[:, 0], labels[3, 0] = 0, 1  # a single face
    alone = ridge(inputs, labels, [0.7], undefined=0)
    assert (alone.bias[0], alone.weight.any()) == (1, False)


@pytest.mark.parametrize(("faces", "features"), SIZES)
def test_the_penalty_is_the_one_with_the_least_leave_one_out_error_over_the_labels_variances(
    faces: int, features: int
) -> None:
    inputs, labels = drawn(faces, features, 0.3)
    penalties = [0.01, 1.0, 8.0, 1000.0]
    fit = ridge(inputs, labels, penalties)
    errors = {}
    for penalty in penalties:
        scores, relative = refitted(inputs, labels, penalty), []
        for attr in range(3):
            kept = labels[:, attr] != 0
            truth = (labels[kept, attr] == 1).double()
            relative.append((scores[kept, attr] - truth).square().mean() / truth.var(correction=0))
        errors[penalty] = float(torch.stack(relative).mean())
    assert len(fit.errors) > 1
    for penalty, error in fit.errors.items():
        assert error == pytest.approx(errors[penalty])
    assert fit.penalty == min(penalties, key=lambda penalty: errors[penalty])
    alone = ridge(inputs, labels, [fit.penalty])
    torch.testing.assert_close(fit.left_out, alone.left_out, atol=1e-12, rtol=0)
    torch.testing.assert_close(fit.weight, alone.weight, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("types_unchecked")
def test_bad_penalties_and_features_are_refused() -> None:
    inputs, labels = drawn(9, 4)
    for penalties in ([], [1.0, 0.0], [-1.0], [torch.inf], [1.0, torch.nan, 2.0], ["a"]):
        with pytest.raises(InputError, match="penalties must be above 0"):
            ridge(inputs, labels, penalties)
    with pytest.raises(InputError, match="too small"):
        ridge(torch.cat([inputs[:, :2]] * 2, dim=1), labels, [1e-30])
    for some, theirs in ((inputs[:0], labels[:0]), (inputs, labels[:5]), (inputs, labels[:, 0])):
        with pytest.raises(InputError, match="same faces, at least one"):
            ridge(some, theirs, [1.0])
    for value in (torch.nan, torch.inf):
        inputs[3, 2] = value
        with pytest.raises(InputError, match="not finite"):
            ridge(inputs, labels, [1.0])


# evidence


def fitted(inputs: Tensor, labels: Tensor, **options: object) -> tuple[Evidence, Tensor]:
    evidence = Evidence(num_features=inputs.shape[1], names=NAMES, **options)
    return evidence, evidence.fit(inputs, labels)


def test_evidence_is_ridge_on_standardised_features_then_platt_scaling() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    inputs, labels = drawn(60, 5, 0.2)
    inputs = (inputs * torch.tensor([1.0, 20.0, 0.1, 3.0, 1.0]) + torch.arange(5)).float()
    evidence, left_out = fitted(inputs, labels, penalties=[0.2])
    wide = inputs.double()
    deviation = wide.numpy().std(0)  # the median one stands for those below it: no small number is blown up
    standard = (wide - wide.mean(0)) / torch.from_numpy(np.maximum(deviation, np.sort(deviation)[2]))
    torch.testing.assert_close(left_out, refitted(standard, labels, 0.2 * 5).float(), atol=1e-5, rtol=0)
    slope, offset = platt_scaling(left_out.double(), labels)
    for attr in range(3):
        kept = labels[:, attr] != 0
        model = linear_model.Ridge(alpha=1.0).fit(standard[kept], labels[kept, attr] == 1)
        expected = slope[attr] * torch.from_numpy(model.predict(standard)) + offset[attr]
        torch.testing.assert_close(evidence(inputs)[:, attr], expected.float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(evidence.logits(left_out), (slope * left_out + offset).float())
    assert evidence.faces.tolist() == (labels != 0).sum(0).tolist()
    assert not list(evidence.parameters())


def test_fitting_leaves_the_features_as_they_were() -> None:
    for kind in (torch.float32, torch.float64):
        inputs, labels = drawn(30, 4)
        given = inputs.to(kind)
        before = given.clone()
        fitted(given, labels)
        assert torch.equal(given, before)


def test_a_feature_that_is_still_is_not_read() -> None:
    inputs, labels = drawn(40, 4)
    inputs[:, 1] = 7.0
    evidence, _ = fitted(inputs.float(), labels)
    moved = inputs.float()
    moved[:, 1] = -3.0
    assert torch.equal(evidence(moved), evidence(inputs.float()))
    assert evidence(moved).isfinite().all()


def test_a_face_does_not_depend_on_the_others_of_its_batch() -> None:
    inputs, labels = drawn(40, 4)
    evidence, _ = fitted(inputs.float(), labels, gain=CooccurrenceGain(graph=graph(NAMES)))
    alone = torch.cat([evidence(row[None]) for row in inputs.float()])
    torch.testing.assert_close(alone, evidence(inputs.float()), atol=1e-5, rtol=0)


def graph(names: Sequence[str] = (*NAMES, "Lipstick")) -> LabelGraph:
    """A table without pictures in which the attributes go together."""
    draw = torch.Generator().manual_seed(7)
    common = torch.randn(500, 1, generator=draw)
    shown = common * torch.tensor([1.0, 0.3, 1.0, -1.0]) + torch.randn(500, 4, generator=draw) > 0.2
    every = LabelGraph.from_labels(shown, Schema.from_names([*NAMES, "Lipstick"]))
    return every.select(names)


def test_permuting_the_attributes_permutes_the_logits() -> None:
    inputs, labels = drawn(40, 4, 0.2)
    order = [2, 0, 1]
    evidence, left_out = fitted(inputs.float(), labels, gain=CooccurrenceGain(graph=graph(NAMES)))
    turned = Evidence(
        num_features=4,
        names=[NAMES[each] for each in order],
        gain=CooccurrenceGain(graph=graph([NAMES[each] for each in order])),
    )
    torch.testing.assert_close(turned.fit(inputs.float(), labels[:, order]), left_out[:, order])
    torch.testing.assert_close(turned(inputs.float()), evidence(inputs.float())[:, order], atol=1e-4, rtol=1e-4)


def test_the_gain_stands_between_the_leave_one_out_scores_and_the_calibration() -> None:
    inputs, labels = drawn(60, 5, 0.2)
    plain, scores = fitted(inputs.float(), labels)
    evidence, left_out = fitted(inputs.float(), labels, gain=CooccurrenceGain(graph=graph(NAMES), amounts=[1.0]))
    assert torch.equal(left_out, scores), "the scores that are returned are those before the gain"
    apart = CooccurrenceGain(graph=graph(NAMES), amounts=[1.0])
    apart.fit(scores, labels)
    slope, offset = platt_scaling(apart(scores.double()), labels)
    torch.testing.assert_close(
        evidence.logits(left_out), (slope * apart(scores.double()) + offset).float(), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        evidence(inputs.float()), evidence.logits(plain.scores(inputs.float())), atol=1e-6, rtol=0
    )


def test_attributes_that_no_face_was_labelled_with_are_told_by_the_gain_alone() -> None:
    inputs, labels = drawn(60, 5)
    labels[:, 1] = 0
    gain = CooccurrenceGain(graph=graph(), observed=NAMES, asked=[*NAMES, "Lipstick"])
    evidence, left_out = fitted(inputs.float(), labels, gain=gain)
    assert evidence.asked == [*NAMES, "Lipstick"]
    assert gain.told.tolist() == [True, False, True, False]
    logits, estimate = evidence.logits(left_out), gain(left_out)
    torch.testing.assert_close(logits[:, [1, 3]], soft_logit(estimate[:, [1, 3]]))
    torch.testing.assert_close(logits[:, [0, 2]], (evidence.slope * estimate[:, :3] + evidence.offset)[:, [0, 2]])
    together = np.corrcoef(logits[:, 3], logits[:, 2])[0, 1]
    assert together < -0.5, "whoever is male wears no lipstick, in this table"


def one_of_three(faces: int = 80) -> tuple[Tensor, Tensor]:
    """Faces of which each has one of three attributes, or none, and some labels undefined."""
    inputs, _ = drawn(faces, 5)
    chosen = (inputs[:, :3] + 0.3).argmax(1)
    labels = torch.where(F.one_hot(chosen, 4)[:, :3] == 1, 1, -1).to(torch.int8)
    labels[:6] = -1
    labels[6:12, 1] = 0
    labels[12, :2] = 1
    return inputs.float(), labels


@pytest.mark.parametrize("asked", [["Hat", "Male", "Lipstick", "Bald"], None])
def test_the_labels_of_one_choice_are_calibrated_together_on_the_faces_that_made_it(asked: list[str] | None) -> None:
    inputs, labels = one_of_three()
    gain = None if asked is None else CooccurrenceGain(graph=graph(), observed=NAMES, asked=asked)
    evidence, left_out = fitted(inputs, labels, gain=gain, choices=[["Male", "Bald"]])
    estimate = left_out.double() if gain is None else gain(left_out.double())[:, [3, 0, 1]]
    slope, offset = platt_scaling(estimate, labels)
    made = [face for face in range(80) if 0 not in labels[face, [2, 0]] and (labels[face, [2, 0]] == 1).sum() < 2]
    chosen = torch.tensor(
        [{(1, -1): 0, (-1, 1): 1, (-1, -1): 2}[tuple(labels[face, [2, 0]].tolist())] for face in made]
    )
    weight, level = matrix_scaling(estimate[made][:, [2, 0]], chosen, slope[[2, 0]], offset[[2, 0]])
    logits = evidence.logits(left_out.double())
    logits = logits if gain is None else logits[:, [3, 0, 1]]
    torch.testing.assert_close(logits[:, [2, 0]], estimate[:, [2, 0]] @ weight.T + level, atol=1e-4, rtol=0)
    torch.testing.assert_close(logits[:, 1], estimate[:, 1] * slope[1] + offset[1], atol=1e-4, rtol=0)
    assert (logits[:, 0] - (estimate[:, 0] * slope[0] + offset[0])).abs().max() > 0.05, "the choice makes a difference"


def test_a_choice_that_is_not_asked_for_whole_is_not_calibrated_together() -> None:
    inputs, labels = one_of_three()
    built = {"names": NAMES, "num_features": 5}
    whole = CooccurrenceGain(graph=graph(NAMES), observed=NAMES)
    evidence = Evidence(**built, gain=whole, choices=[["Male", "Bald"]])
    evidence.fit(inputs, labels)
    other = Evidence(
        **built,
        gain=CooccurrenceGain(graph=graph(NAMES), observed=NAMES, asked=["Hat", "Bald"]),
        choices=[["Male", "Bald"]],
    )
    other.load_state_dict(evidence.state_dict())
    estimate = whole(evidence.scores(inputs))
    expected = (estimate * evidence.slope + evidence.offset)[:, [1, 0]]
    torch.testing.assert_close(other(inputs), expected, atol=1e-5, rtol=1e-5)


def test_a_choice_that_no_face_made_keeps_the_calibration_of_its_labels() -> None:
    inputs, labels = one_of_three()
    labels[:, 2] = torch.where(labels[:, 0] == 0, labels[:, 2], 0)
    plain, left_out = fitted(inputs, labels)
    evidence, _ = fitted(inputs, labels, choices=[["Male", "Bald"]])
    assert torch.equal(evidence.logits(left_out), plain.logits(left_out))


def test_a_schema_s_groups_of_attributes_are_its_choices() -> None:
    schema = Schema.load("tiny")
    choices = Evidence.for_schema(schema=schema, num_features=3, choices=True).choices
    assert choices == [list(schema.groups[name].labels) for name in schema.groups if name != "gender"], "not in quotes"
    assert not Evidence.for_schema(schema=schema, num_features=3).choices


@pytest.mark.parametrize("choices", [[["Bald", "Wig"]], [["Bald", "Hat"], ["Hat", "Male"]], [["Bald"]]])
def test_choices_of_other_attributes_of_shared_ones_and_of_one_are_refused(choices: list[list[str]]) -> None:
    with pytest.raises(InputError, match="two or more"):
        Evidence(num_features=3, names=NAMES, choices=choices)


def test_evidence_that_was_not_fitted_says_so() -> None:
    evidence = Evidence(num_features=4, names=NAMES)
    assert not evidence.fitted
    with pytest.raises(InputError, match="not fitted"):
        evidence(torch.zeros(1, 4))
    evidence.fit(*drawn(9, 4))
    assert evidence.fitted


def test_features_of_another_number_are_refused() -> None:
    inputs, labels = drawn(20, 4)
    evidence, _ = fitted(inputs.float(), labels)
    with pytest.raises(InputError, match="4 features was given 3"):
        evidence(inputs[:, :3].float())


@pytest.mark.parametrize("shape", [(20, 1), (20, 2)])
def test_scores_of_another_number_are_refused(shape: tuple[int, int]) -> None:
    evidence, _ = fitted(*drawn(20, 4))
    with pytest.raises(InputError, match="of 3 attributes, got scores"):
        evidence.logits(torch.zeros(shape))


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_a_large_mean_of_the_features_changes_no_logit(offset: float) -> None:
    inputs, labels = drawn(20, 4)
    evidence, _ = fitted(inputs, labels)
    far, _ = fitted(inputs + offset, labels)
    torch.testing.assert_close(far(inputs + offset), evidence(inputs), atol=1e-5, rtol=0)


def test_leave_one_out_scores_keep_their_digits_whatever_the_features_are() -> None:
    inputs, labels = drawn(20, 4)
    for some in (inputs.half(), inputs.bfloat16()):
        _, wide = fitted(some.float(), labels)
        _, left_out = fitted(some, labels)
        assert left_out.dtype == torch.float32
        torch.testing.assert_close(left_out, wide, atol=0, rtol=0)


def test_under_autocast_the_logits_are_the_same() -> None:
    inputs, labels = drawn(20, 4)
    evidence, _ = fitted(inputs.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = evidence(inputs.float())
    torch.testing.assert_close(logits, evidence(inputs.float()), atol=0, rtol=0)


def test_what_cannot_be_fitted_is_refused() -> None:
    inputs, labels = drawn(9, 4)
    evidence = Evidence(num_features=4, names=NAMES)
    for some, theirs, match in [
        (inputs[:1], labels[:1], "at least two faces"),
        (inputs[:, :3], labels, "add up to 3"),
        (inputs, labels[:, :2], r"labels \[9, 2\]"),
        (inputs, labels * 0, "none of the 9 faces has a defined label"),
        (inputs * torch.nan, labels, "not finite"),
        (inputs * 1e50, labels, "too large or too small"),
        (inputs * 1e-50, labels, "too large or too small"),
    ]:
        with pytest.raises(InputError, match=match):
            evidence.fit(some, theirs)
    assert not evidence.fitted, "what failed left nothing behind"


def test_what_cannot_be_built_is_refused() -> None:
    for sources in ([], ["image", "hair"], ["image", "mirrored"]):
        with pytest.raises(InputError, match="sources are"):
            Evidence(num_features=4, names=NAMES, sources=sources)
    for features in (0, [4, 0], []):
        with pytest.raises(InputError, match="numbers above 0"):
            Evidence(num_features=features, names=NAMES)
    for names in ([], ["Bald", "Bald"], "Bald"):
        with pytest.raises(InputError, match="each of them once"):
            Evidence(num_features=4, names=names)
    for gain in (CooccurrenceGain(graph=graph()), CooccurrenceGain(graph=graph(NAMES[::-1]))):
        with pytest.raises(InputError, match="build the gain with observed=names"):
            Evidence(num_features=4, names=NAMES, gain=gain)


# the gate


def test_the_gate_is_one_number_that_trains() -> None:
    gate = Gate(start=0.1).double()
    reading = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(gate(reading), 0.1 * reading, atol=1e-7, rtol=0)  # 0.1 in float32
    assert torch.autograd.gradcheck(gate, reading)
    gate(reading).sum().backward()
    torch.testing.assert_close(gate.scale.grad, reading.sum())
    with pytest.raises(InputError, match="no gradient"):
        Gate(start=0.0)


def test_at_a_gate_of_0_the_reading_would_have_no_gradient() -> None:
    gate, reading = Gate(), torch.ones(3, requires_grad=True)
    torch.nn.init.zeros_(gate.scale)
    F.softplus(gate(reading)).sum().backward()
    assert not reading.grad.any()


def test_each_source_is_scaled_by_its_own_median_deviation() -> None:
    inputs, labels = drawn(40, 6)
    units = torch.tensor([1.0, 2.0, 3.0, 100.0, 200.0, 300.0])
    evidence = Evidence(num_features=[3, 3], names=NAMES)
    evidence.fit((inputs * units).float(), labels)
    deviation = (inputs * units).double().numpy().std(0)
    expected = [1 / max(deviation[at], np.median(deviation[:3] if at < 3 else deviation[3:])) for at in range(6)]
    np.testing.assert_allclose(evidence.scale.numpy(), expected, rtol=1e-5)


def test_penalties_are_tried_from_the_middle_as_long_as_the_error_gets_smaller() -> None:
    inputs, labels = drawn(25, 4, 0.3)
    ladder = [10.0**power for power in range(-3, 6)]
    whole = {penalty: ridge(inputs, labels, [penalty]).errors[penalty] for penalty in ladder}
    fit = ridge(inputs, labels, ladder)
    assert fit.penalty == min(whole, key=lambda penalty: whole[penalty])
    assert set(fit.errors) < set(whole)
    for penalty, error in fit.errors.items():
        assert error == pytest.approx(whole[penalty])
