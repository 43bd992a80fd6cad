"""Fitting a network's evidence on the training faces of a data module, before anything is trained by gradient."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, distributed, nn

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.dataset import whole
from faceinsight.knowledge.rules import RuleSet
from faceinsight.models.face_insight import FaceEncoder
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.implied import implied_labels
from faceinsight.processes import number_of_processes

__all__ = ["fit_evidence"]


@runtime_checkable
class EvidenceNetwork(Protocol):
    """A :class:`~faceinsight.models.face_insight.FaceInsight`, or any network whose evidence is to be fitted."""

    encoder: FaceEncoder
    evidence: Evidence


EvidenceNetwork.register(nn.Module)  # as in faceinsight.modules.contracts

#: Cached features are turned into evidence inputs so many faces at a time.
CHUNK = 1024


@torch.inference_mode(False)  # a test runs in it, and what it makes could not train later
@torch.no_grad()
def fit_evidence(
    network: EvidenceNetwork,
    data: FaceDataModule,
    device: torch.device,
    convert: Callable[[Any], Any] = lambda faces: faces,
    rules: RuleSet | None = None,
    implied: Sequence[str] | None = None,
) -> Float[Tensor, "row observed"]:
    """Fit ``network.evidence`` on the training faces, and return their leave-one-out scores by row of the table.

    Every process of a distributed run fits the same faces; then all take the numbers of the first.

    Args:
        network: with an ``encoder`` and ``evidence``, such as a :class:`~faceinsight.models.face_insight.FaceInsight`.
        data: a :class:`~faceinsight.data.datamodule.FaceDataModule`; its cached features are read, if it has any.
        device: where images are encoded and the evidence is fitted; both stay there.
        convert: images or features to the precision of the encoders.
        rules: undefined labels that follow from the defined ones by these rules are filled in first; None for none.
        implied: the attributes of which labels are filled in; None for all.

    Returns:
        NaN for every row that is not a training face.
    """
    rows = data.train_rows()
    evidence = network.evidence.to(device)
    labels = data.table.labels[rows]
    if rules is not None:
        filled = implied_labels(labels, rules, undefined=0)
        at = slice(None) if implied is None else [rules.schema.index(name) for name in implied]
        labels = labels.clone()
        labels[:, at] = filled[:, at]
    with Console(stderr=True).status(f"fitting the evidence on {len(rows):,} faces"):
        inputs = training_inputs(network, data, rows, device, convert)
        scores = evidence.fit(inputs, labels.to(device), undefined=0)
    left_out = torch.full((len(data.table), scores.shape[1]), torch.nan, device=device)
    left_out[rows.to(device)] = scores
    if number_of_processes() > 1:
        for tensor in [left_out, *evidence.buffers(), *evidence.parameters()]:
            distributed.broadcast(tensor.data, 0)
    return left_out


def training_inputs(
    network: EvidenceNetwork,
    data: FaceDataModule,
    rows: Tensor,
    device: torch.device,
    convert: Callable[[Any], Any] = lambda faces: faces,
) -> Float[Tensor, "face feature"]:
    """Return the evidence inputs of some rows: from cached features, or from the faces' images as they are."""
    encoder, sources = network.encoder.to(device), network.evidence.sources
    if data.features is not None:
        chunks = (
            convert({name: whole(each[some]).to(device) for name, each in data.features.items()})
            for some in rows.split(CHUNK)
        )
    else:
        batches = (convert(batch.to(device)) for batch in data.faces_dataloader(rows))
        chunks = (encoder(batch.images, batch.masks) for batch in batches)
    return torch.cat([encoder.evidence_inputs(features, sources) for features in chunks])
