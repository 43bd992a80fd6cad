"""The words round an image: what all questions share, what is each question's own, and where the image stands.

Not in the paper: the words with which all questions begin belong to the prefix that is read once ("Is this a
person"), so that each attribute's segment is as short as it can be. The prompts stay what they were, token by token.
"""

import re
from collections.abc import Sequence
from itertools import chain, takewhile

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.modules.contracts import LanguageModelLike

__all__ = ["between_words", "check_asked", "check_places", "common_length", "embedded_words", "whole_prompt"]

Words = Float[Tensor, "_ dim"]


def whole_prompt(instruction: str) -> str:
    """Return the instruction with its places for image and question written out.

    >>> whole_prompt("Look at this face.")
    'Look at this face.{image}{question}'
    """
    return instruction if "{image}" in instruction else instruction + "{image}{question}"


def check_places(what: str, text: str, *places: str) -> None:
    """Refuse a text in which a place would be left over: one that is unknown, misspelled or doubled.

    Args:
        what: names the text in the error.
        places: each may stand in the text once.

    Raises:
        InputError: naming the place.

    >>> check_places("the question", "Is this a person {prompt}?", "{prompt}")
    """
    found = re.findall(r"\{\s*\w+\s*\}", text)
    wrong = [each for each in found if each not in places or found.count(each) > 1]
    if wrong:
        allowed = f"it may have {', '.join(places)}, each once" if places else "it has no places"
        raise InputError(f"{what} has the place {wrong[0]}, which nothing would fill; {allowed}: {text!r}")


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with alike.

    >>> common_length([[5, 6, 7], [5, 6, 8, 9]])
    2
    """
    return sum(takewhile(bool, (len({*column}) == 1 for column in zip(*rows, strict=False))))


def embedded_words(
    language_model: LanguageModelLike, instruction: str, questions: Sequence[str], leave: int
) -> tuple[Words, Words, list[Words]]:
    """Return the embedded words before the image; after it, those of all questions alike; and each question's own rest.

    Args:
        language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
        instruction: as :class:`~faceinsight.models.face_insight.FaceInsight` takes it.
        questions: each put in the place of ``{question}``.
        leave: tokens that each question keeps as its own.
    """
    before, _, after = whole_prompt(instruction).partition("{image}")
    prompts = [language_model.prompt_ids(before, after.replace("{question}", question)) for question in questions]
    rests = [rest for _, rest in prompts]
    shared = min(common_length(rests), min(map(len, rests)) - leave)
    words = [prompts[0][0], rests[0][:shared], *(rest[shared:] for rest in rests)]
    ids = torch.tensor([*chain(*words)], dtype=torch.long, device=language_model.device)
    first, second, *own = language_model.embed_tokens(ids).split([len(each) for each in words])
    return first, second, own


def between_words(
    before: Words, tokens: Float[Tensor, "batch token dim"], after: Words
) -> Float[Tensor, "batch sequence dim"]:
    """Each face's own tokens between the same words."""
    faces = len(tokens)
    return torch.cat([before.expand(faces, -1, -1), tokens, after.expand(faces, -1, -1)], dim=1)


def check_asked(
    instruction: str,
    question: str | Sequence[str],
    query: nn.Module,
    text_encoder: nn.Module | None,
    correlation: nn.Module | None,
) -> None:
    """Refuse a model in which a part or a text has no effect, or in which nothing distinguishes the attributes."""
    check_places("the instruction", instruction, "{image}", "{question}")
    for template in [question] if isinstance(question, str) else question:
        check_places("the question", template, "{prompt}")
    prompt, asked = whole_prompt(instruction), any([question] if isinstance(question, str) else question)
    if prompt.count("{image}") != 1 or prompt.partition("{image}")[2].count("{question}") != 1:
        raise InputError(
            f"the instruction must have one {{image}} and after it one {{question}}, or neither, got {instruction!r}"
        )
    num_tokens = getattr(query, "num_tokens", 1)
    if (num_tokens > 0) != (text_encoder is not None):
        raise InputError(
            "soft tokens are made from a text encoder's prompts: give both or neither, got a query of "
            f"{num_tokens} soft tokens and {'no' if text_encoder is None else 'a'} text encoder"
        )
    if num_tokens == 0 and correlation is not None:
        raise InputError("a correlation constraint refines soft tokens, of which the query has none; leave it out")
    if num_tokens == 0 and not asked:
        raise InputError("without soft tokens each attribute needs a question; give one with {prompt} in it")
