"""The one typed batch that every data set gives and every network takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import torch
from jaxtyping import Bool, Float, Int8, Int64, UInt8
from torch import Tensor

__all__ = ["FaceBatch"]


@dataclass
class FaceBatch:
    """Some faces of a data set.

    Args:
        images: RGB in [0, 1]; None where cached ``features`` stand in for them.
        labels: 1 positive, -1 negative, 0 undefined; the attributes are those of the data set's schema.
        index: each face's row in the table it comes from; -1 for a face that is shown a second time, only to give all
            processes of a distributed run as many faces.
        masks: parsing masks in CelebAMask-HQ's class ids; None where the data set has none.
        features: cached tokens of frozen encoders by name, ``[batch, ...]`` each; None where images are given.
        texts: for each face a question and its answer, or None; None where the data module writes no texts.

    >>> one = FaceBatch(torch.rand(1, 3, 8, 8), torch.ones(1, 2, dtype=torch.int8), torch.tensor([7]))
    >>> len(FaceBatch.cat([one, one])), FaceBatch.cat([one, one]).index.tolist()
    (2, [7, 7])
    """

    images: Float[Tensor, "batch 3 height width"] | None
    labels: Int8[Tensor, "batch attr"]
    index: Int64[Tensor, " batch"]
    masks: UInt8[Tensor, "batch height width"] | None = None
    features: dict[str, Tensor] | None = None
    texts: list[tuple[str, str] | None] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counted(self) -> Bool[Tensor, " batch"]:
        """Which faces count in losses and metrics: all but those shown a second time."""
        return self.index >= 0

    def map(self, function: Callable[[Tensor], Tensor]) -> "FaceBatch":
        """Return a batch with ``function`` applied to every tensor."""
        return FaceBatch(**{each.name: _mapped(getattr(self, each.name), function) for each in fields(self)})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "FaceBatch":
        """Return the batch on another device; Lightning calls this."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "FaceBatch":
        """Return the batch in page-locked memory; the DataLoader calls this."""
        return self.map(Tensor.pin_memory)

    @classmethod
    def cat(cls, batches: Sequence["FaceBatch"]) -> "FaceBatch":
        """Several batches as one, in order."""
        if len(batches) == 1:
            return batches[0]
        return cls(**{each.name: _joined([getattr(batch, each.name) for batch in batches]) for each in fields(cls)})


def _mapped(value: object, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, dict):
        return {name: function(tensor) for name, tensor in value.items()}
    return function(value) if isinstance(value, Tensor) else value


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {name: torch.cat([value[name] for value in values]) for name in values[0]}
    if isinstance(values[0], list):
        return [*chain(*values)]
    return None if values[0] is None else torch.cat(values)
