"""One command: a multimodal checkpoint and a data set in, a folder with a table, a plot and every prediction out.

The folder holds ``table.csv``, ``.md`` and ``.tex``, ``attributes.csv``, ``metrics.json``, ``plot.png``,
``predictions/ROW.csv`` for each row of the table, ``answers.csv`` with every text and how it was understood, and in
``readings`` what the model gave, from which the same command goes on after an interruption.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from faceinsight.data.dataset import without_broken
from faceinsight.data.graph_from_data import positive_share
from faceinsight.data.images import BrokenImageError
from faceinsight.data.table import FaceTable, Split
from faceinsight.errors import InputError
from faceinsight.evaluation.predictions import Predictions, write_predictions
from faceinsight.evaluation.protocols.training_free import (
    LOGITS,
    MAJORITY,
    TEXT,
    Reading,
    TextAnswers,
    training_free_report,
    variants,
)
from faceinsight.evaluation.readings import Readings, asked, read_faces
from faceinsight.evaluation.report.plot import save_plot
from faceinsight.evaluation.report.writing import Report, print_report, write_csv, write_report
from faceinsight.files import PlainData, write_text
from faceinsight.knowledge.rules import RuleSet
from faceinsight.models.face_insight import FaceInsight
from faceinsight.models.loop import progress_bars
from faceinsight.modules.language.parsing import is_refusal, parse_yes_no

__all__ = ["evaluate_training_free"]

#: Columns that a table needs; a narrower terminal wraps lines rather than losing numbers.
TABLE_WIDTH = 150

#: What the plot's panels show.
PLOTTED = ("accuracy", "balanced_accuracy", "average_precision", "violation_rate")

#: How the kinds of reading are called on the progress bars.
BARS = {"logits": "yes/no logits", "texts": "text answers"}


def evaluate_training_free(
    model: FaceInsight,
    table: FaceTable,
    folder: Path,
    *,
    split: Split = "test",
    show: Sequence[Reading] = ("logits", "calibrated"),
    rules: RuleSet | None = None,
    limit: int | None = None,
    broken: Literal["refuse", "skip"] = "refuse",
    batch_size: int = 16,
    max_new_tokens: int = 16,
    resamples: int = 1000,
    console: Console | None = None,
) -> Report:
    """Measure a model as it is on the faces of one split; write and print the table.

    Args:
        model: such as :meth:`~faceinsight.models.face_insight.FaceInsight.from_llava` builds, over the table's schema.
        folder: of the results; the readings in it are found again.
        show: ``logits`` (always there), ``calibrated``, and ``text``, for which every question is answered in words.
        rules: adds the rows "+ rules" and the metrics of consistency.
        limit: only the first faces of the split.
        broken: "refuse" a file that cannot be read when it is met, or "skip" such faces: they are looked for first,
            named in a warning and counted below the table.
        batch_size, max_new_tokens: see :func:`~faceinsight.evaluation.readings.read_faces`.
        resamples: of the bootstrap.
        console: where progress and table are printed.

    Raises:
        InputError: a split without labels or with fewer than two faces, or another schema.
        BrokenImageError, FileNotFoundError: a file that cannot be read, or is not there, unless such are skipped.
    """
    console = console or Console()
    model.schema.check_names(table.schema.names, "the data set")
    chosen = table.select(table.rows(split)[:limit])
    seen = chosen if model.segmentation is not None else replace(chosen, mask_root=None)
    faces = without_broken(seen) if broken == "skip" else seen
    if not bool((faces.labels != 0).any()):
        raise InputError(f"none of the {len(faces):,} faces of {table.root} has a label to measure by")
    wants_texts = "text" in show
    kinds = ("logits", "texts")[: 1 + wants_texts]
    with progress_bars({BARS[kind]: len(faces) for kind in kinds}, console) as advance:
        try:
            readings = read_faces(
                model,
                faces,
                folder=folder / "readings",
                texts=wants_texts,
                batch_size=batch_size,
                max_new_tokens=max_new_tokens,
                tell=lambda kind, number: advance(BARS[kind], number),
            )
        except (BrokenImageError, FileNotFoundError) as error:
            error.add_note("broken='skip' (--broken skip) leaves out the faces whose files cannot be read")
            raise
    counts = [len(paraphrases) for paraphrases in model.questions()]
    rows, said = variants(readings, counts, rules=rules, show=show)
    if "train" in table.split:
        rows[MAJORITY] = (
            positive_share(table.labels[table.rows("train")], undefined=0).expand(len(faces), -1).contiguous()
        )
    seconds = {LOGITS: readings.seconds["logits"]} | ({TEXT: readings.seconds["texts"]} if wants_texts else {})
    report = training_free_report(
        rows,
        said,
        faces,
        rules=rules,
        seconds=seconds,
        remarks=remarks(readings, said, len(seen) - len(faces)),
        resamples=resamples,
    )
    write_results(folder, report, rows, readings, model, faces)
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    console.print(f"Table, plot, predictions and readings: {folder}", soft_wrap=True)
    return report


def remarks(readings: Readings, said: TextAnswers | None, skipped: int) -> list[str]:
    """Return what a reader of the table must know of the readings, and of the faces that were left out."""
    blank = readings.blank.mean(0).sigmoid()
    lines = [
        f"Pictures without content are answered with yes at {blank.min():.2f} to {blank.max():.2f} (median "
        f"{blank.median():.2f}): the leaning that 'calibrated' takes off."
    ]
    if said is not None:
        lines.append(
            f"{100 * said.refused:.2f} % of the texts refuse to answer, {100 * said.unclear:.2f} % are unclear. An "
            "attribute without an answer is undecided at one half, which is wrong whatever its label says."
        )
    if skipped:
        lines.append(f"Left out, since their files cannot be read: {skipped:,} of {skipped + len(readings.logits):,}.")
    return lines


def write_results(
    folder: Path,
    report: Report,
    rows: dict[str, Float[Tensor, "face attr"]],
    readings: Readings,
    model: FaceInsight,
    faces: FaceTable,
) -> None:
    """Everything but the readings themselves, each file whole or not at all."""
    for name, probability in rows.items():
        path = folder / "predictions" / f"{re.sub(r'[^a-z]+', '_', name)}.csv"
        write_predictions(path, Predictions(faces.schema, faces.files, faces.split, probability))
    if readings.texts is not None:
        write_csv(folder / "answers.csv", answers_frame(readings.texts, model, faces))
    metrics = metrics_of(report, readings, model)
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_report(report, folder)
    save_plot(report, folder / "plot.png", metrics=PLOTTED)


def answers_frame(texts: Sequence[Sequence[str]], model: FaceInsight, faces: FaceTable) -> pd.DataFrame:
    """One row for each text: file, attribute, question, text, and what it was understood to answer."""
    names = [name for name, own in zip(faces.schema.names, model.questions(), strict=True) for _ in own]
    questions = asked(model)
    return pd.DataFrame(
        [
            (file, name, question, text, understood(text))
            for file, said in zip(faces.files, texts, strict=True)
            for name, question, text in zip(names, questions, said, strict=True)
        ],
        columns=["file", "attribute", "question", "text", "answer"],
    )


def understood(text: str) -> str:
    """``yes``, ``no``, ``refused`` or ``unclear``."""
    answer = parse_yes_no(text)
    if answer is None:
        return "refused" if is_refusal(text) else "unclear"
    return "yes" if answer else "no"


def metrics_of(report: Report, readings: Readings, model: FaceInsight) -> PlainData:
    """Return the whole table as plain data, with what it was measured with."""
    blank = dict(zip(model.schema.names, readings.blank.mean(0).sigmoid().tolist(), strict=True))
    rows: PlainData = {}
    for each in report.variants:
        scores = {
            name: {"value": number(found.value), "low": number(found.low), "high": number(found.high)}
            for name, found in each.estimates.items()
        }
        rows[each.name] = {**scores, **{name: number(value) for name, value in each.shares.items()}}
    return {
        "setting": "training-free",
        "model": getattr(model.language_model, "origin", None),
        "instruction": model.instruction,
        "question": model.question,
        "faces": None if report.bootstrap is None else report.bootstrap.faces,
        "device": str(model.language_model.device),
        "torch": torch.__version__,
        "rows": rows,
        "blank_image": blank,
        "remarks": list(report.remarks),
        "seconds": dict(readings.seconds),
    }


def number(value: float) -> float | None:
    """Return a number as JSON can hold it."""
    return None if math.isnan(value) else value
