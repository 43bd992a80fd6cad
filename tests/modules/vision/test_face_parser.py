from pathlib import Path

import pytest
import torch
from torch import nn

from faceinsight.modules.frozen import fingerprint
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.vision.face_parser import FaceParser


def test_the_parser_gives_logits_at_every_pixel_and_trains_throughout() -> None:
    torch.manual_seed(0)
    parser = FaceParser(image_size=64)
    images, masks = torch.rand(2, 3, 64, 64), torch.randint(0, 19, (2, 64, 64))
    logits = parser(images)
    assert logits.shape == (2, 19, 64, 64)
    nn.functional.cross_entropy(logits, masks).backward()
    assert all(weight.grad is not None for weight in parser.parameters())
    assert all(part.training for part in parser.modules()), "measuring left the network in evaluation mode"


def test_the_parser_normalises_inside() -> None:
    parser = FaceParser(image_size=64).eval()
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(parser.preprocessing[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(parser(images), parser.network((images - mean) / std))


def test_another_architecture_and_a_timm_encoder_can_be_chosen() -> None:
    parser = FaceParser(architecture="Unet", encoder="tu-lcnet_050", image_size=32, classes=4)
    assert parser(torch.rand(2, 3, 32, 32)).shape == (2, 4, 32, 32)


def test_saved_parser_weights_come_back_exactly(tmp_path: Path) -> None:
    parser = FaceParser(image_size=64)
    parser.save(tmp_path / "parser.safetensors")
    again = [FaceParser(image_size=64, weights=tmp_path / "parser.safetensors")]
    again.append(FaceParser.load(tmp_path / "parser.safetensors"))
    assert (
        [fingerprint(each) for each in again]
        == [fingerprint(parser)] * 2
        != [fingerprint(FaceParser(image_size=64))] * 2
    )
    with pytest.raises(ValueError, match=r"something else \(image_size: 64 .*96 here"):
        FaceParser(image_size=96, weights=tmp_path / "parser.safetensors")
    with pytest.raises(ValueError, match=r"of a FaceParser, .*a ImageEncoder$"):
        ImageEncoder.load(tmp_path / "parser.safetensors")


def test_parsers_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^smp cannot build FPN .*50 x 50 .*: Wrong inp"):
        FaceParser(image_size=50)
    with pytest.raises(ValueError, match=r"^smp cannot build Onet on "):
        FaceParser(architecture="Onet")
    with pytest.raises(ValueError, match=r"^smp cannot build .* on resnet81 for "):
        FaceParser(encoder="resnet81")
    with pytest.raises(ValueError, match=r"^images must be 96 x 96 px, got 32 x 32"):
        FaceParser()(torch.rand(1, 3, 32, 32))
