"""What the numbers of a picture in memory mean: RGB from 0 to 1, everywhere in this library."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from faceinsight.errors import InputError

__all__ = ["check_range"]

#: So far may numbers lie outside [0, 1], as rounding and resizing leave them. Normalised pictures lie further out.
ROUNDING = 0.05


def check_range(images: Shaped[Tensor, "*batch 3 height width"]) -> None:
    """Refuse pictures with numbers outside [0, 1], such as bytes or pictures that were normalised.

    In a graph that ``torch.compile`` traces the numbers are not looked at.

    Raises:
        InputError: integers, or numbers outside [0, 1]; what was found is named.

    >>> check_range(torch.tensor([0.0, 0.5, 1.0]).expand(3, 1, 3))
    >>> check_range(torch.tensor([0.0, 127.0, 255.0]).expand(3, 1, 3))
    Traceback (most recent call last):
        ...
    faceinsight.errors.InputError: images are RGB in [0, 1], got numbers from 0 to 255; divide bytes by 255
    """
    if not images.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], got {images.dtype}; divide bytes by 255")
    if not images.numel() or images.is_meta or torch.compiler.is_compiling():
        return
    low, high = (each.item() for each in images.detach().aminmax())
    if low >= -ROUNDING and high <= 1 + ROUNDING:  # false for NaN
        return
    mend = "divide bytes by 255" if low >= 0 and high <= 255 else "do not normalise them, the encoder does it"
    raise InputError(f"images are RGB in [0, 1], got numbers from {low:.4g} to {high:.4g}; {mend}")
