"""Tiny random checkpoints, written to disk in the layout in which they are published."""

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPImageProcessor, CLIPVisionConfig, GotOcr2ImageProcessor, PreTrainedTokenizerFast

WINDOW = 4
SPECIAL = ["<s>", "</s>", "<pad>", "<image>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]

COLOURS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
COMMIT = "0123456789abcdef0123456789abcdef01234567"

#: each family's classes, and what its configuration needs beside the sizes; windows wherever the family has them
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {}),
    "Qwen2": ("Qwen2", {}),
    "Qwen2 with windows": ("Qwen2", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "Qwen3": ("Qwen3", {"head_dim": 8, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "Gemma": ("Gemma", {"head_dim": 8}),
    "Gemma 2": (
        "Gemma2",
        {
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": WINDOW,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "Gemma 3": (
        "Gemma3",
        {
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "Phi 3": ("Phi3", {"sliding_window": WINDOW}),
    "Mistral": ("Mistral", {"sliding_window": WINDOW, "head_dim": 8}),
    "Mistral without windows": ("Mistral", {"sliding_window": None, "head_dim": 8}),
}


def tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    """Bytes, the words "Yes" and "No", the special tokens; every text begins with ``<s>``."""
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ye", "Yes", "No"]
    merges = [("Y", "e"), ("Ye", "s"), ("N", "o")]
    built = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(symbols)}, merges=merges))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens(SPECIAL)
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", built.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built, bos_token="<s>", eos_token="</s>", pad_token="<pad>", **options
    )


def sizes(**changes: Any) -> dict[str, Any]:
    words = tokenizer()
    return {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,  # at the usual 0.02 every token attends to all alike
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        **changes,
    }


def text_config(family: str, **changes: Any) -> Any:
    name, own = FAMILIES[family]
    kind = "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config"
    return getattr(transformers, kind)(**{**sizes(), **own, **changes})


def write_language_model(folder: Path, family: str, **changes: Any) -> Path:
    """A causal language model of a family, at random."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{FAMILIES[family][0]}ForCausalLM")(text_config(family, **changes))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def write_llava(
    folder: Path, family: str = "Llama", *, chat_template: str | None = None, image_size: int = 12, **changes: Any
) -> Path:
    """A LLaVA with a CLIP tower of 3 x 3 patches, for images of 12 px by default."""
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=image_size // 3,
    )
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=text_config(family),
        **{"image_token_index": tokenizer().convert_tokens_to_ids("<image>"), "image_seq_length": 9, **changes},
    )
    sizes = {"size": {"shortest_edge": image_size}, "crop_size": {"height": image_size, "width": image_size}}
    processor = CLIPImageProcessor(**sizes, **COLOURS)
    return write_multimodal(folder, transformers.LlavaForConditionalGeneration(config), processor, chat_template)


def write_internvl(folder: Path, *, chat_template: str | None = None, **changes: Any) -> Path:
    """An InternVL with a tower of 16 px images: 4 x 4 patches, 2 x 2 tokens."""
    vision = transformers.InternVLVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=4
    )
    config = transformers.InternVLConfig(
        vision_config=vision,
        text_config=text_config("Qwen2"),
        **{"image_token_id": tokenizer().convert_tokens_to_ids("<IMG_CONTEXT>"), "image_seq_length": 4, **changes},
    )
    processor = GotOcr2ImageProcessor(size={"height": 16, "width": 16}, **COLOURS)
    return write_multimodal(folder, transformers.InternVLForConditionalGeneration(config), processor, chat_template)


def write_multimodal(folder: Path, model: Any, processor: Any, chat_template: str | None) -> Path:
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "norm" not in name:  # every weight matters, also those that begin at zero
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    tokenizer(chat_template=chat_template).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def pickled(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint whose weights are there as pickle only."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    return folder


def in_hub_cache(monkeypatch: pytest.MonkeyPatch, cache: Path, **checkpoints: Path) -> None:
    """Checkpoints as huggingface_hub keeps what it has downloaded from ``somebody/NAME``; no network from now on."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name, checkpoint in checkpoints.items():
        place = cache / f"models--somebody--{name}"
        shutil.copytree(checkpoint, place / "snapshots" / COMMIT)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)
