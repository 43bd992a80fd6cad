import pytest
import torch
from torch.nn import functional as F

from faceinsight.modules.projector import Projector, pool_patches


def test_the_projector_is_linear_gelu_linear() -> None:
    torch.manual_seed(0)
    projector = Projector(in_dim=3, out_dim=5)
    first, _, second = projector.layers
    tokens = torch.randn(2, 4, 3)
    by_hand = F.gelu(tokens @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(projector(tokens), by_hand)
    assert (first.weight.shape, second.weight.shape) == ((5, 3), (5, 5))


def test_each_token_is_projected_apart_whatever_stands_before_it() -> None:
    projector = Projector(in_dim=3, out_dim=5)
    tokens = torch.randn(2, 4, 3)
    torch.testing.assert_close(projector(tokens)[1, 2], projector(tokens[1, 2:3])[0])


def test_a_pooled_token_is_the_mean_of_a_square_of_neighbouring_patches() -> None:
    tokens = torch.randn(2, 36, 5)
    by_pooling = F.avg_pool2d(tokens.transpose(1, 2).reshape(2, 5, 6, 6), 3).flatten(2).transpose(1, 2)
    torch.testing.assert_close(pool_patches(tokens, 3), by_pooling)
    pooled, each = Projector(in_dim=5, out_dim=4, pool=3), Projector(in_dim=5, out_dim=4)
    each.load_state_dict(pooled.state_dict())
    torch.testing.assert_close(pooled(tokens), each(by_pooling))


@pytest.mark.parametrize(("count", "side"), [(37, 2), (36, 4)])
def test_patches_that_cannot_be_cut_into_such_squares_are_refused(count: int, side: int) -> None:
    with pytest.raises(ValueError, match=rf"{count} tokens .*{side} x {side}"):
        pool_patches(torch.zeros(1, count, 3), side)


def test_a_pool_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be at least 1, got 0"):
        Projector(in_dim=5, out_dim=4, pool=0)
