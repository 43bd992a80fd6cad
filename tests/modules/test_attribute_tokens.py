"""Attribute tokens: cross-attention over a face's tokens, and their place in the segments."""

import math

import pytest
import torch

from faceinsight.errors import InputError
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.attribute_tokens import AttributeTokens
from faceinsight.modules.language_model import LanguageModel


def test_attention_is_that_of_a_loop_over_heads_and_attributes() -> None:
    part = AttributeTokens(prompt_dim=6, image_dim=5, embed_dim=8, num_heads=2).eval()
    prompts, tokens = torch.randn(3, 6), torch.randn(2, 7, 5)
    both = part.key_value(torch.nn.functional.layer_norm(tokens, (5,), part.norm.weight, part.norm.bias))
    query, key, value = part.query(prompts), both[..., :8], both[..., 8:]
    expected = torch.zeros(2, 3, 8)
    for face in range(2):
        for attribute in range(3):
            for head in (slice(0, 4), slice(4, 8)):
                weight = torch.stack([key[face, t, head] @ query[attribute, head] for t in range(7)]) / math.sqrt(4)
                share = weight.exp() / weight.exp().sum()
                expected[face, attribute, head] = sum(share[t] * value[face, t, head] for t in range(7))
    torch.testing.assert_close(part(prompts, tokens), part.out(expected))


def test_attributes_and_patches_may_come_in_any_order() -> None:
    part = AttributeTokens(prompt_dim=6, image_dim=5, embed_dim=8).eval()
    prompts, tokens, order, places = torch.randn(4, 6), torch.randn(2, 9, 5), torch.randperm(4), torch.randperm(9)
    found = part(prompts, tokens)
    torch.testing.assert_close(part(prompts[order], tokens[:, places]), found[:, order])


def test_every_weight_gets_a_gradient() -> None:
    part = AttributeTokens(prompt_dim=6, image_dim=5, embed_dim=8)
    part(torch.randn(4, 6), torch.randn(2, 9, 5)).square().sum().backward()
    bias = part.key_value.bias.grad
    assert bias is not None
    for name, weight in part.named_parameters():
        assert weight.grad is not None, name
        if name != "key_value.bias":  # a bias of the keys shifts all scores alike
            assert weight.grad.abs().max() > 0, name
    assert bias[8:].abs().max() > 0


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InputError, match="num_heads=3"):
        AttributeTokens(prompt_dim=6, image_dim=5, embed_dim=8, num_heads=3)


@pytest.mark.parametrize("questions", [False, True])
def test_all_forms_read_the_same_with_attribute_tokens_and_no_attribute_sees_another(questions: bool) -> None:
    model = LanguageModel.from_config(embed_dim=16, depth=2).eval()
    prefix, prompts, seen = torch.randn(2, 5, 16), torch.randn(3, 4), torch.randn(2, 3, 16)
    words = [torch.randn(length, 16) for length in (1, 3, 2)] if questions else None
    query = AttributeQuery(prompt_dim=4, embed_dim=16)
    states = []
    with torch.no_grad():
        for form in ("packed", "cached", "separate"):
            query.form = form  # type: ignore[assignment]
            states.append(query(prefix, prompts, model, words, seen))
        torch.testing.assert_close(states[0], states[2], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(states[1], states[2], atol=1e-5, rtol=1e-4)
        changed = seen.clone()
        changed[:, 1] += 1
        other = query(prefix, prompts, model, words, changed)
    assert (other[:, 1] - states[2][:, 1]).abs().min() > 0
    torch.testing.assert_close(other[:, [0, 2]], states[2][:, [0, 2]], atol=1e-5, rtol=1e-4)
