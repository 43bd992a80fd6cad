"""How much a model depends on how large the face is in its picture.

    python -m experiments.crops --output docs/crops.png

expects what ``few_labels.yaml`` expects. CelebA's test faces, cut out at 0.6 to 1.4 times the width that the shipped
image encoder was trained on, are asked for what ``tiny`` knows of CelebA's attributes; no label of CelebA was ever
trained on.
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
from faceinsight.metrics import auroc

#: The encoder's own framing of aligned CelebA, as shares of its 178 x 218 pixels.
CENTRE, WIDTH, HEIGHT = (0.5, 131 / 218), 110 / 178, 110 / 218

SCALES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)


def framing(scale: float) -> Crop:
    """The square around the same middle, ``scale`` times as wide, as far as the picture goes."""
    (across, down), width, height = CENTRE, scale * WIDTH / 2, scale * HEIGHT / 2
    cut = {"left": across - width, "right": 1 - across - width, "top": down - height, "bottom": 1 - down - height}
    return Crop(**{side: max(share, 0.0) for side, share in cut.items()})


@torch.inference_mode()
def measured(model: fi.FaceInsight, source: fi.data.CelebA, scale: float) -> dict[str, float]:
    """Share of genders told right, and mean AUROC of the attributes that both know."""
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
    right = ((found[:, male] > 0.5) == (labels[:, male] == 1)).double().mean()
    return {"gender": float(right), "auroc": float(auroc(found.double(), labels).nanmean())}


def main(output: Path = Path("docs/crops.png"), celeba: Path = Path("data/celeba")) -> None:
    """Measure at every scale, print the table and draw the picture.

    Args:
        output: the picture.
        celeba: CelebA's folder.
    """
    model = fi.FaceInsight.from_pretrained("tiny")
    source = fi.data.CelebA(root=celeba)
    table = pd.DataFrame({scale: measured(model, source, scale) for scale in SCALES}).T
    Console().print(table.round(3).to_string())
    figure = Figure(figsize=(6.0, 3.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for column, (label, colour) in {
        "gender": ("gender told right, %", "#33658a"),
        "auroc": ("mean AUROC of CelebA's attributes, %", "#c8553d"),
    }.items():
        axes.plot(table.index, 100 * table[column], "o-", color=colour, label=label, markersize=4)
    axes.axvline(1.0, color="#9a9a9a", linewidth=0.8)
    axes.set(xlabel="width of the picture, 1 is the encoder's own framing", ylabel="%", ylim=(50, 100))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    with replacing(output) as temporary:
        figure.savefig(temporary)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
