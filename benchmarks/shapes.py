"""Language models of well-known shapes with random weights: what they cost does not depend on what they know."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from faceinsight.modules.language_model import LanguageModel, byte_tokenizer

__all__ = ["COUNTED_ONLY", "SHAPES", "flops_of", "language_model", "peak_memory", "synchronised"]

#: The device on which nothing is computed: a large model's operations and memory are counted there by any machine.
COUNTED_ONLY = "meta"

#: Small ones for a CPU, and two that are used: LLaVA-1.5's and the smallest Qwen2.5.
SHAPES = {
    "tiny": LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=259
    ),
    "small": LlamaConfig(
        hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=8, vocab_size=1536
    ),
    "qwen2.5-0.5b": Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
        vocab_size=151936, tie_word_embeddings=True,
    ),
    "llama-7b": LlamaConfig(vocab_size=32000),
}  # fmt: skip


def language_model(shape: str, device: str, dtype: torch.dtype) -> LanguageModel:
    """One of these shapes at random, made where it is to run."""
    config = SHAPES[shape]
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return LanguageModel(backbone=backbone.eval(), tokenizer=byte_tokenizer())


def synchronised(run: Callable[[], object], device: str) -> Callable[[], object]:
    """To be timed: on a GPU, a call returns before the work is done."""

    def timed() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return timed


def flops_of(run: Callable[[], object]) -> float:
    """Floating-point operations of one call, counted by torch; attention and matrix products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def peak_memory(run: Callable[[], object], device: str) -> float:
    """Return the most GiB that one call holds on a GPU; not a number elsewhere."""
    if device != "cuda":
        return float("nan")
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() / 2**30
