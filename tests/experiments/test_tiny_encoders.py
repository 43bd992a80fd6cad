"""The image encoder's and the face parser's training: what is measured, the folder, and that a kill costs nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

from experiments.tiny import face_parser, image_encoder
from experiments.tiny.face_parser import iou
from faceinsight.data import CelebAMask, FaceDataModule, SynthFaces
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules import FaceParser, FaceResNet, HybridEncoder

pytestmark = pytest.mark.filterwarnings("ignore:constant on the .* training faces")  # so few of them

ENCODER = image_encoder.Settings(drawn=24, image_size=103, trunk_epochs=1, epochs=2, depth=1, batch_size=8)
PARSER = face_parser.Settings(drawn=24, drawn_size=64, image_size=64, epochs=2, batch_size=8)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face network with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trunk") / "face_resnet.safetensors"
    FaceResNet(image_size=103).save(path)
    return path


def test_the_catalog_is_that_of_the_drawn_faces_with_fairfaces_ages_and_races() -> None:
    tiny, synthfaces, fairface = (Schema.load(name) for name in ("tiny", "synthfaces", "fairface"))
    kept = [each for each in fairface.attributes if each.name not in ("Male", "Female")]
    own = [each for each in synthfaces.attributes if each.name != "Male"]
    assert {*tiny.attributes} - {tiny.attributes[tiny.index("Male")]} == {*own, *kept}
    assert tiny.names[: len(synthfaces)] == synthfaces.names
    assert all(tiny.groups[name] == group for name, group in synthfaces.groups.items())
    assert tiny.groups["race"] == fairface.groups["race"]
    assert tiny.groups["age_bin"] == replace(fairface.groups["age"], name="age_bin")
    statements = {str(rule) for rule in RuleSet.load("synthfaces", "logical")}
    assert statements < {str(rule) for rule in RuleSet.load("tiny", "logical")}


def test_intersection_over_union_is_that_of_sets_of_pixels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(30):
        mask = generator.integers(0, 3, (8, 8)).astype(np.uint8)
        Image.fromarray(np.repeat(mask[..., None] * 100, 3, 2)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")

    class Two(nn.Module):
        """Sees class 2 where it is, and calls everything else class 0."""

        def forward(self, images: Tensor) -> Tensor:
            seen = (images[:, 0] > 0.7).long() * 2
            return nn.functional.one_hot(seen, len(FACE_PARTS)).movedim(-1, 1).float()

    data = FaceDataModule(source=CelebAMask(root=tmp_path), image_size=8)
    scores = iou(Two(), data, torch.arange(30))
    masks = torch.cat([batch.masks for batch in data.faces_dataloader()])
    zero = float((masks == 0).sum() / (masks != 2).sum())
    assert list(scores) == ["mean", *FACE_PARTS[:3]]
    assert list(scores.values()) == pytest.approx([(zero + 0 + 1) / 3, zero, 0, 1])


def test_the_encoder_is_written_as_it_was_measured_and_a_kill_costs_nothing(
    tmp_path: Path, trunk: Path, drawn: Path, fairface: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(output: Path) -> dict[str, object]:
        image_encoder.main(output, trunk, fairface=fairface, drawn=drawn, settings=ENCODER, progress=False)
        return json.loads((output / "metrics.json").read_text())

    whole = train(tmp_path / "whole")
    encoder = HybridEncoder.load(tmp_path / "whole" / image_encoder.FILE)
    assert encoder(torch.rand(1, 3, 103, 103)).shape == (1, 16, 704 + 192)
    assert encoder.levels == (*encoder.stem.levels, (192, 1))
    began, ended = FaceResNet.load(trunk), encoder.stem
    same = torch.equal(began.first.weight.half().float(), ended.first.weight)
    moved = not torch.equal(began.stages[4][0].conv1.weight.half().float(), ended.stages[4][0].conv1.weight)
    assert (same, moved) == (True, True), "the first stages stay, the last ones learn"
    with safe_open(tmp_path / "whole" / image_encoder.FILE, framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    card = (tmp_path / "whole" / "README.md").read_text()
    assert "CC BY 4.0" in card
    assert str(whole["data_hash"]) in card
    assert [*tmp_path.iterdir()] == [tmp_path / "whole"]

    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(image_encoder, "photographs", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "again")
    assert any(tmp_path.glob(".again-*/vit/*.ckpt")), "the state of the training was kept"
    again = train(tmp_path / "again")
    assert again["scores"] == whole["scores"]
    with safe_open(tmp_path / "again" / image_encoder.FILE, framework="pt") as file:
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in kept.items())


@pytest.mark.parametrize("kept", ["frozen", "tuned"])
def test_the_parser_is_written_as_it_was_measured(
    tmp_path: Path, trunk: Path, drawn: Path, kept: Literal["frozen", "tuned"]
) -> None:
    output = tmp_path / "parser"
    face_parser.main(output, trunk=trunk, drawn=drawn, settings=replace(PARSER, trunk=kept), progress=False)
    told = json.loads((output / "metrics.json").read_text())
    parser = FaceParser.load(output / face_parser.FILE)
    data = FaceDataModule(
        source=SynthFaces(root=drawn, count=24, image_size=64), image_size=64, crop=face_parser.CLOSER
    )
    assert parser.encoder == "face_resnet"
    began, ended = FaceResNet.load(trunk).first.weight, parser.network.encoder.first.weight
    assert torch.equal(began.half().float(), ended) == (kept == "frozen")
    assert iou(parser, data, data.table.rows("test")) == pytest.approx(told["scores"]["drawn"])
    assert "no photograph" in (output / "README.md").read_text()


def test_rare_parts_weigh_more_and_some_of_it_is_taken_back(drawn: Path) -> None:
    data = face_parser.faces_of(PARSER, drawn)
    data.prepare_data()
    weights = np.array(face_parser.weights_of(data))
    masks = torch.cat([batch.masks for batch in data.faces_dataloader(data.train_rows())]).numpy()
    counts = np.array([1 + (masks == part).sum() for part in range(len(FACE_PARTS))])
    np.testing.assert_allclose(weights * np.sqrt(counts), (weights * np.sqrt(counts))[0])
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    parser, images = face_parser.parser_on(PARSER, None).eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = parser(images)
        face_parser.take_back(parser, weights.tolist(), 0.5)
        lowered = before - parser(images)
    wanted = torch.tensor(0.5 * np.log(weights)).float()[:, None, None].expand_as(lowered)
    torch.testing.assert_close(lowered, wanted, rtol=1e-3, atol=1e-4)
