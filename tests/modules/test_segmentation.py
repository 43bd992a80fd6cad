from typing import Any

import pytest
import torch
from torch import Tensor, nn

from faceinsight.knowledge.face_parts import PALETTE, part_id
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
from faceinsight.modules.vision.face_parser import FaceParser
from faceinsight.modules.vision.face_regions import colour_parsing, parsing_of_masks

SKIN, HAT = part_id("skin"), part_id("hat")


def tiny_encoder(**options: Any) -> ImageEncoder:
    vit = {"embed_dim": 12, "depth": 1, "num_heads": 2, **options}
    return ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options=vit)


def random_parsing(batch: int = 2, regions: int = 19, height: int = 24, width: int = 16) -> Tensor:
    return (torch.randn(batch, regions, height, width) * 3).softmax(dim=1)


def random_masks(batch: int = 2, size: int = 32) -> Tensor:
    return torch.randint(0, 19, (batch, size, size), dtype=torch.uint8)


# the two routes


def test_an_absent_part_gives_its_learned_token_and_a_present_one_its_features() -> None:
    torch.manual_seed(0)
    route = RegionTokens(image_dim=3, embed_dim=6)
    mask = torch.full((1, 16, 16), SKIN, dtype=torch.uint8)
    features = route.encode(parsing_of_masks(mask), torch.randn(1, 4, 3), (2, 2))
    tokens = route(features)
    torch.testing.assert_close(tokens[0, HAT], route.absent[HAT] + route.region[HAT])
    torch.testing.assert_close(
        tokens[0, SKIN], route.projector(features[0, SKIN : SKIN + 1, :-1])[0] + route.region[SKIN]
    )


def test_every_trained_weight_of_the_region_route_gets_a_gradient() -> None:
    route = RegionTokens(image_dim=3, embed_dim=6)
    mask = torch.full((1, 16, 16), SKIN, dtype=torch.uint8)
    route(route.encode(parsing_of_masks(mask), torch.randn(1, 4, 3), (2, 2))).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in route.parameters())
    assert route.absent.grad[SKIN].abs().sum() == 0, "a part that is there does not learn its absence"


def test_the_map_route_is_the_drawing_through_the_image_encoder() -> None:
    torch.manual_seed(0)
    encoder = Frozen(tiny_encoder())
    route, parsing = MapTokens(image_encoder=encoder, embed_dim=6), random_parsing(height=32, width=32)
    features = route.encode(parsing)
    torch.testing.assert_close(features, encoder(colour_parsing(parsing, torch.tensor(PALETTE) / 255)))
    assert route(features).shape == (2, route.num_tokens, 6) == (2, 4, 6)
    assert route.encode(random_parsing(height=48, width=40)).shape == features.shape


# source and route together


class Stub(nn.Module):
    """A parser that is sure of what it was told."""

    def __init__(self, masks: Tensor) -> None:
        super().__init__()
        self.masks, self.scale = masks, nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return (parsing_of_masks(self.masks) * 100 + images.mean()) * self.scale


ROUTES = ["region", "map"]


def build_route(kind: str) -> RegionTokens | MapTokens:
    torch.manual_seed(0)
    if kind == "region":
        return RegionTokens(image_dim=12, embed_dim=6)
    return MapTokens(image_encoder=Frozen(tiny_encoder()), embed_dim=6)


@pytest.mark.parametrize("kind", ROUTES)
def test_a_sure_parser_and_its_stored_mask_give_the_same_tokens(kind: str) -> None:
    route, masks = build_route(kind), random_masks()
    images, image_tokens = torch.rand(2, 3, 32, 32), torch.randn(2, 4, 12)
    parsed = SegmentationEncoder(parser=Frozen(Stub(masks)), route=route)
    stored = SegmentationEncoder(parser=None, route=route)
    features = parsed.encode(images, image_tokens, (2, 2))
    torch.testing.assert_close(features, stored.encode(None, image_tokens, (2, 2), masks))
    assert parsed(features).shape == (2, parsed.num_tokens, parsed.embed_dim)
    assert torch.equal(parsed.class_map(images), masks)
    assert torch.equal(stored.class_map(None, masks), masks)


@pytest.mark.parametrize("kind", ROUTES)
def test_a_frozen_source_gives_features_without_a_graph(kind: str) -> None:
    encoder = SegmentationEncoder(parser=Frozen(Stub(random_masks())), route=build_route(kind))
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    assert encoder.frozen
    assert not encoder.encode(images, torch.randn(2, 4, 12), (2, 2)).requires_grad


@pytest.mark.parametrize("kind", ROUTES)
def test_a_parser_in_training_gets_its_gradient_through_the_route(kind: str) -> None:
    parser = FaceParser(image_size=64)
    encoder = SegmentationEncoder(parser=parser, route=build_route(kind))
    assert not encoder.frozen
    encoder(encoder.encode(torch.rand(2, 3, 64, 64), torch.randn(2, 4, 12), (2, 2))).square().sum().backward()
    assert all(weight.grad is not None for weight in parser.parameters())


def test_image_tokens_in_training_get_their_gradient_past_a_frozen_parser() -> None:
    encoder = SegmentationEncoder(parser=Frozen(Stub(random_masks())), route=build_route("region"))
    image_tokens = torch.randn(2, 4, 12, requires_grad=True)
    encoder(encoder.encode(torch.rand(2, 3, 32, 32), image_tokens, (2, 2))).square().sum().backward()
    assert image_tokens.grad.abs().sum() > 0


def test_a_stored_mask_is_not_read_where_there_is_a_parser() -> None:
    encoder = SegmentationEncoder(parser=Frozen(Stub(random_masks())), route=build_route("region"))
    arguments = torch.rand(2, 3, 32, 32), torch.randn(2, 4, 12), (2, 2)
    assert torch.equal(encoder.encode(*arguments, random_masks()), encoder.encode(*arguments))


@pytest.mark.parametrize("kind", ROUTES)
def test_one_face_alone_equals_the_same_face_in_a_batch(kind: str) -> None:
    encoder = SegmentationEncoder(parser=Frozen(FaceParser(image_size=64)), route=build_route(kind))
    images, image_tokens = torch.rand(3, 3, 64, 64), torch.randn(3, 4, 12)
    alone = encoder(encoder.encode(images[1:2], image_tokens[1:2], (2, 2)))
    torch.testing.assert_close(alone, encoder(encoder.encode(images, image_tokens, (2, 2)))[1:2], rtol=1e-4, atol=1e-5)


def test_the_feature_key_tells_routes_parsers_and_encoders_apart() -> None:
    parser, map_route = FaceParser(image_size=64), build_route("map")
    other = MapTokens(image_encoder=Frozen(tiny_encoder(patch_size=8)), embed_dim=6)
    encoders = [
        SegmentationEncoder(parser=None, route=build_route("region")),
        SegmentationEncoder(parser=Frozen(parser), route=build_route("region")),
        SegmentationEncoder(parser=Frozen(parser), route=map_route),
        SegmentationEncoder(parser=Frozen(parser), route=other),
    ]
    keys = [str(encoder.feature_key()) for encoder in encoders]
    assert len(set(keys)) == 4
    assert str(SegmentationEncoder(parser=parser, route=map_route).feature_key()) == keys[2]


def test_a_source_that_is_missing_is_named() -> None:
    route = build_route("region")
    with pytest.raises(ValueError, match=r"^no parsing map: .*no parser"):
        SegmentationEncoder(parser=None, route=route).encode(torch.rand(1, 3, 32, 32), torch.randn(1, 4, 12), (2, 2))
    with pytest.raises(ValueError, match=r"^the parser reads images, got None"):
        SegmentationEncoder(parser=FaceParser(image_size=64), route=route).encode(None, None, None)
    with pytest.raises(ValueError, match=r"^the route 'region' .*image_tokens"):
        SegmentationEncoder(parser=None, route=route).encode(None, None, None, random_masks())
    with pytest.raises(ValueError, match=r"^the parser knows 11 .*wants 19"):
        SegmentationEncoder(parser=FaceParser(image_size=64, classes=11), route=route)


def test_a_parser_with_a_size_of_its_own_gets_images_of_that_size() -> None:
    class Sized(Stub):
        image_size = 32

        def forward(self, images: Tensor) -> Tensor:
            assert images.shape[-2:] == (32, 32)
            return super().forward(images)

    masks, images = random_masks(), torch.rand(2, 3, 48, 48)
    route = build_route("region")
    tokens = torch.rand(2, 4, route.image_dim)
    smaller, plain = (
        SegmentationEncoder(parser=kind(masks), route=route).encode(images, tokens, (2, 2)) for kind in (Sized, Stub)
    )
    torch.testing.assert_close(smaller, plain, atol=1e-4, rtol=0)
