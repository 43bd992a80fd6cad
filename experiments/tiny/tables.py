"""Scores as Markdown, for the model cards and the terminal."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["Scores", "defined", "group_table", "repeated", "tables_of", "with_mean"]

Scores = dict[str, float]

#: What is told of photographs, in this order, each a table with one contender or slice a row.
TITLES = ("FairFace", "FairFace, sliced", "UTKFace", "UTKFace, sliced", "CelebA, sliced")

NOTE = """In each group the label of the largest exact marginal is taken. *Majority*: in each group what most of
FairFace's training faces are, and their mean age. *Chance*: what a FairFace training face is that was drawn at
random. FairFace's test faces are its owners' validation faces. No label of UTKFace or CelebA was trained on;
UTKFace's age error is in years, the age being the mean of the bins' middles under the exact distribution over the
bins. CelebA's areas are those of the exact marginals; its slices are told over those attributes that vary in each of
them."""

#: The contender that is trained in the same way, between parts with random weights.
RANDOM = "random parts"

#: Where the areas between random parts stand.
CELEBA_RANDOM = f"CelebA, {RANDOM}"

RANDOM_NOTE = """
*Random parts*: the same training between parts of the same shapes with random weights, also frozen
(`experiments.tiny.random_parts`)."""

#: The title of what a few labels of CelebA are worth.
FEW_LABELS = "CelebA, few labels"

FEW_LABELS_NOTE = """Area under the ROC curve over CelebA's attributes, where that many of its training faces are
labelled: the table of `faceinsight ablate experiments/few_labels.yaml`, see `experiments/README.md`. What is learnt
stands between the frozen parts: projector, region tokens, prompts and head; without an LLM projector, region tokens and
a linear layer; or ridge regression on the encoder's tokens."""

#: The title of accuracy by crop size.
CROPS = "CelebA, by crop size"

CROPS_NOTE = """Width of the picture, in widths of the image encoder's own framing; 970 test faces
(`experiments.crops`, [drawn](../../../docs/crops.png)). Gender, learnt from photographs, is most accurate at the
encoder's own framing; the other attributes, learnt from drawn faces with more around the face, are ranked better the
wider the picture is, up to the whole of it."""

REPEATED_NOTE = """Each from a clean clone; where, and by which command, stands in `metrics.json`. Another seed is
another beginning, another order, and other data where they are drawn. How far a run may be from this one is a choice of
this library, `SPREAD` beside the card; `experiments.tiny.cards` checks it."""


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
    """Return a score, or a number of faces."""
    return f"{score:,}" if isinstance(score, int) else f"{score:.3f}"


def tables_of(found: Mapping[str, Any]) -> str:
    """Return what :func:`experiments.tiny.photographs.photographs` found, one table a data set.

    What :mod:`experiments.tiny.cards` found later is told with it, if it is there: under :data:`CELEBA_RANDOM` the
    same areas between random parts, under :data:`FEW_LABELS` what ``few_labels.yaml`` found, under :data:`CROPS` what
    :mod:`experiments.crops` found.
    """
    parts = [f"### {title}\n\n{group_table(found[title])}" for title in TITLES if title in found]
    if "CelebA" in found:
        control = found.get(CELEBA_RANDOM, {})
        areas = {
            name.replace("_", " "): {"AUROC": score, **({RANDOM: control[name]} if name in control else {})}
            for name, score in found["CelebA"].items()
        }
        parts.append(f"### CelebA, area under the ROC curve\n\n{group_table(areas)}")
    parts.append(NOTE + (RANDOM_NOTE if RANDOM in found.get("FairFace", {}) else ""))
    if FEW_LABELS in found:
        parts.append(f"### {FEW_LABELS}\n\n{group_table(found[FEW_LABELS])}\n\n{FEW_LABELS_NOTE}")
    if CROPS in found:
        parts.append(f"### {CROPS}\n\n{group_table(found[CROPS])}\n\n{CROPS_NOTE}")
    return "\n\n".join(parts)


def repeated(told: Mapping[str, Any], numbers: Mapping[str, float], spread: Mapping[str, float]) -> str:
    """Return what other runs of the script found, as a section of the card; nothing before there is one.

    Args:
        told: of the training, with the other runs under "repeated", see :mod:`experiments.tiny.cards`.
        numbers: of this run, by name.
        spread: how far another run's may be from them.
    """
    if "repeated" not in told:
        return ""
    rows = {"this": dict(numbers), "may differ by": dict(spread)}
    for run in told["repeated"]:
        weights = "the same weights" if run["same_weights"] else "other weights"
        rows[f"seed {run['seed']}, {run['date']}, {run['minutes']:.0f} minutes: {weights}"] = run["numbers"]
    return f"\n## The same script again\n\n{group_table(rows)}\n\n{REPEATED_NOTE}\n"
