"""A saved model comes back to the last bit, or is refused with the reason."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch_geometric.nn import GraphConv

import faceinsight as fi
import faceinsight.models.saving.directory
from faceinsight.errors import InputError
from faceinsight.models.controls import EvidenceClassifier, TokenClassifier
from faceinsight.models.saving.directory import sha256
from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.evidence import Evidence, Gate
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.projector import Projector
from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
from faceinsight.modules.text_encoder import TextEncoder
from faceinsight.modules.vision.face_parser import FaceParser
from faceinsight.training.configure import built

SCHEMA = fi.Schema.load("fairface")
RULES = fi.RuleSet.load("fairface")
VIT: dict[str, Any] = {"name": "vit_tiny_patch16_224", "image_size": 64, "options": {"embed_dim": 12, "depth": 1}}
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


class OwnGraph(nn.Module):
    """A user's own correlation constraint."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(len(SCHEMA), len(SCHEMA))

    def forward(self, prompts: Tensor) -> Tensor:
        return prompts + self.mix(prompts.T).T


def graph() -> fi.LabelGraph:
    labels = torch.randint(0, 2, (200, len(SCHEMA)), generator=torch.Generator().manual_seed(0)).bool()
    return fi.LabelGraph.from_labels(labels, SCHEMA, threshold=0.5)


def encoder(seed: int = 0) -> ImageEncoder:
    torch.manual_seed(seed)
    return ImageEncoder(**VIT)


def language_model(seed: int = 0) -> LanguageModel:
    return LanguageModel.from_config(embed_dim=16, depth=1, num_heads=2, seed=seed)


def full(seed: int = 5, **parts: Any) -> fi.FaceInsight:
    """A full model whose trained parts are drawn anew for each seed; the frozen ones are always the same."""
    frozen = {"image_encoder": Frozen(encoder()), "language_model": Frozen(language_model())}
    torch.manual_seed(seed)
    built: dict[str, Any] = {
        **frozen,
        "segmentation": SegmentationEncoder(
            parser=Frozen(FaceParser(image_size=64)), route=RegionTokens(image_dim=12, embed_dim=16, absent_below=0.01)
        ),
        "projector": Projector(in_dim=12, out_dim=16),
        "text_encoder": TextEncoder(),
        "correlation": CorrelationConstraint(graph=graph(), embed_dim=16, depth=1, residual="add"),
        "query": AttributeQuery(prompt_dim=16, embed_dim=16, num_tokens=2),
        "head": SharedHead(embed_dim=16),
        "rules": RULES,
        "instruction": "Look.",
    }
    return fi.FaceInsight(schema=SCHEMA, **{**built, **parts}).eval()


def lean(**parts: Any) -> fi.FaceInsight:
    """The full model without a segmentation encoder."""
    return full(**{"segmentation": None, **parts})


def no_llm(**parts: Any) -> TokenClassifier:
    """A classifier with every weight trained, batch statistics among them."""
    torch.manual_seed(0)
    trunk = ImageEncoder(name="resnet10t", image_size=64, feature_index=1)
    model = TokenClassifier(schema=SCHEMA, **{"image_encoder": trunk, "embed_dim": 64, **parts})
    model.train()(IMAGES)
    return model.eval()


def frozen_parts(model: fi.FaceInsight) -> dict[str, Any]:
    names = ("image_encoder", "language_model", "segmentation.parser")
    return dict(zip(names, (encoder(), language_model(), model.segmentation.parser.module), strict=True))


@torch.no_grad()
def logits(model: nn.Module, images: Tensor = IMAGES) -> Tensor:
    return model(images).logits


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, fi.FaceInsight]:
    folder, model = tmp_path_factory.mktemp("saved") / "model", full()
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A classifier's directory, to be damaged."""
    no_llm(rules=RULES).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Forge the configuration, with the right hashes of all files."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["files"] = {name: sha256(folder / name) for name in config["files"]}
    change(config)
    path.write_text(json.dumps(config))


# --- what comes back ---------------------------------------------------------------------------------------------


def test_a_model_comes_back_to_the_last_bit_when_its_frozen_parts_are_given_again(saved: Any) -> None:
    folder, model = saved
    assert not torch.equal(logits(full(seed=6)), logits(model)), "the trained parts make no difference"
    again = fi.FaceInsight.from_pretrained(folder, **frozen_parts(model))
    assert torch.equal(logits(again), logits(model))
    assert not again.training
    assert again.schema == SCHEMA
    assert again.rules is not None
    assert (again.rules, again.instruction) == (RULES, "Look.")
    assert torch.equal(again.correlation.graph.counts.together, graph().counts.together)


def test_a_model_is_asked_for_other_attributes_with_the_weights_that_it_has(saved: Any) -> None:
    folder, model = saved
    parts = frozen_parts(model)
    turned = fi.Schema(SCHEMA.name, SCHEMA.attributes[::-1], SCHEMA.groups)
    labels = torch.randint(0, 2, (200, len(SCHEMA)), generator=torch.Generator().manual_seed(0)).bool()
    other = fi.LabelGraph.from_labels(labels.flip(1), turned, threshold=0.5)
    again = fi.FaceInsight.from_pretrained(folder, schema=turned, graph=other, **parts)
    torch.testing.assert_close(logits(again), logits(model).flip(1))
    assert again.rules is None, "those that were saved are of other attributes"
    few = fi.Schema("few", tuple(SCHEMA.attributes[SCHEMA.index(name)] for name in ("Male", "Female", "White")))
    ruled = fi.RuleSet.parse("Male -> not Female", few)
    asked = fi.FaceInsight.from_pretrained(
        folder, schema=few, rules=ruled, graph=fi.LabelGraph.from_labels(labels[:, :3], few), **parts
    )
    assert logits(asked).shape == (2, len(few))
    assert asked.rules == ruled


def test_other_attributes_need_a_graph_and_rules_need_other_attributes(saved: Any) -> None:
    folder, model = saved
    with pytest.raises(ValueError, match=r"needs a graph .*'celeba'"):
        fi.FaceInsight.from_pretrained(folder, schema=fi.Schema.load("celeba"), **frozen_parts(model))
    with pytest.raises(ValueError, match=r"rules or a graph .*without schema="):
        fi.FaceInsight.from_pretrained(folder, rules=RULES, **frozen_parts(model))
    with pytest.raises(ValueError, match=r"rules.yaml"):
        fi.FaceInsight.from_pretrained(folder, schema=SCHEMA, rules=fi.RuleSet.load("celeba"), graph=graph())


def test_rules_are_added_and_a_graph_without_its_place_is_refused(tmp_path: Path) -> None:
    model = full(correlation=None, segmentation=None, rules=None)
    model.save_pretrained(tmp_path / "model")
    parts = {"image_encoder": encoder(), "language_model": language_model()}
    ruled = fi.FaceInsight.from_pretrained(tmp_path / "model", schema=SCHEMA, rules=RULES, **parts)
    assert ruled.rules == RULES
    assert torch.equal(logits(ruled), logits(model))
    with pytest.raises(ValueError, match="a graph was given, but"):
        fi.FaceInsight.from_pretrained(tmp_path / "model", schema=SCHEMA, graph=graph(), **parts)


def test_a_classifier_with_weights_for_each_attribute_cannot_be_asked_for_others(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"head.weight is \[18, 64\].*\[40, 64\]"):
        TokenClassifier.from_pretrained(folder, schema=fi.Schema.load("celeba"))


def test_the_directory_is_plain_text_but_for_the_tensors_and_holds_only_what_was_trained(saved: Any) -> None:
    folder, model = saved
    files = {path.name for path in folder.iterdir()}
    assert files == {"config.json", "model.safetensors", "schema.yaml", "rules.yaml", "graph.yaml"}
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    fixed = {"correlation.edge_index", "correlation.edge_weight"}
    assert load_file(folder / "model.safetensors").keys() == trained | fixed
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["projector"] == {"class": "Projector", "in_dim": 12, "out_dim": 16, "pool": 1}
    assert config["model"]["language_model"]["fingerprint"] == fingerprint(language_model())
    assert config["model"]["image_encoder"]["module"]["preprocessing"] == encoder().preprocessing
    assert yaml.safe_load((folder / "rules.yaml").read_text())["rules"]["logical"][0]["rule"] == RULES.texts[0]


def test_with_its_frozen_parts_saved_nothing_needs_to_be_given(tmp_path: Path) -> None:
    images_of_parts = MapTokens(image_encoder=Frozen(encoder(seed=3)), embed_dim=16)
    trained_parser = SegmentationEncoder(parser=FaceParser(image_size=64), route=images_of_parts)
    model = full(segmentation=trained_parser)
    model.save_pretrained(tmp_path, include_frozen=True)
    again = fi.FaceInsight.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(model))
    assert [name for name, each in again.named_parameters() if not each.requires_grad] == [
        name for name, each in model.named_parameters() if not each.requires_grad
    ]
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "frozen.safetensors").exists()
    with pytest.raises(ValueError, match=r"segmentation.route.image_encoder: ImageEncoder"):
        fi.FaceInsight.from_pretrained(tmp_path)


def test_a_classifier_without_frozen_parts_comes_back_alone_with_its_batch_statistics(folder: Path) -> None:
    again = TokenClassifier.from_pretrained(folder)
    assert torch.equal(logits(again), logits(no_llm()))
    assert again.image_encoder.trunk.bn1.num_batches_tracked == 1
    assert again.rules == RULES


def test_a_saved_model_saved_again_is_the_same_directory(folder: Path, tmp_path: Path) -> None:
    TokenClassifier.from_pretrained(folder).save_pretrained(tmp_path / "again")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_half_precision_comes_back_as_it_was(tmp_path: Path) -> None:
    model = no_llm().to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    again = TokenClassifier.from_pretrained(tmp_path)
    assert {each.dtype for each in again.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(again, IMAGES.bfloat16()), logits(model, IMAGES.bfloat16()))


def test_a_user_s_subclass_of_a_model_comes_back_as_that_class(tmp_path: Path) -> None:
    class Own(TokenClassifier):
        pass

    Own(schema=SCHEMA, image_encoder=encoder(), embed_dim=12).save_pretrained(tmp_path)
    assert type(Own.from_pretrained(tmp_path)) is Own
    with pytest.raises(ValueError, match=r"holds a Own, .*Own.from_pretrained"):
        TokenClassifier.from_pretrained(tmp_path)


def test_tied_weights_are_saved_too(tmp_path: Path) -> None:
    tied = language_model()
    tied.backbone.lm_head.weight = tied.backbone.model.embed_tokens.weight
    model = lean(language_model=Frozen(tied))
    model.save_pretrained(tmp_path, include_frozen=True)
    assert torch.equal(logits(fi.FaceInsight.from_pretrained(tmp_path)), logits(model))


@pytest.mark.filterwarnings("ignore:constant on the .* training faces", "ignore:GPU available but not used")
@pytest.mark.filterwarnings(
    "ignore:The '.*_dataloader' does not have many workers", "ignore:The number of training batc"
)
def test_a_network_trained_by_a_configuration_is_loaded_by_another_one_and_says_the_same(tmp_path: Path) -> None:
    def part(name: str, /, **arguments: object) -> dict:
        return {"class_path": f"faceinsight.{name}", "init_args": arguments}

    faces = {"root": str(tmp_path / "faces"), "count": 40, "image_size": 64, "workers": 1, "progress": False}
    rules = part("RuleSet.load", name_or_path="synthfaces")
    trained = part(
        "controls.TokenClassifier",
        schema=part("Schema.load", name_or_path="synthfaces"),
        embed_dim=12,
        image_encoder=part("modules.ImageEncoder", **VIT),
    )

    def objects(network: dict) -> Any:
        return built(
            {
                "model": part("system.AttributeSystem", network=network, rules=rules),
                "data": part("data.FaceDataModule", image_size=64, source=part("data.SynthFaces", **faces)),
                "trainer": {"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_progress_bar": False,
                            "enable_checkpointing": False, "enable_model_summary": False, "limit_val_batches": 0},
            }
        )  # fmt: skip

    first = objects(trained)
    first.trainer.fit(first.model, datamodule=first.datamodule)
    first.model.network.rules = first.model.rules
    first.model.network.save_pretrained(tmp_path / "model")
    first.trainer.test(first.model, datamodule=first.datamodule, verbose=False)
    second = objects(part("controls.TokenClassifier.from_pretrained", directory=str(tmp_path / "model")))
    second.trainer.test(second.model, datamodule=second.datamodule, verbose=False)
    assert torch.equal(second.model.test_probability, first.model.test_probability)
    assert second.model.network.rules == first.model.rules


# --- evidence ----------------------------------------------------------------------------------------------------


def evidence(source: str = "image", **options: Any) -> Evidence:
    """Fitted evidence with a gain over the model's attributes."""
    gain = CooccurrenceGain(graph=graph(), **options)
    made = Evidence.for_schema(schema=SCHEMA, num_features=12, gain=gain, sources=[source])
    inputs = torch.randn(60, 12, generator=torch.Generator().manual_seed(3))
    made.fit(inputs, torch.where(inputs.repeat(1, 2)[:, : len(SCHEMA)] > 0, 1, -1).to(torch.int8))
    return made


def with_evidence(**parts: Any) -> fi.FaceInsight:
    return lean(**{"evidence": evidence(), "gate": Gate(start=0.3), **parts})


def given() -> dict[str, Any]:
    return {"image_encoder": encoder(), "language_model": language_model()}


@pytest.mark.parametrize("source", ["image", "mirrored"])
@pytest.mark.parametrize("trained", [False, True])
def test_evidence_comes_back_to_the_last_bit_with_its_gain_and_gate(trained: bool, source: str, tmp_path: Path) -> None:
    model = with_evidence(evidence=evidence(source, trained=trained))
    with torch.no_grad():
        model.gate.scale.fill_(0.7)
    model.save_pretrained(tmp_path)
    again = fi.FaceInsight.from_pretrained(tmp_path, **given())
    assert torch.equal(logits(again), logits(model))
    assert again.evidence.fitted
    assert again.gate.scale.item() == pytest.approx(0.7)
    assert (again.evidence.gain.weight is None) != trained
    again.save_pretrained(tmp_path / "again")
    for path in tmp_path.iterdir():
        if path.is_file():
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_gain_s_graph_is_a_readable_file_beside_that_of_the_correlation_constraint(tmp_path: Path) -> None:
    more = fi.Schema.from_names([*SCHEMA.names, "Unseen"])
    labels = torch.randint(0, 2, (90, len(more)), generator=torch.Generator().manual_seed(0)).bool()
    wider = fi.LabelGraph.from_labels(labels, more)
    gain = CooccurrenceGain(graph=wider, observed=SCHEMA.names)
    model = with_evidence(evidence=Evidence.for_schema(schema=SCHEMA, num_features=12, gain=gain, sources=["image"]))
    model.save_pretrained(tmp_path)
    assert fi.LabelGraph.load(tmp_path / "cooccurrence.yaml").names == more.names
    assert fi.LabelGraph.load(tmp_path / "graph.yaml").names == SCHEMA.names
    told = json.loads((tmp_path / "config.json").read_text())["model"]["evidence"]
    assert told["gain"]["graph"] == {"file": "cooccurrence.yaml"}
    assert told["names"] == [*SCHEMA.names]
    lean().save_pretrained(tmp_path)
    assert not (tmp_path / "cooccurrence.yaml").exists()


def test_a_closed_form_classifier_comes_back_alone(tmp_path: Path) -> None:
    model = EvidenceClassifier(schema=SCHEMA, image_encoder=Frozen(encoder()), evidence=evidence()).eval()
    model.save_pretrained(tmp_path, include_frozen=True)
    assert torch.equal(logits(EvidenceClassifier.from_pretrained(tmp_path)), logits(model))


def test_a_model_saved_before_there_was_evidence_still_loads(tmp_path: Path) -> None:
    model = lean()
    model.save_pretrained(tmp_path)

    def forget(config: dict) -> None:
        assert (config["model"].pop("evidence"), config["model"].pop("gate")) == (None, None)

    rewrite(tmp_path, forget)
    again = fi.FaceInsight.from_pretrained(tmp_path, **given())
    assert torch.equal(logits(again), logits(model))
    assert again.evidence is None


def test_a_gain_is_asked_for_other_attributes_after_loading(tmp_path: Path) -> None:
    model = with_evidence(correlation=None, gate=Gate(start=1e-9))
    model.save_pretrained(tmp_path)
    more = fi.Schema.from_names([*SCHEMA.names, "Unseen"])
    labels = torch.randint(0, 2, (90, len(more)), generator=torch.Generator().manual_seed(0)).bool()
    labels[:, -1] = labels[:, 0]  # who shows the first attribute shows the unseen one
    wider = fi.LabelGraph.from_labels(labels, more)
    few = fi.Schema.from_names(["Unseen", SCHEMA.names[4], SCHEMA.names[0]])
    again = fi.FaceInsight.from_pretrained(tmp_path, schema=few, graph=wider, **given())
    assert again.evidence.asked == [*few.names]
    assert again.evidence.names == [*SCHEMA.names]
    assert again.evidence.gain.labelled.tolist() == [False, True, True]
    scores = again.evidence.scores(again.encode(IMAGES)["image"].mean(1))
    gain = CooccurrenceGain(graph=wider, observed=SCHEMA.names, asked=few.names)
    for name in ("slope", "intercept", "noise", "amount"):
        getattr(gain, name).copy_(getattr(model.evidence.gain, name))
    torch.testing.assert_close(again.evidence.gain(scores), gain(scores))
    torch.testing.assert_close(logits(again), again.evidence.logits(scores), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("types_unchecked")
def test_what_a_gain_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    few = fi.Schema.from_names([SCHEMA.names[1], "Unseen"])
    model = with_evidence(correlation=None)
    model.save_pretrained(tmp_path / "gain")
    with pytest.raises(ValueError, match="needs a graph over the attributes"):
        fi.FaceInsight.from_pretrained(tmp_path / "gain", schema=few, **given())
    with pytest.raises((ValueError, KeyError), match="Unseen"):
        fi.FaceInsight.from_pretrained(tmp_path / "gain", schema=few, graph=graph(), **given())
    alone = fi.LabelGraph.from_labels(torch.eye(2).bool(), few)
    with pytest.raises(InputError, match=rf"lacks .*{SCHEMA.names[0]}.*must hold"):
        fi.FaceInsight.from_pretrained(tmp_path / "gain", schema=few, graph=alone, **given())
    labels = torch.randint(0, 2, (90, len(SCHEMA)), generator=torch.Generator().manual_seed(0)).bool()
    labels[:, 2] = False
    still = fi.LabelGraph.from_labels(labels, SCHEMA)
    loaded = fi.FaceInsight.from_pretrained(tmp_path / "gain", schema=SCHEMA, graph=still, **given())
    row = loaded.evidence.gain.gain()[2]
    assert torch.equal(row, torch.eye(len(row)).to(row)[2]), "the graph says nothing of it: its own score"
    for wrong in ({"schema": "celeba"}, {"schema": SCHEMA, "graph": "graph.yaml"}):
        with pytest.raises(InputError, match="load it from its file"):
            fi.FaceInsight.from_pretrained(tmp_path / "gain", **wrong, **given())
    with_evidence(evidence=evidence(trained=True)).save_pretrained(tmp_path / "trained")
    with pytest.raises(InputError, match="trained for the attributes that it has"):
        fi.FaceInsight.from_pretrained(tmp_path / "trained", schema=SCHEMA, graph=graph(), **given())
    without = Evidence.for_schema(schema=SCHEMA, num_features=12, sources=["image"])
    with_evidence(evidence=without).save_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match="no co-occurrence gain"):
        fi.FaceInsight.from_pretrained(tmp_path / "none", schema=SCHEMA, graph=graph(), **given())


# --- what must be given ------------------------------------------------------------------------------------------


def test_all_parts_that_must_be_given_are_named_at_once_with_the_reason(saved: Any) -> None:
    folder, _ = saved
    with pytest.raises(ValueError, match="FaceInsight: these parts are not") as caught:
        fi.FaceInsight.from_pretrained(folder, image_encoder=encoder())
    _, llm, parser, mend = str(caught.value).split("\n")
    assert llm.startswith("  language_model: LanguageModel.from_config(embed_dim=16, depth=1, num_heads=2, max_tokens=")
    assert llm.endswith(f"frozen and therefore not saved, SHA-256 {fingerprint(language_model())}")
    assert parser.startswith("  segmentation.parser: FaceParser(architecture='FPN', ")
    assert "FaceInsight.from_pretrained(directory, **{'language_model': ..., 'segmentation.parser': ...})" in mend


def test_a_whole_part_can_be_given_for_the_one_inside_it(saved: Any) -> None:
    folder, model = saved
    parts = frozen_parts(model)
    route = RegionTokens(image_dim=12, embed_dim=16, absent_below=0.01)
    parts["segmentation"] = SegmentationEncoder(parser=Frozen(parts.pop("segmentation.parser")), route=route)
    assert torch.equal(logits(fi.FaceInsight.from_pretrained(folder, **parts)), logits(model))
    parts["segmentation"].route.absent_below = 0.02
    with pytest.raises(ValueError, match=r"absent_below: 0.01 there, 0.02 here"):
        fi.FaceInsight.from_pretrained(folder, **parts)


def test_another_frozen_base_is_refused_with_both_hashes(saved: Any) -> None:
    folder, model = saved
    parts = {**frozen_parts(model), "language_model": Frozen(language_model(seed=1))}
    hashes = fingerprint(language_model()), fingerprint(language_model(seed=1))
    with pytest.raises(
        ValueError, match="language_model is not the frozen part that .* SHA-256 {} there, {} here".format(*hashes)
    ):
        fi.FaceInsight.from_pretrained(folder, **parts)


def test_a_frozen_base_of_the_same_weights_that_reads_them_otherwise_is_refused(saved: Any) -> None:
    folder, model = saved
    heads = LanguageModel.from_config(embed_dim=16, depth=1, num_heads=4)
    assert fingerprint(heads) == fingerprint(language_model())
    with pytest.raises(ValueError, match=r"module.num_heads: 2 there, 4 here"):
        fi.FaceInsight.from_pretrained(folder, **{**frozen_parts(model), "language_model": heads})


def test_a_pretrained_language_model_is_told_by_name_and_revision(tmp_path: Path) -> None:
    source, moved = tmp_path / "llm", tmp_path / "moved"
    made = language_model()
    for place in (source, moved):
        made.backbone.save_pretrained(place)
        made.tokenizer.save_pretrained(place)
    model = lean(language_model=Frozen(LanguageModel.from_pretrained(str(source), revision="abc")))
    model.save_pretrained(tmp_path / "model", include_frozen=True)
    wanted = r"language_model: faceinsight.modules.LanguageModel.from_pretrained\(name_or_path='.*', revision='abc'\)"
    with pytest.raises(ValueError, match=wanted):
        fi.FaceInsight.from_pretrained(tmp_path / "model")
    again = fi.FaceInsight.from_pretrained(tmp_path / "model", language_model=LanguageModel.from_pretrained(str(moved)))
    assert torch.equal(logits(again), logits(model))


def test_a_user_s_own_part_is_asked_for_by_name_and_gets_its_trained_weights(saved: Any, tmp_path: Path) -> None:
    model = lean(correlation=OwnGraph())
    model.save_pretrained(tmp_path, include_frozen=True)
    with pytest.raises(ValueError, match=r"correlation: .*OwnGraph\(\), which only you"):
        fi.FaceInsight.from_pretrained(tmp_path)
    again = fi.FaceInsight.from_pretrained(tmp_path, correlation=OwnGraph())
    assert torch.equal(again.correlation.mix.weight, model.correlation.mix.weight)
    assert torch.equal(logits(again), logits(model))

    class Other(OwnGraph):
        pass

    with pytest.raises(ValueError, match=r"'.*OwnGraph' there, '.*Other' here"):
        fi.FaceInsight.from_pretrained(tmp_path, correlation=Other())


def test_a_user_s_own_convolution_is_all_that_is_asked_for(tmp_path: Path) -> None:
    convolution = partial(GraphConv, aggr="mean")
    model = lean(correlation=CorrelationConstraint(graph=graph(), embed_dim=16, convolution=convolution))
    model.save_pretrained(tmp_path, include_frozen=True)
    with pytest.raises(ValueError, match=r"convolution: functools.partial\(\), which only"):
        fi.FaceInsight.from_pretrained(tmp_path)
    again = fi.FaceInsight.from_pretrained(tmp_path, **{"correlation.convolution": convolution})
    assert torch.equal(logits(again), logits(model))


def test_given_parts_that_are_unknown_or_frozen_by_mistake_are_refused(saved: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no part encoder, .*image_encoder, projector"):
        fi.FaceInsight.from_pretrained(saved[0], encoder=encoder())
    trunk = Frozen(ImageEncoder(name="resnet10t", image_size=64, feature_index=1))
    with pytest.raises(ValueError, match=r"image_encoder was trained, .*in Frozen"):
        TokenClassifier.from_pretrained(folder, image_encoder=trunk)


# --- what is refused ---------------------------------------------------------------------------------------------


def test_an_interrupted_save_leaves_what_stood_there_and_a_first_one_leaves_nothing_to_load(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logits(TokenClassifier.from_pretrained(folder))

    def full_disk(tensors: dict, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("faceinsight.models.saving.directory.save_file", full_disk)
    for place in (folder, tmp_path / "new"):
        with pytest.raises(OSError, match="No space left on device"):
            no_llm(embed_dim=64).save_pretrained(place)
    assert torch.equal(logits(TokenClassifier.from_pretrained(folder)), before)
    with pytest.raises(FileNotFoundError, match=r"no config.json in .*new"):
        TokenClassifier.from_pretrained(tmp_path / "new")


class KillError(BaseException):
    """A kill, after which nothing of the process runs on."""


def killed_at(step: int, patch: pytest.MonkeyPatch, save: Callable[[], None]) -> bool:
    """Whether a save got to the step, a call that changes the directory, at which it was killed."""
    steps = iter(range(10_000))

    def counted(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if next(steps) >= step:
            raise KillError  # and from then on nothing is removed either
        return call(*arguments, **options)

    with patch.context() as patched:
        for name in ("os.replace", "shutil.rmtree", "save_file", "sha256"):
            call = attrgetter(name)(faceinsight.models.saving.directory)
            patched.setattr(f"faceinsight.models.saving.directory.{name}", partial(counted, call))
        unlink = Path.unlink
        patched.setattr(Path, "unlink", lambda path, missing_ok=False: counted(unlink, path, missing_ok=missing_ok))
        try:
            save()
        except KillError:
            return True
    return False


def test_a_save_over_an_older_model_that_is_killed_at_any_step_loses_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = TokenClassifier.from_pretrained(folder), no_llm()
    newer.head.weight.data += 1
    wanted = [logits(older), logits(newer)]
    found = []
    for step in range(100):
        place = tmp_path / f"killed {step}"
        shutil.copytree(folder, place)
        killed = killed_at(step, monkeypatch, lambda place=place: newer.save_pretrained(place))
        after = logits(TokenClassifier.from_pretrained(place))
        found.append([torch.equal(after, each) for each in wanted].index(True))
        newer.save_pretrained(place)  # and the next save is whole, without anything left
        assert torch.equal(logits(TokenClassifier.from_pretrained(place)), wanted[1])
        if not killed:
            break
    assert found == sorted(found), "once it is new, it stays new"
    assert (found[0], found[-1]) == (0, 1)
    assert len(found) > 8


def test_a_first_save_that_is_killed_leaves_nothing_or_the_whole_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = no_llm(rules=RULES).eval()
    wanted, loaded = logits(model), 0
    for step in range(12):
        place = tmp_path / str(step)
        killed_at(step, monkeypatch, lambda place=place: model.save_pretrained(place))
        try:
            assert torch.equal(logits(TokenClassifier.from_pretrained(place)), wanted)
            loaded += 1
        except FileNotFoundError:
            assert loaded == 0
    assert 0 < loaded < 12


def test_what_dead_processes_left_is_swept_and_what_live_ones_write_is_not(folder: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    dead, alive = (folder / f".saving-{here}-{each}-0123abcd" for each in (ended.pid, os.getppid()))
    elsewhere, long_ago = (folder / f".saving-elsewhere-{each}-0123abcd" for each in (1, 2))
    for each in (dead, alive, elsewhere, long_ago):
        each.mkdir()
        (each / "model.safetensors").write_bytes(b"half")
    earlier, mine = folder / ".model-ab_12cd9.safetensors", folder / ".notes.yaml"
    for each in (earlier, mine):
        each.write_bytes(b"half")
    for each in (long_ago, earlier, mine):
        os.utime(each, (0, 0))
    TokenClassifier.from_pretrained(folder).save_pretrained(folder)
    left = {each.name for each in folder.iterdir() if each.name.startswith(".")}
    assert left == {alive.name, elsewhere.name, mine.name}


def test_a_directory_of_two_models_is_refused(folder: Path, tmp_path: Path) -> None:
    TokenClassifier(schema=SCHEMA, image_encoder=encoder(), embed_dim=12).save_pretrained(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors is not as it was saved"):
        TokenClassifier.from_pretrained(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "schema.yaml", "rules.yaml"])
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-10])
    with pytest.raises(ValueError, match=rf"{name} is not as it was saved"):
        TokenClassifier.from_pretrained(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"lacks {name}; copy"):
        TokenClassifier.from_pretrained(folder)


def test_a_cut_file_with_a_forged_hash_is_refused_too(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])
    rewrite(folder, lambda config: None)
    with pytest.raises(ValueError, match=r"cannot be read: .*[Mm]etadata"):
        TokenClassifier.from_pretrained(folder)


def test_a_directory_of_another_class_or_a_newer_version_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"holds a TokenClassifier, not a FaceInsight"):
        fi.FaceInsight.from_pretrained(folder)
    rewrite(folder, lambda config: config.update(format=2, faceinsight="9.1"))
    with pytest.raises(ValueError, match=r"9.1 in format 2; .*reads format 1"):
        TokenClassifier.from_pretrained(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"faceinsight": "0.1", "format": 1, "files": []}', "needs the keys 'model' and 'files'"),
        ('{"faceinsight": "0.1', "config.json is not a whole JSON file"),
        ('{"architectures": ["LlamaForCausalLM"]}', "config.json was not written by `save_pretrained` of faceinsight"),
        ("[]", "config.json was not written by `save_pretrained` of faceinsight"),
    ],
)
def test_a_foreign_configuration_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        TokenClassifier.from_pretrained(folder)


@pytest.mark.parametrize("name", ["os.system", "Mamba", "LanguageModel.from_pretrained", "__builtins__"])
def test_a_file_cannot_choose_which_code_runs(folder: Path, name: str) -> None:
    rewrite(folder, lambda config: config["model"]["image_encoder"].update({"class": name}))
    with pytest.raises(ValueError, match=rf"image_encoder is a '{name}'"):
        TokenClassifier.from_pretrained(folder)


def test_no_path_leads_out_of_the_directory(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text("name: a\nattributes: {a: b}\n")
    rewrite(folder, lambda config: config["model"].update(schema={"file": "../secret.yaml"}))
    with pytest.raises(ValueError, match=r"schema .*'../secret.yaml'.*not there"):
        TokenClassifier.from_pretrained(folder)
    rewrite(folder, lambda config: config["files"].update({"../secret.yaml": "0"}))
    with pytest.raises(ValueError, match=r"'../secret.yaml'\], .*no files of a model"):
        TokenClassifier.from_pretrained(folder)


def test_an_argument_that_a_part_does_not_take_is_refused_by_name(folder: Path) -> None:
    rewrite(folder, lambda config: config["model"]["image_encoder"].update(attention="new"))
    with pytest.raises(ValueError, match=r"image_encoder: .*cannot be built: .*'attention'"):
        TokenClassifier.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.bias"), r"\(head.bias is missing in"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), r"\(extra has no place in the model\)"),
        (
            lambda tensors: tensors.update({"head.bias": torch.zeros(3)}),
            rf"\(head.bias is \[3\] in .*, \[{len(SCHEMA)}\] in the model\)",
        ),
    ],
)
def test_a_tensor_that_is_missing_left_over_or_of_another_shape_is_named(
    folder: Path, change: Callable[[dict], object], message: str
) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    rewrite(folder, lambda config: None)
    with pytest.raises(ValueError, match=message):
        TokenClassifier.from_pretrained(folder)


def test_a_graph_or_rules_of_other_attributes_are_refused_when_saved_and_when_loaded(
    saved: Any, tmp_path: Path
) -> None:
    folder, model = tmp_path / "model", full()
    turned = fi.Schema.from_dict({**SCHEMA.to_dict(), "attributes": dict.fromkeys(SCHEMA.names[::-1], "?")})
    model.rules = fi.RuleSet.parse(RULES.to_text(), turned)
    with pytest.raises(ValueError, match=r"rules.yaml: .*\(the order is another\)"):
        model.save_pretrained(folder)
    assert not folder.exists()
    model.rules = RULES
    model.save_pretrained(folder)
    graph().reorder(turned.names).save(folder / "graph.yaml")
    rewrite(folder, lambda config: None)
    with pytest.raises(ValueError, match=r"graph.yaml: .*graph.reorder"):
        fi.FaceInsight.from_pretrained(folder, **frozen_parts(model))


def test_a_damaged_schema_with_a_forged_hash_is_refused(folder: Path) -> None:
    cut = "did not find expected node content" if yaml.__with_libyaml__ else "expected the node content"
    for text, message in (
        ("[", cut),
        ("- a", "a catalog needs the keys"),
        ("name: a", "needs"),
    ):
        (folder / "schema.yaml").write_text(text)
        rewrite(folder, lambda config: None)
        with pytest.raises(ValueError, match=rf"(?s)cannot be read: .*{message}"):
            TokenClassifier.from_pretrained(folder)


def test_a_state_that_is_no_tensor_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Extra(OwnGraph):
        def get_extra_state(self) -> dict:
            return {"seen": 3}

    with pytest.raises(ValueError, match=r"'correlation._extra_state' is a dict"):
        lean(correlation=Extra()).save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def tampered(folder: Path, change: Callable[[dict[str, Tensor]], object], file: str = "model.safetensors") -> None:
    """Change the tensors of a directory, with its hash forged."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    rewrite(folder, lambda config: None)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("image_encoder", {"options": {"embed_dim": 60_000, "depth": 1}}),
        ("image_encoder", {"options": {"embed_dim": 12, "depth": 10**9}}),
        ("image_encoder", {"image_size": 100_000}),
        (None, {"embed_dim": 10**10}),
    ],
)
def test_numbers_that_the_tensors_do_not_fill_are_refused_without_taking_memory(
    tmp_path: Path, part: str | None, values: dict[str, Any]
) -> None:
    TokenClassifier(schema=SCHEMA, image_encoder=encoder(), embed_dim=12).save_pretrained(tmp_path)
    rewrite(tmp_path, lambda config: (config["model"][part] if part else config["model"]).update(values))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="cannot be loaded"):
        TokenClassifier.from_pretrained(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_nan_and_whole_numbers_are_named_with_their_file(folder: Path) -> None:
    tampered(folder, lambda tensors: tensors["head.weight"].fill_(torch.nan))
    with pytest.raises(InputError, match=r"head.weight in .*model.safetensors"):
        TokenClassifier.from_pretrained(folder)
    tampered(folder, lambda tensors: tensors.update({"head.weight": tensors["head.weight"].nan_to_num().long()}))
    with pytest.raises(InputError, match=r"head.weight is torch.int64 in"):
        TokenClassifier.from_pretrained(folder)


def test_of_trained_and_frozen_parts_the_right_one_is_blamed(tmp_path: Path) -> None:
    model = full()
    model.save_pretrained(tmp_path, include_frozen=True)
    name = next(each for each in load_file(tmp_path / "frozen.safetensors") if each.endswith("norm.weight"))
    tampered(tmp_path, lambda tensors: tensors[name].fill_(torch.nan), "frozen.safetensors")
    with pytest.raises(InputError, match=rf"{name} in .*frozen.safetensors"):
        fi.FaceInsight.from_pretrained(tmp_path)
    frozen = load_file(tmp_path / "frozen.safetensors")
    tampered(tmp_path, lambda tensors: tensors.update({name: frozen[name]}))
    with pytest.raises(InputError, match=rf"{name} belongs to another file"):
        fi.FaceInsight.from_pretrained(tmp_path)
