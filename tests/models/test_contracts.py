"""Anything that does the job is taken as it is; anything else is refused once, in one sentence."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from faceinsight.data.table import FaceTable, check_source
from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.contracts import AttributeNetwork, PlainNetwork, as_network
from faceinsight.models.controls import PriorClassifier
from faceinsight.models.decoded import DecodedOutput, undecoded
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.training.callbacks import parts_table
from faceinsight.training.systems import AttributeSystem

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
RULES = RuleSet.parse("Bald -> not Bangs", SCHEMA)
IMAGES = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def plain(outputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, outputs))


class WithLogits(nn.Module):
    def forward(self, images: Tensor) -> Any:
        return SimpleNamespace(logits=images.mean((2, 3)))


@pytest.mark.parametrize("make", [plain, WithLogits])
def test_a_module_from_images_to_logits_is_a_network(make: Callable[[], nn.Module]) -> None:
    network = make()
    system = AttributeSystem(network=network, rules=RULES)
    assert isinstance(system.network, AttributeNetwork)
    found = network(IMAGES)
    assert torch.equal(system.network(IMAGES).logits, getattr(found, "logits", found))
    assert system.network.schema == SCHEMA
    assert undecoded(system.network) is network


def test_its_parts_keep_their_names_and_train_under_a_decoder_as_well() -> None:
    network = plain()
    decoded = DecodedOutput(network=network, decoder=ConsistentDecoder(RULES))
    system = AttributeSystem(network=decoded, rules=RULES, trained=["1"])
    assert parts_table(system.network)["part"].tolist() == ["0", "1", "total"]
    assert all(each.requires_grad for each in network.parameters())
    assert not RULES.violations(decoded.eval()(IMAGES * 9).logits > 0).any()


def test_a_network_of_this_library_stays_as_it_is() -> None:
    prior = PriorClassifier(schema=SCHEMA, prior=torch.tensor([0.1, 0.5, 0.5]))
    assert as_network(prior, SCHEMA) is prior


@pytest.mark.parametrize(
    ("network", "message"),
    [(nn.Linear, "the class Linear, not built"), ("resnet18", "is a torch.nn.Module .* got str")],
)
def test_what_is_no_network_is_refused_when_it_is_given(network: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_network(network, SCHEMA)


@pytest.mark.parametrize(("network", "came"), [(plain(2), r"\[4, 2\]"), (nn.Identity(), r"\[4, 3, 2, 2\]")])
def test_logits_of_another_shape_are_refused_with_what_was_wanted(network: nn.Module, came: str) -> None:
    with pytest.raises(InputError, match=rf"\[4, 3\] .*got {came}.*3"):
        PlainNetwork(network, schema=SCHEMA)(IMAGES)


def test_rules_over_other_attributes_than_the_networks_are_refused() -> None:
    prior = PriorClassifier(schema=Schema.from_names(["Hat"]), prior=torch.tensor([0.1]))
    with pytest.raises(InputError, match="the rules"):
        AttributeSystem(network=prior, rules=RULES)


def test_a_decoder_without_attributes_is_refused() -> None:
    with pytest.raises(InputError, match=r"names the attributes.*got Identity"):
        DecodedOutput(network=plain(), decoder=nn.Identity())


def test_a_source_without_its_methods_is_refused() -> None:
    with pytest.raises(InputError, match=r"dict lacks prepare\(\)"):
        check_source({})
    with pytest.raises(InputError, match="got the class"):
        check_source(FaceTable)


def test_a_module_with_one_obvious_argument_takes_it_by_position() -> None:
    logits = torch.zeros(2, 3)
    assert LogicalConstraint(RULES)(logits) == LogicalConstraint(rules=RULES)(logits)
    assert ConsistentDecoder(RULES).rules is RULES
