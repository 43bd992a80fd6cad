"""Gradient checkpointing that holds for a frozen model too: layers computed again in the backward pass, not kept.

Source: Chen et al. 2016 (https://arxiv.org/abs/1604.06174). transformers' own switch asks each layer whether it is in
training mode. A frozen model never is, so there the switch is silently off, and all activations are kept for the
gradient that passes through to the projector. Here torch's checkpointing is put round the layers whatever their mode;
without re-entrance, so that it does not matter either whether a layer's input or only a weight inside wants a gradient.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from faceinsight.errors import InputError

__all__ = ["layers_of", "recomputed"]


def layers_of(backbone: nn.Module) -> Sequence[nn.Module]:
    """Return the layers that transformers means to be checkpointed, in their order.

    Raises:
        ValueError: there are none.
    """
    layers = [each for each in backbone.modules() if isinstance(each, GradientCheckpointingLayer)]
    if not layers:
        raise InputError(
            f"{type(backbone).__name__} has no layers that transformers would checkpoint; train without "
            "gradient checkpointing, with a smaller batch"
        )
    return layers


@contextmanager
def recomputed(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Within it, a forward pass keeps each layer's input alone; the rest is computed again when it is needed."""
    before = [each.__dict__.get("forward") for each in layers]  # accelerate puts one of its own there
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            del layer.forward
            if own is not None:
                layer.forward = own
