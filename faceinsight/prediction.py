"""What the library says of one face."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

__all__ = ["FacePrediction"]


@dataclass(frozen=True)
class FacePrediction:
    """One face's attributes, all consistent with the rules, and what had to be mended.

    The values are a model's reading of a photograph, learned from annotators' impressions: not facts about a person.

    Args:
        probabilities: each attribute's own probability, before the rules.
        attributes: the most probable assignment that keeps every logical rule.
        groups: each group's label under ``attributes``; None where an ``at_most_one`` group has none.
        broken_rules: the rules that thresholding ``probabilities`` at one half would break.
        segmentation: class ids ``[height, width]`` of the face parser, where the model has one.
    """

    probabilities: Mapping[str, float]
    attributes: Mapping[str, bool]
    groups: Mapping[str, str | None]
    broken_rules: tuple[str, ...] = ()
    segmentation: Tensor | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the segmentation, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "segmentation"}
