"""Whether a language model reads blind segments in one pass exactly as it reads separate prompts.

The families in :data:`MEASURED` are tested to, sliding windows included. Any other is measured when it is given: a few
tokens, its own weights, and windows made so short that they matter.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from faceinsight.errors import InputError
from faceinsight.modules.attribute_query import read_in_one_pass
from faceinsight.modules.contracts import LanguageModelLike

__all__ = ["MEASURED", "check_one_pass", "one_pass_error"]

#: Families, by transformers' ``model_type``, whose one pass is tested to equal separate prompts.
MEASURED = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "mistral")


@contextmanager
def measuring(model: LanguageModelLike, window: int) -> Iterator[None]:
    """In evaluation mode, without gradient, with sliding windows of ``window`` tokens where there are windows."""
    config, backbone = model.config, model.backbone
    training, before = backbone.training, getattr(config, "sliding_window", None)
    try:
        if before is not None:
            config.sliding_window = window
        backbone.eval()
        with torch.no_grad():
            yield
    finally:
        if before is not None:
            config.sliding_window = before
        backbone.train(training)


def one_pass_error(model: LanguageModelLike, prefix_length: int = 4, lengths: Sequence[int] = (3, 1, 2)) -> float:
    """How far one pass over blind segments is from plain prompts, each given to transformers by itself as tokens.

    The largest difference of a next-token logit, over the logits' standard deviation: rounding alone for a model that
    is masked exactly. Sliding windows are measured at 3 tokens.
    """
    ids = torch.arange(prefix_length + sum(lengths), device=model.backbone.device)
    prefix, segments = ids[:prefix_length], ids[prefix_length:]
    with measuring(model, window=3):
        hidden = read_in_one_pass(
            model, model.embed_tokens(prefix)[None], model.embed_tokens(segments)[None], [*lengths]
        )
        plain = [
            model.backbone(input_ids=torch.cat([prefix, segment])[None]).logits[:, -1]
            for segment in segments.split([*lengths])
        ]
        expected = torch.stack(plain, dim=1).to(torch.float32)
        return float((model.logits(hidden) - expected).abs().max() / expected.std())


def check_one_pass(model: LanguageModelLike) -> None:
    """Refuse a model of an untested family unless, with its own weights, one pass equals plain prompts.

    Raises:
        ValueError: it differs, or cannot do it at all.
    """
    if model.config.model_type in MEASURED:
        return
    tolerance = 1e-3 if torch.finfo(model.backbone.dtype).bits >= 32 else 0.1
    error, reason = float("inf"), None
    try:
        error = one_pass_error(model)
    except Exception as caught:  # whatever a family unlike the tested ones may do
        reason = str(caught)
    if not error <= tolerance:
        found = f"fails ({reason})" if reason else f"differs by {error:.2g} standard deviations"
        raise InputError(
            f"{model.config.model_type} models cannot be masked exactly: on a few tokens, one pass {found} from one "
            f"prompt for each question; use one of the families {', '.join(MEASURED)}"
        )
