"""Text after a prompt of which some tokens are no words: transformers' own ``generate`` on embeddings.

The prompt's token ids go along, with the image token's in the image's places, so that whatever looks at the words
before (a penalty on repetition, a ban on n-grams) sees what it would see in the checkpoint in one piece.
"""

import inspect
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, GenerationMixin, PreTrainedModel

from faceinsight.errors import InputError
from faceinsight.modules.contracts import LanguageModelLike

__all__ = ["as_argument", "generate", "shared_cache"]

#: What is filled in here, or would give something else than one text for each prompt.
FILLED = (
    "attention_mask",
    "cache",
    "input_ids",
    "inputs",
    "inputs_embeds",
    "num_return_sequences",
    "past_key_values",
    "return_dict_in_generate",
    "tokenizer",
)


@torch.no_grad()
def generate(
    language_model: LanguageModelLike,
    embeddings: Float[Tensor, "batch token dim"],
    ids: Int[Tensor, " token"],
    *,
    max_new_tokens: int = 128,
    cache: DynamicCache | None = None,
    **options: Any,
) -> Int[Tensor, "batch new"]:
    """Return the tokens that a language model adds to each prompt; rows that end early are filled up with padding.

    Greedy, whatever the checkpoint's own generation settings say of sampling and beams; all else is as they say.

    Args:
        language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
        embeddings: the prompts, all of the same words.
        ids: the prompts' tokens; those of the image are any placeholder.
        cache: of the prompts' beginning, see :func:`shared_cache`; it is used up.
        options: of transformers' ``generate``: ``do_sample=True, temperature=0.7``, ``num_beams=4``, ...

    Raises:
        ValueError: an option that is filled in here.
    """
    if taken := sorted(set(FILLED) & options.keys()):
        raise InputError(
            f"generation takes no {taken[0]!r} from outside: prompts and cache are made here, and each image gets one "
            "text; ask again for another one"
        )
    backbone = language_model.backbone
    if not isinstance(backbone, GenerationMixin):
        raise InputError(f"a {type(backbone).__name__} generates no text; load the model as a causal language model")
    batch, length, _ = embeddings.shape
    settings = {"do_sample": False, "num_beams": 1, **options}
    if (pad := language_model.tokenizer.pad_token_id) is not None:
        settings.setdefault("pad_token_id", pad)
    if "stop_strings" in options:
        settings["tokenizer"] = language_model.tokenizer
    tokens = backbone.generate(
        input_ids=ids.expand(batch, length),
        inputs_embeds=embeddings.to(backbone.dtype),
        attention_mask=torch.ones(batch, length, dtype=torch.long, device=embeddings.device),
        max_new_tokens=max_new_tokens,
        **as_argument(backbone, cache),
        **settings,
    )
    return tokens[:, length:]


def shared_cache(cache: DynamicCache) -> DynamicCache:
    """Return a cache that goes on from the same keys and values and leaves the given one as it is, without a copy."""
    layers: list[Any] = cache.layers
    return type(cache)([(layer.keys, layer.values) for layer in layers])


def as_argument(backbone: PreTrainedModel, cache: DynamicCache | None) -> dict[str, DynamicCache | None]:
    """Return a cache under the name by which this backbone takes it: since transformers 5.24 ``cache``."""
    taken = inspect.signature(type(backbone).forward).parameters
    return {"cache" if "cache" in taken else "past_key_values": cache}
