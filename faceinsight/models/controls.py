"""Controls of FaceInsight: what the same faces give without its parts.

They take and give what :class:`~faceinsight.models.face_insight.FaceInsight` does, so that any of them can be named in
its place.
"""

import math

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import (
    FaceInsightOutput,
    FaceModel,
    Features,
    Images,
    Masks,
    Scores,
    evidence_logits,
    given_features,
)
from faceinsight.models.ridge import pixels
from faceinsight.modules.contracts import IMAGE_ENCODER, ImageEncoderLike
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.logic.log_space import wide_linear
from faceinsight.modules.text_encoder import LearnedText

__all__ = ["EvidenceClassifier", "MLGCNClassifier", "PriorClassifier", "RidgeClassifier", "TokenClassifier"]


class TokenClassifier(FaceModel):
    """Tokens, averaged, and one linear layer: the plain ViT or ResNet, and the control without a language model.

    Args:
        schema: the order of the logits.
        image_encoder: trained along, unless it is :class:`Frozen`.
        embed_dim: width of the tokens where the linear layer reads them.
        projector: image tokens to ``embed_dim``; none when the image encoder has that width already.
        segmentation: its tokens, of width ``embed_dim``, are averaged apart and read beside the image's.
        rules: what its predictions are to keep, see :class:`~faceinsight.models.face_insight.FaceModel`.

    Raises:
        InputError: tokens of another width than ``embed_dim``, as far as the modules tell theirs.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        embed_dim: int,
        projector: nn.Module | None = None,
        segmentation: nn.Module | None = None,
        rules: RuleSet | None = None,
    ) -> None:
        super().__init__(schema=schema, image_encoder=image_encoder, segmentation=segmentation, rules=rules)
        given = getattr(image_encoder, "embed_dim", None) if projector is None else getattr(projector, "out_dim", None)
        if given not in (None, embed_dim):
            raise InputError(f"embed_dim is {embed_dim}, but the tokens are {given} wide; set embed_dim to {given}")
        self.embed_dim, self.projector = embed_dim, projector
        self.head = nn.Linear(embed_dim * (1 if segmentation is None else 2), len(schema))

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
        return FaceInsightOutput(
            logits=wide_linear(torch.cat(pooled, dim=-1), self.head.weight, self.head.bias),
            features=features,
            rules=self.rules,
        )


class EvidenceClassifier(FaceModel):
    """The evidence alone: ridge regression on exactly the features that the full model has, without language model.

    The control that counts. With a gain in the evidence it has the label graph, too.

    Args:
        schema: the order of the logits.
        image_encoder: frozen.
        evidence: an :class:`~faceinsight.modules.evidence.Evidence`.
        segmentation: frozen; its places or parts are read, if the evidence says so.
        rules: what its predictions are to keep, see :class:`~faceinsight.models.face_insight.FaceModel`.

    Raises:
        InputError: evidence of other attributes, or encoders that train.
    """

    evidence: Evidence

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        evidence: nn.Module,
        segmentation: nn.Module | None = None,
        rules: RuleSet | None = None,
    ) -> None:
        super().__init__(
            schema=schema, image_encoder=image_encoder, segmentation=segmentation, rules=rules, evidence=evidence
        )
        self.encoder.requires_grad_(False)  # the segmentation's tokens, which nothing reads here

    def forward(
        self,
        images: Images | None = None,
        *,
        masks: Masks | None = None,
        features: Features | None = None,
        scores: Scores | None = None,
    ) -> FaceInsightOutput:
        """Logits for every attribute of every face; arguments as for a
        :class:`~faceinsight.models.face_insight.FaceInsight`.
        """
        features = given_features(self.encoder, images, masks, features)
        logits = evidence_logits(self.evidence, self.encoder, features, scores)
        return FaceInsightOutput(logits=logits, features=features, rules=self.rules)


class MLGCNClassifier(FaceModel):
    """Label vectors refined over the label graph are the classifiers: the correlation constraint without an LLM.

    Source: ML-GCN (Chen et al. 2019, https://arxiv.org/abs/1904.03582): ``logits = W x``, where x is the image's
    feature map, pooled by its maximum, and W are the label embeddings after the graph convolutions; no bias. There the
    convolutions themselves widen the embeddings to the image's width, and the embeddings are GloVe's. Choices of this
    library: convolutions of constant width with one linear layer after them; learned label vectors unless another text
    encoder is given; and ``W x / sqrt(embed_dim)``, as in dot-product attention, so that the sum over ``embed_dim``
    products does not grow with the width and the logits start near 0.

    Args:
        schema: the order of the logits.
        image_encoder: trained along, unless it is :class:`Frozen`.
        prompt_dim: width of T^0.
        embed_dim: width of the tokens where they are pooled.
        text_encoder: T^0, see :mod:`faceinsight.modules.text_encoder`; by default one learned vector an attribute.
        correlation: a :class:`~faceinsight.modules.correlation.CorrelationConstraint` of width ``prompt_dim``.
        projector: image tokens to ``embed_dim``; none when the image encoder has that width already, as in the paper.
        language_model: whose input embeddings the text encoder reads, if it reads any; it is used for nothing else.
        rules: what its predictions are to keep, see :class:`~faceinsight.models.face_insight.FaceModel`.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        prompt_dim: int,
        embed_dim: int,
        text_encoder: nn.Module | None = None,
        correlation: nn.Module | None = None,
        projector: nn.Module | None = None,
        language_model: nn.Module | None = None,
        rules: RuleSet | None = None,
    ) -> None:
        super().__init__(schema=schema, image_encoder=image_encoder, rules=rules)
        self.prompt_dim, self.embed_dim = prompt_dim, embed_dim
        if text_encoder is None:
            text_encoder = LearnedText(num_attributes=len(schema), embed_dim=prompt_dim)
        self.text_encoder = text_encoder
        self.language_model = language_model
        self.correlation = correlation
        self.widen = nn.Linear(prompt_dim, embed_dim, bias=False)
        self.projector = projector

    def classifiers(self) -> Float[Tensor, "attr dim"]:
        """W: what each attribute's logit is the product of the image's feature with, apart from the scale."""
        prompts = self.text_encoder(self.schema.prompts, self.language_model)
        return self.widen(prompts if self.correlation is None else self.correlation(prompts))

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Logits for every attribute of every face, from images or from what :meth:`encode` gave."""
        features = given_features(self.encoder, images, masks, features)
        tokens = features["image"] if self.projector is None else self.projector(features["image"])
        pooled = reduce(tokens, "batch token dim -> batch dim", "max")
        logits = wide_linear(pooled, self.classifiers())
        return FaceInsightOutput(logits=logits / math.sqrt(self.embed_dim), features=features, rules=self.rules)


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
            raise InputError(f"a prior of {len(prior)} shares for the {len(schema)} attributes of {schema.name!r}")
        self.schema = schema
        self.register_buffer("prior_logits", prior.clamp(1e-6, 1 - 1e-6).logit())

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Return the prior's logits for every face of the batch."""
        if images is None:
            raise InputError("give images: the prior has no features of its own")
        return FaceInsightOutput(logits=self.prior_logits.expand(len(images), -1), features={})


class RidgeClassifier(nn.Module):
    """Ridge regression on small pictures, or on an encoder's tokens; nothing in it is trained by gradient.

    Not in the paper: a score s in about [-1, 1] is the probability ``(1 + s) / 2``, clamped to [0, 1] (a
    millionth inside, so that its logit is finite), which says yes where the score is above 0.

    Args:
        schema: the order of the logits.
        regression: pixels to scores, from :func:`faceinsight.models.pixel_ridge`; its width says the pictures' size.
            Or tokens to scores, from :func:`faceinsight.models.token_ridge`.
        encoder: whose tokens are read; frozen. None reads pixels.
    """

    encoder: ImageEncoderLike | None

    def __init__(self, *, schema: Schema, regression: nn.Linear, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = None if encoder is None else IMAGE_ENCODER.check(Frozen(encoder), "num_tokens", "embed_dim")
        self.size = math.isqrt(regression.in_features // 3)
        width, what, maker = 3 * self.size**2, "square RGB pictures", "pixel_ridge"
        if self.encoder is not None:
            width, what, maker = (
                self.encoder.num_tokens * self.encoder.embed_dim,
                "this encoder's tokens",
                "token_ridge",
            )
        if (regression.in_features, regression.out_features) != (width, len(schema)):
            raise InputError(
                f"a regression from {regression.in_features} values to {regression.out_features} scores is none from "
                f"{what} to the {len(schema)} attributes of {schema.name!r}; faceinsight.models.{maker} makes one"
            )
        self.schema = schema
        self.regression = Frozen(regression)

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Return the logits of the clamped probabilities."""
        if images is None:
            raise InputError("give images: ridge regression reads pixels and has no features of its own")
        values = pixels(images, self.size) if self.encoder is None else self.encoder(images).flatten(1)
        probability = (1 + wide_linear(values, self.regression.weight, self.regression.bias)) / 2
        return FaceInsightOutput(logits=probability.clamp(1e-6, 1 - 1e-6).logit(), features={})
