"""What is counted from the training labels of a data module; a YAML configuration names these by class path.

Only training faces are counted, so that nothing of the test leaks into a graph or a prior.
"""

import warnings
from typing import Literal

import torch
from torch import Tensor

from faceinsight.data.check import constant_attributes
from faceinsight.data.datamodule import FaceDataModule, constant_warning
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.labels import three_valued

__all__ = ["label_prior", "training_graph"]


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
    """The label graph of the training split, or one of its controls.

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
    match control:
        case "identity":
            return graph.identity()
        case "uniform":
            return graph.uniform()
        case "shuffled":
            return graph.shuffled(seed)
    return graph


def label_prior(data: FaceDataModule) -> Tensor:
    """The share of positives ``[attr]`` among the defined training labels; 0.5 where none is defined.

    The shape is said in words because a configuration's class path needs a plain type.
    """
    return positive_share(train_labels(data), undefined=0)


def positive_share(labels: Tensor, *, undefined: int | float | None = None) -> Tensor:
    """The share of positives ``[attr]`` among the defined labels ``[face, attr]``; 0.5 where none is defined.

    Args:
        labels, undefined: see :func:`~faceinsight.knowledge.labels.three_valued`.
    """
    labels = three_valued(labels, undefined=undefined)
    positive, defined = (labels == 1).sum(0), (labels != 0).sum(0)
    return torch.where(defined > 0, positive / defined.clamp(min=1), 0.5)


def train_labels(data: FaceDataModule) -> Tensor:
    """The training labels, with a warning where an attribute never varies."""
    labels = data.train_labels()
    if constant := constant_attributes(labels, data.schema, undefined=0):
        warnings.warn(constant_warning(constant, len(labels)), stacklevel=3)
    return labels
