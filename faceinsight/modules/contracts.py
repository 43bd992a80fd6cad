"""What a model asks of the parts that it is given, whoever wrote them; checked once, when a part is given.

The protocols are for type checkers. While the library runs, any module may stand for one of them: a part in
:class:`~faceinsight.modules.frozen.Frozen` passes on what the part has, which ``isinstance`` does not see. So each
:class:`Contract` looks for what it needs by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, NotRequired, Protocol, TypedDict, TypeVar, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from transformers import PreTrainedConfig

from faceinsight.errors import InputError
from faceinsight.files import PlainData

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from faceinsight.modules.evidence import Evidence
    from faceinsight.modules.segmentation import MapTokens, RegionTokens

__all__ = [
    "EVIDENCE",
    "IMAGE_ENCODER",
    "LANGUAGE_MODEL",
    "SEGMENTATION",
    "Contract",
    "ImageEncoderLike",
    "LanguageModelLike",
    "Preprocessing",
    "SegmentationLike",
]

T = TypeVar("T")


class Preprocessing(TypedDict):
    """What a picture must have become before an encoder reads it.

    Args:
        image_size: height and width in pixels.
        mean: of red, green and blue in [0, 1].
        std: as ``mean``.
        interpolation: the filter by which pictures are resized, by Pillow's name.
        shape: what of a picture is seen; its centred square by default.
    """

    image_size: int
    mean: list[float]
    std: list[float]
    interpolation: str
    shape: NotRequired[Literal["square", "whole"]]


@runtime_checkable
class ImageEncoderLike(Protocol):
    """Images to patch tokens: an :class:`~faceinsight.modules.image_encoder.ImageEncoder` or what looks like one."""

    @property
    def embed_dim(self) -> int:
        """Width of a token."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the tokens."""

    @property
    def num_tokens(self) -> int:
        """Tokens per image."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What the images must be."""

    def __call__(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        """Encode RGB images in [0, 1], in row-major order of the grid."""


@runtime_checkable
class SegmentationLike(Protocol):
    """A :class:`~faceinsight.modules.segmentation.SegmentationEncoder` or what looks like one."""

    @property
    def frozen(self) -> bool:
        """Whether ``encode`` holds no trained weight."""

    @property
    def parser(self) -> nn.Module | None:
        """Where the parsing maps come from; None where they are stored."""

    @property
    def route(self) -> "RegionTokens | MapTokens":
        """How a parsing map becomes tokens."""

    def class_map(
        self,
        images: Float[Tensor, "batch channel height width"] | None,
        masks: UInt8[Tensor, "batch height width"] | None = None,
    ) -> UInt8[Tensor, "batch rows columns"]:
        """Return the most probable part at every pixel."""

    def feature_key(self) -> PlainData:
        """Return what the features depend on."""

    def encode(
        self,
        images: Float[Tensor, "batch channel height width"] | None,
        image_tokens: Float[Tensor, "batch patch dim"] | None,
        grid: tuple[int, int] | None,
        masks: UInt8[Tensor, "batch height width"] | None = None,
    ) -> Float[Tensor, "batch token feature"]:
        """Return what can be cached."""

    def __call__(self, features: Float[Tensor, "batch token feature"]) -> Float[Tensor, "batch _ dim"]:
        """Return the tokens of what :meth:`encode` gave."""


@runtime_checkable
class LanguageModelLike(Protocol):
    """A :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen, in LoRA, or as it is."""

    @property
    def backbone(self) -> "PreTrainedModel":
        """The causal language model of transformers."""

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The backbone's own."""

    @property
    def image_token(self) -> str | None:
        """The text that stands for the image; None for a model that was trained on text alone."""

    @property
    def image_frame(self) -> tuple[str, str]:
        """The texts right before and after the image."""

    @property
    def config(self) -> "PreTrainedConfig":
        """The text model's configuration."""

    @property
    def embed_dim(self) -> int:
        """Width of an embedding."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def token_ids(self, text: str) -> Int[Tensor, " token"]:
        """Return the tokens of a text."""

    def prompt_ids(self, before: str, after: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt before and after its image."""

    def embed_tokens(self, ids: Int[Tensor, " token"]) -> Float[Tensor, "token dim"]:
        """Return the input embeddings of tokens."""

    def __call__(
        self,
        embeddings: Float[Tensor, "batch token dim"],
        *,
        allowed: Bool[Tensor, "token token"] | None = None,
        positions: Int[Tensor, " token"] | None = None,
        cache: "DynamicCache | None" = None,
    ) -> Float[Tensor, "batch token dim"]:
        """Return the last hidden states."""

    def remember(self, prefix: Float[Tensor, "batch token dim"]) -> "DynamicCache":
        """Return the keys and values of a prefix."""

    def logits(
        self, hidden: Float[Tensor, "*batch dim"], tokens: Int[Tensor, " token"] | None = None
    ) -> Float[Tensor, "*batch token"]:
        """Return the head's logits of the next token."""

    def yes_no_logits(
        self, hidden: Float[Tensor, "*batch dim"], *, yes: Sequence[str], no: Sequence[str], endings: Sequence[str]
    ) -> Float[Tensor, "*batch"]:
        """Return ``z_yes - z_no``."""

    def answer_tokens(self, ending: str, yes: Sequence[str], no: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the tokens of yes and of no after a prompt."""


for protocol in (ImageEncoderLike, SegmentationLike, LanguageModelLike):
    protocol.register(nn.Module)


@dataclass(frozen=True)
class Contract(Generic[T]):
    """What a part must have.

    Args:
        says: what the part is and what gives one, in words.
        members: names that it must have.
    """

    says: str
    members: tuple[str, ...] = ()

    def check(self, part: object, *more: str) -> T:
        """Return the part.

        Args:
            more: names that this use of it needs, too.

        Raises:
            InputError: no module, a class, or a module without one of the members.
        """
        if isinstance(part, type):
            raise InputError(f"{self.says}; got the class {part.__name__}, not built")
        if not isinstance(part, nn.Module):
            raise InputError(f"{self.says}; got {type(part).__name__}")
        if lacking := [name for name in (*self.members, *more) if not hasattr(part, name)]:
            raise InputError(f"{self.says}; got {type(part).__name__}, which has no {lacking[0]!r}")
        return cast(T, part)


EVIDENCE: "Contract[Evidence]" = Contract(
    "evidence is an Evidence, such as Evidence.for_schema(schema=..., num_features=...)", ("asked", "sources", "logits")
)

#: Of an image encoder of one's own only the call is needed; the rest by what is asked of it.
IMAGE_ENCODER: Contract[ImageEncoderLike] = Contract(
    "an image encoder is a torch.nn.Module from images to tokens [face, patch, dim], such as an ImageEncoder"
)

SEGMENTATION: Contract[SegmentationLike] = Contract(
    "a segmentation encoder makes tokens of parsing maps, such as SegmentationEncoder(parser=..., route=...)",
    ("encode", "frozen"),
)

LANGUAGE_MODEL: Contract[LanguageModelLike] = Contract(
    "a language model is a LanguageModel, such as LanguageModel(backbone=..., tokenizer=...) of a transformers model",
    ("backbone", "tokenizer", "prompt_ids", "embed_tokens"),
)
