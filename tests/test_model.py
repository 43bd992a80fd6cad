"""The parts put together: what is cached, what trains, and what must not depend on what."""

import pytest
import torch
from torch import Tensor

from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.model import FaceInsight
from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.face_parser import FaceParser
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.projector import Projector
from faceinsight.modules.segmentation import RegionTokens, SegmentationEncoder
from faceinsight.modules.text_encoder import TextEncoder

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
