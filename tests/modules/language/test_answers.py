"""The next-token loss of answers, against transformers' own and by hand."""

import math

import pytest
import torch
from torch import Tensor

from faceinsight.modules.language.answers import UNCOUNTED, answer_sum_and_count, next_token_sum_and_count
from faceinsight.modules.language_model import LanguageModel

TEXTS = [("Describe this face.", "A bald man."), ("Is she smiling?", "Yes"), ("And?", "")]
INSTRUCTION = "USER: {image} {question} ASSISTANT:"


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel.from_config(embed_dim=16, depth=2, num_heads=2).eval()


def image_tokens() -> Tensor:
    return torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))


def test_each_counted_token_costs_minus_its_log_probability() -> None:
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[7.0, 7.0, 7.0], [0.2, 0.1, 0.0]]])
    targets = torch.tensor([[2, 0], [UNCOUNTED, 1]])
    rows = [(logits[0, 0], 2), (logits[0, 1], 0), (logits[1, 1], 1)]
    by_hand = sum(math.log(sum(math.exp(each) for each in row.tolist())) - row[token].item() for row, token in rows)
    total, count = next_token_sum_and_count(logits, targets)
    assert total.item() == pytest.approx(by_hand, rel=1e-6)
    assert count.item() == 3


def test_the_gradient_of_the_loss_is_that_of_finite_differences() -> None:
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([[0, UNCOUNTED, 3], [1, 2, UNCOUNTED]])
    assert torch.autograd.gradcheck(lambda each: next_token_sum_and_count(each, targets)[0], logits)


def test_the_loss_is_transformers_own_over_the_answers_tokens(language_model: LanguageModel) -> None:
    total, count = answer_sum_and_count(language_model, image_tokens(), INSTRUCTION, TEXTS)
    expected, tokens = 0.0, 0
    end = language_model.tokenizer.eos_token_id
    for image, (question, answer) in zip(image_tokens(), TEXTS, strict=True):
        before, after = language_model.embed_text("USER: "), language_model.embed_text(f" {question} ASSISTANT:")
        said = [*language_model.tokenizer.encode(answer), end]
        words = language_model.embed_tokens(torch.tensor(said))
        sequence = torch.cat([before, image, after, words])
        labels = torch.tensor([UNCOUNTED] * (len(sequence) - len(said)) + said)
        mean = language_model.backbone(inputs_embeds=sequence[None], labels=labels[None]).loss
        expected, tokens = expected + mean.item() * len(said), tokens + len(said)
    assert count.item() == tokens == len("A bald man.") + len("Yes") + 3
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_goes_through_the_language_model_to_the_image(language_model: LanguageModel) -> None:
    tokens = image_tokens().requires_grad_()
    answer_sum_and_count(language_model, tokens, "", TEXTS)[0].backward()
    assert tokens.grad is not None
    assert (tokens.grad.abs().amax(dim=(1, 2)) > 0).all()
