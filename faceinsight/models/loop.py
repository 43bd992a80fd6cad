"""A model over faces: batches, no gradient, broken files named and counted, progress.

The one loop for whatever looks at faces outside of a trainer: of a table
(:class:`~faceinsight.data.dataset.FaceDataset`), or plain files, PIL images, arrays and tensors
(:class:`~faceinsight.data.dataset.Pictures`):

    faces, broken = Pictures(files, reader=FaceReader(**model.picture_options)), {}
    for index, output in over_faces(model_step, read_batches(faces, broken=broken), device="cuda"):
        ...

To go on after an interruption, keep the results of some faces at a time in a :class:`~faceinsight.store.Store`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Int64
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from faceinsight.data.batch import FaceBatch
from faceinsight.data.images import BrokenImageError

__all__ = ["Faces", "evaluating", "over_faces", "progress_bars", "read_batches"]

T = TypeVar("T")


@runtime_checkable
class Faces(Protocol):
    """Faces that are read by position: a ``FaceDataset``, or ``Pictures`` without a table."""

    def __len__(self) -> int:
        """Return how many there are."""

    def batch(self, positions: Sequence[int]) -> FaceBatch:
        """Read several; raises :class:`BrokenImageError` for a file that cannot be read."""


def read_batches(faces: Faces, *, batch_size: int = 64, broken: dict[int, str] | None = None) -> Iterator[FaceBatch]:
    """Yield faces in order, as batches of one size except the last.

    Args:
        faces: a table's, or plain pictures.
        batch_size: of each batch before broken files are left out.
        broken: is filled with what is wrong with each face that cannot be read, by its position, and such faces are
            left out. Without it, the first of them is an error.

    Raises:
        BrokenImageError: a file that cannot be read, without ``broken``.
    """
    for start in range(0, len(faces), batch_size):
        positions = range(start, min(start + batch_size, len(faces)))
        try:
            batches = [faces.batch(positions)]
        except BrokenImageError:
            if broken is None:
                raise
            batches = [*readable(faces, positions, broken)]
        if batches:
            yield FaceBatch.cat(batches)


def readable(faces: Faces, positions: Iterable[int], broken: dict[int, str]) -> Iterator[FaceBatch]:
    """Yield the faces one by one, and note which cannot be read."""
    for position in positions:
        try:
            yield faces.batch([position])
        except BrokenImageError as error:
            broken[position] = str(error)


def over_faces(
    function: Callable[[FaceBatch], T],
    batches: Iterable[FaceBatch],
    *,
    device: torch.device | str = "cpu",
    tell: Callable[[int], None] = lambda faces: None,
) -> Iterator[tuple[Int64[Tensor, " batch"], T]]:
    """Yield what a function gives for each batch, with the index of the batch's faces.

    The function runs in ``torch.inference_mode``: what it gives cannot be trained through. Put the model in evaluation
    mode first.

    Args:
        function: such as ``lambda batch: model(batch.images, masks=batch.masks).logits.cpu()``.
        batches: from :func:`read_batches`, or a DataLoader.
        device: where the batches are put.
        tell: called with the number of faces after each batch, for a progress bar.
    """
    for batch in batches:
        with torch.inference_mode():
            result = function(batch.to(device))
        tell(len(batch))
        yield batch.index, result


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and each of its parts in its own mode again at the end."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def progress_bars(totals: Mapping[str, int], console: Console | None = None) -> Iterator[Callable[[str, int], None]]:
    """Show a bar for each title while faces are read, and yield what advances one: ``advance(title, faces)``.

    Args:
        totals: title -> all its faces.
        console: where they are shown; standard error by default.
    """
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console or Console(stderr=True)) as bar:
        tasks = {title: bar.add_task(title, total=total) for title, total in totals.items()}
        yield lambda title, faces: bar.advance(tasks[title], faces)
