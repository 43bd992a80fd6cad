"""Unigram and trigram models of tokens, for comparison: interpolated, with the weights of Witten and Bell.

    P(w | h) = (c(h w) + t(h) P(w | h')) / (c(h) + t(h))

c counts, t(h) is the number of different tokens seen after h, and h' is h without its first token; the shortest of
them, the unigram, is interpolated with the uniform distribution. Nothing is tuned.

Source: Witten, Bell 1991, The zero-frequency problem; as in Chen, Goodman 1999, section 2.4.
"""

from collections.abc import Iterable, Sequence

import numpy as np

Tokens = np.ndarray  # of int64


class NGrams:
    """Counts of up to ``order`` tokens in documents.

    Args:
        documents: tokens of each document. Before its first there is nothing, which is a token of its own here.
        vocab_size: number of different tokens.
        order: 1 for a unigram model, 3 for a trigram model.

    >>> model = NGrams([[0, 1, 0, 1]], vocab_size=2, order=1)
    >>> model.probability([[1]], [[0, 1]]).round(3)
    array([[0.5, 0.5]])
    """

    def __init__(self, documents: Iterable[Sequence[int]], *, vocab_size: int, order: int) -> None:
        self.base, self.vocab_size, self.order = vocab_size + 1, vocab_size, order
        start = [vocab_size] * (order - 1)
        tokens = [np.array([*start, *document], dtype=np.int64) for document in documents]
        grams = [np.concatenate([self._codes(each, order - length, length) for each in tokens]) for length in
                 range(1, order + 1)]  # fmt: skip
        self.counts = [np.unique(each, return_counts=True) for each in grams]
        # for each history of length 0, 1, ...: how often it was seen before something, and before how many things
        self.histories = [self._histories(codes, counts) for codes, counts in self.counts]

    def _codes(self, tokens: Tokens, first: int, length: int) -> Tokens:
        """Return a number for each run of ``length`` tokens, from the one that starts at ``first``."""
        count = len(tokens) - first - length + 1
        codes = np.zeros(max(count, 0), dtype=np.int64)
        for place in range(length):
            codes = codes * self.base + tokens[first + place : first + place + len(codes)]
        return codes

    def _histories(self, codes: Tokens, counts: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        seen, first, kinds = np.unique(codes // self.base, return_index=True, return_counts=True)
        return seen, np.add.reduceat(counts, first), kinds

    def probability(self, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]]) -> np.ndarray:
        """``[case, candidate]``: the probability that each candidate comes next.

        Args:
            histories: the tokens of the document so far, for each case.
            candidates: the tokens asked about, as many for every case.
        """
        wanted = np.array(candidates, dtype=np.int64)
        found = np.full(wanted.shape, 1 / self.vocab_size)
        start = [self.vocab_size] * (self.order - 1)
        for length in range(self.order):
            recent = np.array([[*start, *each][len(start) + len(each) - length :] for each in histories], np.int64)
            history = np.zeros(len(wanted), dtype=np.int64)
            for place in range(length):
                history = history * self.base + recent[:, place]
            seen = looked_up(self.counts[length], history[:, None] * self.base + wanted)
            codes, totals, kinds = self.histories[length]
            total, kind = (looked_up((codes, each), history)[:, None] for each in (totals, kinds))
            found = np.where(total > 0, (seen + kind * found) / np.maximum(total + kind, 1), found)
        return found

    def log_prob(self, document: Sequence[int]) -> np.ndarray:
        """Return the natural logarithm of the probability of each token but the first."""
        cut = [document[max(0, place - self.order + 1) : place] for place in range(1, len(document))]
        return np.log(self.probability(cut, [[token] for token in document[1:]]))[:, 0]


def looked_up(table: tuple[Tokens, Tokens], keys: Tokens) -> Tokens:
    """Return the values of sorted keys; 0 where there is none."""
    known, values = table
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, values[place], 0)
