import math

import pytest
import torch
from torch import Tensor

from faceinsight.knowledge.face_parts import PALETTE, part_id
from faceinsight.modules.vision.face_regions import colour_parsing, parsing_of_masks, pool_regions

SKIN, HAIR, HAT = part_id("skin"), part_id("hair"), part_id("hat")


def random_parsing(batch: int = 2, regions: int = 19, height: int = 24, width: int = 16) -> Tensor:
    return (torch.randn(batch, regions, height, width) * 3).softmax(dim=1)


def random_masks(batch: int = 2, size: int = 32) -> Tensor:
    return torch.randint(0, 19, (batch, size, size), dtype=torch.uint8)


def test_pooled_features_equal_loops_over_pixels() -> None:
    torch.manual_seed(0)
    parsing, tokens, (rows, columns) = random_parsing(), torch.randn(2, 6 * 4, 5), (6, 4)
    pooled = pool_regions(tokens, (rows, columns), parsing, absent_below=0.0)
    _, regions, height, width = parsing.shape
    for face in range(2):
        for region in range(regions):
            total, mass, moments = torch.zeros(5), 0.0, [0.0] * 4
            for y in range(height):
                for x in range(width):
                    weight = parsing[face, region, y, x].item()
                    token = (y * rows // height) * columns + x * columns // width
                    total += weight * tokens[face, token]
                    mass += weight
                    u, v = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
                    moments = [m + weight * each for m, each in zip(moments, (u, v, u * u, v * v), strict=True)]
            u, v, uu, vv = (moment / mass for moment in moments)
            place = [math.sqrt(mass / (height * width)), u, v, math.sqrt(uu - u * u), math.sqrt(vv - v * v), 1.0]
            torch.testing.assert_close(pooled[face, region, :5], total / mass, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(pooled[face, region, 5:], torch.tensor(place), rtol=1e-4, atol=1e-4)


def test_a_part_in_one_corner_is_found_there() -> None:
    mask = torch.full((1, 4, 4), SKIN, dtype=torch.uint8)
    mask[0, :2, 2:] = HAIR  # the upper right quarter: a square of side 1/2, centre (1/2, -1/2)
    tokens = torch.arange(4.0).reshape(1, 4, 1)
    hair = pool_regions(tokens, (2, 2), parsing_of_masks(mask))[0, HAIR]
    # of its two columns at 0.25 and 0.75, the standard deviation is 0.25
    assert hair.tolist() == [1.0, 0.5, 0.5, -0.5, 0.25, 0.25, 1.0]


def test_an_absent_part_is_all_zero_and_a_faint_doubt_makes_no_part() -> None:
    parsing = torch.full((1, 19, 8, 8), 0.01)
    parsing[:, SKIN] = 0.82  # hat: 1 % of every pixel, an area of 0.64 pixels
    pooled = pool_regions(torch.ones(1, 4, 3), (2, 2), parsing)
    assert pooled[0, HAT].tolist() == [0.0] * 9
    assert pooled[0, SKIN, -1] == 1


@pytest.mark.parametrize(("pixels", "present"), [(0, 0.0), (4, 0.0), (5, 1.0)])
def test_a_part_needs_five_pixels_of_a_face_of_96(pixels: int, present: float) -> None:
    mask = torch.full((1, 96, 96), SKIN, dtype=torch.uint8)
    mask[0, 0, :pixels] = HAT
    pooled = pool_regions(torch.ones(1, 4, 3), (2, 2), parsing_of_masks(mask))
    assert pooled[0, HAT, -1] == present
    assert torch.isfinite(pooled).all()


def test_tokens_that_do_not_fill_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^a grid of 3 x 3 has 9 tokens, got 10$"):
        pool_regions(torch.ones(2, 10, 3), (3, 3), random_parsing())


def test_class_ids_beyond_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^masks .*class id 255, .*0 to 18$"):
        parsing_of_masks(torch.full((1, 2, 2), 255, dtype=torch.uint8))


def test_a_sure_parsing_is_drawn_in_the_colours_of_its_parts() -> None:
    mask = random_masks()
    drawing = colour_parsing(parsing_of_masks(mask), torch.tensor(PALETTE) / 255)
    for y, x in [(0, 0), (5, 20), (31, 3)]:
        assert (drawing[1, :, y, x] * 255).round().int().tolist() == list(PALETTE[int(mask[1, y, x])])
