"""Scores as Markdown, for the model cards and the terminal."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["Scores", "defined", "group_table", "tables_of", "with_mean"]

Scores = dict[str, float]

#: What is told of photographs, in this order, each a table with one contender or slice a row.
TITLES = ("FairFace", "FairFace, sliced", "UTKFace", "UTKFace, sliced", "CelebA, sliced")

NOTE = """In each group the label of the largest exact marginal is taken. *Majority*: in each group what most of
FairFace's training faces are, and their mean age. *Chance*: what a FairFace training face is that was drawn at
random. FairFace's test faces are its owners' validation faces. No label of UTKFace or CelebA was trained on;
UTKFace's age error is in years, the age being the mean of the bins' middles under the exact distribution over the
bins. CelebA's areas are those of the exact marginals; its slices are told over those attributes that vary in each of
them."""


def defined(names: tuple[str, ...] | list[str], scores: Tensor) -> Scores:
    """Scores by name, those that are undefined left out."""
    return {name: score for name, score in zip(names, scores.tolist(), strict=True) if score == score}


def with_mean(names: tuple[str, ...] | list[str], scores: Tensor) -> Scores:
    """Scores by name, those that are undefined left out, and their mean first."""
    kept = defined(names, scores)
    return {"mean": sum(kept.values()) / len(kept), **kept}


def group_table(contenders: Mapping[str, Scores]) -> str:
    """Scores as Markdown, one contender a row."""
    heads = list(next(iter(contenders.values())))
    lines = [f"| | {' | '.join(head.replace('_', ' ') for head in heads)} |", "|:--|" + "--:|" * len(heads)]
    for name, scores in contenders.items():
        lines.append(f"| {name} | {' | '.join(shown(scores[head]) if head in scores else '' for head in heads)} |")
    return "\n".join(lines)


def shown(score: float) -> str:
    """A score, or a number of faces."""
    return f"{score:,}" if isinstance(score, int) else f"{score:.3f}"


def tables_of(found: Mapping[str, Any]) -> str:
    """What :func:`experiments.tiny.photographs.photographs` found, one table a data set."""
    parts = [f"### {title}\n\n{group_table(found[title])}" for title in TITLES if title in found]
    if "CelebA" in found:
        areas = {name.replace("_", " "): {"AUROC": score} for name, score in found["CelebA"].items()}
        parts.append(f"### CelebA, area under the ROC curve\n\n{group_table(areas)}")
    return "\n\n".join([*parts, NOTE])
