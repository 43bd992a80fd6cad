"""How well a model predicts held-out text, and which yes or no it gives."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from experiments.tiny.words.ngrams import NGrams
from faceinsight.data.words import Text
from faceinsight.metrics import auroc
from faceinsight.modules.language_model import LanguageModel

#: Documents of one forward pass.
BATCH = 32


@dataclass(frozen=True)
class Question:
    """A yes or no in held-out text.

    Args:
        document: which text it stands in.
        place: the answer's token in the document.
        tokens: the tokens for yes and for no, as spelled there.
        value: whether it is yes.
        why: stated, implied or regular; see :class:`~faceinsight.data.words.draft.Answer`.
        concept: what was asked about, in which words' sense.
    """

    document: int
    place: int
    tokens: tuple[int, int]
    value: bool
    why: str
    concept: str


def questions_in(texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase) -> list[Question]:
    """Every yes or no of some texts, as tokens."""
    found = []
    for number, text in enumerate(texts):
        encoding = tokenizer(text.text)
        for answer in text.answers:
            place = encoding.char_to_token(answer.start)
            yes, no = (tokenizer.encode(each) for each in (answer.yes, answer.no))
            if len(yes) > 1 or len(no) > 1 or encoding["input_ids"][place] != (yes if answer.value else no)[0]:
                raise ValueError(f"the answer at {answer.start} is not one token of its own in {text.text!r}")
            found.append(Question(number, place, (yes[0], no[0]), answer.value, answer.why, answer.concept))
    return found


def perplexity(log_probs: Iterable[np.ndarray]) -> float:
    """Return the exponential of the mean negative log-probability over all tokens.

    >>> perplexity([np.log([0.5, 0.25]), np.log([0.125])])
    4.0
    """
    return round(float(np.exp(-np.concatenate([*log_probs]).mean())), 6)


@torch.no_grad()
def read(
    model: LanguageModel, documents: Sequence[Sequence[int]], questions: Sequence[Question]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Of a language model: each document's log-probabilities but for its first token, and each question's logit.

    The logit is ``z_yes - z_no`` of the rows of its head, read before the answer, as FaceInsight reads it.
    """
    asked: dict[int, list[int]] = {}
    for number, question in enumerate(questions):
        asked.setdefault(question.document, []).append(number)
    log_probs: list[np.ndarray] = [np.empty(0)] * len(documents)
    logits = np.zeros(len(questions))
    order = sorted(range(len(documents)), key=lambda number: len(documents[number]))
    head = model.backbone.get_output_embeddings()
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        tokens = padded([documents[row] for row in rows]).to(model.backbone.device)
        hidden = model(model.backbone.get_input_embeddings()(tokens))  # padding comes last, so nothing attends to it
        scores = F.log_softmax(head(hidden).float(), dim=-1)
        taken = scores[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0].cpu().double().numpy()
        for index, row in enumerate(rows):
            log_probs[row] = taken[index, : len(documents[row]) - 1]
            for number in asked.get(row, ()):
                yes, no = questions[number].tokens
                before = scores[index, questions[number].place - 1]
                logits[number] = float(before[yes] - before[no])
    return log_probs, logits


def padded(documents: Sequence[Sequence[int]]) -> Tensor:
    """Documents side by side, zeros behind the shorter ones."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(each) for each in documents], batch_first=True)


def read_ngrams(
    model: NGrams, documents: Sequence[Sequence[int]], questions: Sequence[Question]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the same of an n-gram model."""
    cut = [documents[each.document][: each.place] for each in questions]
    chances = np.log(model.probability(cut, [each.tokens for each in questions]))
    return [model.log_prob(each) for each in documents], chances[:, 0] - chances[:, 1]


def majority(training: Sequence[Question], questions: Sequence[Question], key: Callable[[Question], str]) -> np.ndarray:
    """Return the answer that was the commoner one in training among questions with the same key, as a logit of its
    share.
    """
    yes, all_of = (Counter(key(each) for each in training if each.value or both) for both in (False, True))
    share = np.array([(yes[key(each)] + 0.5) / (all_of[key(each)] + 1) for each in questions])
    return np.log(share / (1 - share))


def answer_scores(questions: Sequence[Question], logits: np.ndarray) -> dict[str, dict[str, float]]:
    """For each why: how many questions, the share answered right, and the area under the ROC curve.

    A logit of exactly 0 counts as half right; the area is nan where all answers are the same.
    """
    found = {}
    for why in ("stated", "implied", "regular"):
        rows = [number for number, each in enumerate(questions) if each.why == why]
        truth = np.array([questions[number].value for number in rows], dtype=bool)
        score = logits[rows]
        right = np.where(score == 0, 0.5, (score > 0) == truth)
        accuracy = float(right.mean()) if rows else float("nan")
        labels = torch.from_numpy(np.where(truth, 1, -1).astype(np.int8))[:, None]
        area = float(auroc(torch.from_numpy(score)[:, None].sigmoid(), labels, undefined=0)) if rows else float("nan")
        found[why] = {"count": len(rows), "accuracy": accuracy, "auroc": area}
    return found
