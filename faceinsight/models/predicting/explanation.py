"""Why a face has the probability that it has: exact contributions, since evidence is linear in what was seen.

The logit of one attribute is a sum:

    base        the evidence of the average training face
    + patches   of the picture, through the attribute's own score
    + parts     of the face: their size and place (and appearance, if the evidence reads it)
    + neighbours   other attributes' scores, by the co-occurrence gain and by choices that are calibrated together
    + reading   of the language model, behind its gate

The rules then turn the sigmoid of the logit into the probability.

Not in the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.knowledge.rules import RuleSet
from faceinsight.models.face_insight import FaceModel
from faceinsight.models.loop import evaluating
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from faceinsight.models.predicting.face_prediction import FacePrediction

__all__ = ["Explanation", "evidence_terms", "explain", "patch_terms", "rule_effects"]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What moved one attribute of one face.

    Args:
        name: of the attribute.
        face: the prediction.
        base: the logit of the average training face.
        patches: what each patch of the picture adds, in rows and columns; None of a model without evidence.
        parts: what each part of the face adds, by name; a part that is absent counts, too.
        neighbours: what the scores of other attributes add, by name.
        reading: what the language model's reading adds; of a model without evidence, all of the logit.
        rules: how far each rule moves the probability: with all rules, less without this one.
    """

    name: str
    face: "FacePrediction"
    base: float
    patches: Float64[Tensor, "rows columns"] | None
    parts: dict[str, float]
    neighbours: dict[str, float]
    reading: float
    rules: dict[str, float]

    @property
    def logit(self) -> float:
        """The sum of all contributions: the logit before the rules."""
        seen = 0.0 if self.patches is None else float(self.patches.sum())
        return self.base + seen + sum(self.parts.values()) + sum(self.neighbours.values()) + self.reading

    @property
    def before_rules(self) -> float:
        """The sigmoid of the logit: the probability of an attribute that no rule speaks of."""
        return float(torch.tensor(self.logit, dtype=torch.float64).sigmoid())

    @property
    def probability(self) -> float:
        """The exact probability under the rules."""
        return self.face.probabilities[self.name]

    @property
    def by_rules(self) -> float:
        """What all rules together add to the probability."""
        return self.probability - self.before_rules

    def frame(self) -> "pd.DataFrame":
        """Return every contribution in a row: its kind, its name and what it adds.

        The rows in units of ``logit`` add up to the logit. Those in units of ``probability`` are the rules': first all
        of them together, which added to the sigmoid of the logit gives the probability, then each by itself.
        """
        import pandas as pd

        rows: list[tuple[str, str, float, str]] = [("base", "average training face", self.base, "logit")]
        if self.patches is not None:
            for row, values in enumerate(self.patches.tolist()):
                rows += [("patch", f"row {row}, column {at}", each, "logit") for at, each in enumerate(values)]
        rows += [("part", name, each, "logit") for name, each in self.parts.items()]
        rows += [("neighbour", name, each, "logit") for name, each in self.neighbours.items()]
        rows.append(("reading", "language model", self.reading, "logit"))
        rows.append(("rules", "all rules", self.by_rules, "probability"))
        rows += [("rule", text, each, "probability") for text, each in self.rules.items()]
        return pd.DataFrame(rows, columns=["kind", "name", "adds", "unit"])

    def plot(self) -> "Figure":
        """Draw the patches over the photograph, and the strongest contributions as bars."""
        from faceinsight.models.predicting.drawing import plot_explanation

        return plot_explanation(self)

    def __repr__(self) -> str:
        """Return the logit's sum and the probability, on one line."""
        seen = 0.0 if self.patches is None else float(self.patches.sum())
        return (
            f"Explanation({self.name}: logit {self.logit:+.2f} = base {self.base:+.2f}, picture {seen:+.2f}, "
            f"parts {sum(self.parts.values()):+.2f}, neighbours {sum(self.neighbours.values()):+.2f}, "
            f"reading {self.reading:+.2f}; probability {self.before_rules:.3f}, by rules {self.by_rules:+.3f}, "
            f"{self.probability:.3f})"
        )


@torch.no_grad()
def explain(face: "FacePrediction", name: str) -> Explanation:
    """Return what moved one attribute of a prediction; the picture is read and encoded again."""
    position = face.schema.index(name)
    model, logit = face.model, float(face.logits[position])
    evidence = getattr(model, "evidence", None)
    effects = rule_effects(face.distribution, name)
    if model is None or evidence is None:
        return Explanation(name, face, 0.0, None, {}, {}, logit, effects)
    with evaluating(model):
        features = model.encode(face.image[None])
        inputs = model.encoder.evidence_inputs(features, evidence.sources)[0].double().cpu()
    base, own, neighbours = evidence_terms(evidence, inputs, name)
    encoder, start = model.image_encoder, 0
    patches: Tensor | None = None
    parts: dict[str, float] = {}
    if {"image", "mirrored"} & {*evidence.sources}:
        tokens = features["image"][0]
        levels = getattr(encoder, "levels", None) or ((tokens.shape[1], 1),)
        start = sum(width * side**2 for width, side in levels)
        weight, centre = own.weight[:start], own.centre[:start]
        patches = patch_terms(tokens, encoder.grid, levels, weight, centre)
        if "mirrored" in evidence.sources:  # what the mirror image adds, turned back into place
            mirrored = patch_terms(features["mirrored"][0], encoder.grid, levels, weight, centre)
            patches = (patches + mirrored.flip(1)) / 2
    if model.segmentation is not None and start < len(own.weight):
        rest = (own.weight * (inputs - own.centre))[start:]
        names = part_names(model.segmentation.route.num_regions)
        for source in [each for each in ("places", "parts") if each in evidence.sources]:
            width = _width(model, features, source)
            shared = rest[:width].reshape(len(names), -1).sum(1).tolist()
            rest = rest[width:]
            parts = {each: parts.get(each, 0.0) + added for each, added in zip(names, shared, strict=True)}
    seen = base + sum(neighbours.values()) + float((own.weight * (inputs - own.centre)).sum())
    return Explanation(name, face, base, patches, parts, neighbours, logit - seen, effects)


def _width(model: FaceModel, features: dict[str, Tensor], source: str) -> int:
    """Return how many numbers one source of the evidence gives for a face."""
    return model.encoder.evidence_inputs(features, [source]).shape[1]


def part_names(number: int) -> list[str]:
    """Return the names of the face's parts, or numbers where the parser knows others."""
    return list(FACE_PARTS) if number == len(FACE_PARTS) else [f"region {each}" for each in range(number)]


@dataclass(frozen=True)
class OwnScore:
    """How an attribute's logit follows from the features by its own score: ``weight * (features - centre)``, summed."""

    weight: Float64[Tensor, " feature"]
    centre: Float64[Tensor, " feature"]


def evidence_terms(
    evidence: Evidence, inputs: Float[Tensor, " feature"], name: str
) -> tuple[float, OwnScore, dict[str, float]]:
    """Split the evidence of one attribute: what the average face has, its own score's weights, and its neighbours.

    The logit of an attribute that no picture was labelled with bends at the ends; its contributions are scaled by one
    factor, so that they add up to it.

    Args:
        evidence: a fitted :class:`~faceinsight.modules.evidence.Evidence`.
        inputs: one face's features.
        name: of an attribute that the evidence is asked for.

    Returns:
        the base; the weights of the features by the attribute's own score, in units of its logit; and the other
        attributes' contributions by name, those that add nothing left out.
    """
    at = evidence.asked.index(name)
    bias, weight, scale, centre = (getattr(evidence, each).double() for each in ("bias", "weight", "scale", "centre"))
    change = weight @ ((inputs.to(centre) - centre) * scale)  # of each observed score, from the average face
    slopes, base = _slopes(evidence, bias, change, at)
    added = slopes * change
    own = torch.zeros_like(centre)
    if name in evidence.names:
        place = evidence.names.index(name)
        own = slopes[place] * weight[place] * scale
        added[place] = 0
    neighbours = {each: value for each, value in zip(evidence.names, added.tolist(), strict=True) if value}
    return base, OwnScore(own.cpu(), centre.cpu()), neighbours


def _slopes(
    evidence: Evidence, bias: Float64[Tensor, " observed"], change: Float64[Tensor, " observed"], at: int
) -> tuple[Float64[Tensor, " observed"], float]:
    """Return what one unit of each score adds to one logit, and the logit of the scores ``bias``."""
    gain, names = evidence.gain, len(evidence.names)
    points = torch.cat([torch.zeros(1, names).to(bias), torch.eye(names).to(bias), bias[None], (bias + change)[None]])
    if gain is None or bool(gain.labelled[at]):  # affine: measured at nought and at each unit
        found = evidence.logits(points)[:, at].double()
        return found[1:-2] - found[0], float(found[-2])
    estimates, found = gain(points)[:, at].double(), evidence.logits(points)[:, at].double()
    slopes = estimates[1:-2] - estimates[0]
    moved = estimates[-1] - estimates[-2]
    factor = (found[-1] - found[-2]) / moved if abs(moved) > 1e-12 else torch.zeros_like(moved)
    return slopes * factor, float(found[-2])


def patch_terms(
    tokens: Float[Tensor, "patch dim"],
    grid: tuple[int, int],
    levels: Sequence[tuple[int, int]],
    weight: Float64[Tensor, " feature"],
    centre: Float64[Tensor, " feature"],
) -> Float64[Tensor, "rows columns"]:
    """Return what each patch adds to a number that is linear in pooled tokens, ``weight @ (pooled - centre)``.

    Each pooled number is a mean over patches, and each patch adds its share of the mean.

    Args:
        tokens: of one face.
        grid: rows and columns of the tokens.
        levels: as for :func:`~faceinsight.modules.evidence.pool_levels`.
        weight, centre: of the pooled numbers.
    """
    patches = rearrange(torch.eye(grid[0] * grid[1]).double(), "patch (row column) -> 1 patch row column", row=grid[0])
    added, start = torch.zeros(grid[0] * grid[1]).double(), 0
    parts = tokens.detach().cpu().double().split([width for width, _ in levels], dim=1)
    for part, (width, side) in zip(parts, levels, strict=True):
        share = rearrange(F.adaptive_avg_pool2d(patches, side), "1 patch row column -> (row column) patch")
        size = width * side**2
        own, middle = (each[start : start + size].reshape(width, -1).cpu() for each in (weight, centre))
        added += einsum(own, share, part, "dim cell, cell patch, patch dim -> patch")
        added -= einsum(own, share, middle, "dim cell, cell patch, dim cell -> patch")
        start += size
    return added.reshape(grid)


def rule_effects(faces: ConstrainedBernoulli, name: str) -> dict[str, float]:
    """Return how far each rule moves one attribute's probability: with all rules, less without this one.

    Rules that it is not connected with move nothing and are left out. The effects need not add up to that of all rules
    together, since rules act on one another.
    """
    rules, position = faces.rules, faces.rules.schema.index(name)
    mine = [each for each in rules.components if name in each.attributes]
    with_all, found = float(faces.marginals[position]), {}
    for number in sorted(place for each in mine for place in each.rules):
        fewer = RuleSet(rules.schema, rules.rules[:number] + rules.rules[number + 1 :])
        without = ConstrainedBernoulli(logits=faces.logits, rules=fewer, evidence=faces.evidence)
        found[rules.texts[number]] = with_all - float(without.marginals[position])
    return found
