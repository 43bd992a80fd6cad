"""Any family of language models, loaded from disk: one pass equals plain prompts, or it is refused."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from faceinsight.modules.attribute_query import AttributeQuery, Form
from faceinsight.modules.language.attention import attention_masks, unstable_length
from faceinsight.modules.language.one_pass_check import MEASURED, one_pass_error
from faceinsight.modules.language_model import LanguageModel
from tests.modules.checkpoints import (
    COMMIT,
    FAMILIES,
    WINDOW,
    in_hub_cache,
    pickled,
    sizes,
    text_config,
    tokenizer,
    write_language_model,
)

PREFIX = ["A photo of a face.", "Another one here! "]
QUESTIONS = ["bald?", "a", "wearing a hat?", "Is it old?", "No"]
FORMS: tuple[Form, ...] = ("packed", "cached", "separate")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("families")
    return cache(lambda family: write_language_model(folder / family, family))


@pytest.fixture(scope="module")
def loaded(checkpoint: Any) -> Any:
    return cache(lambda family: LanguageModel.from_pretrained(checkpoint(family)).eval())


def ids(texts: list[str]) -> list[Tensor]:
    return [torch.tensor(tokenizer().encode(text, add_special_tokens=False)) for text in texts]


@torch.no_grad()
def plain_prompts(folder: Path) -> tuple[Tensor, Tensor]:
    """Last hidden states and next-token logits, every prompt by itself as transformers runs it from its tokens."""
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    rows = []
    for prefix in ids(PREFIX):
        assert len(prefix) > 2 * WINDOW
        prompts = [torch.cat([prefix, question])[None] for question in ids(QUESTIONS)]
        outputs = [plain(input_ids=prompt, output_hidden_states=True) for prompt in prompts]
        rows.append([(each.hidden_states[-1][0, -1], each.logits[0, -1]) for each in outputs])
    states, logits = (torch.stack([torch.stack([each[which] for each in row]) for row in rows]) for which in (0, 1))
    return states, logits


@torch.no_grad()
def read(model: LanguageModel, faces: list[str] = PREFIX, questions: list[str] = QUESTIONS, **how: Any) -> Tensor:
    query = AttributeQuery(embed_dim=32, num_tokens=0, **how)
    prefix = torch.stack([model.embed_text(text) for text in faces])
    return query(prefix, None, model, [model.embed_text(text) for text in questions])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_form_equals_plain_prompts_whatever_the_padding_batch_order_or_chunk(
    family: str, checkpoint: Any, loaded: Any
) -> None:
    model, (states, logits) = loaded(family), plain_prompts(checkpoint(family))
    order = [3, 0, 4, 2, 1]
    assert model.config.model_type in MEASURED
    assert states.std() > 0.1
    for form in FORMS:
        for chunk in (None, 2):
            hidden = read(model, form=form, chunk=chunk)
            torch.testing.assert_close(hidden, states, atol=1e-5, rtol=0, msg=f"{form}, chunk {chunk}")
        torch.testing.assert_close(model.logits(hidden), logits, atol=1e-4, rtol=0)
        shuffled = read(model, questions=[QUESTIONS[each] for each in order], form=form)
        torch.testing.assert_close(shuffled, states[:, order], atol=1e-5, rtol=0)
        torch.testing.assert_close(read(model, PREFIX[1:], form=form), states[1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_the_difference_of_two_of_the_models_own_logits(
    family: str, checkpoint: Any, loaded: Any
) -> None:
    states, logits = plain_prompts(checkpoint(family))
    yes, no = (tokenizer().convert_tokens_to_ids(word) for word in ("Yes", "No"))
    answer = loaded(family).yes_no_logits(states)
    assert answer.std() > 0.1
    torch.testing.assert_close(answer, logits[..., yes] - logits[..., no], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", [family for family, (_, own) in FAMILIES.items() if own.get("sliding_window")])
def test_windows_reckoned_by_place_instead_of_position_would_be_seen(
    family: str, checkpoint: Any, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_place(config: Any, allowed: Tensor, positions: Tensor, **how: Any) -> Any:
        return attention_masks(config, allowed, torch.arange(len(positions)), **how)

    monkeypatch.setattr("faceinsight.modules.language_model.attention_masks", by_place)
    states, _ = plain_prompts(checkpoint(family))
    assert (read(loaded(family), form="packed") - states).abs().max() > 1e-2


@pytest.mark.parametrize("family", ["Llama", "Gemma 3"])
def test_gradients_reach_prefix_and_soft_tokens_alike_in_every_form(family: str, loaded: Any) -> None:
    model, gradients = loaded(family), []
    for form in FORMS:
        torch.manual_seed(0)
        query = AttributeQuery(prompt_dim=6, embed_dim=32, num_tokens=2, form=form)
        prefix = torch.randn(2, 9, 32, requires_grad=True)
        questions = [model.embed_text(text).detach() for text in QUESTIONS]
        hidden = query(prefix, torch.randn(len(QUESTIONS), 6), model, questions)
        (hidden * torch.randn_like(hidden)).sum().backward()
        assert query.project is not None
        gradients.append((prefix.grad, query.project.weight.grad))
    assert all(grad is not None and grad.abs().max() > 0 for pair in gradients for grad in pair)
    for pair in gradients[1:]:
        torch.testing.assert_close(pair, gradients[0], atol=1e-4, rtol=1e-3)


def test_what_is_asked_of_transformers_is_passed_through(checkpoint: Any, loaded: Any) -> None:
    half = LanguageModel.from_pretrained(
        checkpoint("Llama"), dtype="bfloat16", attn_implementation="eager", revision="0123abc"
    )
    assert half.backbone.dtype == torch.bfloat16
    assert half.config._attn_implementation == "eager"
    assert half.origin is not None
    assert half.origin["revision"] == "0123abc"
    assert loaded("Llama").config._attn_implementation == "sdpa"
    assert loaded("Gemma 2").config._attn_implementation == "eager"
    hidden = read(half.eval())
    assert hidden.dtype == torch.bfloat16
    assert half.yes_no_logits(hidden).dtype == torch.float32
    with torch.no_grad():
        assert half(torch.randn(1, 3, 32)).dtype == torch.float32, "what is trained before it stays in its precision"


# --- what is refused ---------------------------------------------------------------------------------------------


def causal(kind: str, **config: Any) -> Any:
    torch.manual_seed(0)
    return getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**config)).eval()


def test_a_family_that_no_test_names_is_measured_by_itself() -> None:
    olmo = causal("Olmo3", **sizes(sliding_window=64))
    assert one_pass_error(LanguageModel(backbone=olmo, tokenizer=tokenizer())) < 1e-3
    assert (olmo.config.sliding_window, olmo.training) == (64, False)


def test_a_family_that_cannot_be_masked_exactly_is_refused() -> None:
    bloom = causal("Bloom", vocab_size=300, hidden_size=32, n_layer=1, n_head=2, initializer_range=0.3)
    with pytest.raises(ValueError, match=r"^bloom models .*families llama, "):
        LanguageModel(backbone=bloom, tokenizer=tokenizer())
    mixed = causal("Qwen2", **sizes())
    mixed.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ValueError, match=r"^qwen2 models with linear_attention"):
        LanguageModel(backbone=mixed, tokenizer=tokenizer())
    both_ways = transformers.Gemma3ForCausalLM(text_config("Gemma 3", use_bidirectional_attention=True))
    with pytest.raises(ValueError, match=r"^gemma3_text models with bidirectional"):
        LanguageModel(backbone=both_ways, tokenizer=tokenizer())


def test_a_rotary_embedding_that_changes_with_the_length_is_refused_past_that_length() -> None:
    scaling = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [9.0] * 4, "rope_theta": 1e4}
    config = text_config("Phi 3", rope_parameters=scaling, original_max_position_embeddings=20, sliding_window=None)
    model = LanguageModel(backbone=transformers.Phi3ForCausalLM(config).eval(), tokenizer=tokenizer())
    assert unstable_length(model.config) == 20
    assert unstable_length(text_config("Llama")) is None
    short, long = read(model, questions=["a"]), ["a", "wearing a hat?"]
    for form in ("packed", "cached"):
        with pytest.raises(ValueError, match=r"passes 20 tokens, .*reaches 3\d"):
            read(model, questions=long, form=form)
    torch.testing.assert_close(read(model, questions=long, form="separate")[:, :1], short, atol=1e-5, rtol=0)


def test_answers_that_the_tokenizer_lacks_are_refused_with_the_nearest_it_has(loaded: Any) -> None:
    with pytest.raises(ValueError, match=r"\['Nope', 'nope'\] .*\['No', 'N', 'n'\];"):
        loaded("Llama").yes_no_logits(torch.randn(1, 32), no=("Nope", "nope"))
    words = tokenizer(unk_token="<pad>")
    with pytest.raises(ValueError, match=r"none of \['<pad>'\] is a single token"):
        LanguageModel(backbone=loaded("Llama").backbone, tokenizer=words).yes_no_logits(
            torch.randn(1, 32), no=["<pad>"]
        )


def test_a_checkpoint_that_is_not_whole_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no directory .*none; give"):
        LanguageModel.from_pretrained(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"^no config.json in .*no checkpoint"):
        LanguageModel.from_pretrained(tmp_path)
    folder = write_language_model(tmp_path / "model", "Llama")
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with pytest.raises(FileNotFoundError, match=r"^no tokenizer in .*; copy"):
        LanguageModel.from_pretrained(folder)
    (tmp_path / "tokenizer.json").rename(folder / "tokenizer.json")
    path = folder / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"^the weights in .*cut short or damaged"):
        LanguageModel.from_pretrained(folder)
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ValueError, match=r"32,672 weights, .*hold 31,136"):
        LanguageModel.from_pretrained(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "part-2.safetensors"}}))
    with pytest.raises(FileNotFoundError, match=r"lacks part-2.safetensors"):
        LanguageModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors.index.json"])
def test_a_settings_file_that_is_cut_short_is_named_not_passed_over(name: str, checkpoint: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("Llama"), tmp_path / "model")
    (folder / name).write_text('{"weight_map": {"a": ')
    with pytest.raises(ValueError, match=rf"{name} is cut short .*get it again$"):
        LanguageModel.from_pretrained(folder)


def test_a_checkpoint_of_pickles_is_never_opened(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pickled(checkpoint("Llama"), tmp_path / "model")
    with pytest.raises(ValueError, match=r"only as pickle \(pytorch_model.bin\)"):
        LanguageModel.from_pretrained(folder)
    in_hub_cache(monkeypatch, tmp_path / "hub", pickled=folder)
    with pytest.raises(ValueError, match=r"somebody/pickled has no safetensors"):
        LanguageModel.from_pretrained("somebody/pickled")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"^no weights \(\*.safetensors\) in "):
        LanguageModel.from_pretrained(folder)


def test_all_of_a_hub_model_is_taken_from_the_commit_that_is_kept(
    checkpoint: Any, loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hub_cache(monkeypatch, tmp_path, llama=checkpoint("Llama"))
    asked = []
    load = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        AutoModelForCausalLM,
        "from_pretrained",
        lambda *given, **how: asked.append(how["revision"]) or load(*given, **how),
    )
    model = LanguageModel.from_pretrained("somebody/llama", revision="main")
    assert asked == [COMMIT], "of a branch, transformers would have pickles converted"
    assert model.origin is not None
    assert (model.origin["name_or_path"], model.origin["revision"]) == ("somebody/llama", COMMIT)
    assert torch.equal(read(model.eval()), read(loaded("Llama")))
    with pytest.raises(FileNotFoundError, match=r"^somebody/none is no directory here"):
        LanguageModel.from_pretrained("somebody/none")
