"""Attention patterns that a transformers model obeys exactly: full, within a sliding window, or refused.

A mask given from outside replaces the model's own, its sliding windows too. So a window is reckoned here, from the
tokens' positions and for each kind of layer: in a packed sequence a token's place in the row is not its position, and
transformers' own windows go by the place. What cannot be masked like that is refused.

Not in the paper: all of it; the papers run one question at a time.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedConfig

from faceinsight.errors import InputError

__all__ = ["additive_mask", "attention_masks", "check_layers", "layer_kinds", "unstable_length"]

#: The kinds of layers that a mask says everything about, as in transformers' ``config.layer_types``.
MASKED = ("full_attention", "sliding_attention")


def layer_kinds(config: PreTrainedConfig) -> list[str]:
    """Return the kinds of attention layers of a text model's configuration.

    >>> from transformers import MistralConfig
    >>> layer_kinds(MistralConfig(sliding_window=None)), layer_kinds(MistralConfig(sliding_window=4096))
    (['full_attention'], ['sliding_attention'])
    """
    if stated := getattr(config, "layer_types", None):
        return sorted({*stated})
    return ["sliding_attention" if getattr(config, "sliding_window", None) else "full_attention"]


def check_layers(config: PreTrainedConfig) -> None:
    """Refuse a text model whose layers do more, or less, than a mask over earlier tokens can say.

    Raises:
        ValueError: layers of another kind than attention over the past; they are named.
    """
    other = [kind for kind in layer_kinds(config) if kind not in MASKED]
    if getattr(config, "use_bidirectional_attention", False):
        other.append("bidirectional attention")
    if other:
        raise InputError(
            f"{config.model_type} models with {', '.join(other)} cannot be masked exactly, so attributes read in one "
            f"pass would reach each other; use a model whose layers are all {' or '.join(MASKED)}"
        )


def unstable_length(config: PreTrainedConfig) -> int | None:
    """Return the length from which a text model's rotary embedding depends on the whole sequence, if there is one.

    With ``longrope`` (Phi 3) and ``dynamic`` scaling every token's rotation changes once the longest position passes
    this length, so a short question would be read otherwise beside a long one than by itself.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [each for each in parameters.values() if isinstance(each, dict)] or [parameters]
    changing = [each for each in nested if each.get("rope_type") in ("longrope", "dynamic")]
    lengths = [int(each.get("original_max_position_embeddings") or config.max_position_embeddings) for each in changing]
    return min(lengths, default=None)


def additive_mask(allowed: Bool[Tensor, "token token"], dtype: torch.dtype) -> Tensor:
    """Zero where a token may attend, the lowest number elsewhere.

    A boolean mask is read differently by transformers' eager attention, without a word.
    """
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)


def attention_masks(
    config: PreTrainedConfig,
    allowed: Bool[Tensor, "token token"],
    positions: Int[Tensor, " token"],
    *,
    batch: int,
    dtype: torch.dtype,
) -> Tensor | dict[str, Tensor]:
    """Return what to give a transformers text model as its ``attention_mask``, so that a pattern holds in every layer.

    Args:
        config: the text model's; its ``sliding_window`` is the number of positions that a token sees, its own among
            them.
        allowed: ``allowed[q, k]`` says that token q attends to token k, windows apart.
        positions: each token's position, by which the window is measured.

    Returns:
        ``[batch, 1, token, token]``; one for each kind of layer, by its name, where a model has both.
    """
    masks = {}
    for kind in layer_kinds(config):
        pattern = allowed
        if kind == "sliding_attention":
            pattern = allowed & (positions[:, None] - positions < config.sliding_window)
        masks[kind] = additive_mask(pattern, dtype).expand(batch, 1, -1, -1)
    return masks if len(masks) > 1 else masks.popitem()[1]
