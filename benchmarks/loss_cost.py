"""What the logical constraint costs a training run: its peak memory, and its share of a training step.

    python -m benchmarks.loss_cost

Memory is how far a fresh process's resident set grows over what it held with the inputs and a warm loss of one face, on
Linux, where the highest one can be reset; its allocator gives every large tensor's pages back at once.
The step is that of a small FaceInsight (two frozen encoders' features from the cache, 40 attributes, a frozen language
model of width 128), the cheapest step that an ablation of this library trains.
"""

import argparse
import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from benchmarks.logic import rule_sets
from benchmarks.tables import shown
from benchmarks.timing import interleaved
from faceinsight.ablation.work import started_with
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsight
from faceinsight.modules import (
    AttributeQuery,
    Frozen,
    ImageEncoder,
    LanguageModel,
    LogicalConstraint,
    Projector,
    RegionTokens,
    SegmentationEncoder,
    SharedHead,
    TextEncoder,
)
from faceinsight.modules.logical import semantic_loss

STATUS = Path("/proc/self/status")

#: glibc's malloc: tensors from 64 KiB on get pages of their own, and none is kept when it is freed.
EXACT_PAGES = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def resident(which: str) -> float:
    """Megabytes of this process: ``VmRSS``, now, or ``VmHWM``, the most since the last reset; nan outside Linux."""
    if not STATUS.exists():
        return nan
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{which}:")]
    return int(line.split()[1]) * 1024 / 1e6


def peak_of_loss(name: str, faces: int) -> float:
    """Megabytes that forward and backward of one semantic loss add; to be run in a process of its own."""
    rules = dict(rule_sets())[name]
    logits = torch.randn(faces, len(rules.schema), requires_grad=True)
    semantic_loss(logits[:1], rules).mean().backward()  # also makes the rules' diagrams
    logits.grad = torch.zeros_like(logits)
    if STATUS.exists():
        STATUS.with_name("clear_refs").write_text("5")  # the highest resident set begins anew
    before = resident("VmRSS")
    semantic_loss(logits, rules).mean().backward()
    return resident("VmHWM") - before


def measure_memory(faces: int, only: str) -> pd.DataFrame:
    """Return the peak for each rule set, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for name, rules in rule_sets():
        if only in name:
            with started_with(EXACT_PAGES), context.Pool(1) as pool:
                peak = pool.apply(peak_of_loss, (name, faces))
            rows.append({"rules": name, "attributes": len(rules.schema), "faces": faces, "peak, MB": peak})
    return pd.DataFrame(rows)


def small_model(schema: Schema) -> FaceInsight:
    """Return the full model but for the correlation constraint, which has no part in each face's cost."""
    route = RegionTokens(image_dim=192, embed_dim=128)
    return FaceInsight(
        schema=schema,
        image_encoder=Frozen(ImageEncoder(name="vit_tiny_patch16_224", image_size=96, options={"depth": 1})),
        segmentation=SegmentationEncoder(parser=None, route=route),
        projector=Projector(in_dim=192, out_dim=128, pool=2),
        text_encoder=TextEncoder(),
        query=AttributeQuery(prompt_dim=128, embed_dim=128),
        language_model=Frozen(LanguageModel.from_config(embed_dim=128, depth=2, mlp_dim=512)),
        head=SharedHead(embed_dim=128),
    )


def training_step(
    model: FaceInsight, constraint: Callable[[Tensor], Tensor] | None, batch: int
) -> Callable[[], object]:
    """Forward, loss, backward and optimiser step from cached features."""
    features = {"image": torch.randn(batch, 36, 192), "segmentation": torch.randn(batch, 19, 198)}
    labels = torch.randint(2, (batch, len(model.schema))).float()
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])

    def run() -> None:
        logits = model(features=features).logits
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        (loss if constraint is None else loss + 0.01 * constraint(logits)).backward()
        optimiser.step()
        optimiser.zero_grad()

    return run


def measure_step(batch: int) -> pd.DataFrame:
    """Return a step with and without the constraint, in turn, and the constraint by itself."""
    rules = RuleSet.load("celeba")
    constraint = LogicalConstraint(rules=rules, kind="semantic")
    model = small_model(rules.schema)
    logits = torch.randn(batch, len(rules.schema), requires_grad=True)
    timings = interleaved({
        "step without the constraint": training_step(model, None, batch),
        "step with it": training_step(model, constraint, batch),
        "the constraint alone, forward + backward": lambda: constraint(logits).backward(),
    }, rounds=15)  # fmt: skip
    base = timings["step without the constraint"]
    return pd.DataFrame([
        {"faces": batch, "what": name, "ms": 1e3 * each.median, "% of the step": 100 * each.ratio(base)}
        for name, each in timings.items()
    ])  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write both tables where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--faces", type=int, default=4096, help="of the memory's batch")
    options.add_argument("--batch", type=int, default=64, help="faces of the training step")
    options.add_argument("--only", default="", metavar="TEXT", help="rule sets whose name has this text")
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    console = Console(width=120)
    step, memory = measure_step(given.batch), measure_memory(given.faces, given.only)
    shown("Share of a training step", step, console)
    shown("Peak memory of the semantic loss, forward + backward", memory, console)
    if given.output is not None:
        pd.concat([step, memory]).to_csv(given.output, index=False)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        main()
