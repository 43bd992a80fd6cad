import torch
from torch.nn import functional as F

from faceinsight.modules.projector import Projector


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
