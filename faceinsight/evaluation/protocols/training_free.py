"""A multimodal checkpoint as it is, measured on labelled faces: its yes/no logits beside the texts it generates.

The rows of the table are read from the same faces in the same prompts:

- *yes/no logits*: ``sigmoid(z_yes - z_no)``, where the answer's first token would stand.
- *calibrated*: the same after what the model answers without having seen anybody was taken off.
- *text answers*: the answer that the model writes, parsed (:mod:`faceinsight.modules.language.parsing`). A text that
  answers neither yes nor no leaves the attribute undecided at one half, which is wrong whatever the label says: else a
  model that refuses everything would be as accurate as "no" is frequent. How many refuse, and how many are unclear,
  stands beside. A rule is broken by the attributes that were answered yes.
- *+ rules*: decoded to the most probable face that keeps the rules (:mod:`faceinsight.modules.decoder`).
- controls: the *blank image*'s own answers for everybody, and the *majority class* of the training labels.

Source of the calibration: Zhao et al., "Calibrate Before Use" (ICML 2021, https://arxiv.org/abs/2102.09690), who divide
each answer's probability by the one it gets for inputs without content. Of two answers that leaves the odds over the
content-free odds, so the logits' difference is what is subtracted here. Not in the paper: the input without
content is a picture (black, grey and white; their mean logit) in the very prompt, and the odds are made a probability
by ``sigmoid``, where the paper puts a softmax over the divided probabilities; which answer is the larger is the same.
Subtracting one number from all faces moves no ranking: AP and AUROC are those of the logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int8
from torch import Tensor

from faceinsight.data.table import FaceTable
from faceinsight.evaluation.readings import Readings
from faceinsight.evaluation.report.results import Report, VariantResult
from faceinsight.evaluation.statistics.bootstrap import Bootstrap, paired_bootstrap
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics.attributes import ATTRIBUTE_METRICS, measure, undecided_is_wrong
from faceinsight.metrics.text import TEXT_METRICS, measure_texts
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.modules.language.parsing import parse_yes_no

__all__ = [
    "Reading",
    "TextAnswers",
    "calibrated",
    "text_answers",
    "training_free_report",
    "undecided_is_wrong",
    "variants",
]

Reading = Literal["logits", "calibrated", "text"]

LOGITS, CALIBRATED, TEXT, BLANK, MAJORITY = (
    "yes/no logits",
    "calibrated",
    "text answers",
    "blank image",
    "majority class",
)

#: What each row is compared with; those of the rules are compared with the row they decode.
REFERENCES = {CALIBRATED: LOGITS, TEXT: LOGITS, BLANK: LOGITS, MAJORITY: LOGITS}

GROUPS = {BLANK: "control", MAJORITY: "control"}


@dataclass(frozen=True)
class TextAnswers:
    """Generated texts as answers.

    Args:
        probability: share of yes among an attribute's questions that were answered; one half where none was.
        refused: share of all texts that say that they give no answer.
        unclear: share of all other texts without an answer.
    """

    probability: Float[Tensor, "face attr"]
    refused: float
    unclear: float


def calibrated(logits: Float[Tensor, "face attr"], blank: Float[Tensor, "blank attr"]) -> Float[Tensor, "face attr"]:
    """Return the logits without what they are for pictures without content.

    >>> calibrated(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, -3.0], [2.0, -2.0]]))
    tensor([[0.5000, 1.5000]])
    """
    return logits - blank.mean(0)


def text_answers(texts: Sequence[Sequence[str]], counts: Sequence[int]) -> TextAnswers:
    """Parse what a model said about each face.

    Args:
        texts: for each face, a text for each question.
        counts: how many questions each attribute has, in their order.

    >>> text_answers([["Yes.", "No", "I cannot tell."], ["Yes", "Yes", "A hat"]], [2, 1])
    TextAnswers(probability=tensor([[0.5000, 0.5000],
            [1.0000, 0.5000]]), refused=0.16..., unclear=0.16...)
    """
    parsed = [[parse_yes_no(text) for text in row] for row in texts]
    votes = torch.tensor([[0 if answer is None else 1 if answer else -1 for answer in row] for row in parsed])
    by_attribute = votes.float().split(list(counts), dim=1)
    means = [each.sum(1) / each.abs().sum(1).clamp(min=1) for each in by_attribute]
    flat = [text for row in texts for text in row], [answer for row in parsed for answer in row]
    return TextAnswers(probability=(1 + torch.stack(means, dim=1)) / 2, **measure_texts(*flat))


def variants(
    readings: Readings,
    counts: Sequence[int],
    *,
    rules: RuleSet | None,
    show: Sequence[Reading] = ("logits", "calibrated", "text"),
) -> tuple[dict[str, Float[Tensor, "face attr"]], TextAnswers | None]:
    """Each row's probabilities, in the table's order; and the texts' own counts.

    Args:
        counts: questions of each attribute, see :func:`text_answers`.
        rules: of the rows "+ rules"; without them there are none.
        show: what is read; the plain logits always are, since the others are compared with them.
    """
    logits = {LOGITS: readings.logits}
    if "calibrated" in show:
        logits[CALIBRATED] = calibrated(readings.logits, readings.blank)
    rows: dict[str, Tensor] = {}
    for name, each in logits.items():
        rows[name] = each.sigmoid()
        if rules is not None and len(rules):
            rows[f"{name} + rules"] = ConsistentDecoder(rules=rules)(each).sigmoid()
    said = None
    if "text" in show and readings.texts is not None:
        said = text_answers(readings.texts, counts)
        rows[TEXT] = said.probability
    if "calibrated" in show:
        rows[BLANK] = readings.blank.mean(0).sigmoid().expand_as(readings.logits).contiguous()
    return rows, said


def training_free_report(
    rows: dict[str, Float[Tensor, "face attr"]],
    said: TextAnswers | None,
    table: FaceTable,
    *,
    rules: RuleSet | None,
    seconds: dict[str, float],
    remarks: Sequence[str] = (),
    resamples: int = 1000,
) -> Report:
    """Return the table of all rows over the same faces.

    Args:
        rows: as :func:`variants` gives them.
        table: the faces that were read, in their order.
        seconds: row -> how long its reading took.
    """
    references = {name: REFERENCES.get(name, name.removesuffix(" + rules")) for name in rows if name != LOGITS}
    clusters = table.identity if len(table.identity.unique()) < len(table) else None
    named = {"rules": rules if rules else None, "clusters": clusters, "names": table.schema.names}
    bootstrap = bootstrapped(rows, table.labels, references, resamples=resamples, **named)
    results = tuple(
        VariantResult(
            name=name,
            group=GROUPS.get(name, ""),
            reference=references.get(name),
            seeds=(0,),
            estimates=bootstrap.estimates[name],
            comparisons=bootstrap.comparisons_of(name),
            seconds=seconds.get(name),
            shares=shares(probability, table.labels, said if name == TEXT else None),
        )
        for name, probability in rows.items()
    )
    return Report(
        results,
        bootstrap,
        compared=("balanced_accuracy", "average_precision", *(("violation_rate",) if named["rules"] else ())),
        constant=tuple(table.schema.names[each] for each in bootstrap.constant_attributes),
        remarks=tuple(remarks),
        trained=False,
    )


def bootstrapped(
    rows: Mapping[str, Float[Tensor, "face attr"]],
    labels: Int8[Tensor, "face attr"],
    references: Mapping[str, str],
    **options: Any,
) -> Bootstrap:
    """Estimate and compare every row; texts that decide nothing are wrong, and have no logical accuracy."""
    undecided = [TEXT] if TEXT in rows and bool((rows[TEXT] == 0.5).any()) else []
    runs = {name: {0: each} for name, each in rows.items()}
    return paired_bootstrap(runs, labels, references, undecided=undecided, undefined=0, **options)


def shares(
    probability: Float[Tensor, "face attr"], labels: Int8[Tensor, "face attr"], said: TextAnswers | None
) -> dict[str, float]:
    """Return a row's further numbers, each a mean over the attributes that have it."""
    entries = [entry for entry in ATTRIBUTE_METRICS if entry.shown == "share"]
    values = {name: float(each.nanmean()) for name, each in measure(probability, labels, entries=entries).items()}
    return values if said is None else values | {entry.name: getattr(said, entry.name) for entry in TEXT_METRICS}
