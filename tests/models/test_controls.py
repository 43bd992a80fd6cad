"""The controls: plain answers that FaceInsight must beat, and what each of them is by hand."""

import pytest
import torch
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import (
    EvidenceClassifier,
    MLGCNClassifier,
    PriorClassifier,
    RidgeClassifier,
    TokenClassifier,
)
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.projector import Projector
from faceinsight.modules.text_encoder import TextEncoder

SCHEMA = Schema.from_names(["Smiling", "Bald", "Wearing_Hat", "Male", "Young"])


def tiny_encoder() -> Frozen:
    torch.manual_seed(0)
    return Frozen(ImageEncoder(name="vit_tiny_patch16_224", image_size=64, options={"embed_dim": 12, "depth": 1}))


def graph() -> LabelGraph:
    labels = torch.randint(0, 2, (200, len(SCHEMA)), generator=torch.Generator().manual_seed(0)).bool()
    return LabelGraph.from_labels(labels, SCHEMA, threshold=0.3)


def ml_gcn(**parts: object) -> MLGCNClassifier:
    built: dict = {
        "image_encoder": tiny_encoder(),
        "correlation": CorrelationConstraint(graph=graph(), embed_dim=8),
    }
    return MLGCNClassifier(schema=SCHEMA, prompt_dim=8, embed_dim=12, **{**built, **parts})


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_a_plain_classifier_trains_its_encoder_and_a_frozen_one_does_not(images: Tensor) -> None:
    encoder = ImageEncoder(name="resnet18", image_size=64)
    plain = TokenClassifier(schema=SCHEMA, image_encoder=encoder, embed_dim=512)
    plain(images).logits.sum().backward()
    assert not plain.encoder.frozen
    assert all(each.grad is not None for each in plain.parameters())
    frozen = TokenClassifier(schema=SCHEMA, image_encoder=Frozen(encoder), embed_dim=512)
    assert frozen.encoder.frozen
    assert {name for name, each in frozen.named_parameters() if each.requires_grad} == {"head.weight", "head.bias"}


def test_the_token_classifier_is_a_linear_layer_on_mean_tokens(images: Tensor) -> None:
    encoder, projector = tiny_encoder(), Projector(in_dim=12, out_dim=32)
    control = TokenClassifier(schema=SCHEMA, image_encoder=encoder, embed_dim=32, projector=projector)
    tokens = projector(control.encode(images)["image"])
    expected = nn.functional.linear(tokens.sum(1) / tokens.shape[1], control.head.weight, control.head.bias)
    torch.testing.assert_close(control(images).logits, expected)


def test_the_prior_gives_every_face_the_training_shares(images: Tensor) -> None:
    prior = torch.tensor([0.1, 0.5, 0.9, 0.0, 1.0])
    probability = PriorClassifier(schema=SCHEMA, prior=prior)(images).logits.sigmoid()
    torch.testing.assert_close(probability, prior.expand(3, 5), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="a prior of 2 shares for the 5 attributes of 'custom'"):
        PriorClassifier(schema=SCHEMA, prior=prior[:2])


def test_ml_gcn_s_logits_are_the_pooled_feature_times_the_refined_labels(images: Tensor) -> None:
    model = ml_gcn()
    tokens, adjacency = model.encode(images)["image"], graph().weights
    labels = model.text_encoder.vectors
    for layer in model.correlation.layers:  # ML-GCN, equation 2
        labels = nn.functional.leaky_relu(adjacency @ labels @ layer.lin.weight.T, 0.2)
    weights = labels @ model.widen.weight.T
    for face, row in enumerate(model(images).logits):
        highest = torch.tensor([max(token[dim] for token in tokens[face]) for dim in range(12)])
        expected = torch.stack([(weight * highest).sum() / 12**0.5 for weight in weights])
        torch.testing.assert_close(row, expected, atol=1e-6, rtol=1e-5)


def test_ml_gcn_reads_cached_features_and_trains_every_part_but_the_frozen_one(images: Tensor) -> None:
    model = ml_gcn(projector=Projector(in_dim=12, out_dim=12))
    assert torch.equal(model(features=model.encode(images)).logits, model(images).logits)
    model(images).logits.square().sum().backward()
    trained = {name for name, each in model.named_parameters() if each.grad is not None and each.grad.any()}
    assert trained == {name for name, each in model.named_parameters() if each.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"text_encoder", "correlation", "widen", "projector"}


@pytest.mark.parametrize("width", [16, 256])
def test_ml_gcn_s_logits_start_near_zero_whatever_the_width(width: int, images: Tensor) -> None:
    torch.manual_seed(0)
    model = MLGCNClassifier(
        schema=SCHEMA,
        image_encoder=ImageEncoder(name="resnet10t", image_size=64),
        prompt_dim=width,
        embed_dim=512,
    )
    logits = model(images).logits
    assert 0.01 < logits.abs().mean() < 1


def test_ml_gcn_takes_a_language_model_s_word_embeddings(images: Tensor) -> None:
    language_model = Frozen(LanguageModel.from_config(embed_dim=8, depth=1, num_heads=2))
    model = ml_gcn(text_encoder=TextEncoder(), language_model=language_model)
    expected = model.widen(model.correlation(TextEncoder()(SCHEMA.prompts, language_model)))
    torch.testing.assert_close(model.classifiers(), expected)
    model(images).logits.sum().backward()
    assert all(each.grad is None for each in language_model.parameters())


def test_ridge_on_tokens_is_the_regression_of_the_encoders_tokens(images: Tensor) -> None:
    encoder = tiny_encoder().module
    width = encoder.num_tokens * encoder.embed_dim
    regression = nn.Linear(width, len(SCHEMA))
    model = RidgeClassifier(schema=SCHEMA, regression=regression, encoder=encoder)
    scores = encoder(images).reshape(3, width) @ regression.weight.T + regression.bias
    torch.testing.assert_close(model(images).logits.sigmoid(), ((1 + scores) / 2).clamp(1e-6, 1 - 1e-6))
    assert not any(each.requires_grad for each in model.parameters())
    with pytest.raises(ValueError, match=r"none from this encoder's tokens to the 5 .*models\.token_ridge makes one"):
        RidgeClassifier(schema=SCHEMA, regression=nn.Linear(3, 5), encoder=encoder)


def test_ridge_scores_are_clamped_probabilities(images: Tensor) -> None:
    regression = nn.Linear(3 * 2 * 2, 5)
    nn.init.normal_(regression.weight, std=2, generator=torch.Generator().manual_seed(0))
    quarters = images.reshape(3, 3, 2, 32, 2, 32).mean((3, 5)).flatten(1)
    expected = ((1 + quarters @ regression.weight.T + regression.bias) / 2).clamp(0, 1)
    assert len({0.0, 1.0} & set(expected.flatten().tolist())) == 2
    model = RidgeClassifier(schema=SCHEMA, regression=regression)
    logits = model(images).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.sigmoid(), expected, atol=1e-5, rtol=0)
    assert not any(each.requires_grad for each in model.parameters())


def test_a_regression_of_another_shape_is_refused() -> None:
    for inputs, outputs in ((13, 5), (12, 4)):
        with pytest.raises(ValueError, match=f"a regression from {inputs} values to {outputs} scores is none from"):
            RidgeClassifier(schema=SCHEMA, regression=nn.Linear(inputs, outputs))


@pytest.mark.usefixtures("types_unchecked")
def test_the_evidence_classifier_is_its_evidence(images: Tensor) -> None:
    evidence = Evidence.for_schema(schema=SCHEMA, num_features=12)
    control = EvidenceClassifier(schema=SCHEMA, image_encoder=tiny_encoder(), evidence=evidence)
    inputs = torch.randn(40, 12, generator=torch.Generator().manual_seed(2))
    left_out = evidence.fit(inputs, torch.where(inputs[:, :5] > 0, 1, -1).to(torch.int8))
    assert torch.equal(control(images).logits, evidence(control.encode(images)["image"].mean(1)))
    assert torch.equal(control(features=control.encode(images)).logits, control(images).logits)
    assert torch.equal(control(images, scores=left_out[:3]).logits, evidence.logits(left_out[:3]))
    assert not any(each.requires_grad for each in control.parameters())
    with pytest.raises(InputError, match="must be in Frozen"):
        EvidenceClassifier(schema=SCHEMA, image_encoder=tiny_encoder().module, evidence=evidence)
    with pytest.raises(InputError, match="scores of 1 faces"):
        control(images, scores=left_out[:1])
    with pytest.raises(InputError, match="features lack image"):
        control(features={"segmentation": images})
    other = Evidence(num_features=12, names=SCHEMA.names[:4])
    with pytest.raises(InputError, match="evidence is of 4 attributes"):
        EvidenceClassifier(schema=SCHEMA, image_encoder=tiny_encoder(), evidence=other)


def test_mirrored_evidence_reads_the_mean_of_a_picture_and_its_mirror_image() -> None:
    known = Evidence.for_schema(schema=SCHEMA, num_features=12, sources=["mirrored"])
    encoder = tiny_encoder()
    control = EvidenceClassifier(schema=SCHEMA, image_encoder=encoder, evidence=known)
    images = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    read = control.encoder.evidence_inputs(control.encode(images), known.sources)
    with torch.no_grad():
        by_hand = [(encoder(one[None]).mean(1) + encoder(one.flip(-1)[None]).mean(1)) / 2 for one in images]
    torch.testing.assert_close(read, torch.cat(by_hand), atol=1e-5, rtol=1e-4)
    known.fit(read, torch.where(read[:, : len(SCHEMA)] > read[:, : len(SCHEMA)].median(0).values, 1, -1).to(torch.int8))
    torch.testing.assert_close(control(images.flip(-1)).logits, control(images).logits, atol=1e-4, rtol=1e-4)
    plain = Evidence.for_schema(schema=SCHEMA, num_features=12, sources=["image"])
    other = EvidenceClassifier(schema=SCHEMA, image_encoder=encoder, evidence=plain)
    assert list(other.encode(images)) == ["image"], "the mirror image is encoded for those who read it"
    assert other.encoder.feature_keys()["image"] == control.encoder.feature_keys()["image"], "one cache serves both"
