"""Memory and work of the paper's form at the size of LLaVA-1.5-7B, counted without its weights.

    python -m benchmarks.paper_size

The models are built on torch's meta device, where tensors have shapes and no numbers; torch's own counter gives the
floating-point operations of a step. Time is these over what a GPU does in practice (``--teraflops``, H200: 989 at most
in bfloat16; 40 % of it by default). Memory: weights in bfloat16; of what trains also the gradient, and Adam's two
moments, in bfloat16; with layers computed again in the backward pass, each layer's input and one layer's inside.
"""

import argparse

import torch
from peft import LoraConfig, inject_adapter_in_model
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

#: Of LLaVA-1.5-7B: Vicuna-7B and CLIP ViT-L/14 at 336 px.
LANGUAGE = LlamaConfig(vocab_size=32_064, max_position_embeddings=4096)
VISION = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=336,
    patch_size=14,
)
IMAGE_TOKENS, FACE_PARTS, WORDS = 576, 19, 36
BYTES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="faces in a step; default: 16")
    parser.add_argument("--attributes", type=int, default=40, help="default: 40")
    parser.add_argument("--teraflops", type=float, default=0.4 * 989, help="in practice; default: 40 %% of an H200's")
    options = parser.parse_args()
    columns = ("trained, M", "weights, GiB", "training state, GiB", "activations, GiB", "all, GiB")
    table = Table("form", *columns, "TFLOP a face", "ms a face")
    for name, rank in (("frozen language model", None), ("LoRA, rank 16, all linear layers", 16)):
        table.add_row(name, *row(rank, options.batch, options.attributes, options.teraflops))
    Console(width=140).print(table)


def row(rank: int | None, batch: int, attributes: int, teraflops: float) -> list[str]:
    """Return the numbers of one form as text."""
    with torch.device("meta"):
        language, tower = LlamaForCausalLM(LANGUAGE).bfloat16(), CLIPVisionModel(VISION).bfloat16()
    language.requires_grad_(False)
    if rank is not None:
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        with torch.device("meta"):
            language = inject_adapter_in_model(config, language).bfloat16()
    width = LANGUAGE.hidden_size
    beside = projector_numbers(width) + 2 * width * width + width * (width + 1) + 2 * 1024 * width
    trained = beside + sum(each.numel() for each in language.parameters() if each.requires_grad)
    weights = sum(each.numel() for model in (language, tower) for each in model.parameters()) + beside
    length = WORDS + IMAGE_TOKENS + FACE_PARTS + attributes
    layers = LANGUAGE.num_hidden_layers
    inside = 2 * LANGUAGE.intermediate_size + 6 * width
    activations = batch * length * BYTES * (layers * width + inside)
    gib = [BYTES * weights, BYTES * 3 * trained, activations]
    work = step_work(language, tower, length, attributes)
    numbers = [trained / 1e6, *(each / 2**30 for each in (*gib, sum(gib))), work / 1e12, work / teraflops / 1e9]
    return [f"{each:,.1f}" for each in numbers]


def projector_numbers(width: int) -> int:
    """Return the numbers of LLaVA-1.5's projector: two linear layers."""
    return 1024 * width + width + width * width + width


def step_work(language: torch.nn.Module, tower: torch.nn.Module, length: int, attributes: int) -> int:
    """Return the floating-point operations for one face: tower forward; language model forward, again, and backward."""
    mask = torch.zeros(1, 1, length, length, device="meta", dtype=torch.bfloat16)  # the pattern of blind segments
    positions = torch.zeros(1, length, device="meta", dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            tower(pixel_values=torch.zeros(1, 3, 336, 336, device="meta", dtype=torch.bfloat16))
        for again in (False, True):  # layers are computed again in the backward pass
            tokens = torch.zeros(1, length, LANGUAGE.hidden_size, device="meta", dtype=torch.bfloat16)
            with torch.set_grad_enabled(again):
                states = language.model(
                    inputs_embeds=tokens.requires_grad_(again),
                    attention_mask=mask,
                    position_ids=positions,
                    use_cache=False,
                ).last_hidden_state
        states[:, -attributes:].sum().backward()
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
