"""What is written beside the weights: how they came to be, and what they can do."""

from collections.abc import Mapping
from typing import Any

from experiments.tiny.tables import repeated
from experiments.tiny.training import filled

WHY = {"stated": "stated before", "implied": "follows by rules", "regular": "regularities alone"}

#: How far another run's numbers may be from the first one's.
SPREAD = {"perplexity": 0.1, "stated before, accuracy": 0.05, "stated before, AUROC": 0.04}

CARD = """---
license: mit
language: en
library_name: transformers
tags: [faces, llama, tiny]
---
# A small language model of faces

A Llama of {parameters:,} parameters with a byte-level BPE tokenizer of {vocab_size:,} tokens, trained from random
weights on text about faces that this library writes itself (`faceinsight/data/words`). It is to know the words for
faces, and which attributes go together in the populations below; it is made to stay frozen inside FaceInsight, not to
be talked to.

    {command}

{date}, {minutes:.0f} minutes of training on {device}, seed {seed}, {tokens:,} tokens ({documents:,} texts, each seen
once). Data hash `{data_hash}`. Settings: `{settings}`.

## Measured

Held-out texts: {held_texts:,}, about combinations of attributes that no training text is about (one in {held_out}).
Perplexity per token, the first of each text left out. Questions are answered by `z_yes - z_no`; accuracy in %, AUROC
in brackets. The trigram model is interpolated with Witten and Bell's weights and counted on the same training text; the
majority is counted on training questions.

{table}

*Stated before*: the answer stands in the text above the question. *Follows by rules*: the catalog's logical rules and
groups decide it. *Regularities alone*: nothing in the text decides it, and no model can be sure.
{again}
## The text

{sources}

Nothing was copied from anywhere and no photograph was seen. FairFace's counts of age, gender and race (Karkkainen and
Joo, FairFace, WACV 2021, CC BY 4.0) are among the statistics; no label of CelebA or another set is.
Age, gender, race and looks are annotators' impressions of photographs, told as such; the regularities are those of
drawn faces and of one sample of photographs, and say nothing about people. Do not use the model to judge anybody.

Licence: MIT, as the library.
"""

SOURCES = """Attribute sets: the population of the drawn faces (`faceinsight/data/synthetic/population.py`), alone and
with an age, a gender and a race by FairFace's counts; FairFace's counts in its own and in UTKFace's words; CelebA's and
MAAD's attributes with a drawn face's as odds, sampled exactly by the catalog's rules; ExpW, RAF-DB and FH37K by rules
alone."""


def card(told: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the model card.

    Args:
        told: what is told of the training.
        scores: for each contender its perplexity (or None) and its answers' scores.
    """
    again = repeated(told, important(scores), SPREAD)
    return filled(CARD, told, table=table(scores), sources=SOURCES, again=again)


def important(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return what another run is held against."""
    own = scores["this model"]
    stated = own["answers"]["stated"]
    return {
        "perplexity": own["perplexity"],
        "stated before, accuracy": stated["accuracy"],
        "stated before, AUROC": stated["auroc"],
    }


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the contenders' scores as Markdown."""
    first = next(iter(scores.values()))["answers"]
    heads = [f"{WHY[why]} ({first[why]['count']:,})" for why in WHY]
    lines = [f"| | perplexity ↓ | {' | '.join(heads)} |", "|:--|--:|--:|--:|--:|"]
    for name, score in scores.items():
        cells = [f"{100 * score['answers'][why]['accuracy']:.1f} ({score['answers'][why]['auroc']:.3f})" for why in WHY]
        perplexity = "" if score["perplexity"] is None else f"{score['perplexity']:.2f}"
        lines.append(f"| {name} | {perplexity} | {' | '.join(cells)} |")
    return "\n".join(lines)
