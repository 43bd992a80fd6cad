"""The contributions to a logit add up to it, and each is what it is said to be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import faceinsight as fi
from faceinsight.errors import InputError
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.models.face_insight import evidence_logits
from faceinsight.models.predicting.explanation import evidence_terms, patch_terms
from faceinsight.modules.evidence import Evidence, pool_levels

NAMES = ["Young", "Middle", "Old", "Smiling", "Hat"]
SCHEMA = fi.Schema.from_names(NAMES)


def test_the_contributions_add_up_to_the_logit_and_the_reading_is_gate_times_reading(
    tiny: fi.FaceInsight, folder: Path
) -> None:
    (face,) = tiny.predict(folder / "1.png", detect=False)
    with torch.no_grad():
        features = tiny.encode(tiny.images(folder / "1.png"))
        evidence = evidence_logits(tiny.evidence, tiny.encoder, features, None)[0]
        gated: list[Tensor] = []
        hook = tiny.gate.register_forward_hook(lambda module, given, out: gated.append(out[0]))
        logits = tiny(features=features).logits[0]
        hook.remove()
    for name in ("Bald", "Male", "20-29", "Wearing_Hat"):
        at, told = tiny.schema.index(name), face.explain(name)
        assert told.patches is not None
        assert tuple(told.patches.shape) == tuple(tiny.image_encoder.grid)
        assert tuple(told.parts) == FACE_PARTS
        assert told.logit == pytest.approx(float(logits[at]), abs=1e-4)
        assert told.reading == pytest.approx(float(gated[0][at]), abs=1e-4)
        seen = told.base + float(told.patches.sum()) + sum(told.parts.values()) + sum(told.neighbours.values())
        assert seen == pytest.approx(float(evidence[at]), abs=1e-4)
        table = told.frame().set_index("unit")["adds"]
        assert table["logit"].sum() == pytest.approx(told.logit)
        assert told.before_rules + told.by_rules == pytest.approx(face.probabilities[name])
        assert told.before_rules == pytest.approx(float(logits[at].sigmoid()), abs=1e-5)
        assert told.plot().axes


def test_a_patch_adds_what_the_evidence_loses_without_it(tiny: fi.FaceInsight, folder: Path) -> None:
    (face,) = tiny.predict(folder / "1.png", detect=False)
    told = face.explain("Bald")
    features = tiny.encode(tiny.images(folder / "1.png"))
    evidence, at = tiny.evidence, tiny.schema.index("Bald")
    levels, start, typical = tiny.image_encoder.levels, 0, []
    for width, side in levels:  # the average face's tokens: every patch has the centre of its cell
        cells = evidence.centre[start : start + width * side**2].reshape(width, side, side)
        rows = torch.arange(4) * side // 4
        typical.append(cells[:, rows][:, :, rows].reshape(width, 16).T)
        start += width * side**2
    before = evidence_logits(evidence, tiny.encoder, features, None)[0, at]
    for patch in (0, 5, 15):
        tokens = features["image"].clone()
        tokens[0, patch] = torch.cat(typical, dim=1)[patch]
        after = evidence_logits(evidence, tiny.encoder, {**features, "image": tokens}, None)[0, at]
        assert float(told.patches.flatten()[patch]) == pytest.approx(float(before - after), abs=1e-3)


def test_patches_of_uneven_pools_add_up() -> None:
    grid, levels = (5, 3), ((4, 2), (3, 4), (2, 1))
    tokens, total = torch.randn(15, 9), 4 * 4 + 3 * 16 + 2
    weight, centre = torch.randn(total).double(), torch.randn(total).double()
    pooled = pool_levels(tokens[None].double(), grid, levels)[0]
    added = patch_terms(tokens, grid, levels, weight, centre)
    assert added.shape == (5, 3)
    torch.testing.assert_close(added.sum(), weight @ (pooled - centre))


def evidence(asked: list[str] | None = None, choices: bool = False) -> Evidence:
    labels = torch.randn(60, 5) > torch.tensor([0.0, 0.5, 0.2, -0.3, 0.4])
    labels[:, 4] |= labels[:, 0]  # two that go together
    graph = fi.LabelGraph.from_labels(labels, SCHEMA)
    observed = NAMES[:4] if asked else NAMES
    gain = fi.modules.CooccurrenceGain(graph=graph, observed=observed, asked=observed, amounts=[1.0])
    made = Evidence(num_features=6, names=observed, gain=gain, choices=[NAMES[:3]] if choices else ())
    one = torch.eye(3)[torch.randint(0, 3, (60,))].bool()
    shown = torch.cat([one, labels[:, 3:]], dim=1)[:, : len(observed)]
    made.fit(torch.randn(60, 6) + torch.cat([shown.float(), torch.zeros(60, 6 - len(observed))], dim=1), shown)
    if asked:
        other = fi.modules.CooccurrenceGain(graph=graph, observed=observed, asked=asked, amounts=[1.0])
        for name in ("slope", "intercept", "noise", "amount"):
            getattr(other, name).copy_(getattr(gain, name))
        made.gain = other
    return made


@pytest.mark.parametrize("choices", [False, True])
def test_neighbours_are_what_is_lost_when_their_scores_are_the_average_faces(choices: bool) -> None:
    made, inputs = evidence(choices=choices), torch.randn(6)
    scores = made.scores(inputs[None])
    for at, name in enumerate(NAMES):
        base, own, neighbours = evidence_terms(made, inputs, name)
        whole = float(made(inputs[None])[0, at])
        mine = float(own.weight @ (inputs.double() - own.centre))
        assert base + mine + sum(neighbours.values()) == pytest.approx(whole, abs=1e-4)
        assert name not in neighbours
        for other, added in neighbours.items():
            place = NAMES.index(other)
            without = scores.clone()
            without[0, place] = made.bias[place]
            assert added == pytest.approx(whole - float(made.logits(without)[0, at]), abs=1e-4)
    assert any(abs(each) > 0.01 for each in neighbours.values())


def test_an_attribute_that_no_picture_was_labelled_with_is_all_neighbours() -> None:
    made, inputs = evidence(asked=["Hat", "Old"]), torch.randn(6)
    base, own, neighbours = evidence_terms(made, inputs, "Hat")
    assert not own.weight.any()
    assert base + sum(neighbours.values()) == pytest.approx(float(made(inputs[None])[0, 0]), abs=1e-4)


def test_a_rules_effect_is_the_probability_less_that_without_it(tiny: fi.FaceInsight, folder: Path) -> None:
    (face,) = tiny.predict(folder / "1.png", detect=False)
    told = face.explain("20-29")
    rule = '"20-29" or "30-39" -> Young_Adult'
    kept = tuple(each for each in tiny.rules if each.text != rule)
    assert len(kept) == len(tiny.rules) - 1
    without = fi.ConstrainedBernoulli(logits=face.logits, rules=fi.RuleSet(tiny.schema, kept)).marginals
    moved = face.probabilities["20-29"] - float(without[tiny.schema.index("20-29")])
    assert told.rules[rule] == pytest.approx(moved, abs=1e-6)
    assert "Happy -> Smiling" not in told.rules
    assert face.explain("Male").rules == {}


def test_without_evidence_all_of_the_logit_is_the_networks_reading() -> None:
    encoder = fi.modules.ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    network = fi.controls.TokenClassifier(schema=SCHEMA, image_encoder=encoder, embed_dim=12)
    (face,) = network.predict(torch.rand(1, 3, 32, 32), detect=False)
    told = face.explain("Hat")
    assert told.logit == told.reading == pytest.approx(float(face.logits[4]))
    assert told.patches is None
    assert told.plot().axes
    with pytest.raises(InputError, match="Hat"):
        face.explain("Hats")


def test_the_plots_hold_the_picture_the_parsing_and_the_rules(tiny: fi.FaceInsight, folder: Path) -> None:
    (face,) = tiny.predict(folder / "1.png", detect=False)
    figure = face.plot()
    titles = [panel.get_title() for panel in figure.axes]
    assert "what the parser saw" in titles
    assert any(title.endswith("1.png") for title in titles)
    assert tuple(face.segmentation.shape) == (128, 128)
    figure.canvas.draw()
    assert np.asarray(figure.canvas.buffer_rgba()).std() > 10
    slanted = {label.get_text(): label.get_fontstyle() for panel in figure.axes for label in panel.get_yticklabels()}
    assert slanted["gender: Female"] == "normal"
    assert {slanted[name] for name in slanted if name.startswith("expression")} == {"italic"}
    assert "drawn faces" in figure.get_supxlabel()
    told = face.given({"Bald": True})
    assert "given: Bald" in told.plot().get_supxlabel()
    assert told._repr_html_().startswith("<img")


def test_patches_of_the_picture_and_its_mirror_image_add_up_where_the_picture_has_them() -> None:
    schema = fi.Schema.from_names(["Bald", "Male"])
    torch.manual_seed(0)
    vit = fi.modules.ImageEncoder(name="vit_tiny_patch16_224", image_size=64, options={"embed_dim": 12, "depth": 1})
    known = Evidence.for_schema(schema=schema, num_features=12, sources=["mirrored"])
    inputs = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    known.fit(inputs, torch.where(inputs[:, :2] > 0, 1, -1).to(torch.int8))
    model = fi.controls.EvidenceClassifier(schema=schema, image_encoder=fi.modules.Frozen(vit), evidence=known)
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    one, other = (model.predict([each], detect=False)[0].explain("Male") for each in (picture, picture.flip(-1)))
    assert one.reading == pytest.approx(0, abs=1e-4)
    assert one.base + float(one.patches.sum()) == pytest.approx(one.logit, abs=1e-4)
    torch.testing.assert_close(other.patches.flip(1), one.patches, atol=1e-5, rtol=1e-4)
