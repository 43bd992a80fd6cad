"""Training on text: the next-token loss of an answer, after an image and a question.

Source: LLaVA, "Visual Instruction Tuning" (https://arxiv.org/abs/2304.08485), section 4.2: only the answer's tokens,
and the end that follows them, are counted; the image and the question are read, not learnt.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from faceinsight.modules.contracts import LanguageModelLike
from faceinsight.modules.language.prompt import whole_prompt

__all__ = ["UNCOUNTED", "answer_ids", "answer_sum_and_count", "next_token_sum_and_count"]

#: The target of a token that no loss counts.
UNCOUNTED = -100


def next_token_sum_and_count(
    logits: Float[Tensor, "*batch token vocabulary"], targets: Int[Tensor, "*batch token"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """``-log p`` of each counted token, summed, and their number: with several processes, add each up and divide.

    Args:
        targets: the token that comes next at each place, or :data:`UNCOUNTED`.

    >>> logits = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    >>> next_token_sum_and_count(logits, torch.tensor([1, UNCOUNTED]))
    (tensor(0.6931), tensor(1.))
    """
    flat = logits.flatten(0, -2)
    total = F.cross_entropy(flat, targets.flatten(), ignore_index=UNCOUNTED, reduction="sum")
    return total, (targets != UNCOUNTED).sum().to(total)


def answer_ids(language_model: LanguageModelLike, answer: str) -> list[int]:
    """Return the tokens of an answer that the loss counts: its own, and the tokenizer's end token if there is one.

    An answer is tokenized by itself, as the tokens that the model gives when it is asked. Not in the paper.
    """
    end = language_model.tokenizer.eos_token_id
    return language_model.tokenizer.encode(answer, add_special_tokens=False) + ([] if end is None else [end])


def answer_sum_and_count(
    language_model: LanguageModelLike,
    image_tokens: Float[Tensor, "batch token dim"],
    instruction: str,
    texts: Sequence[tuple[str, str]],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the next-token loss of each image's answer, summed over all answers' tokens, and their number.

    The answers' tokens are those of :func:`answer_ids`. Sequences are filled up on the right, where causal attention
    does not look; logits are computed for the answers' places alone.

    Args:
        language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
        image_tokens: of each image, as wide as the language model.
        instruction: as :class:`~faceinsight.models.face_insight.FaceInsight` takes it.
        texts: question and answer for each image.
    """
    before, _, after = whole_prompt(instruction).partition("{image}")
    sequences, answers, places = [], [], []
    for image, (question, answer) in zip(image_tokens, texts, strict=True):
        first, second = language_model.prompt_ids(before, after.replace("{question}", question))
        ids = answer_ids(language_model, answer)
        answers.append(torch.tensor(ids, dtype=torch.long, device=image.device))
        words = torch.tensor([*first, *second, *ids[:-1]], dtype=torch.long, device=image.device)
        lead, rest = language_model.embed_tokens(words).split([len(first), len(words) - len(first)])
        sequences.append(torch.cat([lead, image, rest]))
        places.append(len(first) + len(image) + len(second) - 1)  # where the answer's first token is foretold
    hidden = language_model(pad_sequence(sequences, batch_first=True))
    foretold = [row[place : place + len(ids)] for row, place, ids in zip(hidden, places, answers, strict=True)]
    return next_token_sum_and_count(language_model.logits(torch.cat(foretold)), torch.cat(answers))
