"""From texts to blocks of tokens: a tokenizer of their own, and documents packed whole."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from faceinsight.modules.language.answers import UNCOUNTED

#: Each is one token, so that an answer can be read from two rows of the head.
ANSWERS = ("yes", "no", "Yes", "No", " yes", " no")

#: Of how many blocks one is chosen into which a document still fits.
OPEN = 16


def trained_tokenizer(texts: Iterable[str], *, vocab_size: int, answers: int = 10_000) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer: nothing is unknown, and every answer is a single token.

    Args:
        vocab_size: at most; the 256 bytes, begin, end and padding among them.
        answers: how often each answer is added to the texts, so that it is merged whatever they say.

    Raises:
        ValueError: a vocabulary too small for the answers.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain(texts, *(repeat(answer, answers) for answer in ANSWERS)), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    if split := [answer for answer in ANSWERS if len(fast.encode(answer)) != 1]:
        raise ValueError(f"{split} are no single tokens with vocab_size={vocab_size}; raise it above 300")
    return fast


def tokenized(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, chunk: int = 512) -> Iterator[list[int]]:
    """Yield the tokens of each text, with the end token."""
    waiting: list[str] = []
    for text in chain(texts, [None]):
        if text is not None:
            waiting.append(text)
        if waiting and (text is None or len(waiting) == chunk):
            yield from ([*ids, tokenizer.eos_token_id] for ids in tokenizer(waiting)["input_ids"])
            waiting = []


def packed(documents: Iterable[Sequence[int]], *, blocks: int, length: int, padding: int) -> Int[Tensor, "block token"]:
    """As many documents as fit into ``blocks`` blocks, each in one block whole; a longer document is left out.

    >>> packed([[1, 2, 9], [3, 9], [4, 5, 6, 9], [7, 9]], blocks=2, length=5, padding=0)
    tensor([[1, 2, 9, 3, 9],
            [4, 5, 6, 9, 0]])
    """
    full: list[list[int]] = []
    filling: list[list[int]] = []
    for document in documents:
        if len(document) > length:
            continue
        room = [block for block in filling if len(block) + len(document) <= length]
        if room:
            max(room, key=len).extend(document)
        else:
            filling.append([*document])
        if len(filling) > OPEN or len(full) + len(filling) > blocks:
            longest = max(filling, key=len)
            filling.remove(longest)
            full.append(longest)
        if len(full) >= blocks:
            break
    rows = [*full, *filling][:blocks]
    if len(rows) < blocks:
        raise ValueError(f"the documents fill {len(rows)} blocks of {length} tokens, {blocks} were wanted; give more")
    return torch.tensor([row + [padding] * (length - len(row)) for row in rows])


def positions_of(tokens: Int[Tensor, "block token"], end: int) -> Int[Tensor, "block token"]:
    """Each token's place in its document; transformers keeps documents apart where the places begin again.

    >>> positions_of(torch.tensor([[5, 6, 1, 7, 1, 8]]), end=1)
    tensor([[0, 1, 2, 0, 1, 0]])
    """
    place = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    begins = torch.zeros_like(tokens, dtype=torch.bool)
    begins[:, 1:] = tokens[:, :-1] == end
    return place - torch.where(begins, place, 0).cummax(dim=1).values


def targets_of(tokens: Int[Tensor, "block token"], end: int, padding: int) -> Int[Tensor, "block target"]:
    """Return what is to be predicted after each token but the last: -100 where that is padding or another document.

    >>> targets_of(torch.tensor([[5, 6, 1, 7, 1, 0]]), end=1, padding=0)
    tensor([[   6,    1, -100,    1, -100]])
    """
    following = tokens[:, 1:]
    return following.masked_fill((tokens[:, :-1] == end) | (following == padding), UNCOUNTED)
