"""Labels where they come in: checked once, and the same everywhere afterwards.

Inside this library a label is int8: ``1`` yes, ``-1`` no, ``0`` undefined (not annotated). Most other files and
libraries write ``1`` and ``0`` for yes and no. Such labels would mean something else here without any error, so labels
with zeros and ones and without any -1 are refused, unless the caller says what is undefined. Booleans are yes and no.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Int8, Shaped
from torch import Tensor

from faceinsight.errors import InputError

__all__ = ["ZERO_ONE", "three_valued"]

#: How labels of 0 and 1 are refused, after what they are labels of.
ZERO_ONE = (
    "0 and 1, but 0 means undefined here; write -1 where the answer is no, or give booleans. If they are right as they "
    "are, say what is undefined: undefined=0, or undefined=-1 (or any other value) where 0 is no (on the command "
    "line --undefined 0 or -1)"
)


def three_valued(
    labels: Shaped[Tensor, "*face attr"],
    *,
    undefined: int | float | None = None,
    names: Sequence[str] | None = None,
    columns: bool = True,
) -> Int8[Tensor, "*face attr"]:
    """Return labels as int8: 1 yes, -1 no, 0 undefined.

    Args:
        labels: booleans (yes, no), or numbers: 1, -1 and 0 as above, unless ``undefined`` says otherwise.
        undefined: the value of undefined labels. With 0, the others are 1 and -1, and no labels are mistaken for 0 and
            1. With any other value (-1, -100, nan), the others are 1 for yes and 0 for no.
        names: of the attributes, for the error.
        columns: refuse every attribute with zeros and ones and without -1. Otherwise only labels that have zeros and
            ones and nowhere a -1: in a batch of a few faces, one attribute may well have no -1.

    Raises:
        InputError: labels that are not a tensor of numbers, of 0 and 1, or with another value.

    >>> three_valued(torch.tensor([[True, False]])).tolist()
    [[1, -1]]
    >>> three_valued(torch.tensor([[1, 0], [0, -1]]), undefined=-1).tolist()
    [[1, -1], [-1, 0]]
    >>> three_valued(torch.tensor([[1, 0], [0, 1]]))
    Traceback (most recent call last):
        ...
    faceinsight.errors.InputError: the labels are 0 and 1, but 0 means undefined here; ...
    """
    if not isinstance(labels, Tensor) or labels.is_complex():
        raise InputError(f"labels are a tensor of numbers or booleans, got {kind_of(labels)}; use torch.as_tensor")
    if labels.dtype == torch.bool:
        return labels.to(torch.int8) * 2 - 1
    if labels.is_meta:  # there are no numbers to look at
        return labels.to(torch.int8)
    coded = undefined in (None, 0)
    if not coded:
        labels = labels.double()
    elif not labels.dtype.is_signed:  # where 255 would be -1
        labels = labels.long()
    known = (labels == 1) | (labels == 0) | (coded & (labels == -1))
    missing = torch.zeros_like(known) if coded else is_value(labels, undefined)
    if not bool((known | missing).all()):
        place = (~(known | missing)).nonzero()[0].tolist()
        wanted = "1 (yes), -1 (no) or 0 (undefined)" if coded else f"1 (yes), 0 (no) or {undefined:g} (undefined)"
        raise InputError(
            f"label values must be {wanted}, got {labels[tuple(place)].item():g} for {named(names, place[-1])}"
            f"{f' of face {place[0]}' if len(place) > 1 else ''}"
        )
    if not coded:
        return torch.where(missing, 0, torch.where(labels == 1, 1, -1)).to(torch.int8)
    if undefined is None:
        refuse_zero_one(labels, names, columns)
    return labels.to(torch.int8)


def refuse_zero_one(labels: Shaped[Tensor, "*face attr"], names: Sequence[str] | None, columns: bool) -> None:
    """Refuse labels with zeros and ones and without -1; see :func:`three_valued`."""
    flat = labels.reshape(-1, labels.shape[-1]) if columns and labels.ndim else labels.reshape(-1, 1)
    mistaken = (flat == 0).any(0) & (flat == 1).any(0) & ~(flat == -1).any(0)
    if not bool(mistaken.any()):
        return
    wrong = mistaken.nonzero()[:, 0].tolist()
    if not columns or (len(wrong) == len(mistaken) > 1):
        raise InputError(f"the labels are {ZERO_ONE}")
    more = f" and {len(wrong) - 1} more attributes" if len(wrong) > 1 else ""
    raise InputError(f"the labels of {named(names, wrong[0])}{more} are {ZERO_ONE}")


def is_value(labels: Tensor, value: int | float | None) -> Tensor:
    """Where labels have the value of undefined ones."""
    if value is None or value == 1:
        raise InputError(f"undefined={value!r} cannot be the value of undefined labels: 1 is yes")
    return labels.isnan() if math.isnan(value) else labels == value


def named(names: Sequence[str] | None, attr: int) -> str:
    """Return an attribute in an error."""
    return f"attribute {attr}" if names is None else repr(names[attr])


def kind_of(labels: object) -> str:
    """Return what came in place of a tensor of numbers."""
    return f"{labels.dtype}" if isinstance(labels, Tensor) else type(labels).__name__
