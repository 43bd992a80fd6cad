"""Tensors in the files of networks that dlib wrote, found by their headers; nothing of the file is run.

Source: dlib's serialization of numbers and tensors, http://dlib.net, ``dlib/serialize.h`` and ``dlib/cuda/tensor.h``.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from faceinsight.errors import InputError

__all__ = ["dlib_integer", "folded", "tensors"]


def dlib_integer(number: int) -> bytes:
    """Write a number above 0 as dlib does: a byte with its length, then its bytes, the least first.

    >>> dlib_integer(4736).hex(" ")
    '02 80 12'
    """
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "little")


def tensors(data: bytes, shapes: Sequence[tuple[int, int]]) -> Iterator[Float[Tensor, "row column"]]:
    """Yield the tensors of these shapes, in their order: dlib's integers 2, rows, columns, 1, 1, then float32.

    Raises:
        InputError: a tensor is missing or cut off.
    """
    place = 0
    for number, (rows, columns) in enumerate(shapes):
        head = b"".join(map(dlib_integer, (2, rows, columns, 1, 1)))
        found = data.find(head, place)
        start, place = found + len(head), found + len(head) + 4 * rows * columns
        if found < 0 or place > len(data):
            raise InputError(
                f"tensor {number}, {rows} x {columns}, is missing or cut off; take another copy of the file"
            )
        yield torch.from_numpy(np.frombuffer(data, "<f4", rows * columns, start).reshape(rows, columns).copy())


def folded(
    layer: Float[Tensor, "numbers 1"], affine: Float[Tensor, "twice 1"], shape: torch.Size
) -> tuple[Float[Tensor, "out in height width"], Float[Tensor, " out"]]:
    """Return a convolution's filters and biases with the scales and offsets that follow it multiplied in.

    Args:
        layer: filters ``(out, in, height, width)``, then biases.
        affine: scales, then offsets.
        shape: of the filters.
    """
    scale, offset = affine[:, 0].double().chunk(2)
    filters, bias = layer[:, 0].double().split([shape.numel(), shape[0]])
    return (filters.reshape(shape) * scale.reshape(-1, 1, 1, 1)).float(), (bias * scale + offset).float()
