"""Sums of probabilities that stay in log space, and in full precision whatever the training does around them."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.nn import functional as F

__all__ = ["BARRIER", "bernoulli_entropy", "full_product", "literal_log_probs", "log_sum_exp", "wide_linear", "widest"]

#: Taken off a log-probability for each label that is contradicted: beyond any sum of logits, well within float32.
BARRIER = 1e30


def full_product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` in the precision of ``left``, whatever autocast and the matmul settings say."""
    with _without_autocast(left.device.type):
        if left.dtype == torch.float32 and _products_are_rounded():
            return (left.to(widest(left)) @ right.to(widest(left))).to(left.dtype)
        return left @ right


def wide_linear(
    values: Float[Tensor, "*batch dim"], weight: Float[Tensor, "out dim"], bias: Float[Tensor, " out"] | None = None
) -> Float[Tensor, "*batch out"]:
    """``values @ weight.T + bias`` in float32 or wider, under autocast too: the last layer before logits.

    A logit is a small difference of large sums. In half precision it has two or three digits, and faces tie.

    >>> half = torch.tensor([[256.0, 1.0]], dtype=torch.bfloat16)
    >>> wide_linear(half, torch.ones(1, 2, dtype=torch.bfloat16))
    tensor([[257.]])
    """
    dtype = torch.promote_types(torch.promote_types(values.dtype, weight.dtype), torch.float32)
    with _without_autocast(values.device.type):
        return F.linear(values.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))


def log_sum_exp(scores: Float[Tensor, "*batch model"]) -> Float[Tensor, "*batch"]:
    """``log sum exp`` over the models where most of them fall far behind.

    ``torch.logsumexp`` gives the same, but on a CPU its ``exp`` slows down wherever terms underflow: for 256 faces and
    927 models of which most are out, forward and backward took it 6 ms, and by way of ``log_softmax`` 0.7 ms; where
    none underflow it is the faster (0.4 ms; torch 2.15, one core).
    """
    top, at = scores.max(-1, keepdim=True)
    return (top - scores.log_softmax(-1).gather(-1, at)).squeeze(-1)


def literal_log_probs(
    logits: Float[Tensor, "*batch attr"], labels: Int8[Tensor, "*batch attr"] | None = None
) -> tuple[Float[Tensor, "*batch attr"], Float[Tensor, "*batch attr"]]:
    """``log p`` and ``log (1 - p)`` of each attribute; ``-BARRIER`` for the side that a known label contradicts.

    Args:
        labels: what is known: 1 yes, -1 no, 0 unknown.
    """
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    if labels is None:
        return yes, no
    return yes.masked_fill(labels < 0, -BARRIER), no.masked_fill(labels > 0, -BARRIER)


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Return the entropy in nats; finite, with its gradient, for any logit."""
    return F.softplus(-logits.abs()) + logits.abs() * torch.sigmoid(-logits.abs())


def widest(tensor: Tensor) -> torch.dtype:
    """float64, where the device has it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    """Autocast switched off, on devices that have it (torch's meta device has none)."""
    return torch.autocast(device_type, enabled=False) if is_autocast_available(device_type) else nullcontext()


@torch.compiler.assume_constant_result
def _products_are_rounded() -> bool:
    return torch.get_float32_matmul_precision() != "highest"
