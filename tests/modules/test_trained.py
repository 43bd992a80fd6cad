"""Which parts train, by name."""

from typing import Any

import pytest
import torch

from faceinsight.modules.cooccurrence import CooccurrenceGain
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.trained import freeze_all_but, part_names
from tests.models.saving.test_checkpoint import SCHEMA, encoder, full, graph, language_model, no_llm


def trained_parts(network: Any) -> set[str]:
    found = {name for name in part_names(network) if (part := parameters_of(network, name)) and all(part)}
    return {name for name in found if name.rpartition(".")[0] not in found}


def parameters_of(network: Any, name: str) -> list[bool]:
    for step in name.split("."):
        network = getattr(network, step)
    return [each.requires_grad for each in network.parameters()]


@pytest.mark.parametrize(
    "names",
    [
        ["projector"],
        ["segmentation.route", "correlation"],
        ["head", "query"],
        ["image_encoder", "projector", "segmentation.parser"],
        [],
    ],
)
def test_exactly_the_named_parts_train_and_the_others_stand_in_frozen(names: list[str]) -> None:
    network = full(image_encoder=encoder(), language_model=language_model())
    network = freeze_all_but(network, [name for name in names if name != "segmentation.parser"]).train()
    assert trained_parts(network) == {*names} - {"segmentation.parser"}
    outside = {name for name, part in network.named_modules() if isinstance(part, Frozen)}
    still = {name for name, each in network.named_parameters() if not each.requires_grad}
    assert still == {name for name in still if any(name.startswith(f"{each}.") for each in outside)}
    assert network.encoder.frozen == ("image_encoder" not in names)
    logits = network(torch.rand(2, 3, 64, 64)).logits
    if names:
        logits.sum().backward()


def test_a_part_that_is_not_built_may_be_named() -> None:
    network = freeze_all_but(full(segmentation=None), ["projector", "segmentation.route"])
    assert trained_parts(network) == {"projector"}


def test_the_weights_beside_a_named_part_of_a_part_do_not_train() -> None:
    network = freeze_all_but(full(), ["segmentation.route.projector"])
    trained = {name for name, each in network.named_parameters() if each.requires_grad}
    assert {name.rpartition(".layers")[0] for name in trained} == {"encoder.segmentation.route.projector"}


def test_a_module_that_is_no_argument_can_be_named_too() -> None:
    network = freeze_all_but(no_llm(), ["head"])
    assert {name for name, each in network.named_parameters() if each.requires_grad} == {"head.weight", "head.bias"}


def test_unknown_names_and_parts_that_would_not_train_are_refused() -> None:
    network = full()
    for name, message in {
        "projectr": r"^FaceInsight has no part 'projectr' that could train; did you mean 'projector'\?",
        "segmentation.rout": r"did you mean 'segmentation.route'",
        "zzz": r"its parts: image_encoder, .*language_model, .*segmentation.route",
        "schema": r"^'schema' is no part but a Schema; parts: ",
        "language_model": r"^'language_model' is to train, but it is frozen; give it without Frozen, or in LoRA",
        "text_encoder": r"^'text_encoder' is to train, but it has no weights",
    }.items():
        with pytest.raises(ValueError, match=message):
            freeze_all_but(network, [name])
    assert trained_parts(network) > {"projector", "head"}, "a refused list froze something"


@pytest.mark.parametrize("names", [["projector", "gate"], ["gate", "evidence.gain"]])
def test_evidence_is_never_put_into_frozen_and_its_gain_trains_only_if_named(names: list[str]) -> None:
    gain = CooccurrenceGain(graph=graph(), trained=True)
    evidence = Evidence.for_schema(schema=SCHEMA, num_features=12, gain=gain, sources=["image"])
    network = freeze_all_but(full(evidence=evidence), names)
    trained = {name.rpartition(".")[0] for name, each in network.named_parameters() if each.requires_grad}
    assert {name.partition(".layers")[0] for name in trained} == {*names}
    assert not any(isinstance(part, Frozen) for part in network.evidence.modules())
    left_out = network.evidence.fit(torch.randn(9, 12), torch.ones(9, len(SCHEMA), dtype=torch.int8))
    assert left_out.shape == (9, len(SCHEMA))
