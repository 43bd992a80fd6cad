"""Layers that are computed again in the backward pass: what is kept, and that nothing else changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from faceinsight.modules.attribute_query import AttributeQuery, blind_segments, fastest_form, read_from_cache
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.language.recompute import layers_of
from faceinsight.modules.language_model import LanguageModel


def frozen_model() -> Any:
    return Frozen(LanguageModel.from_config(embed_dim=32, depth=4, num_heads=2)).train()


def saved_and_gradient(model: Any, **pattern: Tensor) -> tuple[int, Tensor]:
    """The bytes that a forward pass keeps for the backward pass, weights apart; and the gradient of what went in."""
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, Tensor] = {}  # the tensors too, lest another one come to lie in the same place

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    sequence = torch.randn(2, 60, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(sequence, **pattern).square().sum()
    total = sum(each.untyped_storage().nbytes() for place, each in kept.items() if place not in weights)
    loss.backward()
    assert sequence.grad is not None
    return total, sequence.grad


def blind() -> dict[str, Tensor]:
    allowed, positions, _ = blind_segments(40, [5, 5, 10])
    return {"allowed": allowed, "positions": positions}


@pytest.mark.parametrize("pattern", [dict, blind])
def test_a_frozen_model_keeps_an_eighth_for_the_same_gradient(pattern: Callable[[], dict[str, Tensor]]) -> None:
    model = frozen_model()
    everything, expected = saved_and_gradient(model, **pattern())
    model.checkpoint_layers()
    little, gradient = saved_and_gradient(model.train(), **pattern())
    assert little < everything / 8
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0)
    model.checkpoint_layers(False)
    assert saved_and_gradient(model, **pattern())[0] == everything


def test_transformers_own_switch_would_be_silently_off() -> None:
    model = frozen_model()
    everything, _ = saved_and_gradient(model)
    model.backbone.activation_checkpointing_enable()
    assert saved_and_gradient(model.train())[0] == everything


def test_a_cache_that_is_trained_through_is_refused_and_one_to_read_from_is_not() -> None:
    model = frozen_model()
    model.checkpoint_layers()
    prefix, segments = torch.randn(2, 6, 32), torch.randn(2, 3, 32)
    with torch.no_grad():
        read_from_cache(model, prefix, segments, [2, 1])
    with pytest.raises(ValueError, match=r"computed again .*form='packed'$"):
        read_from_cache(model, prefix, segments, [2, 1])


def test_the_fastest_form_is_one_that_can_be_trained_through() -> None:
    model, prefix = frozen_model(), torch.randn(2, 6, 32)
    query = AttributeQuery(prompt_dim=4, embed_dim=32, chunk=1)
    assert fastest_form(6, [1, 1, 1], chunk=1) == "cached"
    prompts = torch.randn(3, 4)
    expected = query(prefix, prompts, model)
    model.checkpoint_layers()
    torch.testing.assert_close(query(prefix, prompts, model), expected, rtol=0, atol=1e-5)


def test_a_family_without_such_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Linear has no layers"):
        layers_of(nn.Linear(2, 2))
