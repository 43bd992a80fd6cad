"""Accumulated batches: what a whole optimiser's step counts, known before its first batch.

Lightning adds the gradients of ``accumulate_grad_batches`` batches up and divides by their number. That is the gradient
of the whole batch only if every batch has as many defined labels, and answers of as many tokens, as the others. Here
the batches of one step are looked at before the first of them is trained on, so that each loss is its share of the
mean over all of them. They wait in this process's memory meanwhile.

Not in the paper: all of it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from faceinsight.processes import summed

__all__ = ["Ahead", "Step", "upcoming"]


T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator whose next items can be looked at before they are taken.

    >>> ahead = Ahead(iter("abc"))
    >>> ahead.peek(2), next(ahead), ahead.peek(5), [*ahead]
    (['a', 'b'], 'a', ['b', 'c'], ['b', 'c'])
    """

    def __init__(self, items: Iterator[T]) -> None:
        self.items = items
        self.seen: deque[T] = deque()

    def __iter__(self) -> "Ahead[T]":
        return self

    def __next__(self) -> T:
        return self.seen.popleft() if self.seen else next(self.items)

    def peek(self, number: int) -> list[T]:
        """Return the next items, fewer where there are no more."""
        while len(self.seen) < number:
            try:
                self.seen.append(next(self.items))
            except StopIteration:
                break
        return [*islice(self.seen, number)]


@dataclass(frozen=True)
class Step:
    """What the batches of one optimiser's step count, together and over all processes.

    Args:
        counts: name of a term of the loss -> the number that it is a mean over.
        divisor: what Lightning divides each batch's gradient by.
    """

    counts: dict[str, float]
    divisor: int

    @classmethod
    def of(cls, counts: list[dict[str, Tensor]], divisor: int, device: torch.device) -> "Step":
        """Add up the counts of this process's batches, and those of all processes."""
        names = [*counts[0]]
        own = torch.tensor([sum(float(each[name]) for each in counts) for name in names], dtype=torch.float64)
        on_device = own if device.type == "cpu" else own.float().to(device)  # not every device has float64
        return cls(dict(zip(names, summed(on_device).tolist(), strict=True)), divisor)


def upcoming(trainer: Any, number: int) -> list[Any]:
    """Return the next batches of this process in this epoch, fewer at its end; training takes them later as if unseen.

    Args:
        trainer: a Lightning Trainer in the middle of a training epoch.
    """
    fetcher = trainer.fit_loop._data_fetcher  # Lightning has no public place from which the next batches are seen
    if not isinstance(fetcher.iterator, Ahead):
        fetcher.iterator = Ahead(fetcher.iterator)
    waiting = getattr(fetcher, "batches", [])[:number]  # of a loader without a length one batch is fetched ahead
    return [batch for batch, _, _ in (*waiting, *fetcher.iterator.peek(number - len(waiting)))]
