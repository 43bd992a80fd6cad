"""A training step with and without cached features, pooling, bf16, gradient checkpointing and adapters.

    python -m benchmarks.training_step                                   # small Llama and ViTs, some minutes on 2 cores
    python -m benchmarks.training_step --shape llama-7b --device cuda --dtype bfloat16 --grid 24 --peak 989
    python -m benchmarks.training_step --shape llama-7b --device meta --dtype bfloat16 --grid 24  # counts

The base encodes image and parsing map in every step, in float32, with a frozen language model; each other contender
says what it changes. A step is forward, BCE, backward and optimiser. "Kept" is what the forward pass keeps for the
backward pass, weights apart. With ``--compile``, two more steps are compiled by torch first, a minute each; what they
keep and compute is counted uncompiled.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.compiler import set_stance
from torch.nn import functional as F

from benchmarks.shapes import COUNTED_ONLY, SHAPES, flops_of, language_model, peak_memory, synchronised
from benchmarks.tables import reported
from benchmarks.timing import interleaved
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsight
from faceinsight.modules import (
    AttributeQuery,
    Frozen,
    ImageEncoder,
    LanguageModel,
    LoRA,
    MapTokens,
    Projector,
    SegmentationEncoder,
    SharedHead,
    TextEncoder,
)


@dataclass(frozen=True)
class Contender:
    """What a step does otherwise than the base."""

    cached: bool = False
    pool: int = 1
    bf16: bool = False
    checkpointing: bool = False
    adapters: bool = False
    compiled: bool = False


CONTENDERS = {
    "both encoders each step": Contender(),
    "bf16": Contender(bf16=True),
    "cached features": Contender(cached=True),
    "cached, checkpointing": Contender(cached=True, checkpointing=True),
    "cached, LoRA": Contender(cached=True, adapters=True),
    "cached, LoRA, checkpointing": Contender(cached=True, adapters=True, checkpointing=True),
    "cached, bf16": Contender(cached=True, bf16=True),
    "cached, compiled": Contender(cached=True, compiled=True),
    "cached, pooled": Contender(cached=True, pool=2),
    "cached, pooled, compiled": Contender(cached=True, pool=2, compiled=True),
    "cached, pooled, bf16": Contender(cached=True, pool=2, bf16=True),
}

#: Whose ratio to the base stands below the table: all that makes it cheaper at once.
CHEAPEST = "cached, pooled, bf16"


def vit(grid: int, width: int) -> Frozen:
    """Return a ViT of ``grid x grid`` patches."""
    size = 8 * grid
    options = {"patch_size": 8, "embed_dim": width, "depth": 12 if width > 64 else 1, "num_heads": width // 64 or 1}
    return Frozen(ImageEncoder(name="vit_tiny_patch16_224", image_size=size, options=options))


def model_of(contender: Contender, base: LanguageModel, *, grid: int, width: int) -> FaceInsight:
    """Return the full model but for the correlation constraint, which has no part in each face's cost."""
    dim = base.embed_dim
    model = FaceInsight(
        schema=Schema.load("celeba"),
        image_encoder=vit(grid, width),
        segmentation=SegmentationEncoder(
            parser=None, route=MapTokens(image_encoder=vit(grid, width), embed_dim=dim, pool=contender.pool)
        ),
        projector=Projector(in_dim=width, out_dim=dim, pool=contender.pool),
        text_encoder=TextEncoder(),
        query=AttributeQuery(prompt_dim=dim, embed_dim=dim, form="packed"),
        language_model=LoRA(module=base, targets="all-linear") if contender.adapters else Frozen(base),
        head=SharedHead(embed_dim=dim),
    )
    if contender.compiled:
        model.compile()
    return model.to(base.device).train()


def step(contender: Contender, model: FaceInsight, batch: int) -> Callable[[], Tensor]:
    """One training step; returns its loss."""
    draw, device, size = torch.Generator().manual_seed(0), model.language_model.device, model.image_encoder.image_size
    images = torch.rand(batch, 3, size, size, generator=draw).to(device)
    masks = torch.randint(19, (batch, size, size), generator=draw).to(device, torch.uint8)
    labels = torch.randint(2, (batch, len(model.schema)), generator=draw).float().to(device)
    with torch.no_grad():
        cached = model.encode(images, masks) if contender.cached else None
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])

    def run() -> Tensor:
        # one base serves all contenders, so that a large one is there once
        model.language_model.checkpoint_layers(contender.checkpointing)
        with torch.autocast(device.type, torch.bfloat16) if contender.bf16 else nullcontext():
            given = {"features": cached} if contender.cached else {"images": images, "masks": masks}
            logits = model(**given).logits
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach()

    return run


def kept_bytes(run: Callable[[], object], model: FaceInsight) -> int:
    """Return what a step keeps for its backward pass, weights apart."""
    weights = {each.untyped_storage()._cdata for each in model.parameters()}
    kept: dict[int, Tensor] = {}  # the tensors too, lest another one come to lie in the same place

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)  # where nothing is computed, addresses are all 0
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(each.untyped_storage().nbytes() for place, each in kept.items() if place not in weights)


def measure(
    chosen: dict[str, Contender], base: LanguageModel, *, batch: int, grid: int, width: int, rounds: int,
    peak: float | None,
) -> pd.DataFrame:  # fmt: skip
    """Return a row for each contender."""
    device = base.device.type
    models = {name: model_of(each, base, grid=grid, width=width) for name, each in chosen.items()}
    runs = {name: step(each, models[name], batch) for name, each in chosen.items()}
    first, counted = next(iter(chosen)), []
    for name, run in runs.items():
        with set_stance("force_eager"):
            flops, kept = flops_of(run), kept_bytes(run, models[name])
        trained = sum(weight.numel() for weight in models[name].parameters() if weight.requires_grad)
        counted.append({"contender": name, "kept, MiB": kept / 2**20, "GFLOP": flops / 1e9, "trained": trained})
    if device == COUNTED_ONLY:
        return pd.DataFrame(counted)
    timed = {name: synchronised(run, device) for name, run in runs.items()}
    timings = interleaved(timed, rounds=rounds, warmup=1, budget=300.0)
    measured = [
        {
            "contender": name, "ms": 1e3 * each.median, "images/s": batch / each.median,
            "times as fast": timings[first].ratio(each), "GiB": peak_memory(timed[name], device),
            "% of peak": 100 * 1e9 * row["GFLOP"] / each.median / (1e12 * peak) if peak else float("nan"),
        }
        for (name, each), row in zip(timings.items(), counted, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(measured).merge(pd.DataFrame(counted), on="contender")


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shape", choices=[*SHAPES], default="small", help="of the language model")
    options.add_argument("--device", default="cpu")
    options.add_argument("--dtype", default="float32", help="of the language model's weights")
    options.add_argument("--batch", type=int, default=16, help="faces at a time")
    options.add_argument("--grid", type=int, default=12, help="patches along each side of image and map")
    options.add_argument("--width", type=int, default=192, help="of the encoders")
    options.add_argument("--only", default="", metavar="TEXT", help="contenders whose name has this text, and the base")
    options.add_argument("--compile", action="store_true", help="also compiled steps")
    options.add_argument("--peak", type=float, metavar="TFLOPS", help="the device's peak at this precision")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    base = next(iter(CONTENDERS))
    chosen = {
        name: each
        for name, each in CONTENDERS.items()
        if (given.only in name or name == base)
        and (find_spec("peft") or not each.adapters)
        and (given.compile or not each.compiled)
        and not (given.device == COUNTED_ONLY and each.bf16)  # torch has no autocast there
    }
    llm = language_model(given.shape, given.device, getattr(torch, given.dtype))
    rows = measure(
        chosen, llm, batch=given.batch, grid=given.grid, width=given.width, rounds=given.rounds, peak=given.peak
    )
    title = f"{given.shape}, {given.dtype}, {given.device}: batch {given.batch}, 2 x {given.grid**2} tokens"
    reported(title, rows, given.output)
    times = {} if given.device == COUNTED_ONLY else dict(zip(rows["contender"], rows["times as fast"], strict=True))
    if CHEAPEST in times:
        print(f"A step {CHEAPEST}: {times[CHEAPEST]:.3g} times as fast as with {base} in float32.")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        main()
