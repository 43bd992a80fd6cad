import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faceinsight.errors import InputError
from faceinsight.modules import FaceResNet, Frozen
from faceinsight.modules.frozen import fingerprint
from faceinsight.modules.vision.face_resnet import MAPS, ResidualBlock, add_padded


def build(**changes: Any) -> FaceResNet:
    torch.manual_seed(0)
    return FaceResNet(**{"image_size": 103, **changes})


@pytest.mark.parametrize(
    ("options", "grid", "levels"),
    [
        ({"image_size": 150}, (4, 4), ((64, 4), (128, 4), (256, 2), (256, 2))),
        ({"grid": (2, 3)}, (2, 3), ((64, 2), (128, 2), (256, 2), (256, 2))),
        ({"strides": (64, 8)}, (4, 4), ((256, 2), (64, 4))),
    ],
)
def test_the_encoder_keeps_its_promises(
    options: dict[str, Any], grid: tuple[int, int], levels: tuple[tuple[int, int], ...]
) -> None:
    encoder = build(**options)
    assert (encoder.grid, encoder.levels, encoder.num_tokens) == (grid, levels, grid[0] * grid[1])
    assert encoder.embed_dim == sum(width for width, _ in levels)
    size = encoder.preprocessing["image_size"]
    assert encoder(torch.rand(2, 3, size, size)).shape == (2, encoder.num_tokens, encoder.embed_dim)


def test_every_trained_weight_gets_a_gradient() -> None:
    encoder = build()
    tokens = encoder(torch.rand(4, 3, 103, 103))
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert not [name for name, weight in encoder.named_parameters() if weight.grad is None]


def test_one_face_alone_equals_the_same_face_in_a_batch() -> None:
    encoder, images = build().eval(), torch.rand(3, 3, 103, 103)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images[1:2]), encoder(images)[1:2], rtol=1e-4, atol=1e-5)


def test_saved_weights_come_back_exactly(tmp_path: Path) -> None:
    encoder = build(grid=(3, 3), strides=(16, 32))
    with torch.no_grad():
        for weight in encoder.parameters():
            weight += 1
    Frozen(encoder).save(tmp_path / "encoder.safetensors")
    again = FaceResNet.load(tmp_path / "encoder.safetensors")
    assert fingerprint(again) == fingerprint(encoder)
    assert (again.grid, again.strides) == ((3, 3), (16, 32))
    given = build(grid=(3, 3), strides=(16, 32), weights=tmp_path / "encoder.safetensors")
    assert fingerprint(given) == fingerprint(encoder)
    with pytest.raises(ValueError, match="strides: "):
        build(grid=(3, 3), weights=tmp_path / "encoder.safetensors")


def test_there_are_29_convolutions_and_maps_of_dlibs_sizes() -> None:
    encoder = build(image_size=150)
    assert sum(isinstance(part, torch.nn.Conv2d) for part in encoder.modules()) == 29
    with torch.no_grad():
        maps = encoder.maps(torch.rand(1, 3, 150, 150))
    sides = {2: 72, 4: 35, 8: 17, 16: 8, 32: 4, 64: 2}
    assert {stride: tuple(each.shape) for stride, each in maps.items()} == {
        stride: (1, MAPS[stride], side, side) for stride, side in sides.items()
    }


def test_tokens_are_the_maps_averaged_at_each_place() -> None:
    encoder = build(image_size=150).eval()
    images = torch.rand(1, 3, 150, 150)
    with torch.no_grad():
        tokens, maps = encoder(images)[0], encoder.maps(images)
    first = 0
    for stride, (width, _) in zip(encoder.strides, encoder.levels, strict=True):
        side = maps[stride].shape[-1]
        for row, column in [(0, 0), (1, 2), (3, 3)]:
            cells = [slice(math.floor(place * side / 4), math.ceil((place + 1) * side / 4)) for place in (row, column)]
            by_hand = maps[stride][0, :, cells[0], cells[1]].mean((1, 2))
            found = tokens[4 * row + column, first : first + width]
            torch.testing.assert_close(found, by_hand, rtol=1e-5, atol=1e-6)
        first += width


@pytest.mark.parametrize("size", [7, 8])
def test_a_halving_block_is_the_sum_of_loops(size: int) -> None:
    """A map of 7 gives 3 both ways; one of 8 gives 3 by the convolution and 4 by the average."""
    torch.manual_seed(0)
    block = ResidualBlock(2, 3, halve=True).eval()
    came = torch.rand(1, 2, size, size)
    with torch.no_grad():
        found = block(came)[0].numpy()
    filters = [(conv.weight.detach().numpy(), conv.bias.detach().numpy()) for conv in (block.conv1, block.conv2)]
    middle = convolved(came[0].numpy(), *filters[0], stride=2).clip(0)
    changed = convolved(np.pad(middle, ((0, 0), (1, 1), (1, 1))), *filters[1], stride=1)
    wanted = np.zeros((3, size // 2, size // 2))
    wanted[:, : changed.shape[1], : changed.shape[2]] = changed
    for channel in range(2):
        for row in range(size // 2):
            for column in range(size // 2):
                wanted[channel, row, column] += came[
                    0, channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2
                ].mean()
    np.testing.assert_allclose(found, wanted.clip(0), rtol=1e-4, atol=1e-6)


def convolved(maps: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """A convolution of 3 x 3 without padding, by loops."""
    side = (maps.shape[1] - 3) // stride + 1
    found = np.zeros((len(weight), side, side))
    for channel in range(len(weight)):
        for row in range(side):
            for column in range(side):
                seen = maps[:, stride * row : stride * row + 3, stride * column : stride * column + 3]
                found[channel, row, column] = (seen * weight[channel]).sum() + bias[channel]
    return found


def test_padding_is_symmetric_in_the_summands() -> None:
    wide, tall = torch.rand(1, 1, 2, 5), torch.rand(1, 2, 3, 4)
    summed = add_padded(wide, tall)
    assert summed.shape == (1, 2, 3, 5)
    torch.testing.assert_close(summed, add_padded(tall, wide))
    torch.testing.assert_close(summed[0, 0, :2, :4], wide[0, 0, :, :4] + tall[0, 0, :2])


def test_what_cannot_be_built_or_read_is_refused() -> None:
    for strides in ((), (4,), (8, 8)):
        with pytest.raises(InputError, match="strides must"):
            build(strides=strides)
    with pytest.raises(InputError, match="102 px"):
        build(image_size=102)
    with pytest.raises(ValueError, match="103 x 103"):
        build()(torch.rand(1, 3, 32, 32))
