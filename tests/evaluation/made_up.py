"""A small made-up ablation: every kind of row that a report can have."""

import torch

from faceinsight.evaluation.report import Report, VariantResult
from faceinsight.evaluation.statistics import paired_bootstrap
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema

__all__ = ["made_up_report"]

FULL, IMAGE, GRAPH, LOGIC, MAJORITY = "full", "image only", "+ graph_row", "full - logic", "majority class"


def made_up_report() -> Report:
    """Four variants that ran, one of them for one seed of two, and one that failed; another has not run."""
    schema = Schema.from_names(["Bald", "Bangs", "Smiling", "Constant"])
    rules = RuleSet.parse("Bald -> not Bangs", schema)
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(90, 4, generator=generator) < 0.4).to(torch.int8) * 2 - 1
    labels[:, 3] = -1
    runs = {
        name: {
            seed: (0.5 + skill * labels + 0.3 * torch.randn(90, 4, generator=generator)).clamp(0, 1)
            for seed in range(seeds)
        }
        for name, skill, seeds in ((FULL, 0.4, 2), (IMAGE, 0.15, 2), (GRAPH, 0.2, 1))
    } | {MAJORITY: {0: torch.zeros(90, 4), 1: torch.zeros(90, 4)}}
    references = {IMAGE: FULL, GRAPH: IMAGE, MAJORITY: FULL}
    bootstrap = paired_bootstrap(runs, labels, references, rules=rules, resamples=99)
    crash = "\nValueError: 3 faces | 50 % of Bald_faces\nTraceback (most recent call last): ..."
    rows = tuple(
        VariantResult(
            name=name,
            group=group,
            reference=reference,
            seeds=tuple(runs.get(name, {})),
            errors=errors,
            waiting=waiting,
            estimates=bootstrap.estimates.get(name, {}),
            comparisons=bootstrap.comparisons_of(name),
            parameters=12_345 if name in runs else None,
            seconds=61.4 if name in runs else None,
        )
        for name, group, reference, errors, waiting in (
            (FULL, "", None, {}, ()),
            (IMAGE, "added alone", FULL, {}, ()),
            (GRAPH, "added alone", IMAGE, {1: crash}, ()),
            (LOGIC, "left out alone", FULL, {0: crash, 1: crash}, ()),
            ("full - graph", "left out alone", FULL, {}, (0, 1)),
            (MAJORITY, "control", FULL, {}, ()),
        )
    )
    return Report(rows, bootstrap, constant=("Constant",))
