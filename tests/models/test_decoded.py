"""A decoder at the output: where the wrapped network stood, nothing else may notice."""

import pandas as pd
import pytest
import torch
from lightning import Trainer
from torch import Tensor

from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics import decisions
from faceinsight.models.controls import PriorClassifier, TokenClassifier
from faceinsight.models.decoded import DecodedOutput
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.logic.shield import ShieldLayer
from faceinsight.training.callbacks import encoded, parts_table
from faceinsight.training.systems import AttributeSystem

SCHEMA = Schema.from_names(["Bald", "Bangs", "Wavy"])
RULES = RuleSet.parse("Bald -> not Bangs\nBald -> not Wavy", SCHEMA)
PRIOR = torch.tensor([0.9, 0.6, 0.2])


def classifier() -> TokenClassifier:
    torch.manual_seed(0)
    encoder = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    return TokenClassifier(schema=SCHEMA, image_encoder=Frozen(encoder), embed_dim=12)


def shielded(network: torch.nn.Module, **options: object) -> DecodedOutput:
    return DecodedOutput(network=network, decoder=ShieldLayer(rules=RULES), **options)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_the_prior_s_broken_rule_is_mended_in_evaluation_and_not_in_training(images: Tensor) -> None:
    network = PriorClassifier(schema=SCHEMA, prior=PRIOR)
    assert RULES.violations(decisions(network(images).logits.sigmoid())).any()
    torch.testing.assert_close(
        shielded(network).eval()(images).logits.sigmoid(), torch.tensor([0.9, 0.1, 0.1]).expand(4, 3)
    )
    assert torch.equal(shielded(network).train()(images).logits, network(images).logits)
    always = shielded(network, when="always").train()
    assert torch.equal(always(images).logits, always.eval()(images).logits)


def test_features_encoder_and_parts_are_those_of_the_network(images: Tensor) -> None:
    network = classifier()
    wrapped = shielded(network).eval()
    assert wrapped.encoder is network.encoder
    assert torch.equal(wrapped(features=wrapped.encode(images)).logits, wrapped(images).logits)
    batch = FaceBatch(images=images, labels=torch.ones(4, 3, dtype=torch.int8), index=torch.tensor([2, 0, 3, 1]))
    cached = encoded(wrapped.encoder, "image", lambda: [batch], {}, torch.device("cpu"))
    assert torch.equal(cached["image"], network.encode(images)["image"])
    pd.testing.assert_frame_equal(parts_table(wrapped), parts_table(network))
    assert wrapped.state_dict().keys() == {f"network.{name}" for name in network.state_dict()}


def test_a_network_without_an_encoder_has_none_when_wrapped() -> None:
    assert not hasattr(shielded(PriorClassifier(schema=SCHEMA, prior=PRIOR)), "encoder")


@pytest.mark.parametrize("when", ["evaluation", "always"])
def test_every_trained_weight_gets_a_gradient_through_the_decoder(images: Tensor, when: str) -> None:
    network = shielded(classifier(), when=when).train()
    network(images).logits.square().sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in network.parameters() if each.requires_grad)


def test_rules_over_other_attributes_are_refused() -> None:
    other = Schema.from_names(["Bangs", "Bald", "Wavy"], name="other")
    with pytest.raises(ValueError, match=r"decoder .*3 attributes of 'other'"):
        DecodedOutput(network=classifier(), decoder=ShieldLayer(rules=RuleSet.parse("Bald -> not Bangs", other)))


def test_rates_and_trained_parts_are_named_as_without_the_decoder() -> None:
    options: dict[str, object] = {"rules": RULES, "lr": 0.1, "part_lr": {"head": 0.5}, "trained": ["head"]}
    plain, wrapped = (AttributeSystem(network=each, **options) for each in (classifier(), shielded(classifier())))
    for system in (plain, wrapped):
        system.trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
        system.setup("fit")
    rates = [[(len(group["params"]), group["lr"]) for group in system.groups] for system in (plain, wrapped)]
    assert rates[0] == rates[1] == [(1, 0.5), (1, 0.5)]
    assert isinstance(wrapped.network, DecodedOutput)
