"""FaceInsight put together.

Source: FaceInsight (https://arxiv.org/abs/2504.15624): image tokens and segmentation tokens enter a mostly frozen LLM;
attribute prompts are refined by the correlation constraint. How the prompts join the LLM's input, and the shared head,
are choices of this library; see :mod:`faceinsight.modules.attribute_query`.

Every model here splits in two: ``encode`` is the part without trained weights (when its encoders are frozen), which
can be computed once for each face and cached; ``forward`` also takes what ``encode`` gave.
"""

import inspect
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from jaxtyping import Float, UInt8
from PIL.Image import Image
from torch import Tensor, nn

from faceinsight.data.images import Crop, Picture, PictureOptions, image_batch
from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.saving.checkpoint import load_model, save_model
from faceinsight.models.saving.hub import fetched, push
from faceinsight.models.speaking import DESCRIBE, ask
from faceinsight.modules.attribute_query import AttributeQuery, mean_over_paraphrases
from faceinsight.modules.attribute_tokens import MLPQuery
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.contracts import (
    EVIDENCE,
    IMAGE_ENCODER,
    LANGUAGE_MODEL,
    SEGMENTATION,
    ImageEncoderLike,
    LanguageModelLike,
    SegmentationLike,
)
from faceinsight.modules.description import described
from faceinsight.modules.evidence import Evidence, Gate, pool_levels
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.modules.language.answers import answer_sum_and_count
from faceinsight.modules.language.prompt import between_words, check_asked, check_places, embedded_words, whole_prompt
from faceinsight.modules.language_model import NO, YES
from faceinsight.modules.logic.rule_tables import refuse_nan

if TYPE_CHECKING:
    from typing import Self

    from faceinsight.models.predicting.predictions import Predictions
else:  # while it runs, a class that configurations and the tests' type checker can look up
    Self = "FaceModel"
    Predictions = Any

__all__ = ["FaceEncoder", "FaceInsight", "FaceInsightOutput", "FaceModel"]

Features = dict[str, Tensor]
Images = Float[Tensor, "batch 3 height width"]
Masks = UInt8[Tensor, "batch height width"]
Words = Float[Tensor, "_ dim"]
Scores = Float[Tensor, "batch observed"]


@dataclass
class FaceInsightOutput:
    """What a model gives for a batch of faces.

    Read probabilities from :attr:`probability`, not from the sigmoid of the logits. Of a model with rules the logits
    are those of independent attributes *before* the rules condition them: seven races that exclude each other may sum
    to 1.9 under a sigmoid. Without rules :attr:`probability` is the sigmoid.

    Args:
        logits: ``[batch, attr]``, in the order of the model's schema.
        features: what ``encode`` gave, by name.
        rules: the model's rules; None if it has none.

    >>> schema = Schema.from_names(["Young", "Middle", "Old"])
    >>> rules = RuleSet.parse("exactly_one(Young, Middle, Old)", schema)
    >>> output = FaceInsightOutput(torch.tensor([[1.0, 0.0, -1.0]]), {}, rules)
    >>> output.logits.sigmoid().sum(), output.probability.sum()
    (tensor(1.5000), tensor(1.))
    >>> output.mode
    tensor([[1., 0., 0.]])
    """

    logits: Float[Tensor, "batch attr"]
    features: Features
    rules: RuleSet | None = None

    @property
    def distribution(self) -> ConstrainedBernoulli:
        """The exact distribution over faces that keep the rules: samples, entropy, what if some attribute were known.

        Raises:
            InputError: a model without rules, or logits that are NaN.
        """
        if self.rules is None:
            raise InputError("a model without rules has independent attributes: Bernoulli(logits=output.logits)")
        return ConstrainedBernoulli(logits=self.logits, rules=self.rules, validate_args=True)

    @property
    def marginals(self) -> Float[Tensor, "batch attr"]:
        """``p(attribute | rules)`` of each attribute, exact; the sigmoid of the logits without rules.

        Raises:
            InputError: logits that are NaN.
        """
        if self.rules is not None:
            return self.distribution.marginals
        logits = refuse_nan(self.logits)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()

    @property
    def probability(self) -> Float[Tensor, "batch attr"]:
        """The model's probabilities, those of its metrics: the :attr:`marginals`."""
        return self.marginals

    @property
    def mode(self) -> Float[Tensor, "batch attr"]:
        """The most probable face as 0 and 1; it keeps every rule, which yes above one half need not."""
        if self.rules is not None:
            return self.distribution.mode
        return (refuse_nan(self.logits) > 0).to(self.logits.dtype)


class FaceEncoder(nn.Module):
    """Images to named token features: the image encoder and, if there is one, the segmentation encoder.

    Args:
        image_encoder: images to patch tokens. In :class:`Frozen`, it runs without gradient and can be cached.
        segmentation: images and patch tokens to features of the face's parts.
        mirrored: encode the mirror images, too, for evidence that reads both.
    """

    image_encoder: ImageEncoderLike
    segmentation: SegmentationLike | None

    def __init__(
        self, *, image_encoder: nn.Module, segmentation: nn.Module | None = None, mirrored: bool = False
    ) -> None:
        super().__init__()
        self.image_encoder = IMAGE_ENCODER.check(image_encoder, *([] if segmentation is None else ["grid"]))
        self.segmentation = None if segmentation is None else SEGMENTATION.check(segmentation)
        self.mirrored = mirrored

    @property
    def frozen(self) -> bool:
        """Whether the same image always gives the same features, so that they can be cached."""
        segmentation = self.segmentation
        still = segmentation is None or isinstance(segmentation, Frozen) or segmentation.frozen
        return isinstance(self.image_encoder, Frozen) and still

    def forward(self, images: Images, masks: Masks | None = None) -> Features:
        features: Features = {}
        for name in self.feature_names:
            features[name] = self.feature(name, images, masks, features)
        return features

    @property
    def feature_names(self) -> list[str]:
        """The features in their order: image, mirrored, segmentation, as far as there are such."""
        wanted = {"image": True, "mirrored": self.mirrored, "segmentation": self.segmentation is not None}
        return [name for name, there in wanted.items() if there]

    def feature(self, name: str, images: Images, masks: Masks | None, known: Features) -> Tensor:
        """Return one feature by name; ``known`` are those before it, from which it may be computed.

        Args:
            name: ``image``; ``mirrored``, the tokens of the mirror image; or ``segmentation``, which needs the image's.
        """
        if name in ("image", "mirrored"):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(self.image_encoder, Frozen)):
                return self.image_encoder(images if name == "image" else images.flip(-1))
        if self.segmentation is None:
            raise InputError(f"this model has no segmentation encoder, and so no feature {name!r}")
        return self.segmentation.encode(images, known["image"], self.image_encoder.grid, masks)

    def evidence_inputs(self, features: Features, sources: Sequence[str]) -> Float[Tensor, "batch feature"]:
        """Return the numbers that linear evidence reads of each face.

        Args:
            features: what :meth:`forward` gave.
            sources: ``image``: the image tokens, each slice pooled as the encoder's ``levels`` say, or their mean for
                an encoder without levels; ``mirrored``: the mean of that and the same of the mirror image; ``places``:
                size and place of the face's parts; ``parts``: their appearance, too. The last two are left out of a
                model without segmentation.

        Raises:
            InputError: places of a segmentation route that has none.
        """
        read: list[Tensor] = []
        if "image" in sources:
            read.append(self._pooled(features["image"]))
        if "mirrored" in sources:
            read.append((self._pooled(features["image"]) + self._pooled(features["mirrored"])) / 2)
        if self.segmentation is not None and "places" in sources:
            if (places := getattr(self.segmentation.route, "places", None)) is None:
                raise InputError(
                    f"{type(self.segmentation.route).__name__} has no places of parts; take RegionTokens, or evidence "
                    "with sources=['image']"
                )
            read.append(places(features["segmentation"]))
        if self.segmentation is not None and "parts" in sources:
            read.append(features["segmentation"].flatten(1))
        return torch.cat(read, dim=1)

    def _pooled(self, tokens: Float[Tensor, "batch patch dim"]) -> Float[Tensor, "batch feature"]:
        levels = getattr(self.image_encoder, "levels", None)
        return tokens.mean(1) if levels is None else pool_levels(tokens, self.image_encoder.grid, levels)

    def feature_keys(self) -> dict[str, PlainData]:
        """For each feature in their order, what it depends on apart from the image: weights and preprocessing."""
        encoder = self.get_submodule("image_encoder")
        image = {
            "encoder": described(encoder),
            "weights": fingerprint(encoder),
            "preprocessing": self.image_encoder.preprocessing,  # of a user's own encoder there is no description
        }
        keys: dict[str, PlainData] = {"image": image, "mirrored": {"mirrored": image}}
        if self.segmentation is not None:
            keys["segmentation"] = {"image": image, "segmentation": self.segmentation.feature_key()}
        return {name: keys[name] for name in self.feature_names}


class FaceModel(nn.Module):
    """What the models here have in common: an image encoder, an ``encode`` to be cached, a directory to be kept in.

    Args:
        schema: the order of the logits.
        image_encoder: of the :class:`FaceEncoder`.
        segmentation: of the :class:`FaceEncoder`.
        rules: what the model's predictions are to keep, such as the rules it was trained with. The logits do not
            depend on them; the output's probabilities do, see :class:`FaceInsightOutput`.
        evidence: of which the sources say what the :class:`FaceEncoder` must give.

    Raises:
        ValueError: rules over other attributes, or evidence of other attributes or over encoders that train.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        segmentation: nn.Module | None = None,
        rules: RuleSet | None = None,
        evidence: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if rules is not None:
            schema.check_names(rules.schema.names, "the rules")
        self.schema, self.rules = schema, rules
        mirrored = "mirrored" in getattr(evidence, "sources", ())
        self.encoder = FaceEncoder(image_encoder=image_encoder, segmentation=segmentation, mirrored=mirrored)
        self.evidence = None if evidence is None else EVIDENCE.check(evidence)
        if self.evidence is not None:
            check_evidence(self.evidence.asked, self.encoder, schema)

    @property
    def image_encoder(self) -> ImageEncoderLike:
        return self.encoder.image_encoder

    @property
    def segmentation(self) -> SegmentationLike | None:
        return self.encoder.segmentation

    def images(self, pictures: Picture | Sequence[Picture] | Images) -> Images:
        """One picture or several as this model takes them: squares of its size, RGB in [0, 1].

        Args:
            pictures: files, PIL images, arrays of bytes or tensors; see :func:`faceinsight.data.images.image_batch`.

        Raises:
            BrokenImageError: a file that is missing, or no 8-bit picture.
            InputError: numbers that are no RGB in [0, 1] and no bytes.
        """
        return image_batch(pictures, **self.picture_options).to(next(self.parameters()).device)

    @property
    def picture_options(self) -> PictureOptions:
        """How pictures become this model's images: arguments of a ``FaceDataModule`` or a ``FaceReader``."""
        wanted = self.image_encoder.preprocessing
        crop = Crop(shape=wanted.get("shape", "square"))
        return {"image_size": wanted["image_size"], "interpolation": wanted["interpolation"], "crop": crop}

    def encode(self, images: Images, masks: Masks | None = None) -> Features:
        """Image tokens and segmentation features: what can be cached when the encoders are frozen."""
        return self.encoder(images, masks)

    def predict(
        self,
        source: Picture | Iterable[Picture],
        *,
        batch_size: int = 32,
        broken: Literal["skip", "raise"] = "skip",
        progress: bool | None = None,
    ) -> Predictions:
        """Return what this model says of the faces of pictures: exact, consistent, without gradient, in batches.

        The pictures are crops of faces, as the image encoder's card describes them. No face is looked for.

        Args:
            source: a file, a folder (with all below it, sorted), a pattern such as ``"photos/*.jpg"``, a PIL image, an
                array or a tensor; or several of them. See :func:`faceinsight.models.predicting.found.find_pictures`.
            batch_size: pictures at a time.
            broken: what happens to pictures that cannot be read: they are left out and listed in
                ``Predictions.broken``, or the first is an error.
            progress: show a bar; by default on a terminal, for more pictures than one batch.

        Raises:
            InputError: no such file or folder, or no pictures in it; another value of an option.
            BrokenImageError: a picture that cannot be read, with ``broken="raise"``.
        """
        from faceinsight.models.predicting.predictions import predict

        return predict(self, source, batch_size=batch_size, broken=broken, progress=progress)

    def save_pretrained(self, directory: str | os.PathLike[str], *, include_frozen: bool = False) -> None:
        """Write what was trained, and what it belongs to, into a directory; see
        :mod:`faceinsight.models.saving.checkpoint`.

        Args:
            include_frozen: also write the frozen parts; without them, their hashes stand for them.
        """
        save_model(self, directory, include_frozen=include_frozen)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        include_frozen: bool = False,
        private: bool | None = None,
        revision: str | None = None,
    ) -> str:
        """Put what :meth:`save_pretrained` writes into a repository of the hub; see
        :mod:`faceinsight.models.saving.hub`.

        Args:
            repo_id: such as ``"user/name"``; it is made if it is not there.
            include_frozen: as for :meth:`save_pretrained`.
            private: of a repository that is made now; as its owner has set by default.
            revision: the branch; ``main`` by default.

        Returns:
            The commit, by which :meth:`from_pretrained` finds this very model again.
        """
        return push(self, repo_id, include_frozen=include_frozen, private=private, revision=revision)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | os.PathLike[str],
        *,
        revision: str | None = None,
        schema: Schema | None = None,
        rules: RuleSet | None = None,
        graph: LabelGraph | None = None,
        **parts: Any,
    ) -> Self:
        """Return the model of this class that :meth:`save_pretrained` wrote: the same logits to the last bit,
        evaluation mode.

        Args:
            directory: or the id of a repository on the hub, ``"user/name"``; or ``"tiny"``, the :class:`FaceInsight`
                that ships with the package (a directory of that name is ``"./tiny"``).
            revision: the repository's commit, branch or tag; of a directory there is none.
            schema: ask it for these attributes, in place of those it was trained on: by their prompts alone, to begin
                with. For a model that has no weights of its own for each attribute, such as a :class:`FaceInsight`
                with a :class:`~faceinsight.modules.text_encoder.TextEncoder`.
            rules: with ``schema``: what its predictions are to keep; nothing by default.
            graph: with ``schema``: the label graph, for a model with a correlation constraint.
            parts: what the directory lacks, by the name of the argument: a user's own classes, and frozen parts but for
                those of :mod:`faceinsight.tiny`. A part of a part goes by its path: ``**{"segmentation.parser":
                parser}``. The error names all that are wanted.

        Raises:
            FileNotFoundError, ValueError: as :func:`faceinsight.models.saving.checkpoint.load_model` and
                :func:`faceinsight.models.saving.hub.fetched`.
        """
        return load_model(cls, fetched(directory, revision), parts, schema=schema, rules=rules, graph=graph)


class FaceInsight(FaceModel):
    """The structured multimodal model: every part is given built, and a part that is None is not built.

    Args:
        schema: names, prompts and groups of the attributes; the order of the logits.
        image_encoder: a (usually frozen) :class:`~faceinsight.modules.image_encoder.ImageEncoder`.
        projector: patch tokens to the language model's width.
        text_encoder: attribute prompts to T^0, see :mod:`faceinsight.modules.text_encoder`; None for a query without
            soft tokens, which reads each attribute at the end of its question.
        query: a :class:`~faceinsight.modules.attribute_query.AttributeQuery`.
        language_model: a (usually frozen) :class:`~faceinsight.modules.language_model.LanguageModel`.
        head: hidden states to logits, shared by all attributes; without one, the language model's own yes/no rows
            answer, which means something only if the language model was trained.
        segmentation: a :class:`~faceinsight.modules.segmentation.SegmentationEncoder`.
        correlation: a :class:`~faceinsight.modules.correlation.CorrelationConstraint`: T^0 to T_p.
        attribute_tokens: an :class:`~faceinsight.modules.attribute_tokens.AttributeTokens`: each attribute's prompt
            looks at the image itself, and its segment begins with what it found. Not in the paper.
        instruction: text before the image tokens; or the whole conversation, with ``{image}`` and ``{question}`` in it.
        question: a template with ``{prompt}``, asked before each attribute's soft tokens; several are paraphrases,
            whose logits are averaged. An attribute with questions of its own in the schema is asked those.
        rules: what its predictions are to keep, see :class:`FaceModel`.
        evidence: an :class:`~faceinsight.modules.evidence.Evidence`: the logits are then ``e + g r``, e the evidence, r
            the language model's reading. Not in the paper.
        gate: g, a :class:`~faceinsight.modules.evidence.Gate`; built with its defaults where only evidence is given.
        yes, no: spellings of the answers that the language model's own rows are read for, of each the likelier; by
            default "Yes" or "yes", and "No" or "no", with a space before it where the prompt's end wants one.

    Raises:
        InputError: evidence of other attributes, or over encoders that train; a gate without evidence.
        ValueError: rules, or the correlation constraint's graph, over other attributes than the schema's; a question
            without a place, or nothing by which attributes could be told apart.
    """

    language_model: LanguageModelLike

    def __init__(
        self,
        *,
        schema: Schema,
        image_encoder: nn.Module,
        projector: nn.Module,
        query: AttributeQuery | MLPQuery,
        language_model: nn.Module,
        text_encoder: nn.Module | None = None,
        head: nn.Module | None = None,
        segmentation: nn.Module | None = None,
        correlation: nn.Module | None = None,
        attribute_tokens: nn.Module | None = None,
        instruction: str = "",
        question: str | Sequence[str] = "",
        rules: RuleSet | None = None,
        evidence: nn.Module | None = None,
        gate: nn.Module | None = None,
        yes: Sequence[str] | None = None,
        no: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            schema=schema, image_encoder=image_encoder, segmentation=segmentation, rules=rules, evidence=evidence
        )
        if evidence is None and gate is not None:
            raise InputError("a gate without evidence; give both, or leave the gate out")
        self.gate = Gate() if evidence is not None and gate is None else gate
        if isinstance(graph := getattr(correlation, "graph", None), LabelGraph):
            schema.check_names(graph.names, "the label graph")
        check_asked(instruction, question, query, text_encoder, correlation)
        self.projector = projector
        self.text_encoder = text_encoder
        self.correlation = correlation
        if attribute_tokens is not None and text_encoder is None:
            raise InputError("attribute tokens look at the image with the attributes' prompts; give a text_encoder")
        self.attribute_tokens = attribute_tokens
        self.query = query
        self.language_model = LANGUAGE_MODEL.check(language_model)
        self.head = head
        self.instruction, self.question = instruction, question
        self.yes, self.no = yes, no
        for each in schema.attributes:
            for text in each.questions:
                check_places(f"the question of {each.name!r}", text)

    @classmethod
    def from_llava(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        schema: Schema,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        lora: dict[str, Any] | None = None,
        segmentation: nn.Module | None = None,
        text_encoder: nn.Module | None = None,
        correlation: nn.Module | None = None,
        attribute_tokens: nn.Module | None = None,
        query: AttributeQuery | MLPQuery | None = None,
        head: nn.Module | None = None,
        rules: RuleSet | None = None,
        question: str | Sequence[str] | None = None,
        **parts: Any,
    ) -> "FaceInsight":
        """Return a LLaVA or InternVL checkpoint as it is: every attribute asked in its own conversation, nothing
        trained yet.

        Vision tower and language model are frozen, the projector is not. Without further parts the logits are the
        checkpoint's own ``z_yes - z_no`` (the training-free setting). Parts and texts that are given are those of the
        constructor.

        Args:
            name_or_path: a local directory, or the id of a model on the hub.
            revision: the commit of a hub model.
            dtype: of the weights, such as ``"bfloat16"``; as they were saved by default.
            attn_implementation: as for :func:`~faceinsight.modules.language.multimodal.multimodal_parts`.
            lora: arguments of a :class:`~faceinsight.modules.language.lora.LoRA` round the checkpoint's language model,
                such as ``{"rank": 16}``; without, it stays frozen.
            query: by default each attribute is read at the end of its question.
            question: LLaVA's prompt for short answers by default; ``""`` asks in soft tokens alone.
            parts: further arguments of the constructor: ``evidence``, ``instruction``, ``yes``, ... or a part in place
                of the checkpoint's.

        Raises:
            FileNotFoundError, ValueError: as :func:`~faceinsight.modules.language.multimodal.multimodal_parts`.
            InputError: an argument that the constructor does not have, or both ``lora`` and a language model.
        """
        from faceinsight.modules.language.lora import LoRA
        from faceinsight.modules.language.multimodal import QUESTION, conversation, family_of, multimodal_parts

        if unknown := sorted(parts.keys() - inspect.signature(cls).parameters.keys()):
            known = ", ".join(inspect.signature(cls).parameters)
            raise InputError(f"a {cls.__name__} has no argument {unknown[0]!r}; it has {known}")
        if lora is not None and "language_model" in parts:
            raise InputError("lora is put round the checkpoint's own language model; give one of the two")
        if rules is not None:
            schema.check_names(rules.schema.names, "the rules")
        loaded = multimodal_parts(name_or_path, revision=revision, dtype=dtype, attn_implementation=attn_implementation)
        given: dict[str, Any] = {**loaded, **parts}
        if lora is not None:
            given["language_model"] = LoRA(module=given["language_model"], **lora)
        given["query"] = query or AttributeQuery(embed_dim=given["language_model"].embed_dim, num_tokens=0)
        if "instruction" not in given:
            given["instruction"] = conversation(given["language_model"], family_of(name_or_path, revision))
        return cls(
            schema=schema,
            segmentation=segmentation,
            text_encoder=text_encoder,
            correlation=correlation,
            attribute_tokens=attribute_tokens,
            head=head,
            rules=rules,
            question=QUESTION if question is None else question,
            **given,
        ).eval()

    def prompts(self) -> Float[Tensor, "attr dim"] | None:
        """T_p: the attributes' prompts, refined by the correlation constraint; None where no text encoder is built."""
        if self.text_encoder is None:
            return None
        prompts = self.text_encoder(self.schema.prompts, self.language_model)
        return prompts if self.correlation is None else self.correlation(prompts)

    def questions(self) -> tuple[tuple[str, ...], ...]:
        """Return the paraphrases that ask for each attribute; one empty text where there is no question."""
        templates = [self.question] if isinstance(self.question, str) else [*self.question]
        return self.schema.questions(templates) if any(templates) else (("",),) * len(self.schema)

    def words(self) -> tuple[Words, Words, list[Words]]:
        """Return the embedded words before the image; after it, those of all questions alike; and each question's
        own.
        """
        questions = [text for paraphrases in self.questions() for text in paraphrases]
        leave = 1 if self.text_encoder is None else 0  # the answer is read at a token of the question's own
        return embedded_words(self.language_model, self.instruction, questions, leave)

    def face_tokens(self, features: Features) -> Float[Tensor, "batch token dim"]:
        """Return what the language model sees of each face: its image tokens, then its segmentation tokens.

        Raises:
            ValueError: features with another number of image tokens than the image encoder gives.
        """
        wanted = getattr(self.image_encoder, "num_tokens", None)
        if wanted not in (None, found := features["image"].shape[1]):
            raise InputError(
                f"the features hold {found} image tokens for each face, this model's image encoder gives {wanted}; "
                "encode the images with it again"
            )
        tokens = [self.projector(features["image"])]
        if self.encoder.segmentation is not None:
            tokens.append(self.encoder.segmentation(features["segmentation"]))
        return torch.cat(tokens, dim=1)

    def prefix(self, features: Features) -> Float[Tensor, "batch token dim"]:
        """Return what all attributes share: instruction, image tokens, segmentation tokens, the questions' common
        beginning.

        Raises:
            ValueError: as :meth:`face_tokens`.
        """
        before, shared, _ = self.words()
        return between_words(before, self.face_tokens(features), shared)

    def answer_sum_and_count(
        self, features: Features, texts: Sequence[tuple[str, str] | None]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the next-token loss of the faces' answers, summed over the answers' tokens, and their number.

        Args:
            features: of the faces, as :meth:`encode` made them.
            texts: question and answer for each face; faces with None are left out.
        """
        asked = [number for number, text in enumerate(texts) if text is not None]
        tokens = self.face_tokens(features)
        if not asked:
            return 0 * tokens.sum(), tokens.new_zeros(())
        chosen = [text for text in texts if text is not None]
        return answer_sum_and_count(self.language_model, tokens[asked], self.instruction, chosen)

    @overload
    def ask(self, image: str | os.PathLike[str] | Image, question: str, **options: Any) -> str: ...
    @overload
    def ask(self, image: list[Any] | tuple[Any, ...], question: str, **options: Any) -> list[str]: ...
    @overload
    def ask(self, image: Tensor, question: str, **options: Any) -> Any: ...
    def ask(self, image: Picture | Sequence[Picture], question: str, **options: Any) -> str | list[str]:
        """Return what the language model answers to a question about a face; for several images, a list of its answers.

        Greedy unless asked otherwise, through transformers' own ``generate``.

        Args:
            image: a file, a PIL image, or a tensor ``[3, height, width]`` of the encoder's size, RGB in [0, 1]; or
                several, as a list or a tensor ``[batch, 3, height, width]``.
            options: ``masks`` for a segmentation encoder without a parser, ``max_new_tokens`` (128), and whatever
                transformers' ``generate`` takes: ``do_sample=True, temperature=0.7``, ...

        Raises:
            ValueError: an empty question, or an option that is filled in here.
            BrokenImageError: a file that is missing, or no 8-bit picture.
        """
        return ask(self, image, question, **options)

    @overload
    def describe(self, image: str | os.PathLike[str] | Image, **options: Any) -> str: ...
    @overload
    def describe(self, image: list[Any] | tuple[Any, ...], **options: Any) -> list[str]: ...
    @overload
    def describe(self, image: Tensor, **options: Any) -> Any: ...
    def describe(self, image: Picture | Sequence[Picture], **options: Any) -> str | list[str]:
        """Return what the language model says when it is asked to describe a face; arguments as for :meth:`ask`."""
        return ask(self, image, DESCRIBE, **options)

    def forward(
        self,
        images: Images | None = None,
        *,
        masks: Masks | None = None,
        features: Features | None = None,
        scores: Scores | None = None,
    ) -> FaceInsightOutput:
        """Logits for every attribute of every face; their probabilities are the output's, see
        :class:`FaceInsightOutput`.

        Args:
            images: RGB in [0, 1]; or give ``features``, as :meth:`encode` made them.
            masks: stored parsing masks, for a segmentation encoder without a parser of its own.
            scores: leave-one-out scores of the evidence, in place of its own, for faces that it was fitted on.
        """
        features = given_features(self.encoder, images, masks, features)
        prompts, (_, _, questions) = self.question_prompts(), self.words()
        seen = self.seen_by_attributes(prompts, features)
        logits = self.read_states(self.query(self.prefix(features), prompts, self.language_model, questions, seen))
        if self.evidence is not None:
            reading = logits if self.gate is None else self.gate(logits)
            logits = evidence_logits(self.evidence, self.encoder, features, scores) + reading
        return FaceInsightOutput(logits, features, self.rules)

    def question_prompts(self) -> Float[Tensor, "question dim"] | None:
        """Return T_p of each question: an attribute's prompt, once for each of its paraphrases."""
        prompts = self.prompts()
        if prompts is None:
            return None
        counts = [len(paraphrases) for paraphrases in self.questions()]
        times = torch.tensor(counts, device=prompts.device)
        return prompts.repeat_interleave(times, dim=0, output_size=sum(counts))

    def seen_by_attributes(
        self, prompts: Float[Tensor, "question dim"] | None, features: Features
    ) -> Float[Tensor, "batch question _"] | None:
        """Return each face's own token for each question; None of a model without attribute tokens."""
        if self.attribute_tokens is None or prompts is None:
            return None
        seen: Tensor = self.attribute_tokens(prompts, features["image"])
        return seen

    def read_states(self, hidden: Float[Tensor, "batch question dim"]) -> Float[Tensor, "batch attr"]:
        """Return r, the language model's reading, from the states at which the questions end."""
        answers = self.yes_no_logits(hidden) if self.head is None else self.head(hidden)
        return mean_over_paraphrases(answers, [len(paraphrases) for paraphrases in self.questions()])

    def yes_no_logits(self, hidden: Float[Tensor, "batch question dim"]) -> Float[Tensor, "batch question"]:
        """Return the language model's own answers, where each question's prompt ends."""
        return self.language_model.yes_no_logits(hidden, endings=self.endings(), yes=self.yes or YES, no=self.no or NO)

    def endings(self) -> list[str]:
        """Return what the prompt of each question ends with."""
        after = whole_prompt(self.instruction).partition("{image}")[2]
        return [after.replace("{question}", text) for paraphrases in self.questions() for text in paraphrases]

    def answer_tokens(self) -> list[tuple[list[int], list[int]]] | None:
        """Return the tokens that are read as yes and as no after each question; None of a model with a head of its
        own.
        """
        if self.head is not None:
            return None
        return [self.language_model.answer_tokens(each, self.yes or YES, self.no or NO) for each in self.endings()]


def check_evidence(asked: Sequence[str], encoder: FaceEncoder, schema: Schema) -> None:
    """Refuse evidence that was, or would be, fitted on something else than the model gives.

    Raises:
        InputError: evidence of other attributes, or over encoders that train.
    """
    if tuple(asked) != schema.names:
        raise InputError(
            f"the evidence is of {len(asked)} attributes, the schema {schema.name!r} has {len(schema)}, in "
            "another order or by other names; build it with Evidence.for_schema(schema=...)"
        )
    if not encoder.frozen:
        raise InputError("evidence is fitted once on what the encoders see, so they must be in Frozen")


def evidence_logits(
    evidence: Evidence, encoder: FaceEncoder, features: Features, scores: Scores | None
) -> Float[Tensor, "batch attr"]:
    """Return the evidence of features, or of leave-one-out scores that were given in place of its own.

    Raises:
        InputError: scores of another number of faces.
    """
    if scores is not None:
        if len(scores) != (faces := len(features["image"])):
            raise InputError(f"scores of {len(scores)} faces were given for {faces}; give one row for each face")
        return evidence.logits(scores)
    return evidence(encoder.evidence_inputs(features, evidence.sources))


def given_features(
    encoder: FaceEncoder, images: Images | None, masks: Masks | None, features: Features | None
) -> Features:
    """Return the features as given, or encoded from the images; exactly one of the two must be there.

    Raises:
        InputError: neither or both, or features that lack what the encoder would give.
    """
    if (images is None) == (features is None):
        raise InputError("give either images or features, got " + ("neither" if images is None else "both"))
    if features is None:
        return encoder(images, masks)
    if missing := [name for name in encoder.feature_names if name not in features]:
        raise InputError(f"the features lack {', '.join(missing)}; give all that the model's encode(images) gave")
    return features
