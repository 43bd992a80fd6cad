"""Binary cross-entropy with undefined labels left out."""

import math

import torch

from faceinsight.modules.bce import masked_bce


def test_the_mean_runs_over_defined_labels_only() -> None:
    logits = torch.tensor([[0.3, -1.2, 4.0], [2.0, 0.0, -3.0]])
    labels = torch.tensor([[1, -1, 0], [0, 1, -1]], dtype=torch.int8)

    def probability(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    terms = [probability(0.3), 1 - probability(-1.2), probability(0.0), 1 - probability(-3.0)]
    torch.testing.assert_close(masked_bce(logits, labels), torch.tensor(-sum(map(math.log, terms)) / 4))


def test_an_undefined_label_has_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    masked_bce(logits, torch.tensor([[0, 1]], dtype=torch.int8), undefined=0).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, -0.5]]


def test_no_defined_label_at_all_is_a_loss_of_zero() -> None:
    assert masked_bce(torch.randn(3, 2), torch.zeros(3, 2, dtype=torch.int8)) == 0


def test_positive_weights_multiply_the_positive_terms() -> None:
    logits, labels = torch.zeros(1, 2), torch.tensor([[1, -1]], dtype=torch.int8)
    weighted = masked_bce(logits, labels, torch.tensor([3.0, 5.0]))
    torch.testing.assert_close(weighted, torch.tensor(4 * math.log(2) / 2))


def test_the_gradient_is_the_analytical_one() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(-1, 2, (3, 4), dtype=torch.int8)
    assert torch.autograd.gradcheck(lambda x: masked_bce(x, labels), logits)
