"""FaceInsight put together.

Source: FaceInsight (https://arxiv.org/abs/2504.15624): image tokens and segmentation tokens enter a mostly frozen LLM;
attribute prompts are refined by the correlation constraint. How the prompts join the LLM's input, and the shared head,
are choices of this library; see :mod:`faceinsight.modules.attribute_query`.

Every model here splits in two: ``encode`` is the part without trained weights (when its encoders are frozen), which
can be computed once for each face and cached; ``forward`` also takes what ``encode`` gave.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from faceinsight.checkpoint import load_model, save_model
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.description import described
from faceinsight.modules.frozen import Frozen, fingerprint

__all__ = ["FaceEncoder", "FaceInsight", "FaceInsightOutput", "FaceModel"]

Features = dict[str, Tensor]
Images = Float[Tensor, "batch 3 height width"]
Masks = UInt8[Tensor, "batch height width"]


@dataclass
class FaceInsightOutput:
    """What a model gives for a batch of faces.

    Args:
        logits: ``[batch, attr]``, in the order of the model's schema.
        features: what ``encode`` gave, by name.
    """

    logits: Float[Tensor, "batch attr"]
    features: Features


class FaceEncoder(nn.Module):
    """Images to named token features: the image encoder and, if there is one, the segmentation encoder.

    Args:
        image_encoder: images to patch tokens. In :class:`Frozen`, it runs without gradient and can be cached.
        segmentation: images and patch tokens to features of the face's parts.
    """

    image_encoder: Any  # an ImageEncoder, in Frozen or not
    segmentation: Any  # a SegmentationEncoder or None

    def __init__(self, *, image_encoder: nn.Module, segmentation: nn.Module | None = None) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.segmentation = segmentation

    @property
    def frozen(self) -> bool:
        """Whether the same image always gives the same features, so that they can be cached."""
        return isinstance(self.image_encoder, Frozen) and (self.segmentation is None or self.segmentation.frozen)

    def forward(self, images: Images, masks: Masks | None = None) -> Features:
        features: Features = {}
        for name in ("image",) if self.segmentation is None else ("image", "segmentation"):
            features[name] = self.feature(name, images, masks, features)
        return features

    def feature(self, name: str, images: Images, masks: Masks | None, known: Features) -> Tensor:
        """One feature by name; ``known`` are those before it, from which it may be computed.

        Args:
            name: ``image``, or ``segmentation``, which needs the image's.
        """
        if name == "image":
            with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(self.image_encoder, Frozen)):
                return self.image_encoder(images)
        return self.segmentation.encode(images, known["image"], self.image_encoder.grid, masks)

    def feature_keys(self) -> dict[str, dict[str, Any]]:
        """For each feature in their order, what it depends on apart from the image: weights and preprocessing."""
        image = {
            "encoder": described(self.image_encoder),
            "weights": fingerprint(self.image_encoder),
            "preprocessing": self.image_encoder.preprocessing,  # of a user's own encoder there is no description
        }
        keys: dict[str, dict[str, Any]] = {"image": image}
        if self.segmentation is not None:
            keys["segmentation"] = {"image": image, "segmentation": self.segmentation.feature_key()}
        return keys


class FaceModel(nn.Module):
    """What the models here have in common: an image encoder, an ``encode`` to be cached, a directory to be kept in.

    Args:
        schema: the order of the logits.
        image_encoder: of the :class:`FaceEncoder`.
        segmentation: of the :class:`FaceEncoder`.
        rules: what the model's predictions are to keep, such as the rules it was trained with; the logits do not
            depend on them.

    Raises:
        ValueError: rules over other attributes.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        segmentation: nn.Module | None = None,
        rules: RuleSet | None = None,
    ) -> None:
        super().__init__()
        if rules is not None:
            schema.check_names(rules.schema.names, "the rules")
        self.schema, self.rules = schema, rules
        self.encoder = FaceEncoder(image_encoder=image_encoder, segmentation=segmentation)

    @property
    def image_encoder(self) -> Any:
        return self.encoder.image_encoder

    @property
    def segmentation(self) -> Any:
        return self.encoder.segmentation

    def encode(self, images: Images, masks: Masks | None = None) -> Features:
        """Image tokens and segmentation features: what can be cached when the encoders are frozen."""
        return self.encoder(images, masks)

    def save_pretrained(self, directory: str | os.PathLike[str], *, include_frozen: bool = False) -> None:
        """Write what was trained, and what it belongs to, into a directory; see :mod:`faceinsight.checkpoint`.

        Args:
            include_frozen: also write the frozen parts; without them, their hashes stand for them.
        """
        save_model(self, directory, include_frozen=include_frozen)

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], **parts: Any) -> "FaceModel":
        """The model of this class that :meth:`save_pretrained` wrote: the same logits to the last bit, evaluation mode.

        Args:
            parts: what the directory lacks, by the name of the argument: frozen parts and a user's own classes. A part
                of a part goes by its path: ``**{"segmentation.parser": parser}``. The error names all that are wanted.

        Raises:
            FileNotFoundError, ValueError: as :func:`faceinsight.checkpoint.load_model`.
        """
        return load_model(cls, directory, parts)


class FaceInsight(FaceModel):
    """The structured multimodal model: every part is given built, and a part that is None is not built.

    Args:
        schema: names, prompts and groups of the attributes; the order of the logits.
        image_encoder: a (usually frozen) :class:`~faceinsight.modules.image_encoder.ImageEncoder`.
        projector: patch tokens to the language model's width.
        text_encoder: attribute prompts to T^0, see :mod:`faceinsight.modules.text_encoder`.
        query: a :class:`~faceinsight.modules.attribute_query.AttributeQuery`.
        language_model: a (usually frozen) :class:`~faceinsight.modules.language_model.LanguageModel`.
        head: hidden states to logits, shared by all attributes; without one, the language model's own yes/no rows
            answer, which means something only if the language model was trained.
        segmentation: a :class:`~faceinsight.modules.segmentation.SegmentationEncoder`.
        correlation: a :class:`~faceinsight.modules.correlation.CorrelationConstraint`: T^0 to T_p.
        instruction: text before the image tokens.
        question: a template with ``{prompt}``, asked before each attribute's soft tokens.
        rules: what its predictions are to keep, see :class:`FaceModel`.

    Raises:
        ValueError: rules, or the correlation constraint's graph, over other attributes than the schema's.
    """

    language_model: Any  # a LanguageModel, in Frozen or not

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        projector: nn.Module,
        text_encoder: nn.Module,
        query: AttributeQuery,
        language_model: nn.Module,
        head: nn.Module | None = None,
        segmentation: nn.Module | None = None,
        correlation: nn.Module | None = None,
        instruction: str = "",
        question: str = "",
        rules: RuleSet | None = None,
    ) -> None:
        super().__init__(schema=schema, image_encoder=image_encoder, segmentation=segmentation, rules=rules)
        if isinstance(graph := getattr(correlation, "graph", None), LabelGraph):
            schema.check_names(graph.names, "the label graph")
        self.projector = projector
        self.text_encoder = text_encoder
        self.correlation = correlation
        self.query = query
        self.language_model = language_model
        self.head = head
        self.instruction, self.question = instruction, question

    def prompts(self) -> Float[Tensor, "attr dim"]:
        """T_p: the attributes' prompts, refined by the correlation constraint if there is one."""
        prompts = self.text_encoder(self.schema.prompts, self.language_model)
        return prompts if self.correlation is None else self.correlation(prompts)

    def prefix(self, features: Features) -> Float[Tensor, "batch token dim"]:
        """What all attributes share: the instruction, the image tokens, the segmentation tokens."""
        tokens = [self.projector(features["image"])]
        if self.encoder.segmentation is not None:
            tokens.append(self.encoder.segmentation(features["segmentation"]))
        if self.instruction:
            words = self.language_model.embed_text(self.instruction)
            tokens.insert(0, words.expand(len(tokens[0]), -1, -1))
        return torch.cat(tokens, dim=1)

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Logits for every attribute of every face.

        Args:
            images: RGB in [0, 1]; or give ``features``, as :meth:`encode` made them.
            masks: stored parsing masks, for a segmentation encoder without a parser of its own.
        """
        features = given_features(self.encoder, images, masks, features)
        questions = None
        if self.question:
            texts = [self.question.format(prompt=prompt) for prompt in self.schema.prompts]
            questions = [self.language_model.embed_text(text) for text in texts]
        hidden = self.query(self.prefix(features), self.prompts(), self.language_model, questions)
        answer = self.language_model.yes_no_logits if self.head is None else self.head
        return FaceInsightOutput(logits=answer(hidden), features=features)


def given_features(
    encoder: FaceEncoder, images: Images | None, masks: Masks | None, features: Features | None
) -> Features:
    """The features as given, or encoded from the images; exactly one of the two must be there."""
    if (images is None) == (features is None):
        raise ValueError("give either images or features, got " + ("neither" if images is None else "both"))
    return encoder(images, masks) if features is None else features
