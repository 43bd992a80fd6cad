"""The (mostly frozen) LLM: any transformers causal language model, entered through embeddings, read as hidden states.

Source: FaceInsight (https://arxiv.org/abs/2504.15624) keeps most of a LLaVA-1.5 LLM frozen. Everything this library
needs of a language model is here: the embedding of text, one forward pass under an explicit attention pattern, and
two rows of its head. To read attributes, the full vocabulary logits are never built.

Which families read blind segments in one pass exactly as separate prompts:
:mod:`faceinsight.modules.language.one_pass_check`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.modules.language.attention import attention_masks, check_layers, unstable_length
from faceinsight.modules.language.generation import as_argument
from faceinsight.modules.language.one_pass_check import check_one_pass
from faceinsight.modules.language.pretrained import commit_of, load_pretrained, load_tokenizer
from faceinsight.modules.language.recompute import layers_of, recomputed
from faceinsight.modules.language.tokens import answer_tokens, tokens_round_image
from faceinsight.modules.logic.log_space import wide_linear

__all__ = ["LanguageModel", "byte_tokenizer"]

#: How an answer may be spelled.
YES, NO = ("Yes", "yes"), ("No", "no")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the 256 bytes plus begin, end and padding: no vocabulary file, no unknown text.

    >>> tokenizer = byte_tokenizer()
    >>> tokenizer.decode(tokenizer.encode("wearing eyeglasses"))
    'wearing eyeglasses'
    """
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


class LanguageModel(nn.Module):
    """A causal language model that takes embeddings and gives hidden states.

    Wrap it in :class:`~faceinsight.modules.frozen.Frozen` to keep it as it is; gradients still pass through it to
    whatever made the embeddings.

    Args:
        backbone: a transformers causal language model whose attention takes a 4-dimensional additive mask.
        tokenizer: the backbone's own tokenizer.
        image_token: the text that stands for the image in this model's own prompts, such as LLaVA's ``<image>``; None
            for a model that was trained on text alone.
        image_frame: the texts right before and after the image's tokens, such as InternVL's ``<img>`` and ``</img>``.

    Raises:
        ValueError: a family whose attention cannot be masked exactly, or whose head is more than a linear layer and a
            soft cap; or an image token that is no single token.

    >>> model = LanguageModel.from_config(embed_dim=32, depth=1)
    >>> tokens = model.embed_text("Is this a person who is smiling?")
    >>> model(tokens[None]).shape
    torch.Size([1, 32, 32])
    """

    #: whether layers are computed again in the backward pass, see :meth:`checkpoint_layers`
    gradient_checkpointing = False

    #: how :meth:`from_config` or :meth:`from_pretrained` built it, told as in :mod:`faceinsight.modules.description`
    origin: PlainData | None = None

    def __init__(
        self,
        *,
        backbone: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        image_token: str | None = None,
        image_frame: tuple[str, str] = ("", ""),
    ) -> None:
        super().__init__()
        implementation = backbone.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            raise InputError(
                f"attention {implementation!r} cannot take the query's own mask; load the model with "
                "attn_implementation='sdpa'"
            )
        check_layers(backbone.config.get_text_config())
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.image_token, self.image_frame = image_token, image_frame
        self._tokens: dict[str, list[int]] = {}
        self._prompts: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
        self._answers: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[list[int], list[int]]] = {}
        if image_token is not None and len(self.token_ids(image_token)) != 1:
            raise InputError(
                f"the image token {image_token!r} is no single token of this tokenizer; name the one it has"
            )
        check_one_pass(self)

    @classmethod
    def from_config(
        cls,
        *,
        embed_dim: int = 128,
        depth: int = 2,
        num_heads: int = 4,
        mlp_dim: int | None = None,
        max_tokens: int = 2048,
        initializer_range: float | None = None,
        seed: int = 0,
    ) -> "LanguageModel":
        """Return a small Llama with random weights over bytes, for tests and for first runs without a download.

        Args:
            mlp_dim: width of the feed-forward layer; twice ``embed_dim`` by default.
            initializer_range: standard deviation of the weights. Not in the paper: ``embed_dim ** -0.5``, so
                that the random attention depends on its input; at transformers' own 0.02 a narrow model averages
                whatever it attends to.
            seed: of the weights alone; torch's global generator is left as it was.
        """
        arguments = {name: value for name, value in locals().items() if name != "cls"}
        tokenizer = byte_tokenizer()
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=embed_dim,
            intermediate_size=mlp_dim or 2 * embed_dim,
            num_hidden_layers=depth,
            num_attention_heads=num_heads,
            num_key_value_heads=num_heads,
            max_position_embeddings=max_tokens,
            initializer_range=initializer_range or embed_dim**-0.5,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        config._attn_implementation = "sdpa"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = LlamaForCausalLM(config)
        model = cls(backbone=backbone, tokenizer=tokenizer)
        model.origin = {"class": "LanguageModel.from_config", **arguments}
        return model

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        gguf_file: str | None = None,
        **options: Any,
    ) -> "LanguageModel":
        """Return a causal language model from a local directory or the hub, weights as safetensors, no remote code.

        Args:
            revision: the commit of a hub model.
            dtype: of the weights, such as ``"bfloat16"``; as they were saved by default.
            attn_implementation: ``"sdpa"`` or ``"eager"``; by default the first that the family has. Gemma 2 caps its
                attention logits and has only ``"eager"``.
            gguf_file: the name of a GGUF file in a local directory, in place of safetensors; its weights are turned
                back into floating point. Needs the extra ``smollm``.
            options: passed to transformers' ``AutoModelForCausalLM.from_pretrained``, e.g. ``device_map``.

        Raises:
            FileNotFoundError, ValueError: as :func:`~faceinsight.modules.language.pretrained.load_pretrained`; the
                checkpoint has no tokenizer; or, as the constructor, a family that cannot be masked exactly.
            ModuleNotFoundError: a GGUF file, and what reads it is not installed.
        """
        given = {"dtype": dtype, "attn_implementation": attn_implementation, "gguf_file": gguf_file}
        options |= {name: value for name, value in given.items() if value is not None}
        commit = commit_of(name_or_path, revision, gguf_file)
        backbone = load_pretrained(AutoModelForCausalLM, name_or_path, revision=commit, **options)
        model = cls(backbone=backbone, tokenizer=load_tokenizer(name_or_path, revision=commit, gguf_file=gguf_file))
        place = str(name_or_path) if gguf_file is None else str(Path(name_or_path, gguf_file))
        called = "faceinsight.modules.LanguageModel.from_pretrained"
        model.origin = {"given": called, "name_or_path": place, "revision": commit}
        return model

    @property
    def config(self) -> PreTrainedConfig:
        """The text model's configuration."""
        return self.backbone.config.get_text_config()

    @property
    def embed_dim(self) -> int:
        return int(self.config.hidden_size)

    def token_ids(self, text: str) -> Int[Tensor, " token"]:
        """Return the tokens of ``text``, without begin and end tokens; each text is tokenized once."""
        if text not in self._tokens:
            self._tokens[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return torch.tensor(self._tokens[text], dtype=torch.long, device=self.device)

    def prompt_ids(self, before: str, after: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt before and after its image; each prompt is tokenized once.

        With an image token both are tokenized as one text round it, begin token included, as the model was trained;
        tokenized apart, the text after the image may come out as other tokens.

        Raises:
            ValueError: the texts name the image token themselves.
        """
        if (before, after) not in self._prompts:
            if self.image_token is None:
                first, second = (self.tokenizer.encode(text, add_special_tokens=False) for text in (before, after))
            else:
                begin, end = self.image_frame
                first, second = tokens_round_image(self.tokenizer, before + begin, self.image_token, end + after)
            self._prompts[before, after] = first, second
        return self._prompts[before, after]

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    def embed_tokens(self, ids: Int[Tensor, " token"]) -> Float[Tensor, "token dim"]:
        """Return the input embeddings of tokens, scaled if the model scales them (Gemma)."""
        return cast(Tensor, self.backbone.get_input_embeddings()(ids))

    def embed_text(self, text: str) -> Float[Tensor, "token dim"]:
        """Return the input embeddings of ``text``."""
        return self.embed_tokens(self.token_ids(text))

    def forward(
        self,
        embeddings: Float[Tensor, "batch token dim"],
        *,
        allowed: Bool[Tensor, "token token"] | None = None,
        positions: Int[Tensor, " token"] | None = None,
        cache: DynamicCache | None = None,
    ) -> Float[Tensor, "batch token dim"]:
        """Return the last hidden states of a sequence given as embeddings, in the precision in which those come.

        Args:
            allowed: ``allowed[q, k]`` says that token q attends to token k; the model's own causal pattern by default.
            positions: with ``allowed``, each token's position for the position embedding and for sliding windows.
            cache: of the tokens before these, for the model's own causal attention; these are added to it.

        Raises:
            InputError: more tokens than the model has positions; a pattern or a cache at a length where the model's
                rotary embedding depends on the length; or a cache to be trained through while layers are computed
                again.
        """
        batch, length, _ = embeddings.shape
        pattern: Mapping[str, object] = {}
        if allowed is not None:
            if positions is None or cache is not None:
                raise InputError("a pattern needs the tokens' positions, and takes no cache")
            self._check_length(length, lambda: int(positions.max()) + 1)
            masks = attention_masks(self.config, allowed, positions, batch=batch, dtype=self.backbone.dtype)
            pattern = {"attention_mask": masks, "position_ids": positions.expand(batch, length)}
        elif cache is not None:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                raise InputError(
                    "layers that are computed again in the backward pass cannot fill a cache; with gradient "
                    "checkpointing read with form='packed'"
                )
            reached = cache.get_seq_length() + length
            self._check_length(reached, lambda: reached)
            pattern = as_argument(self.backbone, cache)
        else:
            self._check_positions(length, lambda: length)
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        with recomputed(layers_of(self.backbone) if recompute else []):
            output = self.backbone.base_model(
                inputs_embeds=embeddings.to(self.backbone.dtype), use_cache=cache is not None, **pattern
            )
        return output.last_hidden_state.to(embeddings.dtype)

    def checkpoint_layers(self, on: bool = True) -> None:
        """From now on keep only each layer's input for the backward pass, frozen or not: less memory, more time.

        Not in the paper: see :mod:`faceinsight.modules.language.recompute` for why transformers' own switch is
        not used.

        Raises:
            ValueError: the family has no layers for it.
        """
        if on:
            layers_of(self.backbone)
        self.gradient_checkpointing = on

    def remember(self, prefix: Float[Tensor, "batch token dim"]) -> DynamicCache:
        """Return the keys and values of a prefix, to be given as ``cache`` with what follows it."""
        cache = DynamicCache()  # without the configuration: it would forget what sliding windows have passed
        self(prefix, cache=cache)
        return cache

    def logits(
        self, hidden: Float[Tensor, "*batch dim"], tokens: Int[Tensor, " token"] | None = None
    ) -> Float[Tensor, "*batch token"]:
        """Return the head's logits of the next token, in float32 at least, under autocast too.

        Args:
            tokens: the rows of the head that are computed; the whole vocabulary by default.
        """
        head = self.backbone.get_output_embeddings()
        weight, bias = head.weight, getattr(head, "bias", None)
        if tokens is not None:
            weight, bias = weight[tokens], None if bias is None else bias[tokens]
        logits = wide_linear(hidden, weight, bias)
        cap = getattr(self.config, "final_logit_softcapping", None)  # Gemma
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def yes_no_logits(
        self,
        hidden: Float[Tensor, "*batch dim"],
        *,
        yes: Sequence[str] = YES,
        no: Sequence[str] = NO,
        endings: Sequence[str] = ("",),
    ) -> Float[Tensor, "*batch"]:
        """``z_yes - z_no`` from a few rows of the language model's own head: no new weights.

        Of several spellings of an answer the likelier counts. With random weights the answer means nothing.

        Args:
            yes, no: spellings of the answers, see :meth:`answer_tokens`.
            endings: what the prompts end with, one for each place of the last batch axis, or one for all.

        Raises:
            InputError: no spelling is a single token of this tokenizer; the nearest that it has are listed.
        """
        tokens = [self.answer_tokens(ending, yes, no) for ending in endings]
        rows = sorted({token for pair in tokens for side in pair for token in side})
        logits = self.logits(hidden, torch.tensor(rows, device=hidden.device))
        likelier = []
        for side in (0, 1):
            others = torch.tensor([[row not in pair[side] for row in rows] for pair in tokens], device=hidden.device)
            likelier.append(logits.masked_fill(others if len(tokens) > 1 else others[0], -torch.inf).amax(-1))
        return likelier[0] - likelier[1]

    def answer_tokens(
        self, ending: str = "", yes: Sequence[str] = YES, no: Sequence[str] = NO
    ) -> tuple[list[int], list[int]]:
        """Return the tokens of yes and of no after a prompt:
        :func:`~faceinsight.modules.language.tokens.answer_tokens`.
        """
        key = (ending, tuple(yes), tuple(no))
        if key not in self._answers:
            self._answers[key] = (answer_tokens(self.tokenizer, yes, ending), answer_tokens(self.tokenizer, no, ending))
        return self._answers[key]

    def _check_positions(self, at_most: int, length: Callable[[], int]) -> None:
        limit = getattr(self.config, "max_position_embeddings", None)
        if limit is not None and at_most > limit and (reached := length()) > limit:
            raise InputError(
                f"a sequence of {reached} tokens, but this {self.config.model_type} was made for at most {limit} "
                "positions; shorten the prefix, pool the image's tokens (Projector(pool=...)), or take a larger model"
            )

    def _check_length(self, at_most: int, length: Callable[[], int]) -> None:
        self._check_positions(at_most, length)
        limit = unstable_length(self.config)
        if limit is not None and (reached := length()) > limit:
            raise InputError(
                f"{self.config.model_type} turns every token otherwise once a sequence passes {limit} tokens, and this "
                f"one reaches {reached}: one pass would not equal separate prompts; shorten the prefix, or read with "
                "form='separate'"
            )
