"""Classifiers that stand beside FaceInsight as controls: what the same faces give without its parts.

They take and give what :class:`~faceinsight.model.FaceInsight` does, so that any of them can be named in its place.
"""

import torch
from einops import reduce
from torch import Tensor, nn

from faceinsight.knowledge.schema import Schema
from faceinsight.model import FaceEncoder, FaceInsightOutput, Features, Images, Masks, given_features

__all__ = ["PriorClassifier", "TokenClassifier"]


class TokenClassifier(nn.Module):
    """Tokens, averaged, and one linear layer: the plain ViT or ResNet, and the control without a language model.

    Args:
        schema: the order of the logits.
        image_encoder: trained along, unless it is :class:`Frozen`.
        embed_dim: width of the tokens where the linear layer reads them.
        projector: image tokens to ``embed_dim``; none when the image encoder has that width already.
        segmentation: its tokens, of width ``embed_dim``, are averaged apart and read beside the image's.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        embed_dim: int,
        projector: nn.Module | None = None,
        segmentation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.schema = schema
        self.encoder = FaceEncoder(image_encoder=image_encoder, segmentation=segmentation)
        self.projector = projector
        self.head = nn.Linear(embed_dim * (1 if segmentation is None else 2), len(schema))

    def encode(self, images: Images, masks: Masks | None = None) -> Features:
        """Image tokens and segmentation features: what can be cached when the encoders are frozen."""
        return self.encoder(images, masks)

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Logits for every attribute of every face, from images or from what :meth:`encode` gave."""
        features = given_features(self.encoder, images, masks, features)
        tokens = features["image"] if self.projector is None else self.projector(features["image"])
        pooled = [reduce(tokens, "batch token dim -> batch dim", "mean")]
        if self.encoder.segmentation is not None:
            parts = self.encoder.segmentation(features["segmentation"])
            pooled.append(reduce(parts, "batch token dim -> batch dim", "mean"))
        return FaceInsightOutput(logits=self.head(torch.cat(pooled, dim=-1)), features=features)


class PriorClassifier(nn.Module):
    """The same answer for every face: each attribute's share in the training labels (the majority class).

    Args:
        schema: the order of the logits.
        prior: ``[attr]``, the share of positives of each attribute, e.g. from :func:`faceinsight.data.label_prior`.
    """

    prior_logits: Tensor

    def __init__(self, *, schema: Schema, prior: Tensor) -> None:
        super().__init__()
        if len(prior) != len(schema):
            raise ValueError(f"a prior of {len(prior)} shares for the {len(schema)} attributes of {schema.name!r}")
        self.schema = schema
        self.register_buffer("prior_logits", prior.clamp(1e-6, 1 - 1e-6).logit())

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """The prior's logits for every face of the batch."""
        if images is None:
            raise ValueError("give images: the prior has no features of its own")
        return FaceInsightOutput(logits=self.prior_logits.expand(len(images), -1), features={})
