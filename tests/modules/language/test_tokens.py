"""The tokens of an answer are those with which the model's own answer would begin."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import faceinsight as fi
from faceinsight.errors import InputError
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language.prompt import check_places
from faceinsight.modules.language.tokens import answer_tokens
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.projector import Projector


def tokenizer(*words: str) -> PreTrainedTokenizerFast:
    """Bytes, and these words as tokens of their own, ``_`` standing for a space."""
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: list[tuple[str, str]] = []
    for word in words:
        letters = [(word[:end], word[end]) for end in range(1, len(word))]
        pairs = [("Ġ", word[1:])] if word.startswith("_") else letters
        merges += [pair for pair in pairs if pair not in merges]
        symbols += [each for pair in pairs if (each := "".join(pair)) not in symbols]
    built = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(symbols)}, merges=merges))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens(["<s>", "</s>", "<|assistant|>"])
    extra = {"additional_special_tokens": ["<|assistant|>"]}
    return PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<s>", eos_token="</s>", **extra)


BOTH = tokenizer("Yes", "No", "yes", "no", "_Yes", "_No", "_yes")


@pytest.mark.parametrize(
    ("ending", "tokens"),
    [
        ("Is it? ASSISTANT:", ["ĠYes", "Ġyes"]),
        ("Is it? Answer with one word.", ["ĠYes", "Ġyes"]),
        ("<|assistant|>\n", ["Yes", "yes"]),
        ("<|assistant|>", ["Yes", "yes"]),
        ("", ["Yes", "yes"]),
    ],
)
def test_an_answer_begins_with_a_space_where_the_prompts_end_wants_one(ending: str, tokens: list[str]) -> None:
    assert BOTH.convert_ids_to_tokens(answer_tokens(BOTH, ("Yes", "yes"), ending)) == tokens


def test_a_spelling_without_a_spaced_token_is_taken_without_the_space() -> None:
    found = answer_tokens(BOTH, ("No", "no"), "ASSISTANT:")
    assert BOTH.convert_ids_to_tokens(found) == ["ĠNo", "no"]
    with pytest.raises(InputError, match="Nope"):
        answer_tokens(BOTH, ("Nope",), "ASSISTANT:")


def asked(**options: Any) -> fi.FaceInsight:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(BOTH), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.5, attn_implementation="sdpa",
    )  # fmt: skip
    language_model = LanguageModel(backbone=LlamaForCausalLM(config), tokenizer=BOTH)
    vit = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    given: dict[str, Any] = {
        "schema": fi.Schema.from_names(["Bald", "Smiling"]),
        "instruction": "USER: {image} {question} ASSISTANT:",
        "question": "Is this a person {prompt}?",
        **options,
    }
    return fi.FaceInsight(
        image_encoder=Frozen(vit),
        projector=Projector(in_dim=12, out_dim=16),
        query=AttributeQuery(embed_dim=16, num_tokens=0),
        language_model=Frozen(language_model),
        **given,
    ).eval()


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ({}, ["ĠYes", "Ġyes"], ["ĠNo", "no"]),
        ({"instruction": "{image} {question}<|assistant|>\n"}, ["Yes", "yes"], ["No", "no"]),
        ({"yes": ["yes"], "no": [" No"]}, ["Ġyes"], ["ĠNo"]),
    ],
)
def test_a_models_logits_are_the_likelier_yes_minus_the_likelier_no(
    options: dict[str, Any], yes: list[str], no: list[str]
) -> None:
    model = asked(**options)
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hidden = model.query(model.prefix(model.encode(images)), None, model.language_model, model.words()[2])
        vocabulary = model.language_model.logits(hidden)
        found = model(images).logits
    rows = [[int(BOTH.convert_tokens_to_ids(each)) for each in side] for side in (yes, no)]
    assert model.answer_tokens() == [tuple(rows)] * 2
    expected = vocabulary[..., rows[0]].amax(-1) - vocabulary[..., rows[1]].amax(-1)
    torch.testing.assert_close(found, expected)


def test_questions_that_end_differently_are_each_read_by_their_own_tokens() -> None:
    schema = fi.Schema.from_dict(
        {"name": "two", "attributes": {"Bald": "bald", "Hat": {"prompt": "", "questions": ["A hat?\n"]}}}
    )
    model = asked(schema=schema, instruction="{image}{question}")
    assert [BOTH.convert_ids_to_tokens(yes) for yes, _ in model.answer_tokens() or []] == [
        ["ĠYes", "Ġyes"],
        ["Yes", "yes"],
    ]
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        hidden = model.query(model.prefix(model.encode(images)), None, model.language_model, model.words()[2])
        single = [
            model.language_model.yes_no_logits(hidden[:, each], endings=[ending])
            for each, ending in enumerate(model.endings())
        ]
        torch.testing.assert_close(model(images).logits, torch.stack(single, -1))


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"instruction": "USER: {Image} {question}"}, r"\{Image\}"),
        ({"instruction": "{image} {question} {question}"}, r"\{question\}"),
        ({"instruction": "{question} {image} {question}"}, r"\{question\}"),
        ({"instruction": "USER: <image> {questions}"}, r"\{questions\}"),
        ({"question": "Is this a person {Prompt}?"}, r"\{Prompt\}"),
        ({"question": ["A person {prompt}?", "{prompt}, {prompt}?"]}, r"\{prompt\}"),
        ({"question": "{image} {prompt}?"}, r"\{image\}"),
    ],
)
def test_places_that_nothing_fills_are_refused(options: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        asked(**options)


def test_an_attributes_own_question_and_one_asked_in_words_have_no_places() -> None:
    schema = fi.Schema.from_dict(
        {"name": "one", "attributes": {"Hat": {"prompt": "hat", "questions": ["Is there a {prompt}?"]}}}
    )
    with pytest.raises(InputError, match="'Hat'"):
        asked(schema=schema)
    with pytest.raises(InputError, match="prompt"):
        asked().ask(torch.rand(3, 32, 32), "Is this a person {prompt}?")
    check_places("the question", "A set {1, 2} or {}?")
