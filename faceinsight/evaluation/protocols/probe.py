"""The probe ladder: at which stage of a model the information about attributes is lost.

At each stage (image encoder, projector, each layer of the language model, final state) ridge regressions read all
attributes from the training faces' states in closed form, and are measured on the test faces. The last rungs are the
model's own reading and, of a model with evidence, its output. A rung that is lower than the one before has lost
something that a linear readout could use.

Source: linear probes, Alain and Bengio 2016 (https://arxiv.org/abs/1610.01644). Not in the paper.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from faceinsight.data.dataset import FaceDataset, FaceReader, without_broken
from faceinsight.data.images import Crop
from faceinsight.data.table import FaceTable, Split
from faceinsight.errors import InputError
from faceinsight.evaluation.predictions import Predictions, write_predictions
from faceinsight.evaluation.report.plot import save_plot
from faceinsight.evaluation.report.results import Report, VariantResult
from faceinsight.evaluation.report.writing import print_report, write_report
from faceinsight.evaluation.statistics.bootstrap import paired_bootstrap
from faceinsight.files import replacing
from faceinsight.models.face_insight import FaceInsight
from faceinsight.models.loop import evaluating, over_faces, progress_bars, read_batches
from faceinsight.models.stages import IMAGE, PARTS, READING, face_stages, spread_layers
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.language.recompute import layers_of

__all__ = ["probe", "readout"]

#: The rung that a model with evidence ends on.
OUTPUT = "output"

#: Columns that the printed table needs.
TABLE_WIDTH = 150

METRICS = ("auroc", "average_precision", "accuracy")

#: The lines of the plot with their colours and styles.
FACE, ATTRIBUTE, OWN = "image, read from one state", "attribute, each from its own state", "the model's own answer"
LINES = {FACE: ("#33658a", "-"), ATTRIBUTE: ("#c8553d", "-"), PARTS: ("#9a9a9a", "none"), OWN: ("#222222", "none")}


def readout(
    states: Float[Tensor, "face *attr dim"], labels: Int8[Tensor, "train attr"], names: Sequence[str]
) -> Float[Tensor, "face attr"]:
    """Return the probabilities that ridge regressions read from states; the first rows are the training faces.

    Args:
        states: ``[face, dim]``, from which all attributes are read; or ``[face, attr, dim]``, each attribute from its
            own.
        labels: of the training faces; 0 is undefined.
        names: of the attributes.
    """
    train = len(labels)
    groups = (
        [(states, list(range(len(names))))]
        if states.ndim == 2
        else [(states[:, number], [number]) for number in range(len(names))]
    )
    columns = torch.full((len(states), len(names)), torch.nan)
    for inputs, attributes in groups:
        evidence = Evidence(num_features=inputs.shape[1], names=[names[each] for each in attributes])
        evidence.fit(inputs[:train], labels[:, attributes], undefined=0)
        columns[:, attributes] = evidence(inputs).sigmoid().float()
    return columns


def probe(
    model: FaceInsight,
    table: FaceTable,
    folder: Path,
    *,
    train_limit: int | None = 1000,
    limit: int | None = None,
    split: Split = "test",
    layers: int = 6,
    crop: Crop | None = None,
    broken: Literal["refuse", "skip"] = "refuse",
    batch_size: int = 16,
    resamples: int = 1000,
    console: Console | None = None,
) -> Report:
    """Measure a readout at each stage of a model; write a table, two plots and every prediction.

    Args:
        model: a :class:`~faceinsight.models.face_insight.FaceInsight` over the table's attributes.
        table: with a training split.
        folder: of the results: ``table.csv``, ``.md``, ``.tex``, ``plot.png``, ``ladder.png``, ``predictions/``.
        train_limit: training faces that the readouts are fitted on, the first of the split; None for all.
        limit: faces that are measured, the first of ``split``; None for all.
        split: the faces that are measured.
        layers: layers of the language model to look at, spread evenly, the last among them.
        crop: part of each picture that is looked at; the model's own by default.
        broken: "refuse" a file that cannot be read, or "skip" such faces.
        batch_size: faces at a time.
        resamples: of the bootstrap.
        console: where progress and table are printed.

    Raises:
        InputError: another schema, fewer than two faces on either side, or no labels.
        BrokenImageError: a file that cannot be read, with ``broken="refuse"``.
    """
    console = console or Console()
    model.schema.check_names(table.schema.names, "the data set")
    table = without_broken(table) if broken == "skip" else table
    train, test = table.rows("train")[:train_limit], table.rows(split)[:limit]
    if min(len(train), len(test)) < 2:
        raise InputError(
            f"{len(train):,} training faces and {len(test):,} of the split {split!r}; a probe needs two or more of each"
        )
    chosen = torch.cat([train, test])
    with evaluating(model), progress_bars({"stages": len(chosen)}, console) as advance:
        stages = collect(
            model,
            table.select(chosen),
            depths=spread_layers(len(layers_of(model.language_model.backbone)), layers),
            crop=crop,
            batch_size=batch_size,
            tell=lambda number: advance("stages", number),
        )
    labels, names = table.labels[train], list(table.schema.names)
    rungs = {}
    with progress_bars({"readouts": len(stages)}, console) as advance:
        for name in [*stages]:
            states = stages.pop(name)
            ready = name in (READING, OUTPUT)
            rungs[name] = (states if ready else readout(states, labels, names))[len(train) :]
            advance("readouts", 1)
    report = ladder_report(rungs, table.select(test), len(train), resamples=resamples)
    for name, probability in rungs.items():
        path = folder / "predictions" / f"{name.replace(', ', '_').replace(' ', '_')}.csv"
        faces = table.select(test)
        write_predictions(path, Predictions(faces.schema, faces.files, faces.split, probability))
    write_report(report, folder)
    save_plot(report, folder / "plot.png", metrics=METRICS)
    with replacing(folder / "ladder.png") as temporary:
        draw_ladder(report).savefig(temporary, format="png")
    print_report(report, Console(file=console.file, width=max(console.width, TABLE_WIDTH), quiet=console.quiet))
    console.print(f"Table, plots and predictions: {folder}", soft_wrap=True)
    return report


def collect(
    model: FaceInsight,
    faces: FaceTable,
    *,
    depths: Sequence[int],
    crop: Crop | None,
    batch_size: int,
    tell: Callable[[int], None],
) -> dict[str, Tensor]:
    """Return the states of all faces at each stage; of the model's own answers the probabilities."""
    options = model.picture_options
    options["crop"] = crop or options["crop"]
    dataset = FaceDataset(table=faces, reader=FaceReader(**options, memory_mb=0))
    found: dict[str, list[Tensor]] = {}
    device = next(model.parameters()).device
    for _, stages in over_faces(
        lambda batch: batch_stages(model, model.encoder(batch.images, batch.masks), depths),
        read_batches(dataset, batch_size=batch_size),
        device=device,
        tell=tell,
    ):
        for name, states in stages.items():
            found.setdefault(name, []).append(states.float().cpu())
    return {name: torch.cat(states) for name, states in found.items()}


def batch_stages(model: FaceInsight, features: dict[str, Tensor], depths: Sequence[int]) -> dict[str, Tensor]:
    """Return the states of a batch, with the probabilities of its reading and, with evidence, of its output."""
    stages = face_stages(model, features, depths)
    stages[READING] = stages[READING].sigmoid()
    if model.evidence is not None and model.evidence.fitted:
        stages[OUTPUT] = model(features=features).probability
    return stages


def ladder_report(
    rungs: Mapping[str, Float[Tensor, "face attr"]], faces: FaceTable, train: int, *, resamples: int
) -> Report:
    """Return the table of all rungs, each compared with the image encoder's."""
    references = {name: IMAGE for name in rungs if name != IMAGE}
    clusters = faces.identity if len(faces.identity.unique()) < len(faces) else None
    bootstrap = paired_bootstrap(
        {name: {0: probability} for name, probability in rungs.items()},
        faces.labels,
        references,
        clusters=clusters,
        names=faces.schema.names,
        resamples=resamples,
        undefined=0,
    )
    variants = tuple(
        VariantResult(
            name=name,
            reference=references.get(name),
            seeds=(0,),
            estimates=bootstrap.estimates[name],
            comparisons=bootstrap.comparisons_of(name),
        )
        for name in rungs
    )
    remark = (
        f"Each rung is a ridge regression on {train:,} training faces, except {READING} and {OUTPUT}: the model's own."
    )
    constant = tuple(faces.schema.names[each] for each in bootstrap.constant_attributes)
    return Report(variants, bootstrap, compared=METRICS, constant=constant, remarks=(remark,), trained=False)


def draw_ladder(report: Report, metric: str = "auroc") -> Figure:
    """Draw the metric over the stages: what belongs to the face and to the attributes as two lines, with intervals."""
    figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    known = {each.name: each.estimates[metric] for each in report.variants if metric in each.estimates}
    places = [*dict.fromkeys(name.partition(",")[0] for name in known)]
    for kind, (colour, line) in LINES.items():
        some = {name: found for name, found in known.items() if line_of(name) == kind}
        at = [places.index(name.partition(",")[0]) for name in some]
        if some:
            axes.plot(at, [each.value for each in some.values()], "o", linestyle=line, color=colour, label=kind)
            axes.vlines(at, *zip(*((each.low, each.high) for each in some.values()), strict=True), color=colour, lw=1)
    axes.set_xticks(range(len(places)), places, rotation=30, ha="right")
    axes.set_ylabel("AUROC (mean over attributes)")
    axes.grid(axis="y", color="#e8e8e8")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    axes.set_title("What a linear readout finds at each stage", loc="left", fontsize=11)
    return figure


def line_of(name: str) -> str:
    """Return the line of the plot that a rung belongs to."""
    if name in (READING, OUTPUT):
        return OWN
    if name == PARTS:
        return PARTS
    return ATTRIBUTE if name.endswith("answers") or name == "final state" else FACE
