"""The segmentation encoder: the parts of the face as tokens for the language model.

The parsing map comes from a parser or from a stored mask, and enters by one of two routes: ``map`` (the paper's: the
map, drawn as an image, through a ViT) or ``region`` (one token for each part of the face). Both routes have a frozen
step, ``encode``, whose result is one tensor per face and can be cached, and a trained step, ``forward``.

Source: FaceInsight, segmentation encoder: https://arxiv.org/abs/2504.15624. The paper says that the map is encoded by
a pre-trained ViT and joins the image tokens; parser, sizes and the route ``region`` are choices of this library.
"""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.knowledge.face_parts import FACE_PARTS, PALETTE
from faceinsight.modules.contracts import IMAGE_ENCODER, ImageEncoderLike
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.modules.projector import Projector
from faceinsight.modules.vision.face_regions import PLACE_FEATURES, colour_parsing, parsing_of_masks, pool_regions

__all__ = ["MapTokens", "RegionTokens", "SegmentationEncoder"]

Images = Float[Tensor, "batch channel height width"]
Masks = UInt8[Tensor, "batch height width"]
Parsing = Float[Tensor, "batch region rows columns"]


class RegionTokens(nn.Module):
    """One token for each part of the face: what it looks like and where it is.

    A part that is not there has a learned token of its own (``absent``), which gets no gradient from a batch in which
    every part is there. Each part's token also carries a learned mark of which part it is.

    Args:
        image_dim: width of the image tokens.
        embed_dim: width of the tokens that are wanted.
        num_regions: number of parts.
        absent_below: a part with a smaller share of the pixels is absent.
    """

    #: the frozen step has no weights of its own
    frozen = True

    #: where no part is absent, their token has no gradient; see :class:`faceinsight.training.callbacks.GradientCheck`
    may_lack_gradient = ("absent",)

    def __init__(
        self,
        *,
        image_dim: int,
        embed_dim: int,
        num_regions: int = len(FACE_PARTS),
        absent_below: float = 0.0005,
    ) -> None:
        super().__init__()
        self.image_dim, self.embed_dim = image_dim, embed_dim
        self.num_regions, self.absent_below = num_regions, absent_below
        self.projector = Projector(in_dim=image_dim + len(PLACE_FEATURES) - 1, out_dim=embed_dim)
        self.absent = nn.Parameter(torch.randn(num_regions, embed_dim) * 0.02)
        self.region = nn.Parameter(torch.randn(num_regions, embed_dim) * 0.02)

    @property
    def num_tokens(self) -> int:
        """Tokens per image: one for each part."""
        return self.num_regions

    def encode(
        self, parsing: Parsing, image_tokens: Float[Tensor, "batch patch dim"] | None, grid: tuple[int, int] | None
    ) -> Float[Tensor, "batch region feature"]:
        """Return the frozen step: :func:`~faceinsight.modules.vision.face_regions.pool_regions`."""
        if image_tokens is None or grid is None:
            raise InputError("the route 'region' pools image tokens: give image_tokens and their grid (rows, columns)")
        return pool_regions(image_tokens, grid, parsing, self.absent_below)

    def places(self, features: Float[Tensor, "batch region feature"]) -> Float[Tensor, "batch number"]:
        """Size, place and presence of every part, side by side: :data:`PLACE_FEATURES` numbers a part."""
        return rearrange(features[..., -len(PLACE_FEATURES) :], "batch region number -> batch (region number)")

    def forward(self, features: Float[Tensor, "batch region feature"]) -> Float[Tensor, "batch region dim"]:
        """Return the trained step: pooled features to tokens."""
        present = features[..., -1:] > 0.5
        return torch.where(present, self.projector(features[..., :-1].to(self.absent.dtype)), self.absent) + self.region

    def feature_key(self) -> PlainData:
        """Return what the features depend on apart from image tokens and parsing, as plain data."""
        return {"route": "region", "absent_below": self.absent_below}


class MapTokens(nn.Module):
    """The paper's route: the parsing map, drawn in the colours of the parts, through an image encoder.

    Args:
        image_encoder: a (usually frozen) :class:`~faceinsight.modules.image_encoder.ImageEncoder`; the drawing is
            resized to what it reads.
        embed_dim: width of the tokens that are wanted.
        pool: side of the squares of the map's patches that become one token, as in the projector.
    """

    image_encoder: ImageEncoderLike
    palette: Tensor
    num_regions = len(PALETTE)

    def __init__(self, *, image_encoder: nn.Module, embed_dim: int, pool: int = 1) -> None:
        super().__init__()
        self.image_encoder = IMAGE_ENCODER.check(image_encoder, "embed_dim", "num_tokens", "preprocessing")
        self.embed_dim, self.pool = embed_dim, pool
        self.projector = Projector(in_dim=self.image_encoder.embed_dim, out_dim=embed_dim, pool=pool)
        self.register_buffer("palette", torch.tensor(PALETTE) / 255, persistent=False)

    @property
    def num_tokens(self) -> int:
        """Tokens per image: those of the image encoder, pooled."""
        return self.image_encoder.num_tokens // self.pool**2

    @property
    def frozen(self) -> bool:
        """Whether the step ``encode`` holds no trained weight."""
        return isinstance(self.image_encoder, Frozen)

    def encode(
        self,
        parsing: Parsing,
        image_tokens: Float[Tensor, "batch patch dim"] | None = None,
        grid: tuple[int, int] | None = None,
    ) -> Float[Tensor, "batch patch feature"]:
        """Return the frozen step: draw and encode the map. The image tokens are not used."""
        size = self.image_encoder.preprocessing["image_size"]
        drawing = colour_parsing(parsing, self.palette)
        return self.image_encoder(resized(drawing, size))

    def forward(self, features: Float[Tensor, "batch patch feature"]) -> Float[Tensor, "batch token dim"]:
        """Return the trained step: the map's patch tokens to tokens of the wanted width."""
        return self.projector(features)

    def feature_key(self) -> PlainData:
        """Return what the features depend on apart from the parsing, as plain data."""
        weights = fingerprint(self.get_submodule("image_encoder"))
        return {"route": "map", "weights": weights, "preprocessing": self.image_encoder.preprocessing}


def resized(images: Images, size: int | None) -> Float[Tensor, "batch channel _ _"]:
    """Return the images as squares of ``size`` pixels, as they are where no size is given or they have it."""
    if size is None or images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


class SegmentationEncoder(nn.Module):
    """A source of parsing maps and a route into the language model.

    Args:
        parser: images to logits ``[batch, region, height, width]``: a (usually frozen)
            :class:`~faceinsight.modules.vision.face_parser.FaceParser`, which gets the images at its own
            ``image_size``, or any other network in the same classes. ``None``: every face comes with its stored mask.
        route: :class:`RegionTokens` or :class:`MapTokens`.

    >>> segmentation = SegmentationEncoder(parser=None, route=RegionTokens(image_dim=8, embed_dim=16))
    >>> mask = torch.ones(1, 32, 32, dtype=torch.uint8)  # skin everywhere
    >>> features = segmentation.encode(None, torch.rand(1, 4, 8), (2, 2), mask)
    >>> features.shape, segmentation(features).shape
    (torch.Size([1, 19, 14]), torch.Size([1, 19, 16]))
    """

    def __init__(self, *, parser: nn.Module | None, route: RegionTokens | MapTokens) -> None:
        super().__init__()
        classes = getattr(parser, "classes", route.num_regions)
        if classes != route.num_regions:
            raise InputError(f"the parser knows {classes} parts, the route wants {route.num_regions}; make them equal")
        self.parser, self.route = parser, route

    @property
    def num_tokens(self) -> int:
        """Tokens per image."""
        return self.route.num_tokens

    @property
    def embed_dim(self) -> int:
        """Width of the tokens."""
        return self.route.embed_dim

    @property
    def frozen(self) -> bool:
        """Whether ``encode`` holds no trained weight, so that its result can be cached."""
        return self.route.frozen and (self.parser is None or isinstance(self.parser, Frozen))

    def parse(self, images: Images | None, masks: Masks | None = None) -> Parsing:
        """Probabilities of the parts at every pixel: the parser's, at its own size, or those of the stored masks if
        there is no parser.

        They are float32 or wider, also of a parser in half precision, which cannot count an image's pixels.

        Raises:
            InputError: masks that are no class ids, or not one for each image.
            ValueError: neither a parser nor masks, or a parser without images.
        """
        if self.parser is None:
            if masks is None:
                raise InputError(
                    "no parsing map: this segmentation encoder has no parser, so each batch needs masks "
                    "(class ids [batch, height, width]); read them with the data set, or give a parser"
                )
            if images is not None and len(images) != len(masks):
                raise InputError(f"{len(masks)} masks for {len(images)} images; give one for each")
            return parsing_of_masks(masks, self.route.num_regions)
        if images is None:
            raise InputError("the parser reads images, got None; cached features go to `forward` directly")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(self.parser, Frozen)):
            logits = self.parser(resized(images, getattr(self.parser, "image_size", None)))
            return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=1)

    def encode(
        self,
        images: Images | None,
        image_tokens: Float[Tensor, "batch patch dim"] | None,
        grid: tuple[int, int] | None,
        masks: Masks | None = None,
    ) -> Float[Tensor, "batch token feature"]:
        """Return the frozen step: a tensor per face, which depends on nothing trained if :attr:`frozen`.

        Args:
            images: RGB in [0, 1], read by the parser.
            image_tokens: the image encoder's tokens of the same images, pooled by the route ``region``.
            grid: rows and columns of the image tokens.
            masks: stored class ids; used only if there is no parser, so that no labels leak into a run that has one.
        """
        return self.route.encode(self.parse(images, masks), image_tokens, grid)

    def forward(self, features: Float[Tensor, "batch token feature"]) -> Float[Tensor, "batch _ dim"]:
        """Return the trained step: what :meth:`encode` gave, to tokens."""
        return self.route(features)

    def class_map(self, images: Images | None, masks: Masks | None = None) -> UInt8[Tensor, "batch rows columns"]:
        """Return the most probable part at every pixel, as class ids, at the parser's own size."""
        with torch.no_grad():
            return self.parse(images, masks).max(dim=1).indices.to(torch.uint8)

    def feature_key(self) -> PlainData:
        """Return what the features depend on apart from image, image tokens and mask, as plain data."""
        return {"parser": None if self.parser is None else fingerprint(self.parser), **self.route.feature_key()}
