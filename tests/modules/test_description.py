"""Every part tells how it is built again, and nothing else is built."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from faceinsight import modules
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.description import build_part, described, differences
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.projector import Projector

SCHEMA = Schema.from_names(["Smiling", "Bald", "Male"])
GRAPH = LabelGraph.from_labels(torch.randint(0, 2, (50, 3), generator=torch.Generator().manual_seed(0)).bool(), SCHEMA)
VIT: dict[str, Any] = {"name": "vit_tiny_patch16_224", "image_size": 32, "options": {"embed_dim": 12, "depth": 1}}
RESNET: dict[str, Any] = {"name": "resnet10t", "image_size": 64, "feature_index": 2}


def encoder(**options: Any) -> modules.ImageEncoder:
    return modules.ImageEncoder(**(options or VIT))


def gain(**options: Any) -> modules.CooccurrenceGain:
    return modules.CooccurrenceGain(graph=GRAPH, observed=["Bald", "Male"], amounts=[0.0, 0.5], **options)


#: every part that is saved, with no argument at its default
PARTS: dict[str, Any] = {
    "AttributeQuery": lambda: modules.AttributeQuery(prompt_dim=5, embed_dim=6, num_tokens=3),
    "AttributeTokens": lambda: modules.AttributeTokens(
        prompt_dim=5, image_dim=6, embed_dim=8, num_heads=2, dropout=0.1
    ),
    "CooccurrenceGain": lambda: gain(asked=["Male", "Bald"], trained=True),
    "CorrelationConstraint": lambda: modules.CorrelationConstraint(
        graph=GRAPH, embed_dim=5, depth=3, activation="between", residual="add"
    ),
    "Evidence": lambda: modules.Evidence(
        num_features=4, names=["Bald", "Male"], gain=gain(), sources=["image", "parts"], penalties=[0.2, 2.0]
    ),
    "FaceParser": lambda: modules.FaceParser(
        architecture="Unet", encoder="tu-lcnet_050", classes=4, image_size=32, options={"decoder_channels": [8] * 5}
    ),
    "FaceResNet": lambda: modules.FaceResNet(image_size=103, grid=(2, 3), strides=(16, 8)),
    "Frozen": lambda: Frozen(encoder()),
    "Gate": lambda: modules.Gate(start=0.5),
    "HybridEncoder": lambda: modules.HybridEncoder(stem=encoder(**RESNET), name=VIT["name"], options=VIT["options"]),
    "ImageEncoder": lambda: encoder(**RESNET),
    "LanguageModel": lambda: modules.LanguageModel.from_config(
        embed_dim=16, depth=1, num_heads=2, mlp_dim=24, max_tokens=64, initializer_range=0.1, seed=3
    ),
    "LearnedText": lambda: modules.LearnedText(num_attributes=2, embed_dim=5),
    "MLPQuery": lambda: modules.MLPQuery(prompt_dim=5, embed_dim=6, hidden_dim=7),
    "MapTokens": lambda: modules.MapTokens(image_encoder=Frozen(encoder()), embed_dim=6, pool=2),
    "Projector": lambda: modules.Projector(in_dim=5, out_dim=6, pool=2),
    "RegionTokens": lambda: modules.RegionTokens(image_dim=5, embed_dim=6, num_regions=4, absent_below=0.1),
    "SegmentationEncoder": lambda: modules.SegmentationEncoder(
        parser=None, route=modules.RegionTokens(image_dim=5, embed_dim=6)
    ),
    "SharedHead": lambda: modules.SharedHead(embed_dim=5),
    "TextEncoder": lambda: modules.TextEncoder(),
}


def test_every_part_of_the_library_is_looked_at() -> None:
    no_parts = {"ConsistentDecoder", "LogicalConstraint", "ShieldLayer"}
    on_checkpoints = {"LoRA", "VisionTower"}  # tests/modules/language/test_lora.py, tests/models/test_from_llava.py
    assert set(modules.__all__) - PARTS.keys() == no_parts | on_checkpoints


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_built_again_from_what_it_tells_by_way_of_json(name: str) -> None:
    part = PARTS[name]()
    told = json.loads(json.dumps(described(part)))
    again = build_part(told, given={}, knowledge={"graph.yaml": GRAPH, "cooccurrence.yaml": GRAPH})
    again.load_state_dict(part.state_dict())
    assert type(again) is type(part)
    assert str(again) == str(part)
    assert list(differences(told, described(again))) == []


def test_what_a_part_does_not_keep_is_noticed() -> None:
    told = described(modules.RegionTokens(image_dim=5, embed_dim=6, num_regions=4, absent_below=0.1))
    assert told == {"class": "RegionTokens", "image_dim": 5, "embed_dim": 6, "num_regions": 4, "absent_below": 0.1}


def test_a_user_s_class_is_told_by_its_name_even_if_it_is_called_like_ours() -> None:
    class Projector(modules.Projector):
        pass

    told = described(Projector(in_dim=2, out_dim=3))
    assert told.keys() == {"given"}
    assert told["given"].endswith(
        "test_a_user_s_class_is_told_by_its_name_even_if_it_is_called_like_ours.<locals>.Projector"
    )


def test_a_user_s_language_model_is_not_taken_for_ours() -> None:
    class Own(modules.LanguageModel):
        pass

    own = Own.from_config(embed_dim=16, depth=1, num_heads=2)
    assert described(own) == {"given": f"{__name__}.{Own.__qualname__}"}


def test_a_function_among_the_arguments_is_left_to_the_user() -> None:
    def convolution(inner: int, outer: int) -> nn.Module:
        from torch_geometric.nn import GraphConv

        return GraphConv(inner, outer)

    told = described(modules.CorrelationConstraint(graph=GRAPH, embed_dim=5, convolution=convolution))
    assert told["convolution"]["given"].endswith("convolution")
    again = build_part(told, given={"convolution": convolution}, knowledge={"graph.yaml": GRAPH})
    assert again.convolution is convolution


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "elsewhere.safetensors"},
        {"pretrained": True},
        {"name": "hf-hub:someone/something"},
        {"name": "local-dir:/somewhere"},
        {"options": {"checkpoint_path": "pickled.pth"}},
    ],
)
def test_a_description_cannot_make_a_part_read_from_elsewhere(change: dict) -> None:
    told = {**described(encoder()), **change}
    with pytest.raises(ValueError, match=r"^trunk would read from elsewhere \(.*\); build it yourself and give it$"):
        build_part(told, given={}, knowledge={}, name="trunk")
    given = encoder()
    assert build_part(told, given={"trunk": given}, knowledge={}, name="trunk") is given


def test_a_changed_preprocessing_is_a_difference() -> None:
    told = described(encoder())
    told["preprocessing"] = {**told["preprocessing"], "interpolation": "nearest"}
    ((name, before, after),) = differences(told, described(encoder()))
    assert (name, before["interpolation"], after["interpolation"]) == ("preprocessing", "nearest", "bicubic")


def test_an_argument_that_an_older_file_does_not_have_had_its_default() -> None:
    told = described(Projector(in_dim=4, out_dim=8))
    older = {key: value for key, value in told.items() if key != "pool"}
    assert not [*differences(older, told)]
    assert [*differences(older, told | {"pool": 2})] == [("pool", 1, 2)]
    assert [*differences({"class": "Projector", "out_dim": 8}, told)] == [("in_dim", None, 4)]
