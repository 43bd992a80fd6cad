"""Anything that does the job is taken as it is; anything else is refused once, in one sentence."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from faceinsight.ablation.carry import check_networks
from faceinsight.ablation.plan import PlanError, Run, Variant
from faceinsight.data.table import FaceTable, check_source
from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.contracts import AttributeNetwork, PlainNetwork, as_network, check_decoder
from faceinsight.models.controls import PriorClassifier
from faceinsight.models.decoded import DecodedOutput, undecoded
from faceinsight.models.face_insight import FaceInsight
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.contracts import IMAGE_ENCODER
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.modules.segmentation import RegionTokens, SegmentationEncoder
from faceinsight.training.callbacks import parts_table
from faceinsight.training.systems import AttributeSystem, ParserSystem

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


class Lazily(nn.Module):
    """Batch normalisation, drop-out and a layer whose width is found out by its first input."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), nn.Flatten(), nn.LazyLinear(outputs))

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(images)


class Looks(nn.Module):
    """Looks at the numbers, which torch's meta device does not have."""

    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum().item() > 0 else images.flatten(1)


def test_a_networks_output_is_checked_before_its_first_batch_and_nothing_of_it_changes() -> None:
    network, drawn = plain(2), torch.get_rng_state()
    with pytest.raises(InputError, match=r"\[1, 3\] .* got \[1, 2\]"):
        PlainNetwork(network, schema=SCHEMA).check(2)
    right = plain()
    before = {name: value.clone() for name, value in right.state_dict().items()}
    PlainNetwork(right, schema=SCHEMA).check(2)
    assert all(torch.equal(value, before[name]) for name, value in right.state_dict().items())
    torch.set_rng_state(drawn)
    lazy = Lazily(3)
    drawn = torch.get_rng_state()
    PlainNetwork(lazy, schema=SCHEMA).check(2)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert lazy.training
    assert lazy.trunk[3].has_uninitialized_params()
    assert not lazy.trunk[0].num_batches_tracked


def test_a_network_that_cannot_be_asked_without_numbers_passes_until_its_first_batch() -> None:
    network = PlainNetwork(Looks(), schema=SCHEMA)
    network.check(2)
    with pytest.raises(InputError, match="let its last layer have 3"):
        network(IMAGES)


def test_rules_over_other_attributes_than_the_networks_are_refused() -> None:
    prior = PriorClassifier(schema=Schema.from_names(["Hat"]), prior=torch.tensor([0.1]))
    with pytest.raises(InputError, match="the rules"):
        AttributeSystem(network=prior, rules=RULES)


def test_a_decoder_without_attributes_is_refused() -> None:
    with pytest.raises(InputError, match=r"names the attributes.*got Identity"):
        DecodedOutput(network=plain(), decoder=nn.Identity())


def test_a_decoder_that_was_not_built_is_refused() -> None:
    with pytest.raises(InputError, match="class ConsistentDecoder, not built"):
        check_decoder(ConsistentDecoder)


def tiny_vit() -> ImageEncoder:
    return ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})


REGIONS = RegionTokens(image_dim=12, embed_dim=12)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"image_encoder": nn.Identity(), "segmentation": SegmentationEncoder(parser=None, route=REGIONS)},
            "Identity, which has no 'grid'",
        ),
        ({"segmentation": nn.Identity()}, "such as SegmentationEncoder.* no 'encode'"),
        ({"language_model": nn.Identity()}, "such as LanguageModel.* no 'backbone'"),
        ({"evidence": nn.Identity()}, "such as Evidence.* no 'asked'"),
    ],
)
def test_what_is_no_part_of_a_model_is_refused_when_it_is_given(parts: dict[str, Any], message: str) -> None:
    others = {"projector": nn.Identity(), "query": AttributeQuery(embed_dim=12, num_tokens=0), "question": "{prompt}?"}
    given = {"image_encoder": tiny_vit(), "language_model": LanguageModel.from_config(embed_dim=12, depth=1)}
    FaceInsight(schema=SCHEMA, **others, **given)
    with pytest.raises(InputError, match=message):
        FaceInsight(schema=SCHEMA, **others, **{**given, **parts})


@pytest.mark.parametrize(
    ("part", "message"),
    [("vit", "from images to tokens .* got str"), (ImageEncoder, "class ImageEncoder, not built")],
)
def test_what_is_no_module_is_no_part(part: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        IMAGE_ENCODER.check(part)


def test_a_parser_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match="such as a FaceParser; got Linear"):
        ParserSystem(network=nn.Linear(2, 2))


def test_an_ablation_with_a_network_of_another_output_is_refused_before_it_begins() -> None:
    def run(outputs: int) -> Run:
        network = {"class_path": "torchvision.models.squeezenet1_1", "init_args": {"num_classes": outputs}}
        rules = {"class_path": "faceinsight.RuleSet.load", "init_args": {"name_or_path": "fairface"}}
        system = {"class_path": "faceinsight.training.systems.AttributeSystem"}
        source = {"class_path": "faceinsight.data.SynthFaces", "init_args": {"root": "nowhere", "count": 8}}
        config = {
            "model": {**system, "init_args": {"network": network, "rules": rules}},
            "data": {"class_path": "faceinsight.data.FaceDataModule", "init_args": {"source": source}},
        }
        return Run(Variant("plain", config, "variants"), 0, Path("nowhere"), config)

    attributes = len(Schema.load("fairface"))
    check_networks([run(attributes)])
    with pytest.raises(PlanError, match=rf"'plain'.*\[1, {attributes}\].*got \[1, 5\]"):
        check_networks([run(attributes), run(5)])


def test_a_source_without_its_methods_is_refused() -> None:
    with pytest.raises(InputError, match=r"dict lacks prepare\(\)"):
        check_source({})
    with pytest.raises(InputError, match="got the class"):
        check_source(FaceTable)


def test_a_module_with_one_obvious_argument_takes_it_by_position() -> None:
    logits = torch.zeros(2, 3)
    assert LogicalConstraint(RULES)(logits) == LogicalConstraint(rules=RULES)(logits)
    assert ConsistentDecoder(RULES).rules is RULES
