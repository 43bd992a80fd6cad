"""T^0: the attributes' prompts as vectors, before the correlation constraint refines them.

Source: FaceInsight (https://arxiv.org/abs/2504.15624) has a text encoder for the attribute prompts T_p and does not say
which. Not in the paper: the mean of the frozen LLM's own input embeddings over each prompt's tokens, so that
prompts live in the space that the LLM reads; or one learned vector for each attribute.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.modules.contracts import LanguageModelLike

__all__ = ["LearnedText", "TextEncoder", "mean_embedding"]


def mean_embedding(language_model: LanguageModelLike, prompts: Sequence[str]) -> Float[Tensor, "attr dim"]:
    """Return the mean of the language model's input embeddings over each prompt's tokens.

    Args:
        language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
    """
    tokens = [language_model.token_ids(prompt) for prompt in prompts]
    lengths = torch.tensor([len(each) for each in tokens])
    owner = torch.arange(len(tokens)).repeat_interleave(lengths).to(tokens[0].device)
    embedded = language_model.embed_tokens(torch.cat(tokens))
    sums = embedded.new_zeros(len(tokens), embedded.shape[-1]).index_add(0, owner, embedded)
    return sums / lengths.to(embedded)[:, None]


class TextEncoder(nn.Module):
    """The mean input embedding of each prompt, scaled to unit variance; nothing is trained.

    Not in the paper: each vector is normalised over its dimensions (layer normalisation without weights), since
    LLMs' input embeddings differ in scale by orders of magnitude.

    >>> from faceinsight.modules.language_model import LanguageModel
    >>> language_model = LanguageModel.from_config(embed_dim=32, depth=1)
    >>> TextEncoder()(["wearing eyeglasses", "who is smiling"], language_model).shape
    torch.Size([2, 32])
    """

    def forward(self, prompts: Sequence[str], language_model: LanguageModelLike) -> Float[Tensor, "attr dim"]:
        vectors = mean_embedding(language_model, prompts)
        return nn.functional.layer_norm(vectors, vectors.shape[-1:])


class LearnedText(nn.Module):
    """One learned vector for each attribute, whatever its prompt says.

    Args:
        num_attributes: how many prompts there are.
        embed_dim: size of each vector.

    >>> LearnedText(num_attributes=2, embed_dim=8)(["wearing eyeglasses", "who is smiling"]).shape
    torch.Size([2, 8])
    """

    def __init__(self, *, num_attributes: int, embed_dim: int) -> None:
        super().__init__()
        self.num_attributes, self.embed_dim = num_attributes, embed_dim
        self.vectors = nn.Parameter(torch.randn(num_attributes, embed_dim))

    def forward(
        self, prompts: Sequence[str], language_model: LanguageModelLike | None = None
    ) -> Float[Tensor, "attr dim"]:
        if len(prompts) != len(self.vectors):
            raise InputError(f"{len(prompts)} prompts for {len(self.vectors)} learned vectors")
        return self.vectors
