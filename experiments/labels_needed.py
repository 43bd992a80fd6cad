"""The picture of the README: labels needed against accuracy, with and without label graph and rules.

    python -m experiments.labels_needed --tables '[runs/few_labels/table.csv]' --output docs/labels_needed.png

It reads what ``faceinsight ablate experiments/few_labels.yaml`` wrote, in one table or in several by ``--only``.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jsonargparse import auto_cli
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from faceinsight.files import replacing

#: Rows of the table, without the number of faces, with what the picture calls them.
LINES = {
    "+ graph and rules": ("evidence + label graph + rules", "#33658a", "o-"),
    "evidence alone": ("evidence alone (ridge regression)", "#6b6b6b", "o-"),
    "+ shuffled graph": ("evidence + shuffled graph (control)", "#c8553d", "o:"),
}


def drawing(table: pd.DataFrame) -> Figure:
    """AUROC and average precision against the number of labelled faces, with 95 % intervals."""
    names = table["variant"].str.rsplit(", ", n=1, expand=True)
    table = table.assign(kind=names[0], faces=names[1].str.replace(",", "").astype(int))
    figure = Figure(figsize=(9.0, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (metric, title) in zip(
        figure.subplots(1, 2), {"auroc": "mean AUROC, %", "average_precision": "mAP, %"}.items(), strict=True
    ):
        for kind, (label, colour, style) in LINES.items():
            rows = table[table["kind"] == kind].sort_values("faces")
            low, high = rows[f"{metric}_low"], rows[f"{metric}_high"]
            axes.plot(rows["faces"], 100 * rows[metric], style, color=colour, label=label, markersize=4)
            axes.fill_between(rows["faces"], 100 * low, 100 * high, color=colour, alpha=0.12, linewidth=0)
        axes.set_xscale("log")
        ticks = sorted(table["faces"].unique())
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="labelled photographs", ylabel=title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e8e8e8")
    figure.axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def main(
    tables: Sequence[Path] = (Path("runs/few_labels/table.csv"),), output: Path = Path("docs/labels_needed.png")
) -> None:
    """Draw the picture.

    Args:
        tables: what the ablation wrote.
        output: the picture.
    """
    with replacing(output) as temporary:
        drawing(pd.concat([pd.read_csv(table) for table in tables])).savefig(temporary)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
