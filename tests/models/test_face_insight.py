"""The parts put together: what is cached, what trains, and what must not depend on what."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsight
from faceinsight.models.stages import face_stages
from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
from faceinsight.modules.attribute_tokens import AttributeTokens
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.evidence import Evidence, Gate, pool_levels
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.projector import Projector
from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
from faceinsight.modules.text_encoder import TextEncoder
from faceinsight.modules.vision.face_parser import FaceParser

SCHEMA = Schema.from_names(["Smiling", "Bald", "Wearing_Hat", "Male", "Young"])


def face_insight(schema: Schema = SCHEMA, **parts: object) -> FaceInsight:
    torch.manual_seed(0)
    encoder = ImageEncoder(name="vit_tiny_patch16_224", image_size=64, options={"embed_dim": 12, "depth": 1})
    built: dict = {
        "image_encoder": Frozen(encoder),
        "projector": Projector(in_dim=12, out_dim=32),
        "text_encoder": TextEncoder(),
        "query": AttributeQuery(prompt_dim=32, embed_dim=32),
        "language_model": Frozen(LanguageModel.from_config(embed_dim=32, depth=2)),
        "head": SharedHead(embed_dim=32),
    }
    return FaceInsight(schema=schema, **{**built, **parts})


def segmentation() -> SegmentationEncoder:
    return SegmentationEncoder(parser=Frozen(FaceParser(image_size=64)), route=RegionTokens(image_dim=12, embed_dim=32))


def graph() -> LabelGraph:
    labels = torch.randint(0, 2, (200, len(SCHEMA)), generator=torch.Generator().manual_seed(0)).bool()
    return LabelGraph.from_labels(labels, SCHEMA, threshold=0.3)


def full() -> FaceInsight:
    return face_insight(
        segmentation=segmentation(), correlation=CorrelationConstraint(graph=graph(), embed_dim=32, depth=2)
    )


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_the_full_model_gives_a_logit_for_every_attribute(images: Tensor) -> None:
    out = full()(images)
    assert out.logits.shape == (3, 5)
    assert out.features["segmentation"].shape[:2] == (3, 19)
    assert out.logits.std() > 0


def test_cached_features_give_the_same_logits_as_images(images: Tensor) -> None:
    model = full()
    assert model.encoder.frozen
    assert torch.equal(model(features=model.encode(images)).logits, model(images).logits)


def test_only_what_should_train_receives_a_gradient(images: Tensor) -> None:
    model = full().train()
    model(images).logits.square().sum().backward()
    trained = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert trained == {"encoder", "projector", "correlation", "query", "head"}
    with_gradient = [name for name, each in model.named_parameters() if each.grad is not None]
    assert not [name for name in with_gradient if "image_encoder" in name or "parser" in name]
    assert [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None] == []


def test_a_face_does_not_depend_on_the_others_in_its_batch(images: Tensor) -> None:
    model = full().eval()
    single = torch.cat([model(images[face : face + 1]).logits for face in range(3)])
    torch.testing.assert_close(single, model(images).logits, atol=1e-5, rtol=0)


def test_permuting_the_attributes_permutes_the_logits(images: Tensor) -> None:
    order = [3, 0, 4, 2, 1]
    shuffled = Schema.from_names([SCHEMA.names[each] for each in order])
    expected = face_insight()(images).logits[:, order]
    torch.testing.assert_close(face_insight(shuffled)(images).logits, expected, atol=1e-5, rtol=0)


def test_without_the_correlation_constraint_the_prompts_are_the_text_encoders(images: Tensor) -> None:
    model = face_insight()
    assert torch.equal(model.prompts(), model.text_encoder(SCHEMA.prompts, model.language_model))
    assert model.correlation is None
    assert model.encoder.segmentation is None


def test_instruction_and_questions_reach_the_logits(images: Tensor) -> None:
    plain = face_insight()(images).logits
    told = face_insight(instruction="Look at this face.")(images).logits
    asked = face_insight(question="Is this a person {prompt}?")(images).logits
    assert (told - plain).abs().max() > 1e-4
    assert (asked - plain).abs().max() > 1e-4


def test_images_or_features_but_not_both(images: Tensor) -> None:
    model = face_insight()
    with pytest.raises(ValueError, match="give either images or features, got neither"):
        model()
    with pytest.raises(ValueError, match="give either images or features, got both"):
        model(images, features=model.encode(images))


def test_a_graph_or_rules_in_another_order_are_refused_when_the_model_is_built() -> None:
    turned = Schema.from_names(SCHEMA.names[::-1])
    with pytest.raises(ValueError, match=r"^the label graph: .*the order is another"):
        face_insight(correlation=CorrelationConstraint(graph=graph().reorder(turned.names), embed_dim=32))
    with pytest.raises(ValueError, match=r"^the rules: .*the order is another"):
        face_insight(rules=RuleSet.parse("Bald -> not Young", turned))


# evidence


def fitted(features: int = 12, schema: Schema = SCHEMA, **options: object) -> Evidence:
    """Evidence of some features, fitted on faces of its own."""
    evidence = Evidence.for_schema(schema=schema, num_features=features, **options)
    draw = torch.Generator().manual_seed(2)
    inputs = torch.randn(40, features, generator=draw)
    evidence.fit(inputs, torch.where(inputs[:, : len(schema)] > 0, 1, -1).to(torch.int8))
    return evidence


def test_the_logits_are_the_evidence_plus_the_gate_times_the_reading(images: Tensor) -> None:
    evidence, reading = fitted(), face_insight()(images).logits
    model = face_insight(evidence=evidence, gate=Gate(start=0.5))
    expected = evidence(model.encode(images)["image"].mean(1))
    torch.testing.assert_close(model(images).logits, expected + 0.5 * reading)
    given = torch.rand(3, 5, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model(images, scores=given).logits, evidence.logits(given) + 0.5 * reading)
    cached = model(features=model.encode(images))
    assert torch.equal(cached.logits, model(images).logits)


def test_before_training_the_model_is_close_to_its_evidence(images: Tensor) -> None:
    model, reading = face_insight(evidence=fitted()), face_insight()(images).logits
    assert reading.abs().max() > 1e-3
    apart = (model(images).logits - model.evidence(model.encode(images)["image"].mean(1))).abs()
    assert (apart <= 0.1 * reading.abs() + 1e-5).all()


def test_evidence_has_no_gradient_and_the_reading_and_its_gate_have_one(images: Tensor) -> None:
    evidence = fitted()
    before = {name: each.clone() for name, each in evidence.state_dict().items()}
    model = face_insight(evidence=evidence).train()
    model(images).logits.square().sum().backward()
    trained = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert trained == {"projector", "query", "head", "gate"}
    assert all(torch.equal(each, before[name]) for name, each in model.evidence.state_dict().items())


def test_the_evidence_reads_tokens_then_places_then_parts(images: Tensor) -> None:
    encoder = full().encoder
    features = encoder(images)
    image, parts = features["image"], features["segmentation"]
    places = torch.stack([torch.cat([part[12:] for part in face]) for face in parts])
    expected = {"image": image.mean(1), "places": places, "parts": parts.flatten(1)}
    assert places.shape == (3, 19 * 6)
    for sources in (["image"], ["places"], ["image", "places"], ["image", "parts"], ["parts", "places", "image"]):
        wanted = torch.cat([each for name, each in expected.items() if name in sources], dim=1)
        torch.testing.assert_close(encoder.evidence_inputs(features, sources), wanted)
    alone = face_insight().encoder
    assert torch.equal(alone.evidence_inputs(features, ["image", "places"]), expected["image"])


def test_an_encoder_with_levels_has_each_of_them_pooled_by_itself(images: Tensor) -> None:
    encoder = face_insight().encoder
    levels = encoder.image_encoder.module.levels = ((8, 2), (4, 1))
    features = encoder(images)
    pooled = encoder.evidence_inputs(features, ["image"])
    assert torch.equal(pooled, pool_levels(features["image"], (4, 4), levels))
    assert pooled.shape == (3, 8 * 4 + 4)


def test_permuting_the_attributes_of_a_model_with_evidence_permutes_its_logits(images: Tensor) -> None:
    order = [3, 0, 4, 2, 1]
    turned = Schema.from_names([SCHEMA.names[each] for each in order])

    def with_evidence(schema: Schema, columns: list[int]) -> FaceInsight:
        gain = CooccurrenceGain(graph=graph().reorder(schema.names))
        evidence = Evidence.for_schema(schema=schema, num_features=12, gain=gain)
        inputs = torch.randn(40, 12, generator=torch.Generator().manual_seed(2))
        evidence.fit(inputs, torch.where(inputs[:, columns] > 0, 1, -1).to(torch.int8))
        return face_insight(schema, evidence=evidence)

    expected = with_evidence(SCHEMA, [0, 1, 2, 3, 4])(images).logits[:, order]
    torch.testing.assert_close(with_evidence(turned, order)(images).logits, expected, atol=1e-4, rtol=1e-4)


def test_evidence_that_is_not_the_model_s_is_refused(images: Tensor) -> None:
    turned = Schema.from_names(SCHEMA.names[::-1])
    with pytest.raises(InputError, match="another order or by other names"):
        face_insight(evidence=fitted(schema=turned))
    encoder = ImageEncoder(name="vit_tiny_patch16_224", image_size=64, options={"embed_dim": 12, "depth": 1})
    with pytest.raises(InputError, match="must be in Frozen"):
        face_insight(evidence=fitted(), image_encoder=encoder)
    with pytest.raises(InputError, match="a gate without evidence"):
        face_insight(gate=Gate())
    with pytest.raises(InputError, match="not fitted"):
        face_insight(evidence=Evidence.for_schema(schema=SCHEMA, num_features=12))(images)
    drawn = SegmentationEncoder(parser=Frozen(FaceParser(image_size=64)), route=MapTokens(
        image_encoder=face_insight().image_encoder, embed_dim=32
    ))  # fmt: skip
    with pytest.raises(InputError, match="MapTokens has no places of parts"):
        face_insight(evidence=fitted(), segmentation=drawn)(images)


def test_attribute_tokens_reach_the_logits_are_saved_and_loaded_and_need_prompts(
    images: Tensor, tmp_path: Path
) -> None:
    tokens = AttributeTokens(prompt_dim=32, image_dim=12, embed_dim=32)
    model = face_insight(attribute_tokens=tokens).eval()
    with torch.no_grad():
        logits = model(images).logits
        assert not torch.equal(logits, face_insight()(images).logits)
    model.save_pretrained(tmp_path, include_frozen=True)
    assert torch.equal(FaceInsight.from_pretrained(tmp_path)(images).logits, logits)
    found = face_stages(model, model.encode(images), [1, 2])
    torch.testing.assert_close(found["reading"], logits, atol=1e-5, rtol=1e-4)
    query = AttributeQuery(embed_dim=32, num_tokens=0)
    with pytest.raises(InputError, match="text_encoder"):
        face_insight(attribute_tokens=tokens, text_encoder=None, question="Is it {prompt}?", query=query)
