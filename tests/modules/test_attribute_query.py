"""One pass over blind segments gives what separate prompts give."""

import pytest
import torch
from torch import Tensor

from faceinsight.modules.attribute_query import (
    AttributeQuery,
    SharedHead,
    blind_segments,
    fastest_form,
    mean_over_paraphrases,
    read_in_one_pass,
    read_separately,
)
from faceinsight.modules.language_model import LanguageModel

LENGTHS = [3, 1, 5, 2, 1, 4]


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel.from_config(embed_dim=32, depth=3, seed=1).eval()


@pytest.fixture
def prefix() -> Tensor:
    return torch.randn(4, 7, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def segments() -> Tensor:
    return torch.randn(4, sum(LENGTHS), 32, generator=torch.Generator().manual_seed(1))


def test_one_pass_equals_one_prompt_for_each_attribute(
    language_model: LanguageModel, prefix: Tensor, segments: Tensor
) -> None:
    together = read_in_one_pass(language_model, prefix, segments, LENGTHS)
    apart = read_separately(language_model, prefix, segments, LENGTHS)
    assert together.shape == (4, len(LENGTHS), 32)
    assert apart.std() > 0.1
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_the_order_of_the_attributes_does_not_matter(
    language_model: LanguageModel, prefix: Tensor, segments: Tensor
) -> None:
    order = [4, 2, 0, 5, 1, 3]
    pieces = segments.split(LENGTHS, dim=1)
    shuffled = torch.cat([pieces[each] for each in order], dim=1)
    read = read_in_one_pass(language_model, prefix, segments, LENGTHS)
    other = read_in_one_pass(language_model, prefix, shuffled, [LENGTHS[each] for each in order])
    torch.testing.assert_close(other, read[:, order], atol=1e-5, rtol=0)


def test_the_batch_size_does_not_matter(language_model: LanguageModel, prefix: Tensor, segments: Tensor) -> None:
    whole = read_in_one_pass(language_model, prefix, segments, LENGTHS)
    single = [
        read_in_one_pass(language_model, prefix[face : face + 1], segments[face : face + 1], LENGTHS)
        for face in range(4)
    ]
    torch.testing.assert_close(torch.cat(single), whole, atol=1e-5, rtol=0)


def test_a_segment_sees_the_prefix_and_itself_and_nothing_else() -> None:
    allowed, positions, ends = blind_segments(2, [2, 3])
    owner = [-1, -1, 0, 0, 1, 1, 1]
    for query in range(7):
        for key in range(7):
            expected = key <= query and owner[key] in (-1, owner[query])
            assert bool(allowed[query, key]) == expected, (query, key)
    assert positions.tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert ends.tolist() == [3, 6]


def test_the_question_of_one_attribute_does_not_reach_another(language_model: LanguageModel, prefix: Tensor) -> None:
    query = AttributeQuery(prompt_dim=16, embed_dim=32, num_tokens=2)
    prompts = torch.randn(3, 16)
    questions = [language_model.embed_text(text) for text in ("smiling?", "a hat?", "bald?")]
    changed = [questions[0], language_model.embed_text("something else entirely?"), questions[2]]
    before = query(prefix, prompts, language_model, questions)
    after = query(prefix, prompts, language_model, changed)
    torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]], atol=1e-5, rtol=0)
    assert (after[:, 1] - before[:, 1]).abs().max() > 1e-3


def test_gradients_pass_through_the_language_model_to_prefix_and_prompts(language_model: LanguageModel) -> None:
    query = AttributeQuery(prompt_dim=16, embed_dim=32)
    prefix = torch.randn(2, 5, 32, requires_grad=True)
    head = SharedHead(embed_dim=32)
    logits = head(query(prefix, torch.randn(3, 16), language_model))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert prefix.grad is not None
    assert query.project.weight.grad is not None
    assert prefix.grad.abs().min() > 0
    assert query.project.weight.grad.abs().max() > 0


def test_lengths_that_do_not_add_up_are_refused(
    language_model: LanguageModel, prefix: Tensor, segments: Tensor
) -> None:
    with pytest.raises(ValueError, match=r"segments of 3 tokens .*16 were given"):
        read_in_one_pass(language_model, prefix, segments, [1, 2])
    with pytest.raises(ValueError, match=r"one token, got lengths \[2, 0\]"):
        blind_segments(1, [2, 0])


def test_auto_reads_in_the_form_that_is_fastest(
    language_model: LanguageModel, prefix: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember, remembered = LanguageModel.remember, []
    monkeypatch.setattr(LanguageModel, "remember", lambda *given: remembered.append(1) or remember(*given))
    assert fastest_form(7, [1] * 6) == "packed"
    AttributeQuery(prompt_dim=16, embed_dim=32)(prefix, torch.randn(6, 16), language_model)
    assert not remembered
    assert fastest_form(7, [1] * 6, chunk=2) == fastest_form(7, [4] * 60) == "cached"
    AttributeQuery(prompt_dim=16, embed_dim=32, chunk=2)(prefix, torch.randn(6, 16), language_model)
    assert remembered


def test_paraphrases_are_averaged_as_log_odds() -> None:
    logits = torch.tensor([[0.0, 4.0, 1.0], [2.0, -2.0, 3.0]])
    assert mean_over_paraphrases(logits, [2, 1]).tolist() == [[2.0, 1.0], [0.0, 3.0]]
    assert torch.equal(mean_over_paraphrases(logits, [1, 1, 1]), logits)


def test_a_query_that_could_not_ask_is_refused(language_model: LanguageModel, prefix: Tensor) -> None:
    with pytest.raises(ValueError, match=r"chunk must be at least 1 .*got 0"):
        AttributeQuery(prompt_dim=16, embed_dim=32, chunk=0)
    with pytest.raises(ValueError, match=r"0 soft tokens .*prompt_dim=16"):
        AttributeQuery(prompt_dim=16, embed_dim=32, num_tokens=0)
    with pytest.raises(ValueError, match=r"1 soft tokens .*no prompts came"):
        AttributeQuery(prompt_dim=16, embed_dim=32)(prefix, None, language_model)
