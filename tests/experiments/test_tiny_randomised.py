"""The random colours of drawn faces: shapes stay, and what is of one colour stays so."""

from dataclasses import fields, replace

import pytest
import torch

from experiments.tiny.randomised import SAME_COLOUR, Randomisation, blurred, clouds, randomised
from faceinsight.knowledge.face_parts import FACE_PARTS, part_id

NONE = Randomisation(**{each.name: 0.0 for each in fields(Randomisation)})


def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """Grey pictures with a stripe for each part."""
    masks = torch.arange(len(FACE_PARTS), dtype=torch.uint8).repeat_interleave(2).expand(4, 38, 38).contiguous()
    return torch.full((4, 3, 38, 38), 0.5), masks


def change(amount: Randomisation, seed: int = 0) -> torch.Tensor:
    return randomised(*faces(), amount, torch.Generator().manual_seed(seed))


def test_nothing_is_changed_by_amounts_of_zero() -> None:
    torch.testing.assert_close(change(NONE), faces()[0])


def test_each_part_has_its_own_colour_and_what_is_skin_has_one() -> None:
    changed = change(replace(NONE, colour=0.2, chroma=0.1))
    columns = changed[:, :, 0, ::2]
    assert torch.equal(changed[:, :, 0, 1::2], columns)
    assert torch.equal(changed, changed[:, :, :1].expand_as(changed))
    for part in ("nose", "left_ear", "right_ear", "neck"):
        assert torch.equal(columns[..., part_id(part)], columns[..., part_id("skin")])
    assert len({tuple(each) for each in columns[0].T.tolist()}) == len({*SAME_COLOUR})


def test_only_the_background_is_replaced() -> None:
    images, masks = faces()
    changed = change(replace(NONE, background=1.0)) != images
    assert changed.any(1)[masks == 0].all()
    assert not changed.any(1)[masks > 0].any()


@pytest.mark.parametrize("name", [each.name for each in fields(Randomisation) if each.name != "grey"])
def test_every_amount_acts_stays_in_range_and_follows_the_generator(name: str) -> None:
    images, masks = faces()
    images[..., ::3] = 0.9
    amount = replace(NONE, **{name: 0.8})
    first, again, other = (randomised(images, masks, amount, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, images)
    assert first.min() >= 0
    assert first.max() <= 1


def test_grey_pictures_have_equal_channels() -> None:
    images, masks = faces()
    images[:, 0] = 0.2
    changed = randomised(images, masks, replace(NONE, grey=1.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed, images.mean(1, keepdim=True).expand_as(images))


def test_clouds_have_about_a_deviation_of_one_and_blur_keeps_the_mean() -> None:
    drawn = clouds(64, 1, (48, 48), torch.Generator().manual_seed(0))
    assert drawn.shape == (64, 1, 48, 48)
    assert drawn.std() == pytest.approx(0.7, abs=0.3)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    softer = blurred(images, 0.5)
    assert softer.std() < 0.7 * images.std()
    torch.testing.assert_close(softer.mean((2, 3)), images.mean((2, 3)), rtol=0.02, atol=0)
