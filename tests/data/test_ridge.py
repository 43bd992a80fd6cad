"""Ridge regression against scikit-learn, and what of a data set it may look at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.ridge import pixel_ridge, pixels, ridge, token_ridge
from faceinsight.data.sources.celeba import CelebA
from faceinsight.knowledge.schema import Schema


def noisy(root: Path) -> Path:
    """The tiny data set with pictures that differ from each other in every pixel."""
    draw = np.random.default_rng(0)
    for path in sorted((root / "img_align_celeba").iterdir()):
        Image.fromarray(draw.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture
def data(root: Path, schema: Schema) -> FaceDataModule:
    return FaceDataModule(source=CelebA(root=noisy(root), schema=schema), image_size=20)


def by_sklearn(inputs: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """One attribute after the other, over the faces where it is defined."""
    fitted = []
    for attr in range(labels.shape[1]):
        defined = labels[:, attr] != 0
        fitted.append(Ridge(alpha=penalty).fit(inputs[defined].numpy(), labels[defined, attr].double().numpy()))
    weight, bias = np.stack([each.coef_ for each in fitted]), np.stack([each.intercept_ for each in fitted])
    return torch.from_numpy(weight), torch.from_numpy(bias)


@pytest.mark.parametrize("features", [5, 60], ids=["more faces than pixels", "fewer faces than pixels"])
def test_every_attribute_is_scikit_learn_s_ridge_over_its_defined_labels(features: int) -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = 3 + torch.randn(30, features, generator=draw, dtype=torch.float64)
    labels = torch.randint(-1, 2, (30, 6), generator=draw).to(torch.int8)
    labels[:, :3] = torch.where(labels[:, :3] < 0, -1, 1)  # three defined everywhere, three each in its own places
    penalties = [0.3, 20.0]
    for penalty, *found in zip(penalties, *ridge(inputs, labels, penalties), strict=True):
        torch.testing.assert_close(tuple(found), by_sklearn(inputs, labels, penalty))


def test_an_attribute_that_is_defined_nowhere_scores_zero() -> None:
    labels = torch.tensor([[1, 0], [-1, 0], [1, 0]], dtype=torch.int8)
    weight, bias = ridge(torch.randn(3, 4, dtype=torch.float64), labels, [1.0])
    assert weight[0, 0].any()
    assert not weight[0, 1].any()
    assert bias[0, 1] == 0


@pytest.mark.parametrize("penalties", [[], [0.0], [1.0, -1.0]])
def test_a_penalty_is_needed(penalties: list[float]) -> None:
    with pytest.raises(ValueError, match="penalties must be above 0, at least one of them, got"):
        ridge(torch.zeros(2, 1), torch.ones(2, 1, dtype=torch.int8), penalties)


def test_pixels_are_means_over_cells() -> None:
    images = torch.rand(2, 3, 8, 8)
    cells = [(channel, y, x) for channel in range(3) for y in (0, 4) for x in (0, 4)]
    by_hand = [images[:, channel, y : y + 4, x : x + 4].mean((1, 2)) for channel, y, x in cells]
    torch.testing.assert_close(pixels(images, 2), torch.stack(by_hand, dim=1))
    with pytest.raises(ValueError, match="images of 8 x 8 px cannot be averaged down to 9 px"):
        pixels(images, 9)


def test_the_training_faces_are_learnt_with_the_penalty_that_validates_best(data: FaceDataModule) -> None:
    images = torch.stack([data.reader.image(data.table, row) for row in range(12)]).double() / 255
    inputs, labels = images.reshape(12, 3, 5, 4, 5, 4).mean((3, 5)).flatten(1), data.table.labels
    penalties = [0.01, 1.0, 100.0]
    fits = [by_sklearn(inputs[:6], labels[:6], penalty) for penalty in penalties]
    defined = labels[6:9] != 0
    errors = [(inputs[6:9] @ w.T + b - labels[6:9])[defined].square().sum().item() for w, b in fits]
    chosen = pixel_ridge(data=data, size=5, penalties=penalties)
    weight, bias = fits[errors.index(min(errors))]
    torch.testing.assert_close((chosen.weight.double(), chosen.bias.double()), (weight, bias), atol=1e-6, rtol=1e-5)
    assert not chosen.weight.requires_grad
    single = pixel_ridge(data=data, size=5, penalties=[7.0])
    torch.testing.assert_close(single.weight.double(), by_sklearn(inputs[:6], labels[:6], 7.0)[0], atol=1e-6, rtol=1e-5)


def test_test_faces_change_nothing(data: FaceDataModule, root: Path) -> None:
    before = pixel_ridge(data=data, size=5)
    for name in ("10.png", "11.png", "12.png"):
        Image.new("RGB", (20, 24)).save(root / "img_align_celeba" / name)
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:11], *(line.split()[0] + " 1 -1 -1" for line in lines[11:])]) + "\n")
    again = FaceDataModule(source=data.source, image_size=20)
    assert not torch.equal(again.table.labels, data.table.labels)
    assert torch.equal(pixel_ridge(data=again, size=5).weight, before.weight)


def test_the_tokens_regression_is_sklearns_with_the_penalty_that_validates_best(data: FaceDataModule) -> None:
    class Corners(nn.Module):
        """Two tokens of three numbers: the pictures' first and last pixels."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([images[:, :, 0, 0], images[:, :, -1, -1]], dim=1)

    penalties = (0.01, 1.0, 100.0)
    found = token_ridge(data=data, encoder=Corners(), penalties=penalties)
    (faces,) = FaceDataModule(source=data.source, image_size=20, batch_size=12).faces_dataloader()
    values = Corners()(faces.images).flatten(1).double()
    train, val = data.table.rows("train"), data.table.rows("val")
    errors = {}
    for penalty in penalties:
        weight, bias = by_sklearn(values[train], data.table.labels[train], penalty)
        wanted = data.table.labels[val].double()
        errors[penalty] = float((((values[val] @ weight.T + bias - wanted) ** 2) * (wanted != 0)).sum())
    weight, bias = by_sklearn(values[train], data.table.labels[train], min(errors, key=errors.__getitem__))
    torch.testing.assert_close(found.weight, weight.float())
    torch.testing.assert_close(found.bias, bias.float())
