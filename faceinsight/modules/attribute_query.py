"""Every attribute read in one pass: blind segments after a shared prefix.

The sequence is ``[prefix | segment of attribute 1 | segment of attribute 2 | ...]``. A segment attends to the prefix
and to itself, never to another segment, and every segment starts at the position where the prefix ends. So one pass
over ``P + N k`` tokens gives exactly what N separate prompts of ``P + k`` tokens give (tested to 1e-5 in float32), the
order of the attributes does not matter, and attributes depend on each other only through the correlation and the
logical constraint, which is what makes their ablations clean.

The same states come in three forms: ``packed`` as above, ``cached`` (the prefix once, then every segment as a short row
of its own over the prefix's keys and values) and ``separate`` (whole prompts: the reference, and the slowest).

Source: the FaceInsight paper (https://arxiv.org/abs/2504.15624) does not say how its prompts T_p join the LLM's input;
all of this file is our choice.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from faceinsight.errors import InputError
from faceinsight.modules.contracts import LanguageModelLike
from faceinsight.modules.logic.log_space import wide_linear

__all__ = [
    "AttributeQuery",
    "Form",
    "SharedHead",
    "blind_segments",
    "fastest_form",
    "mean_over_paraphrases",
    "read_from_cache",
    "read_in_one_pass",
    "read_separately",
]

T = TypeVar("T")

Form = Literal["auto", "packed", "cached", "separate"]


def blind_segments(
    prefix_length: int, lengths: Sequence[int]
) -> tuple[Bool[Tensor, "token token"], Int[Tensor, " token"], Int[Tensor, " attr"]]:
    """Who attends to whom, each token's position, and where each segment ends.

    >>> allowed, positions, ends = blind_segments(1, [2, 1])
    >>> allowed.int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 0, 0, 1]], dtype=torch.int32)
    >>> positions, ends
    (tensor([0, 1, 2, 1]), tensor([2, 3]))
    """
    if min(lengths, default=0) < 1:
        raise InputError(f"every segment needs at least one token, got lengths {list(lengths)}")
    size = torch.tensor(lengths)
    segment = torch.cat([torch.full((prefix_length,), -1), torch.arange(len(size)).repeat_interleave(size)])
    same = rearrange(segment, "query -> query 1") == segment
    causal = torch.ones(len(segment), len(segment), dtype=torch.bool).tril()
    positions = torch.cat([torch.arange(prefix_length), *(prefix_length + torch.arange(n) for n in lengths)])
    return causal & (same | (segment == -1)), positions, prefix_length - 1 + size.cumsum(0)


def read_in_one_pass(
    language_model: LanguageModelLike,
    prefix: Float[Tensor, "batch token dim"],
    segments: Float[Tensor, "batch packed dim"],
    lengths: Sequence[int],
) -> Float[Tensor, "batch attr dim"]:
    """Return the hidden state at the end of every segment, all from one pass.

    Args:
        language_model: as :class:`~faceinsight.modules.language_model.LanguageModel`.
        prefix: what all attributes share: text, image tokens, segmentation tokens, question.
        segments: the attributes' own tokens, one segment after the other.
        lengths: how many tokens each attribute's segment has; they add up to ``packed``.
    """
    if sum(lengths) != segments.shape[1]:
        raise InputError(f"segments of {sum(lengths)} tokens in all, but {segments.shape[1]} were given")
    allowed, positions, ends = blind_segments(prefix.shape[1], lengths)
    sequence = torch.cat([prefix, segments], dim=1)
    device = sequence.device
    hidden = language_model(sequence, allowed=allowed.to(device), positions=positions.to(device))
    return hidden[:, ends.to(device)]


def read_separately(
    language_model: LanguageModelLike,
    prefix: Float[Tensor, "batch token dim"],
    segments: Float[Tensor, "batch packed dim"],
    lengths: Sequence[int],
) -> Float[Tensor, "batch attr dim"]:
    """Return the same states from one prompt for each attribute: the slow reference that :func:`read_in_one_pass`
    equals.
    """
    ends = [
        language_model(torch.cat([prefix, segment], dim=1))[:, -1] for segment in segments.split(list(lengths), dim=1)
    ]
    return torch.stack(ends, dim=1)


def read_from_cache(
    language_model: LanguageModelLike,
    prefix: Float[Tensor, "batch token dim"],
    segments: Float[Tensor, "batch packed dim"],
    lengths: Sequence[int],
    chunk: int | None = None,
) -> Float[Tensor, "batch attr dim"]:
    """Return the same states once more: the prefix is read once, its keys and values are shared by all segments.

    Each segment is a row of its own, filled up on the right to the longest; what fills it up comes after the answer,
    where causal attention does not look.

    Args:
        language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
        chunk: segments at a time; each has a copy of the prefix's keys and values.
    """
    cache = language_model.remember(prefix)
    layers: list[Any] = cache.layers  # of kinds without keys, too, says transformers
    ends = []
    for some in pieces(segments.split([*lengths], dim=1), chunk):
        filled = pad_sequence([rearrange(segment, "batch token dim -> token batch dim") for segment in some])
        rows = rearrange(filled, "token attr batch dim -> (batch attr) token dim")
        shared = [(repeated(layer.keys, len(some)), repeated(layer.values, len(some))) for layer in layers]
        hidden = language_model(rows, cache=type(cache)(shared))
        last = torch.tensor([segment.shape[1] - 1 for segment in some], device=hidden.device)
        hidden = rearrange(hidden, "(batch attr) token dim -> batch attr token dim", attr=len(some))
        ends.append(hidden[:, torch.arange(len(some), device=hidden.device), last])
    return torch.cat(ends, dim=1)


def fastest_form(prefix_length: int, lengths: Sequence[int], chunk: int | None = None) -> Form:
    """Return the form that is fastest for a prefix and segments of these lengths.

    Not in the paper: ``packed``, until its attention, over the square of everything, looks at ten times as many
    pairs of tokens as ``cached``, which instead copies the prefix's keys and values for each segment. In chunks,
    ``cached``, since each packed chunk would read the prefix again. Never ``separate``.

    Measured in processor time on one thread of a busy CPU (a Llama of 3 layers, 256 wide, float32, no gradient; on a
    GPU not yet), the pairs of ``packed`` over those of ``cached``, and the time of ``cached`` over that of ``packed``:

    ======  ========  ==================  ===========  ===========
    prefix  segments  tokens in each      pairs        time
    ======  ========  ==================  ===========  ===========
    180     40        1, 8, 20            1.2 2.7 5.0  4.6 2.6 1.5
    600     40        1, 8, 20            1.1 1.5 2.3  5.2 2.8 1.9
    180     120       20                  13.0         0.7 to 0.96
    ======  ========  ==================  ===========  ===========

    >>> fastest_form(620, [8] * 40), fastest_form(180, [20] * 120), fastest_form(620, [8] * 40, chunk=10)
    ('packed', 'cached', 'cached')
    """
    together, longest = sum(lengths), max(lengths, default=0)
    packed = (prefix_length + together) ** 2
    cached = prefix_length**2 + len(lengths) * longest * (prefix_length + longest)
    in_chunks = chunk is not None and chunk < len(lengths)
    return "cached" if in_chunks or packed > 10 * cached else "packed"


def repeated(states: Float[Tensor, "batch head token dim"], times: int) -> Float[Tensor, "row head token dim"]:
    """Each face's keys or values for each of its segments."""
    return states.repeat_interleave(times, dim=0)


def pieces(values: Sequence[T], size: int | None) -> list[Sequence[T]]:
    """Return runs of at most ``size`` values; all at once by default.

    >>> pieces("abcde", 2)
    ['ab', 'cd', 'e']
    """
    size = size or len(values)
    return [values[start : start + size] for start in range(0, len(values), size)]


def mean_over_paraphrases(
    logits: Float[Tensor, "*batch question"], counts: Sequence[int]
) -> Float[Tensor, "*batch attr"]:
    """Return the mean logit of each attribute's questions.

    Not in the paper: logits, not probabilities, are averaged. The mean logit is the geometric mean of the odds
    (a logarithmic opinion pool), so "no" asked the other way round is still exactly its negative, one saturated
    paraphrase does not hide what the others say, and a prior can be taken off before or after averaging alike.

    Args:
        counts: how many questions each attribute has; they stand one after the other.

    >>> mean_over_paraphrases(torch.tensor([1.0, 3.0, -2.0]), [2, 1])
    tensor([ 2., -2.])
    """
    number = torch.tensor(counts, device=logits.device)
    owner = torch.arange(len(counts), device=logits.device).repeat_interleave(number, output_size=logits.shape[-1])
    sums = logits.new_zeros(*logits.shape[:-1], len(counts)).index_add(-1, owner, logits)
    return sums / number.to(logits)


class SharedHead(nn.Module):
    """One linear answer, the same weights for every attribute: ``[..., attr, dim] -> [..., attr]`` logits.

    The logits are float32 or wider, under autocast too.

    What tells attributes apart must come through their segments. Not in the paper.
    """

    def __init__(self, *, embed_dim: int) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.linear = nn.Linear(embed_dim, 1)

    def forward(self, hidden: Float[Tensor, "*batch attr dim"]) -> Float[Tensor, "*batch attr"]:
        return rearrange(wide_linear(hidden, self.linear.weight, self.linear.bias), "... attr 1 -> ... attr")


class AttributeQuery(nn.Module):
    """Attribute prompts T_p as soft tokens at the end of blind segments; gives each segment's last hidden state.

    Args:
        embed_dim: width of the language model.
        prompt_dim: size of one attribute's prompt; nothing is built, and none needed, without soft tokens.
        num_tokens: soft tokens for each attribute; with 0, each attribute is read at the end of its question.
        form: how all attributes are read: ``packed``, ``cached`` or ``separate``, equal to rounding; ``auto`` takes
            the fastest, see :func:`fastest_form`; ``packed`` where layers are computed again in the backward pass.
        chunk: segments at a time, to bound memory; all by default.

    >>> from faceinsight.modules.language_model import LanguageModel
    >>> language_model = LanguageModel.from_config(embed_dim=32, depth=1)
    >>> query = AttributeQuery(prompt_dim=16, embed_dim=32)
    >>> query(torch.randn(4, 9, 32), torch.randn(28, 16), language_model).shape
    torch.Size([4, 28, 32])
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        prompt_dim: int | None = None,
        num_tokens: int = 1,
        form: Form = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise InputError(f"chunk must be at least 1 segment at a time, or None for all, got {chunk}")
        if (prompt_dim is None) != (num_tokens == 0):
            raise InputError(
                f"{num_tokens} soft tokens for each attribute and prompt_dim={prompt_dim}; give both, or neither "
                "(num_tokens=0) to read at the end of the questions"
            )
        self.prompt_dim, self.embed_dim, self.num_tokens = prompt_dim, embed_dim, num_tokens
        self.form: Form = form
        self.chunk = chunk
        self.project = None if prompt_dim is None else nn.Linear(prompt_dim, num_tokens * embed_dim)

    def forward(
        self,
        prefix: Float[Tensor, "batch token dim"],
        prompts: Float[Tensor, "attr prompt"] | None,
        language_model: LanguageModelLike,
        questions: Sequence[Float[Tensor, "_ dim"]] | None = None,
        seen: Float[Tensor, "batch attr dim"] | None = None,
    ) -> Float[Tensor, "batch attr dim"]:
        """Read all attributes.

        Args:
            prefix: the tokens that all attributes share.
            prompts: T_p, one row for each attribute; None without soft tokens.
            language_model: a :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
            questions: embedded words of each attribute's question, put before its soft tokens.
            seen: each face's own token for each attribute, put first in its segment; see
                :class:`~faceinsight.modules.attribute_tokens.AttributeTokens`.

        Raises:
            ValueError: soft tokens without prompts or the other way round, or nothing to ask an attribute by.
        """
        packed, lengths = self.pack(len(prefix), prompts, questions, seen)
        form = self.form
        if form == "auto":
            recomputed = torch.is_grad_enabled() and getattr(language_model, "gradient_checkpointing", False)
            form = "packed" if recomputed else fastest_form(prefix.shape[1], lengths, self.chunk)
        if form == "cached":
            return read_from_cache(language_model, prefix, packed, lengths, self.chunk)
        read = {"packed": read_in_one_pass, "separate": read_separately}[form]
        chunks = pieces(lengths, self.chunk)
        parts = zip(packed.split([*map(sum, chunks)], dim=1), chunks, strict=True)
        return torch.cat([read(language_model, prefix, some, each) for some, each in parts], dim=1)

    def pack(
        self,
        batch: int,
        prompts: Float[Tensor, "attr prompt"] | None,
        questions: Sequence[Float[Tensor, "_ dim"]] | None = None,
        seen: Float[Tensor, "batch attr dim"] | None = None,
    ) -> tuple[Float[Tensor, "batch packed dim"], list[int]]:
        """Return all segments of each face one after the other, and how many tokens each has."""
        segments = self.segments(prompts, questions)
        lengths = [len(segment) + (seen is not None) for segment in segments]
        own = [repeat(segment, "token dim -> batch token dim", batch=batch) for segment in segments]
        if seen is None:
            return torch.cat(own, dim=1), lengths
        pairs = zip(seen.split(1, dim=1), own, strict=True)
        return torch.cat([part.to(own[0].dtype) for pair in pairs for part in pair], dim=1), lengths

    def segments(
        self, prompts: Float[Tensor, "attr prompt"] | None, questions: Sequence[Float[Tensor, "_ dim"]] | None
    ) -> list[Float[Tensor, "_ dim"]]:
        """Each attribute's own tokens: its question, then its soft tokens."""
        if (prompts is None) != (self.project is None):
            raise InputError(
                f"{self.num_tokens} soft tokens for each attribute, but {'no ' if prompts is None else ''}prompts came"
            )
        if self.project is None or prompts is None:
            return [*(questions or [])]
        soft = rearrange(self.project(prompts), "attr (token dim) -> attr token dim", token=self.num_tokens)
        return [*soft] if questions is None else [torch.cat(pair) for pair in zip(questions, soft, strict=True)]
