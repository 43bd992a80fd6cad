"""Accuracy by crop size: how much ``tiny`` depends on how large the face is in its picture.

    python -m experiments.crops --output docs/crops.png

expects ``data/celeba``. CelebA's test faces are cut out at 0.6 to 1.4 times the width that the shipped image encoder
was trained on. The attributes that CelebA and ``tiny`` share are measured; no label of CelebA was trained on. The table
is for ``experiments.tiny.cards beside --crops``, too.
"""

from pathlib import Path

import pandas as pd
import torch
from jsonargparse import auto_cli
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

import faceinsight as fi
from faceinsight.data.images import Crop
from faceinsight.data.sources.joined import labels_by_name
from faceinsight.files import replacing
from faceinsight.metrics import accuracy, auroc

#: The encoder's own framing of aligned CelebA, as shares of its 178 x 218 pixels.
CENTRE, WIDTH, HEIGHT = (0.5, 131 / 218), 110 / 178, 110 / 218

SCALES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)

COLOURS = {"gender accuracy": "#33658a", "mean AUROC": "#c8553d"}


def framing(scale: float) -> Crop:
    """Return the square around the same middle, ``scale`` times as wide, cut off at the picture's edges."""
    (across, down), width, height = CENTRE, scale * WIDTH / 2, scale * HEIGHT / 2
    cut = {"left": across - width, "right": 1 - across - width, "top": down - height, "bottom": 1 - down - height}
    return Crop(**{side: max(share, 0.0) for side, share in cut.items()})


@torch.inference_mode()
def measured(model: fi.FaceInsight, source: fi.data.CelebA, scale: float) -> dict[str, float]:
    """Return the gender accuracy, and the mean AUROC of the attributes that the model and CelebA share."""
    options = {**model.picture_options, "crop": framing(scale)}
    data = fi.data.FaceDataModule(source=source, **options)
    rows = data.table.rows("test")
    found = torch.cat(
        [
            fi.ConstrainedBernoulli(logits=model(batch.images).logits, rules=model.rules).marginals
            for batch in data.faces_dataloader(rows)
        ]
    )
    labels = labels_by_name(data.table.select(rows), model.schema)
    male = model.schema.index("Male")
    return {
        "gender accuracy": float(accuracy(found, labels)[male]),
        "mean AUROC": float(auroc(found.double(), labels).nanmean()),
    }


def drawing(table: pd.DataFrame) -> Figure:
    """Draw each score against the width of the picture.

    Args:
        table: scores by name, one row a width; 1 is the encoder's own framing.
    """
    figure = Figure(figsize=(6.0, 3.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, colour in COLOURS.items():
        axes.plot(table.index, 100 * table[name], "o-", color=colour, markersize=4)
        axes.annotate(name, (table.index[-1], 100 * table[name].iloc[-1]), (6, 0), color=colour, fontsize=9,
                      textcoords="offset points", va="center")  # fmt: skip
    axes.axvline(1.0, color="#c8c8c8", linewidth=0.8, zorder=0)
    axes.set(xlabel="width of the picture, in widths of the image encoder's own framing", ylabel="%", ylim=(50, 100))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e8e8e8")
    return figure


def main(
    output: Path = Path("docs/crops.png"),
    table: Path = Path("runs/crops/table.csv"),
    celeba: Path = Path("data/celeba"),
) -> None:
    """Measure at every scale, print and write the table, and draw the picture.

    Args:
        output: the picture.
        table: the table, as CSV.
        celeba: CelebA's folder.
    """
    model = fi.FaceInsight.from_pretrained("tiny")
    source = fi.data.CelebA(root=celeba)
    found = pd.DataFrame({scale: measured(model, source, scale) for scale in SCALES}).T.rename_axis("width")
    Console().print(found.round(3).to_string())
    table.parent.mkdir(parents=True, exist_ok=True)
    with replacing(table) as temporary:
        found.to_csv(temporary)
    with replacing(output) as temporary:
        drawing(found).savefig(temporary)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
