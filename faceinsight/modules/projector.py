"""The projector: tokens of an encoder to the width of the language model.

Source: LLaVA-1.5, "Improved Baselines with Visual Instruction Tuning" (https://arxiv.org/abs/2310.03744), section 3.3:
a two-layer perceptron (``mlp2x_gelu``) in the place of LLaVA's one linear layer.
"""

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Projector"]


class Projector(nn.Module):
    """Linear, GELU, Linear on every token apart; the hidden width is the outer one, as in LLaVA-1.5.

    Args:
        in_dim: width of the tokens that come.
        out_dim: width of the tokens that are wanted.

    >>> import torch
    >>> Projector(in_dim=192, out_dim=128)(torch.zeros(2, 37, 192)).shape
    torch.Size([2, 37, 128])
    """

    def __init__(self, *, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        self.layers = nn.Sequential(nn.Linear(in_dim, out_dim), nn.GELU(), nn.Linear(out_dim, out_dim))

    def forward(self, tokens: Float[Tensor, "*batch token in_dim"]) -> Float[Tensor, "*batch token out_dim"]:
        """Project each token."""
        return self.layers(tokens)
