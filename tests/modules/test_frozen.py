import copy

import pytest
import torch
from torch import nn

from faceinsight.modules.frozen import Frozen, fingerprint


class Trunk(nn.Module):
    """Batch norm and drop-out: the two things that move without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.drop = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.embed_dim = 4

    @property
    def num_tokens(self) -> int:
        return 9

    def encode(self, faces: torch.Tensor) -> torch.Tensor:
        return self.linear(faces)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.drop(self.norm(self.linear(faces)))


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), Frozen(Trunk()), nn.Linear(4, 1))


def train_step(model: nn.Module) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    model.train()
    model(torch.randn(8, 3)).square().mean().backward()
    optimiser.step()


def test_training_around_a_frozen_part_leaves_its_fingerprint(model: nn.Sequential) -> None:
    before, outer = fingerprint(model[1]), fingerprint(model[0])
    for _ in range(3):
        train_step(model)
    assert fingerprint(model[1]) == before
    assert fingerprint(model[0]) != outer


def test_the_same_steps_without_the_wrapper_move_the_batch_statistics(model: nn.Sequential) -> None:
    bare = nn.Sequential(model[0], model[1].module.requires_grad_(False), model[2])
    before = fingerprint(bare[1])
    train_step(bare)
    assert fingerprint(bare[1]) != before


def test_train_on_the_whole_model_leaves_everything_below_in_eval(model: nn.Sequential) -> None:
    model.train()
    assert model[0].training
    assert not any(part.training for part in model[1].modules())
    faces = torch.randn(5, 3)
    assert torch.equal(model[1](faces), model[1](faces)), "drop-out acted"


def test_the_gradient_passes_through_to_what_stands_before(model: nn.Sequential) -> None:
    train_step(model)
    assert model[0].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model[1].parameters())


def test_public_attributes_of_the_part_are_reachable_and_private_ones_are_not(model: nn.Sequential) -> None:
    frozen = model[1]
    assert (frozen.embed_dim, frozen.num_tokens) == (4, 9)
    assert frozen.encode(torch.zeros(2, 3)).shape == (2, 4)
    with pytest.raises(AttributeError, match=r"'Trunk' .*no attribute 'patch_size'"):
        _ = frozen.patch_size
    frozen.module._secret = 1
    with pytest.raises(AttributeError, match=r"'Frozen' .*no attribute '_secret'"):
        _ = frozen._secret


def test_a_copy_is_frozen_too(model: nn.Sequential) -> None:
    twin = copy.deepcopy(model[1])
    assert fingerprint(twin) == fingerprint(model[1])
    assert not any(part.training for part in twin.train().modules())


@pytest.mark.parametrize("change", ["name", "dtype", "shape", "value"])
def test_the_fingerprint_sees_name_dtype_shape_and_value(change: str) -> None:
    def holder(name: str, value: torch.Tensor) -> nn.Module:
        module = nn.Module()
        module.register_buffer(name, value)
        return module

    zeros = torch.zeros(2, 3)
    changed = {
        "name": holder("scale", zeros),
        "dtype": holder("weight", zeros.to(torch.int32)),
        "shape": holder("weight", zeros.T),
        "value": holder("weight", zeros.index_fill(0, torch.tensor(1), -0.0)),
    }
    assert fingerprint(holder("weight", zeros)) == fingerprint(holder("weight", zeros.clone()))
    assert fingerprint(changed[change]) != fingerprint(holder("weight", zeros))


def test_the_fingerprint_reads_scalars_and_half_precision() -> None:
    module = nn.BatchNorm1d(2).to(torch.bfloat16)  # num_batches_tracked is a scalar
    before = fingerprint(module)
    module.num_batches_tracked += 1
    assert fingerprint(module) != before
