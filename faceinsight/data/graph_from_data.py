"""What is counted from the training labels of a data module; a YAML configuration names these by class path.

Only training faces are counted, so that nothing of the test leaks into a graph or a prior.
"""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from faceinsight.data.datamodule import FaceDataModule, constant_warning
from faceinsight.data.inspection.check import constant_attributes
from faceinsight.data.sources.label_files import read_labels
from faceinsight.data.synthetic.population import ATTRIBUTES, face
from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.schema import Schema

__all__ = ["drawn_graph", "label_prior", "table_graph", "training_graph"]


def training_graph(
    *,
    data: FaceDataModule,
    threshold: float | None = None,
    reweight: float = 0.2,
    normalise: Literal["row", "column"] = "row",
    edges: Literal["probability", "lift"] = "probability",
    control: Literal["identity", "shuffled", "uniform"] | None = None,
    seed: int = 0,
) -> LabelGraph:
    """Return the label graph of the training split, or one of its controls.

    Args:
        data: whose training labels are counted.
        threshold: see :meth:`LabelGraph.from_labels`, as for ``reweight``, ``normalise`` and ``edges``.
        control: replaces the counted weights by those of a graph that knows nothing, or knows it wrongly.
        seed: of the shuffled control.
    """
    labels = train_labels(data)
    graph = LabelGraph.from_labels(
        labels, data.schema, threshold=threshold, reweight=reweight, normalise=normalise, edges=edges, undefined=0
    )
    return controlled(graph, control, seed)


def table_graph(
    *,
    labels: str,
    schema: Schema,
    exclude: FaceDataModule | None = None,
    threshold: float | None = None,
    reweight: float = 0.2,
    normalise: Literal["row", "column"] = "row",
    edges: Literal["probability", "lift"] = "probability",
    control: Literal["identity", "shuffled", "uniform"] | None = None,
    seed: int = 0,
) -> LabelGraph:
    """Return the label graph of a label table, for which no pictures are needed: for a co-occurrence gain.

    Args:
        labels: CelebA's list, a file laid out like it, or a CSV, see
            :func:`faceinsight.data.sources.label_files.read_labels`.
        schema: its attributes are counted.
        exclude: faces that are left out of the counts, whatever their split: those that a model is tested on.
        threshold: see :meth:`LabelGraph.from_labels`, as for ``reweight``, ``normalise`` and ``edges``.
        control: as for :func:`training_graph`.
        seed: of the shuffled control.

    Raises:
        InputError: the table is not of these attributes, or lists no face besides the excluded ones.
    """
    listed = read_labels(Path(labels), schema)
    known = set() if exclude is None else set(exclude.table.files)
    kept = torch.tensor([file not in known for file in listed.files], dtype=torch.bool)
    if not kept.any():
        raise InputError(f"{labels} lists no face besides the {len(known):,} that are excluded; give a larger table")
    counted = listed.labels[kept]
    graph = LabelGraph.from_labels(
        counted, schema, threshold=threshold, reweight=reweight, normalise=normalise, edges=edges, undefined=0
    )
    return controlled(graph, control, seed)


def drawn_graph(
    *,
    faces: int = 4000,
    population_seed: int = 1000,
    control: Literal["identity", "shuffled", "uniform"] | None = None,
    seed: int = 0,
) -> LabelGraph:
    """Return the label graph of drawn faces that are never drawn: only their labels are made.

    Args:
        faces: number of faces.
        population_seed: of the population; take another than that of the drawn faces that are tested.
        control: as for :func:`training_graph`.
        seed: of the shuffled control.
    """
    return controlled(graph_of_population(faces, population_seed), control, seed)


@lru_cache(maxsize=4)
def graph_of_population(faces: int, population_seed: int) -> LabelGraph:
    """Count the labels of a population; 4,000 faces take two seconds, once in a process."""
    people = [face(population_seed, number) for number in range(faces)]
    labels = torch.tensor([[1 if each[name] else -1 for name in ATTRIBUTES] for each in people], dtype=torch.int8)
    return LabelGraph.from_labels(labels, Schema.load("synthfaces"))


def controlled(graph: LabelGraph, control: str | None, seed: int) -> LabelGraph:
    """Return the graph, or one of its controls."""
    match control:
        case "identity":
            return graph.identity()
        case "uniform":
            return graph.uniform()
        case "shuffled":
            return graph.shuffled(seed)
    return graph


def label_prior(data: FaceDataModule) -> Tensor:
    """Return the share of positives ``[attr]`` among the defined training labels; 0.5 where none is defined.

    The shape is said in words because a configuration's class path needs a plain type.
    """
    return positive_share(train_labels(data), undefined=0)


def positive_share(labels: Tensor, *, undefined: int | float | None = None) -> Tensor:
    """Return the share of positives ``[attr]`` among the defined labels ``[face, attr]``; 0.5 where none is defined.

    Args:
        labels, undefined: see :func:`~faceinsight.knowledge.labels.three_valued`.
    """
    labels = three_valued(labels, undefined=undefined)
    positive, defined = (labels == 1).sum(0), (labels != 0).sum(0)
    return torch.where(defined > 0, positive / defined.clamp(min=1), 0.5)


def train_labels(data: FaceDataModule) -> Tensor:
    """Return the training labels, with a warning where an attribute never varies."""
    labels = data.train_labels()
    if constant := constant_attributes(labels, data.schema, undefined=0):
        warnings.warn(constant_warning(constant, len(labels)), stacklevel=3)
    return labels
