"""The model between the trained parts: its graph, its folder, and that a kill costs nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from experiments.tiny import face_parser, image_encoder, language_model, model
from experiments.tiny.model import composed
from experiments.tiny.photographs import photographs
from experiments.tiny.words.corpus import trained_tokenizer
from faceinsight import FaceInsight, LabelGraph, RuleSet, tiny
from faceinsight.modules import CorrelationConstraint, FaceParser, Frozen, HybridEncoder, ImageEncoder
from faceinsight.modules.weights import save_weights
from faceinsight.training.evidence_fit import fit_evidence
from faceinsight.training.systems import AttributeSystem

pytestmark = pytest.mark.filterwarnings("ignore:constant on the .* training faces")  # so few of them

SETTINGS = model.Settings(drawn=24, image_size=64, epochs=2, batch_size=8)
RULES = RuleSet.load("tiny")


def random_parts(folder: Path, seed: int = 0) -> Path:
    """Parts with random weights, kept as the training scripts keep theirs."""
    torch.manual_seed(seed)
    options = {"channels": [8, 8, 16, 16], "stem_width": 8}
    stem = ImageEncoder(name="resnet18", image_size=64, options=options, feature_index=4, output_stride=16)
    encoder = HybridEncoder(stem=Frozen(stem), options={"depth": 1, "embed_dim": 24, "num_heads": 2})
    save_weights(folder / "image_encoder" / image_encoder.FILE, encoder, torch.float16)
    save_weights(folder / "face_parser" / face_parser.FILE, FaceParser(image_size=64), torch.float16)
    settings = language_model.Settings(seed=seed, embed_dim=32, depth=1, num_heads=2, mlp_dim=48)
    words = language_model.random_model(settings, trained_tokenizer(RULES.schema.prompts, vocab_size=400))
    words.backbone.half()
    language_model.saved(words, folder / "language_model")
    return folder


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_parts(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tiny.parts(random_parts(tmp_path_factory.mktemp("others"), seed=1))


@pytest.fixture(scope="module")
def train(parts: Path, fairface: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    """Trains into a folder, and reads what is told of it."""
    features = tmp_path_factory.mktemp("features")

    def run(output: Path) -> Any:
        model.main(parts, output, fairface=fairface, drawn=drawn, features=features, settings=SETTINGS, progress=False)
        return json.loads((output / "metrics.json").read_text())

    return run


@pytest.fixture(scope="module")
def whole(train: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    train(folder)
    return folder


def state(folder: Path) -> dict[str, Tensor]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_a_model_is_the_same_with_its_parts_from_their_half_precision_files(
    parts: Path, fairface: Path, drawn: Path, tmp_path: Path
) -> None:
    data = image_encoder.faces_of(SETTINGS, fairface, drawn, "bilinear")
    before = composed(tiny.parts(parts), data, RULES, SETTINGS).eval()
    fit_evidence(before, data, torch.device("cpu"))
    before.save_pretrained(tmp_path / "model")
    after = FaceInsight.from_pretrained(tmp_path / "model", **tiny.parts(parts))
    faces = torch.rand(2, 3, 64, 64)
    assert torch.equal(before(faces).logits, after(faces).logits)
    assert {each.dtype for each in after.parameters()} == {torch.float32}
    assert before(faces).logits.isfinite().all()
    assert before.projector(before.encode(faces)["image"]).shape == (2, 16, 32)
    assert after.rules == RULES
    assert after.picture_options["interpolation"] == "bicubic"  # as timm says of a resnet18
    with pytest.raises(ValueError, match=r"not in the directory:(.|\n)*segmentation.parser"):
        FaceInsight.from_pretrained(tmp_path / "model")


def test_another_part_is_refused(whole: Path, parts: Path, others: dict[str, Any]) -> None:
    trained_with = tiny.parts(parts)
    for name, other in others.items():
        with pytest.raises(ValueError, match=f"{name} is not the frozen part"):
            FaceInsight.from_pretrained(whole, **{**trained_with, name: other})


def test_the_numbers_are_those_of_the_published_folder(
    whole: Path, parts: Path, fairface: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads((whole / "metrics.json").read_text())
    again = FaceInsight.from_pretrained(whole, **tiny.parts(parts))
    found = photographs(again, RULES, again.picture_options, fairface=fairface)
    assert json.loads(json.dumps(found)) == told["scores"]
    kept = state(whole)
    assert told["trained"] == sum(each.numel() for each in again.parameters() if each.requires_grad) > 0
    assert not [name for name in kept if "module" in name], "frozen parts are not written"
    card = (whole / "README.md").read_text()
    for wanted in ("CC BY 4.0", told["data_hash"], *(each["sha256"] for each in told["parts"].values())):
        assert wanted in card
    assert [each.name for each in whole.parent.iterdir()] == ["model"]  # nothing is left beside it


def test_a_kill_in_the_second_epoch_costs_nothing(
    whole: Path, train: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = AttributeSystem.training_step

    def killed(self: AttributeSystem, *arguments: Any) -> Tensor:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(AttributeSystem, "training_step", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(tmp_path / "model")
    assert any(tmp_path.glob(".model-*/*.ckpt")), "the state of the training was kept"
    seen: list[int] = []

    def counted(self: AttributeSystem, *arguments: Any) -> Tensor:
        seen.append(self.current_epoch)
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(AttributeSystem, "training_step", counted)
        again = train(tmp_path / "model")
    assert {*seen} == {1}
    assert again["scores"] == json.loads((whole / "metrics.json").read_text())["scores"]
    first, second = state(whole), state(tmp_path / "model")
    assert first.keys() == second.keys()
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_labels_that_no_face_has_together_have_no_edge_and_make_no_nan(fairface: Path, drawn: Path) -> None:
    data = image_encoder.faces_of(SETTINGS, fairface, drawn, "bilinear")
    labels, names = data.train_labels(), data.schema.names
    for edges in ("probability", "lift"):
        graph = LabelGraph.from_labels(labels, data.schema, edges=edges, threshold=0.1, undefined=0)
        apart = graph.counts.defined == 0
        photographed, painted = names.index("60-69"), names.index("Eyeglasses")
        assert apart[photographed, painted]
        assert not apart[photographed, names.index("Male")], "both sets know it"
        assert (graph.weights[apart] == 0).all()
        assert len(graph.edges) > 0
        torch.testing.assert_close(graph.weights.sum(1), torch.ones(len(names)))
        for table in (graph.probability, graph.lift, graph.weights):
            assert table.isfinite().all()
        refined = CorrelationConstraint(graph=graph, embed_dim=4)(torch.randn(len(names), 4))
        assert refined.isfinite().all()
