"""Every attribute of a face from a language model: separate prompts, a shared prefix, one packed pass, one soft token.

    python -m benchmarks.one_pass                                        # a small Llama, some minutes on 2 cores
    python -m benchmarks.one_pass --shape llama-7b --device cuda --dtype bfloat16 --batch 8 --peak 989
    python -m benchmarks.one_pass --shape llama-7b --device meta --dtype bfloat16 --prefix 620 --question 8   # counts

The first three give the same states (the largest difference is shown) from any language model as it is: separate
prompts are what users of multimodal models do, one for each attribute. One soft token for each attribute, and image
tokens pooled before, need training; here is only what they cost. The floating-point count is of one batch.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.shapes import COUNTED_ONLY, SHAPES, flops_of, language_model, peak_memory, synchronised
from benchmarks.tables import reported
from benchmarks.timing import interleaved
from faceinsight.modules.attribute_query import read_from_cache, read_in_one_pass, read_separately
from faceinsight.modules.language_model import LanguageModel

Reading = Callable[[], Tensor]


def readings(
    model: LanguageModel, *, batch: int, attributes: int, prefix: int, question: int, pooled: int
) -> dict[str, Reading]:
    """Return the contenders, on the same random prefix and questions."""
    draw = torch.Generator().manual_seed(0)

    def tokens(count: int) -> Tensor:
        return torch.randn(batch, count, model.embed_dim, generator=draw).to(model.device, model.backbone.dtype)

    image, questions, lengths = tokens(prefix), tokens(attributes * question), [question] * attributes
    soft, ones = tokens(attributes), [1] * attributes

    def prompts() -> Tensor:
        if model.device.type != COUNTED_ONLY:
            return read_separately(model, image, questions, lengths)
        # each under a mask written out: without one, transformers would look into the positions' numbers
        return torch.cat([read_in_one_pass(model, image, each, [question]) for each in questions.split(question, 1)], 1)

    return {
        "separate prompts": prompts,
        "shared prefix, batched questions": lambda: read_from_cache(model, image, questions, lengths),
        "one packed pass": lambda: read_in_one_pass(model, image, questions, lengths),
        "one soft token each": lambda: read_in_one_pass(model, image, soft, ones),
        f"one soft token each, prefix pooled to {pooled}": lambda: read_in_one_pass(
            model, image[:, :pooled], soft, ones
        ),
    }


def measure(runs: dict[str, Reading], *, batch: int, device: str, peak: float | None, rounds: int) -> pd.DataFrame:
    """Return a row for each contender."""
    base, nothing = "separate prompts", float("nan")
    with torch.no_grad():
        flops = {name: flops_of(run) for name, run in runs.items()}
        counted = [{"contender": name, "GFLOP": each / 1e9, "fewer FLOP": flops[base] / each}
                   for name, each in flops.items()]  # fmt: skip
        if device == COUNTED_ONLY:
            return pd.DataFrame(counted)
        reference = runs[base]()
        errors = {name: float((run() - reference).abs().max()) for name, run in [*runs.items()][:3]}
        timed = {name: synchronised(run, device) for name, run in runs.items()}
        timings = interleaved(timed, rounds=rounds, warmup=1)
        memory = {name: peak_memory(run, device) for name, run in timed.items()}
    measured = [
        {
            "contender": name, "images/s": batch / each.median, "times separate": timings[base].ratio(each),
            "GiB": memory[name],
            "% of peak": 100 * flops[name] / each.median / (1e12 * peak) if peak else nothing,
            "difference": errors.get(name, nothing),
        }
        for name, each in timings.items()
    ]  # fmt: skip
    return pd.DataFrame(measured).merge(pd.DataFrame(counted), on="contender")


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shape", choices=[*SHAPES], default="small", help="of the language model")
    options.add_argument("--device", default="cpu")
    options.add_argument("--dtype", default="float32")
    options.add_argument("--batch", type=int, default=16, help="faces at a time")
    options.add_argument("--attributes", type=int, default=40)
    options.add_argument("--prefix", type=int, default=180, help="tokens that all attributes share; LLaVA-1.5: 620")
    options.add_argument("--question", type=int, default=20, help="tokens of each attribute's question")
    options.add_argument("--pooled", type=int, default=40, help="tokens of the pooled prefix")
    options.add_argument("--peak", type=float, metavar="TFLOPS", help="the device's peak at this precision")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    model = language_model(given.shape, given.device, getattr(torch, given.dtype))
    runs = readings(
        model, batch=given.batch, attributes=given.attributes, prefix=given.prefix, question=given.question,
        pooled=given.pooled,
    )  # fmt: skip
    rows = measure(runs, batch=given.batch, device=given.device, peak=given.peak, rounds=given.rounds)
    title = f"{given.shape}, {given.dtype}, {given.device}: {given.attributes} attributes, batch {given.batch}"
    reported(title, rows, given.output)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        main()
