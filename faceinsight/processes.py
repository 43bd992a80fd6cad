"""What the processes of a distributed run tell each other; with one process nothing happens.

Lightning starts the processes and averages their gradients. What is left to do is small: a mean over labels, some of
which are undefined, is not the mean of the processes' means.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors

__all__ = ["gathered", "mean_over_processes", "number_of_processes", "share_of_mean", "summed"]


def number_of_processes() -> int:
    """How many processes train or test together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(tensor: Tensor) -> Tensor:
    """Return the sum over all processes, without gradient and the same on each."""
    total = tensor.detach().clone()
    if number_of_processes() > 1:
        distributed.all_reduce(total)
    return total


def gathered(rows: Shaped[Tensor, " row *shape"]) -> Shaped[Tensor, " rows *shape"]:
    """Return the rows of all processes, one process after the other; each may have another number of them."""
    return torch.cat(gather_all_tensors(rows)) if number_of_processes() > 1 else rows


def mean_over_processes(total: Float[Tensor, ""], count: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """``total / count``, each summed over all processes first; 0 where nothing was counted.

    The value is the same on every process. The gradient is that of this process's share of it, times the number of
    processes: DDP and FSDP average gradients, and that average is then the gradient of the mean over all.

    >>> mean_over_processes(torch.tensor(3.0), torch.tensor(2.0))
    tensor(1.5000)
    """
    processes = number_of_processes()
    if processes == 1:
        return total / count.clamp(min=1)
    total_of_all, count_of_all = summed(torch.stack([total, count]))
    share = total * processes / count_of_all.clamp(min=1)
    return share + (total_of_all / count_of_all.clamp(min=1) - share).detach()


def share_of_mean(total: Float[Tensor, ""], count: float, parts: int) -> Float[Tensor, ""]:
    """Return the share of one batch in a mean over several batches and all processes, times the number of parts.

    As :func:`mean_over_processes`, with a count that is known before: added up over the batches and divided by
    ``parts``, as Lightning does with accumulated gradients, the shares are the mean.

    Args:
        total: of this batch and process.
        count: of all batches and processes.
        parts: what the sum over batches is divided by.

    >>> whole = [share_of_mean(torch.tensor(each), count=4.0, parts=2) for each in (1.0, 7.0)]
    >>> sum(whole) / 2
    tensor(2.)
    """
    scale, processes = parts / max(count, 1.0), number_of_processes()
    share = total * processes * scale
    return share if processes == 1 else share + (summed(total) * scale - share).detach()
