"""The ridge controls against scikit-learn, one face left out at a time; and what of a data set they may look at."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.schema import Schema
from faceinsight.models.ridge import pixel_ridge, pixels, token_ridge

SCHEMA = Schema.from_dict({"name": "three", "attributes": {"Hat": "a hat", "Beard": "a beard", "Smile": "a smile"}})
TRAIN = 12
PENALTIES = (0.01, 1.0, 100.0)


@dataclass(frozen=True)
class Source:
    """Pictures of 20 x 20 pixels that differ from each other in every pixel; three of their labels are undefined."""

    faces: FaceTable

    def prepare(self) -> None:
        """Do nothing: the pictures are there."""

    def table(self) -> FaceTable:
        return self.faces


@pytest.fixture
def source(tmp_path: Path) -> Source:
    draw = np.random.default_rng(0)
    files = tuple(f"{number}.png" for number in range(20))
    for file in files:
        Image.fromarray(draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / file)
    labels = torch.from_numpy(draw.choice([-1, 1], (20, 3))).to(torch.int8)
    labels[[0, 3, 7], [1, 1, 2]] = 0
    splits = ("train",) * TRAIN + ("val",) * 4 + ("test",) * 4
    return Source(FaceTable(SCHEMA, tmp_path, files, labels, splits, torch.arange(20)))


def module(source: Source) -> FaceDataModule:
    return FaceDataModule(source=source, image_size=20, batch_size=20)


def by_sklearn(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Each attribute over its defined labels, with the penalty that errs least on faces that were left out."""

    def fitted(faces: Tensor, attr: int, penalty: float) -> Ridge:
        faces = faces & (labels[:, attr] != 0)
        return Ridge(alpha=penalty).fit(inputs[faces].numpy(), labels[faces, attr].double().numpy())

    everybody, errors = torch.ones(len(inputs), dtype=torch.bool), {}
    for penalty in PENALTIES:
        shares = []
        for attr in range(labels.shape[1]):
            rows = labels[:, attr].nonzero().flatten().tolist()
            squared = 0.0
            for row in rows:
                others = everybody.clone()
                others[row] = False
                said = fitted(others, attr, penalty).predict(inputs[row : row + 1].numpy())[0]
                squared += (said - labels[row, attr].item()) ** 2
            shares.append(squared / len(rows) / labels[rows, attr].double().var(correction=0).item())
        errors[penalty] = sum(shares)
    fits = [fitted(everybody, attr, min(errors, key=errors.__getitem__)) for attr in range(labels.shape[1])]
    weight, bias = (np.stack([getattr(fit, name) for fit in fits]) for name in ("coef_", "intercept_"))
    return torch.from_numpy(weight), torch.from_numpy(bias)


def test_pixels_are_means_over_cells() -> None:
    images = torch.rand(2, 3, 8, 8)
    cells = [(channel, y, x) for channel in range(3) for y in (0, 4) for x in (0, 4)]
    by_hand = [images[:, channel, y : y + 4, x : x + 4].mean((1, 2)) for channel, y, x in cells]
    torch.testing.assert_close(pixels(images, 2), torch.stack(by_hand, dim=1))
    with pytest.raises(ValueError, match="8 x 8 px cannot"):
        pixels(images, 9)


@pytest.mark.parametrize("size", [1, 5], ids=["more faces than pixels", "fewer faces than pixels"])
def test_the_pixels_regression_is_sklearns_with_the_penalty_of_leave_one_out(source: Source, size: int) -> None:
    data = module(source)
    images = torch.stack([data.reader.image(data.table, row) for row in range(TRAIN)]).double() / 255
    inputs = images.reshape(TRAIN, 3, size, 20 // size, size, 20 // size).mean((3, 5)).flatten(1)
    weight, bias = by_sklearn(inputs, data.table.labels[:TRAIN])
    found = pixel_ridge(data=data, size=size, penalties=PENALTIES)
    torch.testing.assert_close((found.weight.double(), found.bias.double()), (weight, bias), atol=1e-6, rtol=1e-5)
    assert not found.weight.requires_grad


def test_the_tokens_regression_is_sklearns_with_the_penalty_of_leave_one_out(source: Source) -> None:
    class Corners(nn.Module):
        """Two tokens of three numbers: the pictures' first and last pixels."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([images[:, :, 0, 0], images[:, :, -1, -1]], dim=1)

    data = module(source)
    (faces,) = data.faces_dataloader()
    inputs = Corners()(faces.images).flatten(1).double()[:TRAIN]
    weight, bias = by_sklearn(inputs, data.table.labels[:TRAIN])
    found = token_ridge(data=data, encoder=Corners(), penalties=PENALTIES)
    torch.testing.assert_close((found.weight.double(), found.bias.double()), (weight, bias), atol=1e-6, rtol=1e-5)


def test_other_faces_than_those_that_train_change_nothing(source: Source) -> None:
    before = pixel_ridge(data=module(source), size=5)
    labels = source.faces.labels.clone()
    labels[TRAIN:] *= -1
    for file in source.faces.files[TRAIN:]:
        Image.new("RGB", (20, 20)).save(source.faces.root / file)
    again = module(Source(replace(source.faces, labels=labels)))
    assert torch.equal(pixel_ridge(data=again, size=5).weight, before.weight)


def test_it_is_found_where_version_0_1_0_had_it() -> None:
    import faceinsight.data.ridge

    import faceinsight.data

    assert faceinsight.data.pixel_ridge is faceinsight.data.ridge.pixel_ridge is pixel_ridge
    assert faceinsight.data.token_ridge is token_ridge
