"""What a network, an image encoder and a decoder must have, checked once, when they are given, in one sentence.

Any module from images to ``[face, attr]`` logits is a network: :func:`as_network` gives it the attributes' names.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceInsightOutput, Features, Images, Masks

__all__ = ["AttributeNetwork", "LogitDecoder", "PlainNetwork", "as_network", "check_decoder"]


@runtime_checkable
class AttributeNetwork(Protocol):
    """A network that knows its attributes, and reads images or cached features."""

    schema: Schema

    def __call__(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Return the logits of every attribute of every face."""


@runtime_checkable
class LogitDecoder(Protocol):
    """Logits to logits that keep rules over its attributes."""

    schema: Schema

    def __call__(self, logits: Float[Tensor, "batch attr"]) -> Float[Tensor, "batch attr"]:
        """Return the logits decoded."""


class PlainNetwork(nn.Module):
    """Any module from images ``[face, 3, height, width]`` to logits ``[face, attr]``, as a network of this library.

    It reads no masks and no cached features.

    Args:
        network: gives a tensor of logits, or something with ``.logits``.
        schema: the order of the logits.

    >>> import torch
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    >>> PlainNetwork(network, schema=Schema.from_names(["Bald", "Smiling"]))(torch.rand(5, 3, 2, 2)).logits.shape
    torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module, *, schema: Schema) -> None:
        super().__init__()
        self.network, self.schema = network, schema

    def forward(
        self, images: Images | None = None, *, masks: Masks | None = None, features: Features | None = None
    ) -> FaceInsightOutput:
        """Return the network's logits.

        Raises:
            InputError: no images, or something else than one logit for each face and attribute.
        """
        if images is None:
            raise InputError("give images: a plain network has no features that could be cached")
        return FaceInsightOutput(logits=self._logits(self.network(images), len(images)), features={})

    def check(self, image_size: int) -> None:
        """Refuse a network of another output before it is trained.

        A copy is asked in evaluation mode on torch's meta device, which computes shapes alone: weights, statistics,
        lazy modules, devices and random numbers stay as they are. A network that cannot be asked so passes; then its
        first batch decides.

        Args:
            image_size: height and width in pixels of the images that will come.

        Raises:
            InputError: as :meth:`forward`.
        """
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                copied = copy.deepcopy(self.network).to("meta").eval()
                found = copied(torch.zeros(1, 3, image_size, image_size, device="meta"))
        except Exception:  # of whatever kind: nothing is known of the network
            return
        self._logits(found, 1)

    def _logits(self, found: object, faces: int) -> Float[Tensor, "batch attr"]:
        logits = getattr(found, "logits", found)
        wanted = [faces, len(self.schema)]
        if not isinstance(logits, Tensor) or list(logits.shape) != wanted:
            came = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(
                f"{type(self.network).__name__} must give logits {wanted} for {faces} faces and the "
                f"{len(self.schema)} attributes of {self.schema.name!r}, got {came}; let its last layer have "
                f"{len(self.schema)} outputs"
            )
        return logits


def as_network(network: object, schema: Schema) -> nn.Module:
    """Return a network of this library as it is, and any other module as a :class:`PlainNetwork`.

    Args:
        network: takes ``masks`` and ``features`` beside images and has a ``schema``; or takes images alone.
        schema: the order of the logits of a network that does not say it.

    Raises:
        InputError: what is given is not a module, or is a class.
    """
    if not isinstance(network, nn.Module):
        what = f"the class {network.__name__}, not built" if isinstance(network, type) else type(network).__name__
        raise InputError(f"a network is a torch.nn.Module from images to logits [face, attr], got {what}")
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(network.forward).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    if hasattr(network, "schema") and (takes_any or {"masks", "features"} <= parameters.keys()):
        return network
    return PlainNetwork(network, schema=getattr(network, "schema", schema))


def check_decoder(decoder: Any) -> LogitDecoder:
    """Return a decoder.

    Raises:
        InputError: it cannot be called, or does not say of which attributes it takes the logits.
    """
    if not callable(decoder) or not isinstance(getattr(decoder, "schema", None), Schema):
        came = f"the class {decoder.__name__}, not built" if isinstance(decoder, type) else type(decoder).__name__
        raise InputError(
            "a decoder takes logits and gives logits, and its schema names the attributes, such as ConsistentDecoder; "
            f"got {came}"
        )
    return decoder
