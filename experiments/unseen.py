"""What can be said of attributes that no picture was ever labelled with?

    python -m experiments.unseen --output runs/unseen

expects what ``few_labels.yaml`` expects. Ten of CelebA's 40 attributes are hidden at a time: no training label of them
is read. The evidence is fitted on the other thirty, and the hidden ones are estimated on the test faces, by

- *label graph*: the co-occurrence gain, which knows from a label table without pictures how attributes go together;
- *shuffled graph*: the same with every correlation in the place of another, the control;
- *prompts*: bilinear evidence ``phi(x)^T M t_a``, with M fitted to the weights of the thirty seen attributes and t_a
  the mean input embedding of the attribute's prompt under the small language model.

All is in closed form. Written into the folder: ``unseen.csv`` (each attribute), ``unseen.md`` and ``unseen.png``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from jsonargparse import auto_cli
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from torch import Tensor

import faceinsight as fi
from faceinsight.data.images import Crop
from faceinsight.files import replacing, write_text
from faceinsight.metrics import auroc
from faceinsight.models.controls import EvidenceClassifier
from faceinsight.modules.evidence import feature_scale, ridge
from faceinsight.modules.vision.face_regions import PLACE_FEATURES
from faceinsight.store import FeatureStore
from faceinsight.training.callbacks import stored_features
from faceinsight.training.evidence_fit import training_inputs

CPU = torch.device("cpu")

#: The image encoder's own framing, as in the other experiments on CelebA.
FRAMING = Crop(left=0.191, right=0.191, top=0.3486, bottom=0.1468)

#: Of the regressions, as a multiple of the number of features.
PENALTY = 3.0


def folds(names: list[str], hidden: int, splits: int) -> Iterator[list[str]]:
    """Yield sets of ``hidden`` names; every split holds each name once."""
    for split in range(splits):
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(split)).tolist()
        for first in range(0, len(names) - hidden + 1, hidden):
            yield [names[place] for place in order[first : first + hidden]]


def prompt_weights(
    weight: Float[Tensor, "seen feature"], seen: Float[Tensor, "seen dim"], hidden: Float[Tensor, "hidden dim"]
) -> Float[Tensor, "hidden feature"]:
    """Return the weights that bilinear evidence gives hidden attributes: ridge regression from prompts to weights.

    Prompts are centred and scaled to length one; the penalty is a tenth of the prompts' own variance.
    """
    middle = seen.mean(0)
    near, far = (torch.nn.functional.normalize(each - middle, dim=1) for each in (seen, hidden))
    kernel = near @ near.T + 0.1 * torch.eye(len(near), dtype=near.dtype)
    return far @ near.T @ torch.linalg.solve(kernel, weight - weight.mean(0)) + weight.mean(0)


def estimates(
    graph: fi.LabelGraph, seen: list[str], hidden: list[str], left_out: Tensor, labels: Tensor, scores: Tensor
) -> Float[Tensor, "face hidden"]:
    """Return the hidden attributes of the test faces, from the scores of the seen ones."""
    gain = fi.modules.CooccurrenceGain(graph=graph, observed=seen, asked=[*seen, *hidden])
    gain.fit(left_out, labels)
    return gain(scores)[:, len(seen) :]


def measured(
    graph: fi.LabelGraph, faces: Mapping[str, Tensor], prompts: Tensor, sizes: list[int], hidden: int, splits: int
) -> pd.DataFrame:
    """AUROC of every hidden attribute in every split, by method.

    Args:
        faces: ``inputs`` and ``labels`` of the training faces, ``test_inputs`` and ``test_labels``.
        prompts: one row for each of the graph's attributes.
        sizes: features of each source.
    """
    names, rows = [*graph.names], []
    centre, scale = faces["inputs"].mean(0), feature_scale(faces["inputs"].std(0), sizes)
    inputs, test = ((faces[name] - centre) * scale for name in ("inputs", "test_inputs"))
    # each attribute's regression is its own: all are fitted once, with a penalty that no hidden label chose
    fit = ridge(inputs, faces["labels"], [PENALTY * inputs.shape[1]])
    scores = test @ fit.weight.T + fit.bias
    for out in track([*folds(names, hidden, splits)], description="hiding attributes"):
        seen = [name for name in names if name not in out]
        at, away = (graph.places(each) for each in (seen, out))
        known = (fit.left_out[:, at], faces["labels"][:, at], scores[:, at])
        found = {
            "label graph": estimates(graph, seen, out, *known),
            "shuffled graph": estimates(graph.shuffled(0), seen, out, *known),
            "prompts": test @ prompt_weights(fit.weight[at], prompts[at], prompts[away]).T,
        }
        for method, estimate in found.items():
            areas = auroc(estimate.sigmoid(), faces["test_labels"][:, away])
            rows += [(name, method, area) for name, area in zip(out, areas.tolist(), strict=True)]
    return pd.DataFrame(rows, columns=["attribute", "method", "auroc"])


def widths(encoder: Any, segmentation: Any) -> list[int]:
    """Numbers of the image tokens, pooled, and of the places of the face's parts."""
    return [sum(width * side**2 for width, side in encoder.levels), segmentation.num_tokens * len(PLACE_FEATURES)]


def encoded(data: fi.data.FaceDataModule, features: Path) -> tuple[dict[str, Tensor], list[int]]:
    """Evidence inputs and labels of the training and the test faces, in float64; and the features of each source."""
    encoder, parser = fi.tiny.image_encoder(), fi.tiny.face_parser()
    route = fi.modules.RegionTokens(image_dim=encoder.embed_dim, embed_dim=1)
    segmentation = fi.modules.SegmentationEncoder(parser=parser, route=route)
    evidence = fi.modules.Evidence.for_schema(schema=data.schema, num_features=widths(encoder, segmentation))
    network = EvidenceClassifier(
        schema=data.schema, image_encoder=encoder, segmentation=segmentation, evidence=evidence
    )
    data.features = stored_features(FeatureStore(features), network.encoder, data, CPU)
    rows = {"": data.train_rows(), "test_": data.table.rows("test")}
    inputs = {f"{split}inputs": training_inputs(network, data, each, CPU).double() for split, each in rows.items()}
    labels = {f"{split}labels": data.table.labels[each] for split, each in rows.items()}
    return inputs | labels, evidence.widths


def drawing(table: pd.DataFrame) -> Figure:
    """Each attribute's AUROC by the label graph and by its prompt, the easiest first."""
    figure = Figure(figsize=(9.0, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(table))
    axes.bar(places, table["label graph"], color="#33658a", width=0.7, label="label graph")
    axes.plot(places, table["prompts"], "o", color="#c8553d", markersize=4, label="prompts")
    axes.axhline(0.5, color="#6b6b6b", linewidth=0.8)
    axes.set_xticks(places, [name.replace("_", " ") for name in table.index], rotation=90, fontsize=8)
    axes.set(ylim=(0, 1), xlim=(-0.6, len(table) - 0.4), ylabel="AUROC on test faces")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    return figure


def main(
    output: Path = Path("runs/unseen"),
    celeba: Path = Path("data/celeba"),
    features: Path = Path("data/features"),
    hidden: int = 10,
    splits: int = 5,
) -> None:
    """Measure, and write the table and the picture into ``output``.

    Args:
        output: the folder.
        celeba: CelebA's folder, with the whole ``list_attr_celeba.txt``.
        features: the folder for what the frozen encoders saw.
        hidden: attributes that are hidden at a time.
        splits: ways to cut the attributes into such sets.
    """
    size = fi.tiny.image_encoder().preprocessing["image_size"]
    options: dict[str, Any] = {"image_size": size, "interpolation": "bicubic", "crop": FRAMING}
    data = fi.data.FaceDataModule(source=fi.data.CelebA(root=celeba), **options)
    graph = fi.data.table_graph(labels=str(celeba / "list_attr_celeba.txt"), schema=data.schema, exclude=data)
    prompts = fi.modules.TextEncoder()(data.schema.prompts, fi.tiny.language_model()).double()
    faces, sizes = encoded(data, features)
    found = measured(graph, faces, prompts, sizes, hidden, splits)
    table = found.pivot_table(index="attribute", columns="method", values="auroc")
    table = table.sort_values("label graph", ascending=False)
    mean = found.groupby("method")["auroc"].mean()
    lines = [
        f"| {name} | {' | '.join(f'{row[method]:.3f}' for method in mean.index)} |" for name, row in table.iterrows()
    ]
    head = [f"| attribute | {' | '.join(mean.index)} |", "|:--|" + "--:|" * len(mean)]
    means = f"| **mean of all** | {' | '.join(f'**{value:.3f}**' for value in mean)} |"
    text = "\n".join([*head, means, *lines])
    write_text(output / "unseen.md", text + "\n")
    with replacing(output / "unseen.csv") as temporary:
        found.to_csv(temporary, index=False)
    with replacing(output / "unseen.png") as temporary:
        drawing(table).savefig(temporary)
    Console().print(Markdown(text))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
