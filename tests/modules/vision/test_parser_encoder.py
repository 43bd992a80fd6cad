"""The face network in smp's registry: the contract of an smp encoder, and where its maps look."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from faceinsight.modules import FaceParser, FaceResNet
from faceinsight.modules.vision import face_resnet
from faceinsight.modules.vision.parser_encoder import NAME, FaceResNetEncoder

LIGHT = {"encoder_depth": 4, "upsampling": 2, "decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_each_map_has_the_width_and_stride_that_smp_expects(depth: int) -> None:
    encoder = smp.encoders.get_encoder(NAME, depth=depth, weights=None)
    assert isinstance(encoder, FaceResNetEncoder)
    maps = encoder(torch.rand(2, 3, 64, 96))
    assert [each.shape[1] for each in maps] == encoder.out_channels
    assert [tuple(each.shape[2:]) for each in maps] == [
        (64 // 2**halving, 96 // 2**halving) for halving in range(depth + 1)
    ]
    assert encoder.output_stride == 2**depth
    sum(each.sum() for each in maps[1:]).backward()
    assert all(weight.grad is not None for weight in encoder.parameters()), "nothing is built that no map needs"


def test_each_place_looks_at_the_pixels_that_it_covers() -> None:
    """The middle of what a place sees, by its gradient, is the middle of its pixels, to within half a stride."""
    torch.manual_seed(0)
    encoder = FaceResNetEncoder(depth=4)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.abs_()  # nothing is cut off by a ReLU, nothing cancels
    images = torch.ones(1, 3, 128, 128, requires_grad=True)
    checked = 0
    for halving, found in enumerate(encoder(images)[1:], start=1):
        place, stride = found.shape[-1] // 2, 2**halving
        (seen,) = torch.autograd.grad(found[0, :, place, place].sum(), images, retain_graph=True)
        weight = seen[0].abs().sum((0, 1))
        middle = float((weight * torch.arange(128)).sum() / weight.sum())
        assert abs(middle - (stride * (place + 0.5) - 0.5)) <= stride / 2
        checked += 1
    assert checked == 4


def test_a_trunk_gives_its_weights() -> None:
    torch.manual_seed(0)
    trunk, encoder = FaceResNet(image_size=103), FaceResNetEncoder(depth=4)
    encoder.load_trunk(trunk)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, trunk.state_dict()[name])
    assert len(encoder.stages) == 3


def test_a_parser_over_it_normalises_as_the_trunk_and_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    parser = FaceParser(encoder=NAME, image_size=64, options=LIGHT)
    assert parser.preprocessing["mean"] == list(face_resnet.MEAN)
    images, masks = torch.rand(2, 3, 64, 64), torch.randint(0, 19, (2, 64, 64))
    nn.functional.cross_entropy(parser(images), masks).backward()
    assert all(weight.grad is not None for weight in parser.parameters())
    parser.save(tmp_path / "parser.safetensors")
    again = FaceParser.load(tmp_path / "parser.safetensors").eval()
    torch.testing.assert_close(again(images), parser.eval()(images))


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must"):
        FaceResNetEncoder(depth=6)
    with pytest.raises(ValueError, match="smp cannot build"):
        FaceParser(encoder=NAME, image_size=64, options={"encoder_output_stride": 16}, architecture="DeepLabV3Plus")
