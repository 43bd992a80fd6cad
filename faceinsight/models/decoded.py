"""A network whose logits pass through a decoder at the output: predictions that keep the rules, whatever was learnt."""

from dataclasses import replace
from typing import Any, Literal

from torch import nn

from faceinsight.errors import InputError
from faceinsight.knowledge.schema import Schema
from faceinsight.models.contracts import LogitDecoder, PlainNetwork, as_network, check_decoder
from faceinsight.models.face_insight import FaceInsightOutput, Features, Images, Masks
from faceinsight.modules.evidence import Evidence

__all__ = ["DecodedOutput", "undecoded"]


def undecoded(network: nn.Module) -> nn.Module:
    """Return the network inside any wrappers without weights: its parts are those that are named and trained."""
    while isinstance(network, DecodedOutput | PlainNetwork):
        network = network.network
    return network


class DecodedOutput(nn.Module):
    """Any network of this library with a decoder after it; it takes the network's place anywhere.

    Args:
        network: as :class:`~faceinsight.models.face_insight.FaceInsight` and the controls; or any module from images to
            logits.
        decoder: logits ``[batch, attr]`` to logits, with a ``.schema``, such as
            :class:`~faceinsight.modules.logic.shield.ShieldLayer`.
        when: ``evaluation``: the network trains as without a decoder; ``always``: the loss sees what the decoder made.

    Raises:
        ValueError: network and decoder have different attributes.
    """

    network: Any  # a module that is an AttributeNetwork, too: no type says both
    decoder: LogitDecoder

    def __init__(
        self, *, network: nn.Module, decoder: nn.Module, when: Literal["evaluation", "always"] = "evaluation"
    ) -> None:
        super().__init__()
        self.decoder, self.when = check_decoder(decoder), when
        self.network = as_network(network, self.decoder.schema)
        if (given := self.decoder.schema.names) != self.schema.names:
            raise InputError(
                f"the decoder is for the {len(given)} attributes of {self.decoder.schema.name!r}, the network gives "
                f"the {len(self.schema)} of {self.schema.name!r}; build the decoder's rules over the network's schema"
            )

    @property
    def schema(self) -> Schema:
        """The order of the logits."""
        return self.network.schema

    @property
    def encoder(self) -> nn.Module | None:
        """The network's own encoder, if it has one."""
        return self.network.encoder

    def encode(self, images: Images, masks: Masks | None = None) -> Features:
        """As the network does."""
        return self.network.encode(images, masks)

    @property
    def evidence(self) -> Evidence | None:
        """The network's own evidence, if it has any."""
        return getattr(self.network, "evidence", None)

    def forward(
        self,
        images: Images | None = None,
        *,
        masks: Masks | None = None,
        features: Features | None = None,
        **options: Any,
    ) -> FaceInsightOutput:
        """Return what the network gives, its logits decoded: their sigmoid is the probability, with no rules left to
        keep.

        Args:
            options: what the network takes besides, such as the evidence's ``scores``.
        """
        output = self.network(images, masks=masks, features=features, **options)
        if self.training and self.when == "evaluation":
            return output
        return replace(output, logits=self.decoder(output.logits), rules=None)
