"""The model's own words: questions in, texts out, in the conversation that the checkpoint was trained on.

The language model sees what it sees when it is asked for attributes: the instruction, the image tokens, the
segmentation tokens, the question. Soft tokens are no words and take no part.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from PIL.Image import Image
from torch import Tensor, nn

from faceinsight.data.images import Picture, listed
from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.modules.contracts import LanguageModelLike
from faceinsight.modules.language.attention import unstable_length
from faceinsight.modules.language.generation import generate, shared_cache
from faceinsight.modules.language.prompt import between_words, check_places, embedded_words, whole_prompt

if TYPE_CHECKING:
    from faceinsight.models.face_insight import FaceInsight
else:  # while it runs, a class that the tests' type checker can look up
    FaceInsight = nn.Module

__all__ = ["DESCRIBE", "answers", "ask"]

#: What :meth:`~faceinsight.models.face_insight.FaceInsight.describe` asks. Not in the paper.
DESCRIBE = "Describe this face in detail."


def ask(
    model: FaceInsight,
    pictures: Picture | Sequence[Picture],
    question: str,
    *,
    masks: Tensor | None = None,
    **options: Any,
) -> Any:
    """Return what a model answers to one question: a text for one picture, a list of texts for several.

    Args:
        model: a :class:`~faceinsight.models.face_insight.FaceInsight`.
        pictures: a file, a PIL image, a tensor ``[3, height, width]``; or a list of them, or ``[batch, 3, ...]``.
        options: of :func:`answers`.
    """
    single = isinstance(pictures, str | os.PathLike | Image)
    single |= isinstance(pictures, Tensor | np.ndarray) and pictures.ndim < 4
    with torch.no_grad():
        features = model.encode(model.images(listed(pictures)), masks)
    texts = [text for (text,) in answers(model, features, [question], **options)]
    return texts[0] if single else texts


@torch.no_grad()
def answers(
    model: FaceInsight,
    features: dict[str, Tensor],
    questions: Sequence[str],
    *,
    max_new_tokens: int = 128,
    **options: Any,
) -> list[list[str]]:
    """Return what a model answers to each of several questions about each face: a list of texts for each face.

    What all prompts begin with, the image above all, is read once; the texts are those of separate prompts.

    Args:
        features: as the model's ``encode`` gives them.
        max_new_tokens: where an answer is cut off.
        options: of :func:`~faceinsight.modules.language.generation.generate`.

    Raises:
        ValueError: no question, an empty one, or one that names the image token.
    """
    if not questions or not all(question.strip() for question in questions):
        raise InputError(f"a model is asked by at least one question with words in it, got {list(questions)}")
    for question in questions:
        check_places("the question", question)
    language_model, faces = model.language_model, model.face_tokens(features)
    before, shared, own = embedded_words(language_model, model.instruction, questions, leave=1)
    prefix = between_words(before, faces, shared)
    longest = prefix.shape[1] + max(map(len, own)) + max_new_tokens
    cache = language_model.remember(prefix) if reads_once(language_model, len(questions), longest, options) else None
    columns = []
    for question, words in zip(questions, own, strict=True):
        tokens = generate(
            language_model,
            torch.cat([prefix, words.expand(len(faces), -1, -1)], dim=1),
            prompt_tokens(language_model, model.instruction, question, faces.shape[1]),
            max_new_tokens=max_new_tokens,
            cache=None if cache is None else shared_cache(cache),
            **options,
        )
        texts = language_model.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        columns.append([text.strip() for text in texts])
    return [list(row) for row in zip(*columns, strict=True)]


def prompt_tokens(
    language_model: LanguageModelLike, instruction: str, question: str, image_tokens: int
) -> Int[Tensor, " token"]:
    """Return the tokens of one question's whole prompt, the image token (or padding) in the image's places."""
    before, _, after = whole_prompt(instruction).partition("{image}")
    first, second = language_model.prompt_ids(before, after.replace("{question}", question))
    tokenizer = language_model.tokenizer
    image = language_model.image_token
    place = (tokenizer.pad_token_id or 0) if image is None else tokenizer.convert_tokens_to_ids(image)
    return torch.tensor([*first, *[place] * image_tokens, *second], device=language_model.device)


def reads_once(language_model: LanguageModelLike, questions: int, longest: int, options: PlainData) -> bool:
    """Whether the prompts' common beginning is read once: not for beams, which transformers lays out itself, and not
    where the rotary embedding depends on how long the whole becomes.
    """
    limit = unstable_length(language_model.config)
    return questions > 1 and options.get("num_beams", 1) == 1 and (limit is None or longest <= limit)
