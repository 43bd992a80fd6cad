"""How much of the pictures each class of the parsing masks covers, and whether these are the classes of this library.

Two orders of CelebAMask-HQ's classes are about besides that of its ``g_mask.py`` (CelebAMask-HQ issue 99). A mask in
another order is read without any error: hair is called neck. The shares of the pixels tell it.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from faceinsight.data.dataset import FaceReader
from faceinsight.data.images import BrokenImageError
from faceinsight.data.table import FaceTable
from faceinsight.knowledge.face_parts import FACE_PARTS

__all__ = ["mask_shares", "mask_warnings"]

#: Share of each class in per cent, in the order of the class ids: measured on 850 masks of CelebAMask-HQ.
USUAL = (28.7, 25.6, 2.1, 0.3, 0.2, 0.2, 0.4, 0.4, 0.5, 0.4, 0.3, 0.4, 0.7, 30.9, 1.2, 0.2, 0.0, 4.1, 3.4)

#: The class ids of this library in the order of others.
OTHER_ORDERS: dict[str, tuple[int, ...]] = {
    "face-parsing.PyTorch": (0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14),
    "the first list in CelebAMask-HQ's programs": (0, 1, 17, 14, 3, 13, 15, 16, 18, 4, 5, 6, 7, 2, 8, 9, 10, 11, 12),
}

#: So far may shares be from the usual ones; 21 masks of CelebAMask-HQ are at 0.06 at most, drawn faces at 0.17.
FAR, FEW = 0.25, 20


def mask_shares(table: FaceTable, *, most: int = 200) -> tuple[dict[str, float], int, int]:
    """Read masks, spread evenly over a table, and count what they cover.

    Args:
        most: so many masks are read at most.

    Returns:
        part -> share of the pixels; the number of masks read, and of those that are background all over.
    """
    rows = torch.linspace(0, len(table) - 1, min(most, len(table))).round().long().tolist()
    reader = FaceReader(image_size=64, memory_mb=0)
    counts = torch.zeros(len(FACE_PARTS), dtype=torch.float64)
    read = empty = 0
    for row in rows:
        try:
            ids = reader.mask(table, row)
        except BrokenImageError:  # named where all files are read
            continue
        counts += torch.bincount(ids.flatten().long(), minlength=len(FACE_PARTS))
        read, empty = read + 1, empty + int(not ids.any())
    return dict(zip(FACE_PARTS, (counts / counts.sum().clamp(min=1)).tolist(), strict=True)), read, empty


def mask_warnings(shares: Mapping[str, float], read: int, empty: int) -> list[str]:
    """Return what is strange about the masks' shares, in sentences."""
    if not read:
        return ["no mask can be read"]
    if empty:
        return [f"{empty:,} of {read:,} masks are background all over: no part of a face is marked in them"]
    found = torch.tensor([shares[part] for part in FACE_PARTS], dtype=torch.float64)
    usual = torch.tensor(USUAL, dtype=torch.float64) / sum(USUAL)
    own = apart(found, usual)
    others = {name: apart(found, usual[list(order)]) for name, order in OTHER_ORDERS.items()}
    nearest = min(others, key=lambda name: others[name])
    if others[nearest] < own:
        return [f"the masks' classes seem to be in another order, that of {nearest}: make them as g_mask.py does"]
    if own > FAR and read >= FEW:
        return ["the parts' shares are unlike those of CelebAMask-HQ: look at them with `data sheet --masks`"]
    return []


def apart(one: Float64[Tensor, " part"], other: Float64[Tensor, " part"]) -> float:
    """Half of the summed distances between two lists of shares: 0 for equal ones, 1 at most."""
    return float((one - other).abs().sum() / 2)
