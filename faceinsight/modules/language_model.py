"""The (mostly frozen) LLM: any transformers causal language model, entered through embeddings, read as hidden states.

Source: FaceInsight (https://arxiv.org/abs/2504.15624) keeps most of a LLaVA-1.5 LLM frozen. Everything this library
needs of a language model is here: the embedding of text, one forward pass under an explicit attention pattern, and
two rows of its head. The full vocabulary logits are never built.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

__all__ = ["LanguageModel", "byte_tokenizer"]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the 256 bytes plus begin, end and padding: no vocabulary file, no unknown text.

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

    >>> model = LanguageModel.from_config(embed_dim=32, depth=1)
    >>> tokens = model.embed_text("Is this a person who is smiling?")
    >>> model(tokens[None]).shape
    torch.Size([1, 32, 32])
    """

    #: how :meth:`from_config` or :meth:`from_pretrained` built it, told as in :mod:`faceinsight.modules.description`
    origin: dict[str, Any] | None = None

    def __init__(self, *, backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        implementation = backbone.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            raise ValueError(
                f"attention {implementation!r} cannot take the query's own mask; load the model with "
                "attn_implementation='sdpa'"
            )
        self.backbone = backbone
        self.tokenizer = tokenizer
        self._tokens: dict[str, list[int]] = {}

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
        """A small Llama with random weights over bytes, for tests and for first runs without a download.

        Args:
            mlp_dim: width of the feed-forward layer; twice ``embed_dim`` by default.
            initializer_range: standard deviation of the weights. Choice of this library: ``embed_dim ** -0.5``, so
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
    def from_pretrained(cls, name_or_path: str, *, revision: str | None = None, **options: Any) -> "LanguageModel":
        """A causal language model from a local directory or the hub, weights as safetensors, no remote code.

        Args:
            revision: the commit of a hub model.
            options: passed to transformers' ``AutoModelForCausalLM.from_pretrained``, e.g. ``dtype``.
        """
        options = {"attn_implementation": "sdpa", **options}
        backbone = AutoModelForCausalLM.from_pretrained(
            name_or_path, revision=revision, use_safetensors=True, trust_remote_code=False, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
        model = cls(backbone=backbone, tokenizer=tokenizer)
        commit = getattr(backbone.config, "_commit_hash", None) or revision
        called = "faceinsight.modules.LanguageModel.from_pretrained"
        model.origin = {"given": called, "name_or_path": str(name_or_path), "revision": commit}
        return model

    @property
    def embed_dim(self) -> int:
        return int(self.backbone.config.get_text_config().hidden_size)

    @property
    def sliding_window(self) -> int | None:
        """The window of the layers that see only the last tokens, if there are such layers."""
        config = self.backbone.config.get_text_config()
        windowed = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
        return getattr(config, "sliding_window", None) if windowed else None

    def token_ids(self, text: str) -> Int[Tensor, " token"]:
        """The tokens of ``text``, without begin and end tokens; each text is tokenized once."""
        if text not in self._tokens:
            self._tokens[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return torch.tensor(self._tokens[text], dtype=torch.long, device=self.backbone.device)

    def embed_tokens(self, ids: Int[Tensor, " token"]) -> Float[Tensor, "token dim"]:
        """The input embeddings of tokens."""
        return cast(Tensor, self.backbone.get_input_embeddings()(ids))

    def embed_text(self, text: str) -> Float[Tensor, "token dim"]:
        """The input embeddings of ``text``."""
        return self.embed_tokens(self.token_ids(text))

    def forward(
        self,
        embeddings: Float[Tensor, "batch token dim"],
        *,
        allowed: Bool[Tensor, "token token"] | None = None,
        positions: Int[Tensor, " token"] | None = None,
    ) -> Float[Tensor, "batch token dim"]:
        """The last hidden states of a sequence given as embeddings.

        Args:
            allowed: ``allowed[q, k]`` says that token q attends to token k; causal attention by default.
            positions: each token's position for the position embedding; 0, 1, 2, ... by default.

        Raises:
            ValueError: the sequence passes a sliding window, which a mask given from outside would override.
        """
        batch, length, _ = embeddings.shape
        if allowed is None:
            allowed = torch.ones(length, length, dtype=torch.bool, device=embeddings.device).tril()
        if positions is None:
            positions = torch.arange(length, device=embeddings.device)
        if self.sliding_window is not None and int(positions.max()) >= self.sliding_window:
            raise ValueError(
                f"position {int(positions.max())} passes this model's sliding window of {self.sliding_window} tokens, "
                "so its attention cannot be masked exactly; shorten the prefix or use a model without a window"
            )
        # An additive float mask: a boolean one is read differently by the eager implementation, without a word.
        mask = torch.zeros(length, length, dtype=embeddings.dtype, device=embeddings.device)
        mask = mask.masked_fill(~allowed, torch.finfo(embeddings.dtype).min)
        output = self.backbone.base_model(
            inputs_embeds=embeddings,
            attention_mask=mask.expand(batch, 1, length, length),
            position_ids=positions.expand(batch, length),
            use_cache=False,
        )
        return output.last_hidden_state

    def yes_no_logits(
        self,
        hidden: Float[Tensor, "*batch dim"],
        *,
        yes: Sequence[str] = ("Yes", "yes"),
        no: Sequence[str] = ("No", "no"),
    ) -> Float[Tensor, "*batch"]:
        """``z_yes - z_no`` from two rows of the language model's own head: no new weights.

        The first spelling that is a single token is used. With random weights the answer means nothing.

        Raises:
            ValueError: no spelling is a single token of this tokenizer.
        """
        rows = torch.stack([self._single_token(yes), self._single_token(no)])
        weight = self.backbone.get_output_embeddings().weight[rows]
        answers = hidden @ rearrange(weight, "answer dim -> dim answer")
        return answers[..., 0] - answers[..., 1]

    def _single_token(self, spellings: Sequence[str]) -> Tensor:
        for spelling in spellings:
            if len(ids := self.token_ids(spelling)) == 1:
                return ids[0]
        raise ValueError(
            f"none of {list(spellings)} is a single token of this tokenizer; "
            "pass spellings that are, or use a trained head"
        )
