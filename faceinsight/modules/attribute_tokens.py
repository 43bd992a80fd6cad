"""Attribute tokens: for each attribute one token that has looked at the image, put into that attribute's segment.

A soft prompt is the same for every face, so all that a face says must reach the answer through the language model's
attention to the shared prefix. Here each attribute's prompt attends over the image tokens itself (one cross-attention,
as a decoder layer of DETR or Query2Label has it), and what it found is a token of its segment.

Sources: Query2Label, https://arxiv.org/abs/2107.10834; cross-attention of queries, https://arxiv.org/abs/2005.12872.
Not in the paper.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError

__all__ = ["AttributeTokens", "MLPQuery"]


class AttributeTokens(nn.Module):
    """Cross-attention of the attributes' prompts over a face's tokens: ``[attr, prompt]`` to ``[batch, attr, dim]``.

    Args:
        prompt_dim: size of one attribute's prompt.
        image_dim: numbers in one of the face's tokens.
        embed_dim: width of the language model; the size of an attribute's token.
        num_heads: heads of the attention; they divide ``embed_dim``.
        dropout: share of attention weights, and of the output, that is dropped in training.

    Raises:
        InputError: heads that do not divide ``embed_dim``.

    >>> tokens = AttributeTokens(prompt_dim=16, image_dim=12, embed_dim=32)
    >>> tokens(torch.randn(40, 16), torch.randn(2, 49, 12)).shape
    torch.Size([2, 40, 32])
    """

    def __init__(
        self, *, prompt_dim: int, image_dim: int, embed_dim: int, num_heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise InputError(
                f"embed_dim={embed_dim} is not a multiple of num_heads={num_heads}; give heads that divide it"
            )
        self.prompt_dim, self.image_dim, self.embed_dim = prompt_dim, image_dim, embed_dim
        self.num_heads, self.dropout = num_heads, dropout
        self.norm = nn.LayerNorm(image_dim)
        self.query = nn.Linear(prompt_dim, embed_dim)
        self.key_value = nn.Linear(image_dim, 2 * embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, prompts: Float[Tensor, "attr prompt"], tokens: Float[Tensor, "batch token image"]
    ) -> Float[Tensor, "batch attr dim"]:
        """Return each attribute's token for each face.

        Args:
            prompts: T_p, one row for each attribute.
            tokens: of the face, such as the image encoder's; their order does not matter.
        """
        heads = "attr (head dim) -> head attr dim"
        query = rearrange(self.query(prompts), heads, head=self.num_heads)
        key, value = rearrange(
            self.key_value(self.norm(tokens)),
            "batch token (two head dim) -> two batch head token dim",
            two=2,
            head=self.num_heads,
        )
        dropped = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query.expand(len(tokens), -1, -1, -1), key, value, dropout_p=dropped)
        joined = rearrange(found, "batch head attr dim -> batch attr (head dim)")
        return F.dropout(self.out(joined), self.dropout, self.training)


class MLPQuery(nn.Module):
    """The control without a language model: an MLP in its place, from each attribute's token and prompt to its state.

    Takes the place of an :class:`~faceinsight.modules.attribute_query.AttributeQuery` in a model with
    :class:`AttributeTokens`; the same weights for every attribute. The prefix and the language model are not looked at,
    except that the prompts come from its embeddings.

    Args:
        prompt_dim: size of one attribute's prompt.
        embed_dim: size of an attribute's token, and of its state.
        hidden_dim: width of the hidden layer.

    >>> query = MLPQuery(prompt_dim=16, embed_dim=32, hidden_dim=64)
    >>> query(torch.randn(4, 9, 32), torch.randn(28, 16), nn.Identity(), seen=torch.randn(4, 28, 32)).shape
    torch.Size([4, 28, 32])
    """

    def __init__(self, *, prompt_dim: int, embed_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.prompt_dim, self.embed_dim, self.hidden_dim = prompt_dim, embed_dim, hidden_dim
        self.layers = nn.Sequential(
            nn.LayerNorm(embed_dim + prompt_dim),
            nn.Linear(embed_dim + prompt_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, embed_dim),
        )

    def forward(
        self,
        prefix: Float[Tensor, "batch token dim"],
        prompts: Float[Tensor, "attr prompt"] | None,
        language_model: nn.Module,
        questions: Sequence[Float[Tensor, "_ dim"]] | None = None,
        seen: Float[Tensor, "batch attr dim"] | None = None,
    ) -> Float[Tensor, "batch attr dim"]:
        """Return each attribute's state; arguments as for an ``AttributeQuery``.

        Raises:
            InputError: a model without attribute tokens or without prompts.
        """
        if seen is None or prompts is None:
            raise InputError("an MLPQuery reads attribute tokens and prompts; give attribute_tokens and a text_encoder")
        batched = repeat(prompts, "attr prompt -> batch attr prompt", batch=len(seen))
        states: Tensor = self.layers(torch.cat([seen, batched], dim=2))
        return states
