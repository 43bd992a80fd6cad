"""The evidence's closed form beside scikit-learn's ridge and logistic regression: time, peak memory, the same scores.

    python -m benchmarks.evidence                                        # both sizes, minutes on 2 idle cores
    python -m benchmarks.evidence --faces 1000 --features 5000 --rounds 3

Each contender fits all attributes from features as they come: scaled, the penalty chosen. Ours and RidgeCV choose by
exact leave-one-out, ours downhill from the middle penalty, RidgeCV among all. Ridge is fitted at one penalty, without
leave-one-out scores; so is logistic regression, which has none, once for each attribute. Peak memory is how far a fresh
process's resident set grows over what it held with features and labels, on Linux.

Other processes on the machine change seconds, less so CPU seconds, which are of all threads.
"""

import argparse
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.loss_cost import EXACT_PAGES, STATUS, resident
from benchmarks.tables import reported
from benchmarks.timing import interleaved
from faceinsight.ablation.work import started_with
from faceinsight.modules.evidence import PENALTIES, Evidence, feature_scale

ATTRIBUTES = 40

Drawn = tuple[Tensor, Tensor]
Fit = Callable[[Tensor, Tensor], Tensor | None]


def drawn(faces: int, features: int) -> Drawn:
    """Features that hang together, as an encoder's do, and labels that follow from some of them; rare ones, too."""
    draw = torch.Generator().manual_seed(0)
    common = torch.randn(faces, 64, generator=draw)
    inputs = common @ torch.randn(64, features, generator=draw) / 8 + torch.randn(faces, features, generator=draw)
    signal = common[:, :ATTRIBUTES] + torch.randn(faces, ATTRIBUTES, generator=draw)
    return inputs, torch.where(signal > torch.linspace(-1, 2, ATTRIBUTES), 1, -1).to(torch.int8)


def ours(penalties: Sequence[float]) -> Fit:
    """Ridge, leave-one-out scores and calibration; returns how far each score is from its label."""

    def fit(inputs: Tensor, labels: Tensor) -> Tensor:
        names = [f"attribute {number}" for number in range(labels.shape[1])]
        evidence = Evidence(num_features=inputs.shape[1], names=names, penalties=penalties)
        return (evidence.fit(inputs, labels) - (labels == 1).float()).abs()

    return fit


def scaled(inputs: Tensor) -> Tensor:
    """Centred and scaled as the evidence does it."""
    return (inputs - inputs.mean(0)) * feature_scale(inputs.std(0, correction=0), [inputs.shape[1]])


def plain_ridge(inputs: Tensor, labels: Tensor) -> None:
    """scikit-learn's ridge at one penalty, without leave-one-out scores."""
    from sklearn.linear_model import Ridge

    Ridge(alpha=inputs.shape[1]).fit(scaled(inputs.double()).numpy(), (labels == 1).double().numpy())


def ridge_cv(inputs: Tensor, labels: Tensor) -> Tensor:
    """scikit-learn's efficient leave-one-out over the same penalties; returns the same distances."""
    from sklearn.linear_model import RidgeCV

    standard = scaled(inputs.double()).numpy()
    targets = (labels == 1).double().numpy()
    # one penalty for all attributes, each in units of its labels' variance, as ours
    deviation = targets.std(0).clip(1e-9)
    penalties = [each * inputs.shape[1] for each in PENALTIES]
    model = RidgeCV(alphas=penalties, store_cv_results=True).fit(standard, targets / deviation)
    return torch.from_numpy(model.cv_results_[:, :, penalties.index(model.alpha_)] ** 0.5 * deviation).float()


def logistic(inputs: Tensor, labels: Tensor) -> None:
    """scikit-learn's logistic regression, one attribute after the other, at one penalty."""
    from sklearn.linear_model import LogisticRegression

    standard = scaled(inputs).numpy()
    for column in (labels == 1).numpy().T:
        if column.any() and not column.all():  # it refuses an attribute that never varies
            LogisticRegression(C=1 / inputs.shape[1], max_iter=100).fit(standard, column)


CONTENDERS: dict[str, Fit] = {
    "evidence, whole grid": ours(PENALTIES),
    "evidence, one penalty": ours(PENALTIES[3:4]),
    "scikit-learn RidgeCV, whole grid": ridge_cv,
    "scikit-learn Ridge, one penalty, no leave-one-out": plain_ridge,
    "scikit-learn LogisticRegression, one penalty": logistic,
}


def peak(name: str, faces: int, features: int) -> float:
    """Megabytes that a contender adds; to be run in a process of its own."""
    inputs, labels = drawn(faces, features)
    CONTENDERS[name](inputs[:20], labels[:20].where(torch.arange(20)[:, None] > 9, -1))  # imports what it needs
    if not STATUS.exists():
        return nan
    STATUS.with_name("clear_refs").write_text("5")  # the highest resident set begins anew
    before = resident("VmRSS")
    CONTENDERS[name](inputs, labels)
    return resident("VmHWM") - before


def measure(faces: int, features: int, rounds: int, only: str) -> list[dict[str, object]]:
    """Return a row for each contender."""
    inputs, labels = drawn(faces, features)
    seconds_of_cpu: dict[str, float] = {}

    def run(name: str) -> None:
        start = time.process_time()
        CONTENDERS[name](inputs, labels)
        spent = time.process_time() - start
        seconds_of_cpu[name] = min(spent, seconds_of_cpu.get(name, spent))

    names = [name for name in CONTENDERS if only in name]
    timings = interleaved({name: lambda name=name: run(name) for name in names}, rounds=rounds, warmup=0, budget=1e9)
    reference = timings[names[0]]
    context = multiprocessing.get_context("spawn")
    rows: list[dict[str, object]] = []
    for name in names:
        with started_with(EXACT_PAGES), context.Pool(1) as pool:
            memory = pool.apply(peak, (name, faces, features))
        rows.append({
            "faces": faces, "features": features, "contender": name, "s": timings[name].median,
            "times ours": timings[name].ratio(reference), "CPU s": seconds_of_cpu[name], "peak, MB": memory,
        })  # fmt: skip
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write CSV where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--faces", type=int, nargs="+", default=[1000, 7096])
    options.add_argument("--features", type=int, nargs="+", default=[5000, 5120], help="one for each number of faces")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", metavar="TEXT", help="contenders whose name has this text")
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    rows = []
    for faces, features in zip(given.faces, given.features, strict=True):
        rows += measure(faces, features, given.rounds, given.only)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "load unknown"
    reported(f"{ATTRIBUTES} attributes, {load}", pd.DataFrame(rows), given.output)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logistic regression that has not come to its end
        main()
