"""What a model holds of a face at each of its stages: encoder, projector, each layer of the language model, answer.

The states are those of the model's own forward pass. Where a state belongs to an attribute (the end of its segment), it
is kept for each attribute; where it belongs to the face (the tokens of the image), its mean over the tokens is kept.

Not in the paper.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.models.face_insight import FaceInsight, Features
from faceinsight.modules.attribute_query import AttributeQuery, blind_segments
from faceinsight.modules.contracts import LanguageModelLike
from faceinsight.modules.language.recompute import layers_of

__all__ = ["IMAGE", "PARTS", "READING", "face_stages", "layer_states", "spread_layers"]

#: The first and the last stage, and one that stands beside the others.
IMAGE, READING, PARTS = "image encoder", "reading", "face parts"


@contextmanager
def layer_states(language_model: LanguageModelLike) -> Iterator[list[Tensor]]:
    """Yield a list that fills with the output of each layer, in their order, as the language model runs."""
    states: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(keep) for layer in layers_of(language_model.backbone)]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def spread_layers(depth: int, count: int) -> list[int]:
    """Return up to ``count`` layers, spread evenly over all of them, the last among them.

    >>> spread_layers(30, 4), spread_layers(3, 8)
    ([8, 15, 22, 30], [1, 2, 3])
    """
    return sorted({round(depth * (step + 1) / min(count, depth)) for step in range(min(count, depth))})


def face_stages(model: FaceInsight, features: Features, layers: Sequence[int]) -> dict[str, Tensor]:
    """Return the states of a batch of faces at each stage, by the stage's name, in the order of the model.

    Args:
        model: in evaluation mode.
        features: of the faces, as ``encode`` made them.
        layers: numbers of the language model's layers to look at, the first is 1.

    Returns:
        ``[face, feature]`` for ``image encoder`` (as evidence reads it), ``mean image token``, ``face parts`` (their
        places), ``projector`` (its mean token) and ``layer N, image tokens`` (their mean);
        ``[face, attr, dim]`` for ``layer N, answers`` and ``final state``; ``[face, attr]`` logits for ``reading``.

    Raises:
        InputError: a model whose query is not read by the language model.
    """
    if not isinstance(model.query, AttributeQuery):
        raise InputError(f"a {type(model.query).__name__} reads no language model; there are no layers to look at")
    encoder, language_model = model.encoder, model.language_model
    stages = {IMAGE: encoder.evidence_inputs(features, ["image"]), "mean image token": features["image"].mean(1)}
    if encoder.segmentation is not None and hasattr(encoder.segmentation.route, "places"):
        stages[PARTS] = encoder.evidence_inputs(features, ["places"])
    stages["projector"] = model.projector(features["image"]).mean(1)
    (before, _, questions), prompts, prefix = model.words(), model.question_prompts(), model.prefix(features)
    packed, lengths = model.query.pack(len(prefix), prompts, questions, model.seen_by_attributes(prompts, features))
    allowed, positions, ends = (each.to(prefix.device) for each in blind_segments(prefix.shape[1], lengths))
    with layer_states(language_model) as states:
        hidden = language_model(torch.cat([prefix, packed], dim=1), allowed=allowed, positions=positions)
    image = slice(len(before), len(before) + model.face_tokens(features).shape[1])
    for number in layers:
        stages[f"layer {number}, image tokens"] = states[number - 1][:, image].mean(1)
        stages[f"layer {number}, answers"] = mean_of_paraphrases(states[number - 1][:, ends], model)
    stages["final state"] = mean_of_paraphrases(hidden[:, ends], model)
    stages[READING] = model.read_states(hidden[:, ends])
    return stages


def mean_of_paraphrases(
    states: Float[Tensor, "batch question dim"], model: FaceInsight
) -> Float[Tensor, "batch attr dim"]:
    """Return the mean state of each attribute's questions."""
    counts = [len(paraphrases) for paraphrases in model.questions()]
    return torch.stack([each.mean(1) for each in states.split(counts, dim=1)], dim=1)
