"""Random changes leave a face a face, change pictures and masks alike, and follow their generator."""

import pytest
import torch

from faceinsight.data.augment import Augmentation, augment, flip_images, flip_masks, jitter, shift, turn
from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.face_parts import part_id


def batch(faces: int = 6) -> FaceBatch:
    draw = torch.Generator().manual_seed(1)
    return FaceBatch(
        images=torch.rand(faces, 3, 10, 10, generator=draw),
        labels=torch.ones(faces, 2, dtype=torch.int8),
        index=torch.arange(faces),
        masks=torch.randint(0, 19, (faces, 10, 10), generator=draw, dtype=torch.uint8),
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_only_marked_faces_are_mirrored() -> None:
    images = batch(2).images
    flipped = flip_images(images, torch.tensor([False, True]))
    assert torch.equal(flipped[0], images[0])
    for column in range(10):
        assert torch.equal(flipped[1, :, :, column], images[1, :, :, 9 - column])


def test_left_and_right_parts_change_places() -> None:
    pairs = [("left_eye", "right_eye"), ("left_brow", "right_brow"), ("left_ear", "right_ear")]
    other = {part_id(here): part_id(there) for pair in pairs for here, there in (pair, pair[::-1])}
    masks = batch(2).masks
    flipped = flip_masks(masks, torch.tensor([True, False]))
    expected = [[other.get(part, part) for part in reversed(row)] for row in masks[0].tolist()]
    assert flipped[0].tolist() == expected
    assert torch.equal(flipped[1], masks[1])


def test_mirroring_twice_gives_the_mask_back() -> None:
    masks, everyone = batch().masks, torch.ones(6, dtype=torch.bool)
    assert torch.equal(flip_masks(flip_masks(masks, everyone), everyone), masks)


def test_a_shift_moves_each_face_by_its_own_offset_and_repeats_the_border() -> None:
    images = batch(2).images
    moved = shift(images, torch.tensor([[2, -3], [0, 1]]))
    for face, (down, right) in enumerate([(2, -3), (0, 1)]):
        for row in range(10):
            for column in range(10):
                source = min(max(row - down, 0), 9), min(max(column - right, 0), 9)
                assert torch.equal(moved[face, :, row, column], images[face, :, source[0], source[1]])


def test_a_quarter_turn_is_anticlockwise_and_exact_for_pictures_and_masks() -> None:
    given = batch(2)
    quarter = {"angle": torch.tensor([torch.pi / 2, 0.0]), "scale": torch.ones(2)}
    images, masks = turn(given.images, **quarter), turn(given.masks, **quarter)
    torch.testing.assert_close(images[0], given.images[0].rot90(1, (1, 2)), rtol=0, atol=1e-5)
    torch.testing.assert_close(images[1], given.images[1], rtol=0, atol=1e-5)
    assert torch.equal(masks[0], given.masks[0].rot90(1, (0, 1)))
    assert torch.equal(masks[1], given.masks[1])


def test_a_turn_of_an_oblong_picture_keeps_its_angles() -> None:
    along = torch.zeros(1, 3, 9, 21)
    along[..., 4, :] = 1  # a line from left to right; a quarter turn leaves one from top to bottom
    turned = turn(along, angle=torch.tensor([torch.pi / 2]), scale=torch.ones(1))
    assert turned[0, 0].sum(0).argmax() == 10
    torch.testing.assert_close(turned[0, 0, :, 10], torch.ones(9))


def test_twice_the_scale_shows_the_middle_twice_as_large() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.uint8)
    masks[0, 3:5, 2:6] = 7
    larger = turn(masks, angle=torch.zeros(1), scale=torch.full((1,), 2.0))
    assert larger[0].nonzero().tolist() == [[row, column] for row in range(2, 6) for column in range(8)]


def test_masks_are_shifted_like_images() -> None:
    given = batch()
    as_images = given.masks[:, None].expand(-1, 3, -1, -1).float()
    offset = torch.randint(-3, 4, (6, 2), generator=seeded())
    assert torch.equal(shift(given.masks, offset).float(), shift(as_images, offset)[:, 0])


def test_jitter_scales_about_the_mean_and_stays_in_range() -> None:
    images = torch.tensor([0.2, 0.4, 0.6, 0.8]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    changed = jitter(images, brightness=torch.tensor([0.1]), contrast=torch.tensor([0.5]))
    torch.testing.assert_close(changed[0, 0].flatten(), torch.tensor([0.45, 0.55, 0.65, 0.75]))
    extreme = jitter(images, brightness=torch.tensor([0.5]), contrast=torch.tensor([5.0]))
    assert extreme.min() == 0
    assert extreme.max() == 1


def test_the_same_generator_gives_the_same_faces_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (augment(batch(), Augmentation(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.masks, second.masks)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), before)


def test_picture_and_mask_get_the_same_changes() -> None:
    given = batch(40)
    # the mask as a picture; symmetric classes only, so that mirroring renames nothing
    given.masks = given.masks.clamp(min=10)
    given.images = (given.masks.float() / 20)[:, None].expand(-1, 3, -1, -1)
    changed = augment(given, Augmentation(shift=0.3, brightness=0.0, contrast=0.0), seeded())
    torch.testing.assert_close(changed.images[:, 0] * 20, changed.masks.float())
    assert not torch.equal(changed.masks, given.masks)


def test_picture_and_mask_are_turned_and_scaled_alike() -> None:
    given = batch(40)
    given.masks = torch.full_like(given.masks, 10)
    given.masks[:, :, :5] = 18  # two halves, whose edge runs the same way in both
    given.images = (given.masks.float() / 20)[:, None].expand(-1, 3, -1, -1)
    amounts = Augmentation(shift=0.0, brightness=0.0, contrast=0.0, rotation=30.0, scale=0.2)
    changed = augment(given, amounts, seeded())
    same = ((changed.images[:, 0] * 20 - changed.masks.float()).abs() <= 4).float().mean()
    assert same == 1  # the picture is read between pixels: no further from the mask than half of an edge
    assert not torch.equal(changed.masks, given.masks)


def test_amounts_of_zero_change_nothing() -> None:
    given = batch()
    same = augment(given, Augmentation(flip=0.0, shift=0.0, brightness=0.0, contrast=0.0), seeded())
    torch.testing.assert_close(same.images, given.images)
    assert torch.equal(same.masks, given.masks)


def test_cached_features_are_never_changed() -> None:
    given = FaceBatch(None, torch.ones(2, 2, dtype=torch.int8), torch.arange(2), features={"image": torch.rand(2, 3)})
    assert augment(given, Augmentation(flip=1.0), seeded()) is given


@pytest.mark.parametrize("amounts", [{"flip": 1.5}, {"shift": -0.1}, {"rotation": 181.0}])
def test_an_amount_out_of_range_is_named(amounts: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(amounts))} must be between"):
        Augmentation(**amounts)
