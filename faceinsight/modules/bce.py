"""Binary cross-entropy over named attributes, undefined labels left out."""

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.labels import three_valued

__all__ = ["bce_sum_and_count", "masked_bce"]


def masked_bce(
    logits: Float[Tensor, "batch attr"],
    labels: Shaped[Tensor, "batch attr"],
    pos_weight: Float[Tensor, " attr"] | None = None,
    *,
    undefined: int | float | None = None,
) -> Float[Tensor, ""]:
    """Return the mean binary cross-entropy over all defined labels of the batch; zero where none is defined.

    Args:
        labels: 1 yes, -1 no, 0 undefined; or booleans.
        pos_weight: for each attribute, the weight of its positive faces; 1 by default.
        undefined: the value of undefined labels; needed where a batch has zeros and ones and no -1, see
            :func:`~faceinsight.knowledge.labels.three_valued`.

    Raises:
        InputError: labels of 0 and 1, or other values.

    >>> import torch
    >>> logits = torch.tensor([[0.0, 5.0]])
    >>> masked_bce(logits, torch.tensor([[1, 0]]), undefined=0)
    tensor(0.6931)
    """
    total, count = bce_sum_and_count(logits, labels, pos_weight, undefined=undefined)
    return total / count.clamp(min=1)


def bce_sum_and_count(
    logits: Float[Tensor, "batch attr"],
    labels: Shaped[Tensor, "batch attr"],
    pos_weight: Float[Tensor, " attr"] | None = None,
    *,
    undefined: int | float | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the cross-entropy summed over the defined labels, and their number: with several processes, add each up
    and divide. See :func:`masked_bce`.
    """
    labels = three_valued(labels, undefined=undefined, columns=False)
    defined = (labels != 0).to(logits.dtype)
    target = (labels > 0).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, weight=defined, pos_weight=pos_weight, reduction="sum")
    return loss, defined.sum()
