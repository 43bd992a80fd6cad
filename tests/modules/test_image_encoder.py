from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from faceinsight.modules.description import described
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.modules.image_encoder import ImageEncoder, check_images, token_grid

TINY: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}

#: every kind of trunk, at random and small: options, and the grid and size that are to come
ENCODERS: dict[str, tuple[dict[str, Any], tuple[int, int], int]] = {
    "vit": ({"name": "vit_tiny_patch16_224", "options": {**TINY, "patch_size": 8}}, (8, 8), 32),
    "vit with registers": ({"name": "vit_small_patch16_dinov3", "options": {**TINY, "num_heads": 4}}, (4, 4), 32),
    "vit without class token": ({"name": "vit_base_patch16_siglip_224", "options": TINY}, (4, 4), 32),
    "hybrid": ({"name": "vit_tiny_r_s16_p8_224", "options": {**TINY, "patch_size": 2}}, (8, 8), 32),
    "resnet": ({"name": "resnet18"}, (2, 2), 512),
    "resnet at a stage": ({"name": "resnet18", "feature_index": 2}, (8, 8), 128),
    "resnet with group norm": (
        {"name": "resnet18", "options": {"norm_layer": "groupnorm", "output_stride": 16}, "feature_index": 4},
        (4, 4),
        512,
    ),
    "convnext": ({"name": "convnext_atto", "options": {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}}, (2, 2), 32),
    "swin": (
        {
            "name": "swin_tiny_patch4_window7_224",
            "options": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
        },
        (8, 8),
        16,
    ),
}


def build(kind: str, **changes: Any) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(**{"image_size": 64, **ENCODERS[kind][0], **changes})


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_keeps_its_promises(kind: str) -> None:
    _, grid, embed_dim = ENCODERS[kind]
    encoder = build(kind)
    assert (encoder.grid, encoder.embed_dim, encoder.num_tokens) == (grid, embed_dim, grid[0] * grid[1])
    tokens = encoder(torch.rand(2, 3, 64, 64))
    assert tokens.shape == (2, encoder.num_tokens, encoder.embed_dim)
    assert encoder.training, "measuring left the trunk in evaluation mode"
    assert all(part.training for part in encoder.modules())


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_trained_weight_gets_a_gradient(kind: str) -> None:
    encoder = build(kind)
    tokens = encoder(torch.rand(4, 3, 64, 64))
    (tokens * torch.randn_like(tokens)).sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    assert not without


@pytest.mark.parametrize("kind", ENCODERS)
def test_one_face_alone_equals_the_same_face_in_a_batch(kind: str) -> None:
    encoder = build(kind).eval()
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images[1:2]), encoder(images)[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "hybrid", "resnet", "resnet at a stage", "resnet with group norm", "swin"])
def test_saved_weights_come_back_exactly(kind: str, tmp_path: Path) -> None:
    encoder = build(kind)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight += 1
    Frozen(encoder).save(tmp_path / "encoder.safetensors")
    for again in (
        build(kind, weights=tmp_path / "encoder.safetensors"),
        ImageEncoder.load(tmp_path / "encoder.safetensors"),
    ):
        assert fingerprint(again) == fingerprint(encoder) != fingerprint(build(kind))
        assert again.preprocessing == encoder.preprocessing


def test_a_vit_gives_its_patch_tokens_without_the_class_token() -> None:
    encoder = build("vit").eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        by_hand = encoder.trunk.forward_features(images * 2 - 1)  # this trunk's mean and deviation are 0.5
        torch.testing.assert_close(encoder(images), by_hand[:, 1:])


def test_a_feature_map_is_read_row_by_row() -> None:
    encoder = build("resnet at a stage").eval()
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(encoder.preprocessing[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        feature_map = encoder.trunk((images - mean) / std)[0]
        tokens = encoder(images)
    rows, columns = encoder.grid
    for row, column in [(0, 0), (0, columns - 1), (3, 5), (rows - 1, 0)]:
        torch.testing.assert_close(tokens[0, row * columns + column], feature_map[0, :, row, column])


def test_channels_last_trunks_are_read_row_by_row_too() -> None:
    encoder = build("swin").eval()
    mean, std = (torch.tensor(encoder.preprocessing[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        feature_map = encoder.trunk((images - mean) / std)
        torch.testing.assert_close(encoder(images)[0, 8 + 5], feature_map[0, 1, 5])


def test_the_preprocessing_is_the_trunks_own() -> None:
    assert build("resnet").preprocessing == {
        "image_size": 64,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bicubic",
    }
    assert build("vit").preprocessing["mean"] == [0.5, 0.5, 0.5]


def test_building_an_encoder_of_another_size_moves_the_grid() -> None:
    assert build("vit", image_size=32).grid == (4, 4)
    assert build("resnet", image_size=96).grid == (3, 3)


def test_wrong_images_are_refused_with_what_was_wanted() -> None:
    encoder = build("resnet")
    with pytest.raises(ValueError, match=r"^images must be 64 x 64 px, got 32 x 64"):
        encoder(torch.rand(1, 3, 32, 64))
    with pytest.raises(ValueError, match=r"RGB, .*got \[1, 1, 64, 64\]$"):
        encoder(torch.rand(1, 1, 64, 64))
    with pytest.raises(ValueError, match=r"\[0, 1\], got torch.uint8; divide"):
        check_images(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), 64)


def test_wrong_trunks_are_refused_at_construction() -> None:
    with pytest.raises(ValueError, match=r"'resnet81'; did you mean 'resnet18'"):
        ImageEncoder(name="resnet81")
    with pytest.raises(ValueError, match=r"'vit_tiny_patch16_224' .*'colour'$"):
        ImageEncoder(name="vit_tiny_patch16_224", options={"colour": 3})
    with pytest.raises(ValueError, match=r"cannot build 'resnet18' .*'grupnorm'$"):
        ImageEncoder(name="resnet18", options={"norm_layer": "grupnorm"})
    with pytest.raises(ValueError, match=r"90 px .*patches of 16 px$"):
        ImageEncoder(name="vit_tiny_patch16_224", image_size=90, options=TINY)
    with pytest.raises(ValueError, match=r"^eva02_tiny_patch14_224 .*\"img_size\": 98"):
        ImageEncoder(name="eva02_tiny_patch14_224", image_size=98, options={"depth": 1})
    with pytest.raises(ValueError, match=r"weights .*pretrained=True .*not both$"):
        ImageEncoder(name="resnet18", weights="here.safetensors", pretrained=True)
    assert ImageEncoder(name="eva02_tiny_patch14_224", image_size=98, options={"depth": 1, "img_size": 98}).grid == (
        7,
        7,
    )


def test_a_trunk_that_pools_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = timm.create_model("resnet18", num_classes=0)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pooled)
    with pytest.raises(ValueError, match=r"^resnet18 gives \[1, 512\].*no places"):
        ImageEncoder(name="resnet18", image_size=64)


def test_tokens_that_are_no_grid_are_refused() -> None:
    assert token_grid(torch.nn.Identity(), 16) == (4, 4)
    with pytest.raises(ValueError, match=r"^Identity gives 15 .*4 x 4"):
        token_grid(torch.nn.Identity(), 15)


def test_weights_of_something_else_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    build("vit").save(path)
    with pytest.raises(ValueError, match=r"something else \(image_size: 64 .*32 here"):
        build("vit", image_size=32, weights=path)
    with pytest.raises(ValueError, match=r"'vit_tiny_patch16_224' in the file, 'resnet18' here"):
        build("resnet", weights=path)


def test_broken_weight_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no weights file .*none.safetensors"):
        build("vit", weights=tmp_path / "none.safetensors")
    path = tmp_path / "vit.safetensors"
    build("vit").save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"vit.safetensors is not a whole"):
        build("vit", weights=path)
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"vit.safetensors does not say"):
        build("vit", weights=path)


def test_weights_trained_at_one_stride_are_read_at_another(tmp_path: Path) -> None:
    options = {"name": "resnet10t", "image_size": 64, "options": {"channels": [8, 8, 16, 32]}, "feature_index": 4}
    torch.manual_seed(0)
    trained = ImageEncoder(**options).eval()
    trained.save(tmp_path / "trained.safetensors")
    closer = ImageEncoder(**options, output_stride=16, weights=tmp_path / "trained.safetensors").eval()
    assert (trained.grid, closer.grid) == ((2, 2), (4, 4))
    for name, tensor in trained.state_dict().items():
        assert torch.equal(closer.state_dict()[name], tensor)
    assert described(closer)["output_stride"] == 16
    with pytest.raises(ValueError, match="holds weights of something else"):
        ImageEncoder(**{**options, "image_size": 96}, weights=tmp_path / "trained.safetensors")
