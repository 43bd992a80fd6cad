"""The controls: plain answers that FaceInsight must beat, and what each of them is by hand."""

import pytest
import torch
from torch import Tensor, nn

from faceinsight.controls import PriorClassifier, TokenClassifier
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.projector import Projector

SCHEMA = Schema.from_names(["Smiling", "Bald", "Wearing_Hat", "Male", "Young"])


def tiny_encoder() -> Frozen:
    torch.manual_seed(0)
    return Frozen(ImageEncoder(name="vit_tiny_patch16_224", image_size=64, options={"embed_dim": 12, "depth": 1}))


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
