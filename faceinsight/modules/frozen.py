"""Freezing a part so that it stays as it is: no gradient, no drop-out, no moving statistics.

Freezing is more than ``requires_grad_(False)``: in training mode, drop-out and drop-path still act and batch
statistics still move. :class:`Frozen` keeps all of it still, and :func:`fingerprint` proves it afterwards.
"""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Frozen", "fingerprint", "frozen_names"]


class Frozen(nn.Module):
    """A wrapper whose ``module`` neither trains nor leaves evaluation mode, yet lets gradients pass through.

    Nothing here runs under ``no_grad``: what is trained before a frozen part (a projector or a prompt before a
    frozen language model) gets its gradient through it. Public attributes and methods of the module are reachable
    on the wrapper, so a frozen part can stand wherever the part itself stood; they are read, never set.

    Args:
        module: the part to freeze, in place. ``requires_grad_`` called later on something *around* the wrapper
            would reach its parameters; :func:`fingerprint` tells whether that changed anything.

    >>> part = Frozen(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)))
    >>> part.train().module.training
    False
    >>> images = torch.ones(1, 2, requires_grad=True)
    >>> part(images).sum().backward()
    >>> images.grad.shape, part.module[0].weight.grad
    (torch.Size([1, 2]), None)
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in evaluation mode, whatever ``mode`` asks; the modules around call this with ``True``."""
        super().train(False)
        return self

    def forward(self, *args: object, **kwargs: object) -> Any:
        """Call the module."""
        return self.module(*args, **kwargs)

    def kept(self) -> dict[str, str]:
        """Return what stays as it is: its name in this wrapper's state, and in the state of the part alone."""
        return {f"module.{name}": name for name in self.module.state_dict()}

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # `_modules` is missing while a copy is being rebuilt; private names stay private
            if name.startswith("_") or "module" not in self.__dict__.get("_modules", {}):
                raise
            return getattr(self.module, name)


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of a module's state: the names, dtypes, shapes and bytes of its parameters and saved buffers.

    Equal before and after training means that the part did not drift. A part has the same fingerprint inside a
    :class:`Frozen` as alone, and on every device; what trains inside one (low-rank adapters) does not count.

    >>> part = nn.Linear(2, 2)
    >>> before = fingerprint(part)
    >>> fingerprint(Frozen(part)) == before
    True
    >>> _ = nn.init.constant_(part.bias, 7)
    >>> fingerprint(part) == before
    False
    """
    state = module.state_dict()
    kept = module.kept() if isinstance(module, Frozen) else {name: name for name in state}
    digest = hashlib.sha256()
    for name, value in sorted((alone, state[here]) for here, alone in kept.items()):
        digest.update(f"{name} ".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {list(value.shape)}\n".encode())
            # as bytes, since numpy has no bfloat16; flat, since a scalar cannot be viewed as bytes
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        else:  # a module's extra state
            digest.update(repr(value).encode())
    return digest.hexdigest()


def frozen_names(module: nn.Module) -> set[str]:
    """Return the names in a module's ``state_dict`` of what stays as it is in a :class:`Frozen`.

    >>> sorted(frozen_names(nn.ModuleDict({"trunk": Frozen(nn.Linear(2, 3)), "head": nn.Linear(3, 1)})))
    ['trunk.module.bias', 'trunk.module.weight']
    """
    wrappers = ((name, part) for name, part in module.named_modules(remove_duplicate=False) if isinstance(part, Frozen))
    return {f"{name}.{each}" if name else each for name, part in wrappers for each in part.kept()}
