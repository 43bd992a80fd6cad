"""The projector: tokens of an encoder to the width of the language model.

Source: LLaVA-1.5, "Improved Baselines with Visual Instruction Tuning" (https://arxiv.org/abs/2310.03744), section 3.3:
a two-layer perceptron (``mlp2x_gelu``) in the place of LLaVA's one linear layer. Averaging neighbouring patches before
it, for a shorter sequence, is our choice (LLaVA-OneVision, https://arxiv.org/abs/2408.03326, pools too).
"""

from math import isqrt

from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError

__all__ = ["Projector", "pool_patches"]


def pool_patches(tokens: Float[Tensor, "batch patch dim"], side: int) -> Float[Tensor, "batch _ dim"]:
    """Each square of ``side`` x ``side`` neighbouring patches averaged into one token; the patches form a square grid.

    Raises:
        ValueError: the patches form no square, or one that cannot be cut into such squares.

    >>> import torch
    >>> pool_patches(torch.arange(16.0).reshape(1, 16, 1), 2).flatten()  # the first is of patches 0, 1, 4 and 5
    tensor([ 2.5000,  4.5000, 10.5000, 12.5000])
    """
    count = tokens.shape[1]
    rows = isqrt(count)
    if rows * rows != count or rows % side:
        raise InputError(
            f"{count} tokens are no square grid that can be cut into squares of {side} x {side} patches; "
            "take a pool that divides the grid's side (1 pools nothing)"
        )
    squares = "batch (row height column width) dim -> batch (row column) dim"
    return reduce(tokens, squares, "mean", row=rows // side, height=side, width=side)


class Projector(nn.Module):
    """Linear, GELU, Linear on every token apart; the hidden width is the outer one, as in LLaVA-1.5.

    Args:
        in_dim: width of the tokens that come.
        out_dim: width of the tokens that are wanted.
        pool: side of the squares of patches that become one token, see :func:`pool_patches`; 1 keeps every token.

    >>> import torch
    >>> Projector(in_dim=192, out_dim=128)(torch.zeros(2, 37, 192)).shape
    torch.Size([2, 37, 128])
    >>> Projector(in_dim=192, out_dim=128, pool=2)(torch.zeros(2, 36, 192)).shape
    torch.Size([2, 9, 128])
    """

    def __init__(self, *, in_dim: int, out_dim: int, pool: int = 1) -> None:
        super().__init__()
        if pool < 1:
            raise InputError(f"pool must be at least 1, got {pool}")
        self.in_dim, self.out_dim, self.pool = in_dim, out_dim, pool
        self.layers = nn.Sequential(nn.Linear(in_dim, out_dim), nn.GELU(), nn.Linear(out_dim, out_dim))

    def forward(self, tokens: Float[Tensor, "*batch token in_dim"]) -> Float[Tensor, "*batch _ out_dim"]:
        """Pool where asked to, then project each token."""
        pooled = tokens if self.pool == 1 else pool_patches(tokens, self.pool)
        return self.layers(pooled.to(next(self.layers.parameters()).dtype))
