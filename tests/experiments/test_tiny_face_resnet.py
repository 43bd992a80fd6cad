"""The reading of dlib's face network from its file, and the check against dlib where both packages are there."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from experiments.tiny import face_resnet
from faceinsight.data.images import read_image
from faceinsight.errors import InputError
from faceinsight.modules import FaceResNet

PACKAGES = ("dlib", face_resnet.PACKAGE)
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def integer(number: int) -> bytes:
    """One of dlib's integers, written digit by digit to the base of 256."""
    digits = []
    while number:
        digits.append(number % 256)
        number //= 256
    return bytes([len(digits), *digits])


def written(*tensors: np.ndarray) -> bytes:
    """Tensors as dlib writes them, with names of layers between."""
    parts = [b"\x01\x01\x0dloss_metric_2"]
    for tensor in tensors:
        rows, columns = tensor.shape
        parts += [b"\x01\x05con_4", *map(integer, (2, rows, columns, 1, 1)), tensor.astype("<f4").tobytes()]
    return b"".join(parts)


def test_tensors_are_read_in_their_order_from_what_lies_between() -> None:
    tensors = [np.arange(300.0)[:, None], np.arange(6.0)[:, None] + 0.5, np.arange(6.0).reshape(2, 3)]
    read = list(face_resnet.tensors(written(*tensors), [each.shape for each in tensors]))
    assert [each.tolist() for each in read] == [each.tolist() for each in tensors]
    with pytest.raises(InputError, match="tensor 1, 7 x 1"):
        list(face_resnet.tensors(written(*tensors), [(300, 1), (7, 1)]))
    with pytest.raises(InputError, match="tensor 2, 2 x 3"):
        list(face_resnet.tensors(written(*tensors)[:-1], [each.shape for each in tensors]))


def test_the_scales_are_folded_into_the_convolutions() -> None:
    encoder, generator = FaceResNet(), np.random.default_rng(0)
    weights = {name: each.shape for name, each in encoder.state_dict().items() if name.endswith(".weight")}
    layers = {}
    for name, shape in weights.items():
        sizes = {"filters": tuple(shape), "bias": shape[:1], "scale": shape[:1], "offset": shape[:1]}
        layers[name] = {key: generator.normal(size=size, scale=0.1) for key, size in sizes.items()}
    descriptor = generator.normal(size=(256, 128))
    blocks = [
        np.concatenate([each[key].ravel() for key in pair])[:, None]
        for each in layers.values()
        for pair in (("filters", "bias"), ("scale", "offset"))
    ]
    read, found = face_resnet.converted(written(*blocks, descriptor))
    assert len(layers) == 29
    np.testing.assert_allclose(found.descriptor, descriptor, rtol=1e-6)
    images = torch.rand(2, 3, 150, 150)
    first = layers["first.weight"]
    with torch.no_grad():
        by_hand = F.conv2d(
            (images * 255 - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 256,
            torch.tensor(first["filters"]).float(),
            torch.tensor(first["bias"]).float(),
            stride=2,
        )
        scale, offset = (torch.tensor(first[key]).float()[:, None, None] for key in ("scale", "offset"))
        torch.testing.assert_close(read.maps(images)[2], (by_hand * scale + offset).relu(), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_network_is_dlibs(fairface_root: Path) -> None:
    dat = face_resnet.dat_file()
    encoder, layers = face_resnet.converted(dat.read_bytes())
    files = sorted((fairface_root / "val").glob("*.jpg"))[:8]
    images = torch.stack([read_image(file, image_size=150, interpolation="bicubic") for file in files])
    found = face_resnet.compared(encoder, layers, images, dat)
    assert found["faces"] == 8
    assert found["smallest cosine"] > face_resnet.COSINE
    assert found["largest difference"] < face_resnet.DIFFERENCE


@pytest.mark.skipif(face_resnet.PACKAGE in MISSING, reason=f"not installed: {face_resnet.PACKAGE}")
def test_the_layer_that_tells_people_apart_is_not_written(tmp_path: Path) -> None:
    face_resnet.main(tmp_path / "trunk")
    encoder = FaceResNet.load(tmp_path / "trunk" / face_resnet.FILE)
    shapes = [each.shape for each in encoder.state_dict().values()]
    assert (256, 128) not in shapes
    assert sum(shape.numel() for shape in shapes if len(shape) == 4) == 5_571_168
    assert "CC0" in (tmp_path / "trunk" / "README.md").read_text()
