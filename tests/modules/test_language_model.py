"""The language model behind embeddings, an attention pattern and two rows of its head."""

from pathlib import Path

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from faceinsight.errors import InputError
from faceinsight.modules.attribute_query import blind_segments
from faceinsight.modules.language_model import LanguageModel, byte_tokenizer
from faceinsight.modules.text_encoder import LearnedText, TextEncoder, mean_embedding


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel.from_config(embed_dim=32, depth=2).eval()


def test_the_default_pattern_is_the_backbones_own_causal_attention(language_model: LanguageModel) -> None:
    ids = language_model.token_ids("a person wearing a hat")[None]
    own = language_model.backbone.base_model(input_ids=ids).last_hidden_state
    embedded = language_model.backbone.get_input_embeddings()(ids)
    torch.testing.assert_close(language_model(embedded), own, atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = (LanguageModel.from_config(embed_dim=16, depth=1, seed=3) for _ in range(2))
    other = LanguageModel.from_config(embed_dim=16, depth=1, seed=4)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.embed_text("yes"), other.embed_text("yes"))


def test_yes_minus_no_is_the_difference_of_two_vocabulary_logits(language_model: LanguageModel) -> None:
    hidden = torch.randn(2, 3, 32)
    vocabulary = language_model.backbone.get_output_embeddings()(hidden)
    yes, no = (language_model.token_ids(letter)[0] for letter in "yn")
    expected = vocabulary[..., yes] - vocabulary[..., no]
    torch.testing.assert_close(language_model.yes_no_logits(hidden, yes=["Yes", "y"], no=["n"]), expected)


def test_answers_that_are_no_single_token_are_refused(language_model: LanguageModel) -> None:
    with pytest.raises(ValueError, match=r"none of \['Yes', 'yes'\] is a single token"):
        language_model.yes_no_logits(torch.randn(1, 32))


def test_a_checkpoint_on_disk_loads_to_the_same_hidden_states(language_model: LanguageModel, tmp_path: Path) -> None:
    language_model.backbone.save_pretrained(tmp_path)
    language_model.tokenizer.save_pretrained(tmp_path)
    loaded = LanguageModel.from_pretrained(str(tmp_path)).eval()
    text = language_model.embed_text("an oval face")[None]
    assert torch.equal(loaded.embed_text("an oval face")[None], text)
    torch.testing.assert_close(loaded(text), language_model(text))


def test_an_attention_that_takes_no_mask_is_refused(language_model: LanguageModel) -> None:
    config = MistralConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    backbone = MistralForCausalLM(config)
    backbone.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="attention 'flash_attention_2' cannot take the query's own mask"):
        LanguageModel(backbone=backbone, tokenizer=byte_tokenizer())


def test_the_text_encoder_is_the_mean_of_the_token_embeddings_normalised(language_model: LanguageModel) -> None:
    prompts = ["wearing eyeglasses", "bald"]
    table = language_model.backbone.get_input_embeddings().weight
    for row, prompt in zip(mean_embedding(language_model, prompts), prompts, strict=True):
        expected = torch.stack([table[byte] for byte in language_model.tokenizer.encode(prompt)]).mean(0)
        torch.testing.assert_close(row, expected)
    encoded = TextEncoder()(prompts, language_model)
    torch.testing.assert_close(encoded.mean(-1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded.var(-1, correction=0), torch.ones(2), atol=1e-2, rtol=0)


def test_learned_prompts_refuse_another_number_of_attributes() -> None:
    with pytest.raises(ValueError, match="3 prompts for 2 learned vectors"):
        LearnedText(num_attributes=2, embed_dim=4)(["a", "b", "c"])


def test_a_sequence_longer_than_the_models_positions_is_refused_in_every_form() -> None:
    model = LanguageModel.from_config(embed_dim=16, depth=1, max_tokens=24)
    embeddings = torch.zeros(1, 25, 16)
    with pytest.raises(InputError, match="at most 24"):
        model(embeddings)
    cache = model.remember(embeddings[:, :20])
    with pytest.raises(InputError, match="25 tokens"):
        model(embeddings[:, :5], cache=cache)
    allowed, positions, _ = blind_segments(22, [2, 3])
    with pytest.raises(InputError, match="25 tokens"):
        model(torch.zeros(1, 27, 16), allowed=allowed, positions=positions)


def test_packed_segments_may_be_longer_together_than_the_models_positions() -> None:
    model = LanguageModel.from_config(embed_dim=16, depth=1, max_tokens=24)
    allowed, positions, _ = blind_segments(20, [4, 4, 4])
    assert model(torch.zeros(1, 32, 16), allowed=allowed, positions=positions).shape == (1, 32, 16)
