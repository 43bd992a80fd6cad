"""A ViT over a stem's feature map: the contract of an image encoder, and what trains."""

from pathlib import Path

import pytest
import torch
from torch import nn

from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.vision.face_resnet import FaceResNet
from faceinsight.modules.vision.hybrid_encoder import HybridEncoder

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def stem(seed: int = 0) -> ImageEncoder:
    torch.manual_seed(seed)
    return ImageEncoder(name="resnet18", image_size=64, options={"channels": [8, 8, 12, 16]}, feature_index=3)


def hybrid(seed: int = 0, *, frozen: bool = True) -> HybridEncoder:
    return HybridEncoder(stem=Frozen(stem(seed)) if frozen else stem(seed), options=TINY)


def test_it_looks_like_an_image_encoder() -> None:
    encoder = hybrid().eval()
    tokens = encoder(torch.rand(2, 3, 64, 64))
    assert (encoder.grid, encoder.num_tokens, encoder.embed_dim) == ((4, 4), 16, 24)
    assert tokens.shape == (2, 16, 24)
    assert encoder.preprocessing == stem().preprocessing


def test_a_token_stands_where_its_place_is() -> None:
    encoder = hybrid().eval()
    encoder.trunk.blocks = nn.Identity()  # nothing mixes the places any more
    images = torch.rand(1, 3, 64, 64)
    before, around = encoder(images), encoder.stem(images)
    moved = around.clone()
    moved[0, 6] += 1.0
    encoder.stem.module.forward = lambda images: moved
    changed = (encoder(images) != before).any(-1)
    assert changed[0].nonzero().flatten().tolist() == [6]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_stem_stays_and_any_other_trains(frozen: bool) -> None:
    encoder = hybrid(frozen=frozen)
    tokens = encoder(torch.rand(4, 3, 64, 64))
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert all((each.grad is None) is frozen for each in encoder.stem.parameters())
    assert all(each.grad is not None for each in encoder.trunk.parameters())


def test_a_file_gives_the_encoder_again_with_its_stem(tmp_path: Path) -> None:
    encoder, images = hybrid(seed=3).eval(), torch.rand(2, 3, 64, 64)
    encoder.save(tmp_path / "encoder.safetensors")
    again = HybridEncoder.load(tmp_path / "encoder.safetensors").eval()
    assert torch.equal(again(images), encoder(images))
    assert fingerprint(again.stem) == fingerprint(encoder.stem)
    assert isinstance(again.stem, Frozen)


def test_weights_for_another_depth_are_refused(tmp_path: Path) -> None:
    hybrid().save(tmp_path / "encoder.safetensors")
    with pytest.raises(ValueError, match=r"options.*build the module"):
        HybridEncoder(stem=Frozen(stem()), options={**TINY, "depth": 1}, weights=tmp_path / "encoder.safetensors")


def test_weights_on_another_frozen_stem_are_refused(tmp_path: Path) -> None:
    hybrid().save(tmp_path / "encoder.safetensors")
    with pytest.raises(ValueError, match=r"stem\.fingerprint: .*build the module"):
        HybridEncoder(stem=Frozen(stem(seed=5)), options=TINY, weights=tmp_path / "encoder.safetensors")


def test_the_stems_numbers_may_stand_beside_the_vits() -> None:
    torch.manual_seed(0)
    alone = HybridEncoder(stem=Frozen(stem()), options=TINY).eval()
    torch.manual_seed(0)
    both = HybridEncoder(stem=Frozen(stem()), options=TINY, beside="stem").eval()
    images = torch.rand(2, 3, 64, 64)
    seen, below = both(images).split([12, 24], dim=-1)[::-1]
    torch.testing.assert_close(seen, alone(images))
    torch.testing.assert_close(below, both.stem(images))
    assert (both.embed_dim, both.levels, alone.levels) == (36, ((12, 4), (24, 1)), ((24, 1),))
    torch.testing.assert_close(both.over(both.stem(images)), both(images))


def test_a_stem_of_several_levels_keeps_them() -> None:
    encoder = HybridEncoder(stem=FaceResNet(image_size=103, strides=(8, 64)), options=TINY, beside="stem")
    assert encoder.levels == ((64, 4), (256, 2), (24, 1))
