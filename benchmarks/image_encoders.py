"""Image encoders at the size that each was made for: faces a second on one core, in a batch.

    python -m benchmarks.image_encoders                     # about a minute
    python -m benchmarks.image_encoders --batch 1 --output rows.csv

All have random weights, which take the same time. "former" is the encoder that version 0.1.0 shipped. CPU seconds are
of all threads, in the fastest round: what other processes take is not in them.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from benchmarks.tables import reported
from benchmarks.timing import interleaved
from faceinsight.modules import FaceResNet, Frozen, HybridEncoder, ImageEncoder

OURS = "face network"


def encoders() -> dict[str, nn.Module]:
    """Return the contenders, in evaluation mode."""
    trunk = FaceResNet()
    half = {"channels": [32, 64, 128, 256], "stem_width": 32}
    former = ImageEncoder(name="resnet18", options=half, feature_index=4, output_stride=16)
    return {
        OURS: trunk.eval(),
        "face network and ViT": HybridEncoder(stem=Frozen(trunk), options={"depth": 2}, beside="stem").eval(),
        "former: half-width ResNet-18 and ViT, 96 px": HybridEncoder(stem=former, options={"depth": 4}).eval(),
        "timm's resnet18, 150 px": ImageEncoder(name="resnet18", image_size=150).eval(),
    }


def measure(batch: int, rounds: int) -> pd.DataFrame:
    """Return a row for each contender."""
    seconds_of_cpu: dict[str, float] = {}

    def run(name: str, encoder: nn.Module) -> Callable[[], object]:
        size = encoder.preprocessing["image_size"]
        images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))

        def timed() -> None:
            start = time.process_time()
            encoder(images)
            spent = time.process_time() - start
            seconds_of_cpu[name] = min(spent, seconds_of_cpu.get(name, spent))

        return timed

    built = encoders()
    with torch.inference_mode():
        timings = interleaved({name: run(name, each) for name, each in built.items()}, rounds=rounds)
    return pd.DataFrame(
        {
            "encoder": list(built),
            "million weights": [sum(part.numel() for part in each.parameters()) / 1e6 for each in built.values()],
            "tokens": [f"{each.num_tokens} of {each.embed_dim}" for each in built.values()],
            "faces a second": [batch / timing.median for timing in timings.values()],
            "faces a CPU second": [batch / seconds_of_cpu[name] for name in built],
            "x": [timing.ratio(timings[OURS]) for timing in timings.values()],
        }
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="faces at once")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a CSV file for the rows")
    options = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        reported(f"{options.batch} faces at once", measure(options.batch, options.rounds), options.output)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
