"""Logits have every digit that float32 has, whatever precision the parts before them compute in."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import faceinsight as fi
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import MLGCNClassifier, RidgeClassifier, TokenClassifier
from faceinsight.modules.attribute_query import SharedHead
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.logic.log_space import wide_linear
from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
from faceinsight.modules.vision.face_parser import FaceParser

SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
FACE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 48, 3), dtype=np.uint8))


def vit() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})


CLASSIFIERS: dict[str, Callable[[], nn.Module]] = {
    "tokens": lambda: TokenClassifier(schema=SCHEMA, image_encoder=vit(), embed_dim=12),
    "ML-GCN": lambda: MLGCNClassifier(schema=SCHEMA, image_encoder=vit(), prompt_dim=8, embed_dim=12),
    "ridge": lambda: RidgeClassifier(schema=SCHEMA, regression=nn.Linear(3 * 16 * 16, 3)),
}


def digits(logits: Tensor) -> int:
    """How many of the logits need more than the 8 bits of a bfloat16."""
    return int((logits != logits.bfloat16().float()).sum())


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifiers_logits_keep_their_digits_under_autocast(kind: str) -> None:
    network = CLASSIFIERS[kind]().eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(IMAGES).logits
    assert logits.dtype == torch.float32
    assert digits(logits) > len(logits)


def test_the_heads_of_the_language_model_keep_their_digits_under_autocast() -> None:
    language_model = fi.tiny.language_model()
    hidden = torch.randn(64, language_model.embed_dim, generator=torch.Generator().manual_seed(0))
    head = SharedHead(embed_dim=language_model.embed_dim)
    with torch.no_grad():
        plain = language_model.yes_no_logits(hidden), head(hidden)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = language_model.yes_no_logits(hidden), head(hidden)
    for expected, found in zip(plain, mixed, strict=True):
        assert torch.equal(found, expected)


def test_a_wide_linear_layer_is_the_linear_layer_and_passes_gradients_in_half_precision() -> None:
    layer = nn.Linear(5, 3)
    values = torch.randn(4, 5)
    torch.testing.assert_close(wide_linear(values, layer.weight, layer.bias), layer(values))
    half = values.bfloat16().requires_grad_()
    wide_linear(half, layer.weight.bfloat16()).sum().backward()
    assert half.grad is not None
    torch.testing.assert_close(
        half.grad.float(), layer.weight.bfloat16().float().sum(0).expand(4, 5), atol=0.02, rtol=0
    )
    assert wide_linear(torch.zeros(4, 5, device="meta"), torch.zeros(3, 5, device="meta")).shape == (4, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_takes_its_own_images(dtype: torch.dtype) -> None:
    model = fi.FaceInsight.from_pretrained("tiny")
    images = model.images([FACE])
    with torch.no_grad():
        plain = model(images).logits
        half = model.to(dtype)(model.to(dtype).images([FACE])).logits
    assert half.dtype == torch.float32
    assert (half - plain).abs().max() < 0.5 < plain.std()


@pytest.mark.parametrize("route", ["region", "map"])
def test_both_routes_of_a_segmentation_encoder_work_in_half_precision(route: str) -> None:
    parts = {
        "region": lambda: RegionTokens(image_dim=12, embed_dim=16),
        "map": lambda: MapTokens(image_encoder=vit(), embed_dim=16),
    }
    segmentation = SegmentationEncoder(parser=None, route=parts[route]()).eval()
    masks = torch.randint(0, 19, (2, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    tokens = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(2))

    def read(values: Tensor) -> Tensor:
        return segmentation(segmentation.encode(None, values, (2, 2), masks))

    with torch.no_grad():
        plain = read(tokens)
        segmentation.to(torch.bfloat16)
        half = read(tokens.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), plain, atol=0.1, rtol=0.1)


def test_a_parser_in_half_precision_gives_probabilities_in_which_pixels_can_be_counted() -> None:
    route = RegionTokens(image_dim=12, embed_dim=16)
    segmentation = SegmentationEncoder(parser=FaceParser(image_size=64), route=route).eval().to(torch.bfloat16)
    assert segmentation.parse(torch.rand(1, 3, 64, 64)).dtype == torch.float32
