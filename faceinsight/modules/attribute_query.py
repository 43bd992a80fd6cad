"""Every attribute read in one pass: blind segments after a shared prefix.

The sequence is ``[prefix | segment of attribute 1 | segment of attribute 2 | ...]``. A segment attends to the prefix
and to itself, never to another segment, and every segment starts at the position where the prefix ends. So one pass
over ``P + N k`` tokens gives exactly what N separate prompts of ``P + k`` tokens give (tested to 1e-5 in float32), the
order of the attributes does not matter, and attributes depend on each other only through the correlation and the
logical constraint, which is what makes their ablations clean.

Source: the FaceInsight paper (https://arxiv.org/abs/2504.15624) does not say how its prompts T_p join the LLM's input;
all of this file is a choice of this library.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

__all__ = ["AttributeQuery", "SharedHead", "blind_segments", "read_in_one_pass", "read_separately"]


def blind_segments(
    prefix_length: int, lengths: Sequence[int]
) -> tuple[Bool[Tensor, "token token"], Int[Tensor, " token"], Int[Tensor, " attr"]]:
    """Who attends to whom, each token's position, and where each segment ends.

    >>> allowed, positions, ends = blind_segments(1, [2, 1])
    >>> allowed.int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 0, 0, 1]], dtype=torch.int32)
    >>> positions, ends
    (tensor([0, 1, 2, 1]), tensor([2, 3]))
    """
    if min(lengths, default=0) < 1:
        raise ValueError(f"every segment needs at least one token, got lengths {list(lengths)}")
    size = torch.tensor(lengths)
    segment = torch.cat([torch.full((prefix_length,), -1), torch.arange(len(size)).repeat_interleave(size)])
    same = rearrange(segment, "query -> query 1") == segment
    causal = torch.ones(len(segment), len(segment), dtype=torch.bool).tril()
    positions = torch.cat([torch.arange(prefix_length), *(prefix_length + torch.arange(n) for n in lengths)])
    return causal & (same | (segment == -1)), positions, prefix_length - 1 + size.cumsum(0)


def read_in_one_pass(
    language_model: nn.Module,
    prefix: Float[Tensor, "batch token dim"],
    segments: Float[Tensor, "batch packed dim"],
    lengths: Sequence[int],
) -> Float[Tensor, "batch attr dim"]:
    """The hidden state at the end of every segment, all from one pass.

    Args:
        language_model: as :class:`~faceinsight.modules.language_model.LanguageModel`.
        prefix: what all attributes share: text, image tokens, segmentation tokens, question.
        segments: the attributes' own tokens, one segment after the other.
        lengths: how many tokens each attribute's segment has; they add up to ``packed``.
    """
    if sum(lengths) != segments.shape[1]:
        raise ValueError(f"segments of {sum(lengths)} tokens in all, but {segments.shape[1]} were given")
    allowed, positions, ends = blind_segments(prefix.shape[1], lengths)
    sequence = torch.cat([prefix, segments], dim=1)
    device = sequence.device
    hidden = language_model(sequence, allowed=allowed.to(device), positions=positions.to(device))
    return hidden[:, ends.to(device)]


def read_separately(
    language_model: nn.Module,
    prefix: Float[Tensor, "batch token dim"],
    segments: Float[Tensor, "batch packed dim"],
    lengths: Sequence[int],
) -> Float[Tensor, "batch attr dim"]:
    """The same states from one prompt for each attribute: the slow reference that :func:`read_in_one_pass` equals."""
    ends = [
        language_model(torch.cat([prefix, segment], dim=1))[:, -1] for segment in segments.split(list(lengths), dim=1)
    ]
    return torch.stack(ends, dim=1)


class SharedHead(nn.Module):
    """One linear answer, the same weights for every attribute: ``[..., attr, dim] -> [..., attr]`` logits.

    What tells attributes apart must come through their segments. Choice of this library.
    """

    def __init__(self, *, embed_dim: int) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.linear = nn.Linear(embed_dim, 1)

    def forward(self, hidden: Float[Tensor, "*batch attr dim"]) -> Float[Tensor, "*batch attr"]:
        return rearrange(self.linear(hidden), "... attr 1 -> ... attr")


class AttributeQuery(nn.Module):
    """Attribute prompts T_p as soft tokens at the end of blind segments; gives each segment's last hidden state.

    Args:
        prompt_dim: size of one attribute's prompt.
        embed_dim: width of the language model.
        num_tokens: soft tokens for each attribute.

    >>> from faceinsight.modules.language_model import LanguageModel
    >>> language_model = LanguageModel.from_config(embed_dim=32, depth=1)
    >>> query = AttributeQuery(prompt_dim=16, embed_dim=32)
    >>> query(torch.randn(4, 9, 32), torch.randn(28, 16), language_model).shape
    torch.Size([4, 28, 32])
    """

    def __init__(self, *, prompt_dim: int, embed_dim: int, num_tokens: int = 1) -> None:
        super().__init__()
        self.prompt_dim, self.embed_dim, self.num_tokens = prompt_dim, embed_dim, num_tokens
        self.project = nn.Linear(prompt_dim, num_tokens * embed_dim)

    def forward(
        self,
        prefix: Float[Tensor, "batch token dim"],
        prompts: Float[Tensor, "attr prompt"],
        language_model: nn.Module,
        questions: Sequence[Float[Tensor, "_ dim"]] | None = None,
    ) -> Float[Tensor, "batch attr dim"]:
        """Read all attributes in one pass.

        Args:
            prefix: the tokens that all attributes share.
            prompts: T_p, one row for each attribute.
            language_model: takes embeddings, ``allowed`` and ``positions``.
            questions: embedded words of each attribute's question, put before its soft tokens.
        """
        soft = rearrange(self.project(prompts), "attr (token dim) -> attr token dim", token=self.num_tokens)
        segments = [*soft] if questions is None else [torch.cat(pair) for pair in zip(questions, soft, strict=True)]
        packed = repeat(torch.cat(segments), "packed dim -> batch packed dim", batch=len(prefix))
        return read_in_one_pass(language_model, prefix, packed, [len(segment) for segment in segments])
