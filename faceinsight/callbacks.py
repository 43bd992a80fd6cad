"""What is watched while a network trains: gradients, frozen parts, cached features, progress.

Source of the checks: users of neighbouring projects met losses that were silently zero, frozen parts that drifted and
parts that never trained; each check turns one of these into an error that names the part.
"""

from collections.abc import Callable
from typing import Any

import lightning
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from faceinsight.data.feature_store import FeatureStore, key_of
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.processes import summed

__all__ = ["CacheFeatures", "FrozenCheck", "GradientCheck", "StepProgress", "parts_table"]


def parts_table(network: nn.Module) -> pd.DataFrame:
    """Each part's trained and frozen parameters, one row a part, and the total.

    >>> parts_table(nn.ModuleDict({"trunk": Frozen(nn.Linear(2, 3)), "head": nn.Linear(3, 1)}))
        part  trained  frozen
    0  trunk        0       9
    1   head        4       0
    2  total        4       9
    """
    rows = []
    for name, part in network.named_children():
        sizes = [(parameter.requires_grad, parameter.numel()) for parameter in part.parameters()]
        rows.append((name, sum(n for trained, n in sizes if trained), sum(n for trained, n in sizes if not trained)))
    rows.append(("total", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return pd.DataFrame(rows, columns=["part", "trained", "frozen"])


class GradientCheck(lightning.Callback):
    """Every trained tensor receives a gradient at the first step, and a non-zero one within the first steps.

    The gradients are those that the optimiser is about to use: of all accumulated batches and all processes.

    A module may name tensors of its own that can rightly stay without one, in an attribute
    ``may_lack_gradient: tuple[str, ...]`` (a token for absent parts, when no part is absent).

    Args:
        patience: steps within which every trained tensor must have had a gradient other than zero.

    Raises:
        RuntimeError: naming the tensors.
    """

    def __init__(self, *, patience: int = 20) -> None:
        self.patience = patience
        self.waiting: dict[str, nn.Parameter] = {}
        self.steps = 0

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        exempt = {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in pl_module.named_modules()
            for name in getattr(module, "may_lack_gradient", ())
        }
        named = pl_module.named_parameters()
        self.waiting = {name: each for name, each in named if each.requires_grad and name not in exempt}
        self.steps = 0

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if not self.waiting or self.steps > self.patience:
            return
        gradients = [each.grad for each in self.waiting.values()]
        seen = [[each is not None, each is not None and bool(each.any())] for each in gradients]
        # on any process: with FSDP, one may hold no part of a tensor; and all must come to the same verdict
        received, moved = (summed(torch.tensor(seen, dtype=torch.int32, device=pl_module.device)) > 0).T.tolist()
        if self.steps == 0:
            silent = [name for name, each in zip(self.waiting, received, strict=True) if not each]
            self._refuse(silent, "receive no gradient")
        self.waiting = {name: each for (name, each), done in zip(self.waiting.items(), moved, strict=True) if not done}
        if self.steps == self.patience:
            self._refuse([*self.waiting], f"had only zero gradients in {self.patience} steps")
        self.steps += 1

    def _refuse(self, names: list[str], what: str) -> None:
        if names:
            raise RuntimeError(
                f"{len(names)} trained tensors {what}: {', '.join(names[:8])}; "
                "a part that is not used must not be built, and a frozen one belongs in Frozen"
            )


class FrozenCheck(lightning.Callback):
    """What stands in :class:`Frozen` is the same after training as before, to the last bit.

    Raises:
        RuntimeError: naming the parts that changed.
    """

    def __init__(self) -> None:
        self.before: dict[str, str] = {}

    @staticmethod
    def fingerprints(network: nn.Module) -> dict[str, str]:
        """The hash of each frozen part, by its place in the network."""
        return {name: fingerprint(part) for name, part in network.named_modules() if isinstance(part, Frozen)}

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.before = self.fingerprints(pl_module)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        after = self.fingerprints(pl_module)
        if changed := [name for name in self.before if after.get(name) != self.before[name]]:
            raise RuntimeError(f"frozen parts changed while training: {', '.join(changed)}")


class CacheFeatures(lightning.Callback):
    """Frozen encoders look at each face once; training and testing then read their features from a store.

    Networks whose encoders train are left alone. The features are those of the images as they are: no augmentation.

    Args:
        folder: where the features are kept, keyed by weights, preprocessing and images.
    """

    def __init__(self, *, folder: str) -> None:
        self.store = FeatureStore(folder)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        network: Any = pl_module.network
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning adds it when it is given one
        encoder = getattr(network, "encoder", None)
        if encoder is None or not encoder.frozen or data.features is not None:
            return
        faces = data.fingerprint()
        keys = {name: key_of(data=faces, **parts) for name, parts in encoder.feature_keys().items()}
        stored = {name: self.store.get(key) for name, key in keys.items()}
        if any(features is None for features in stored.values()):
            computed = encode_all(network, data.all_faces_dataloader(), pl_module.device)
            stored = {name: self.store.put(key, {name: computed[name]}) for name, key in keys.items()}
        # as stored, which is half precision, in the first run as in all later ones
        data.features = {name: features[name].float() for name, features in stored.items() if features is not None}


@torch.no_grad()
def encode_all(network: Any, loader: DataLoader[Any], device: torch.device) -> dict[str, Tensor]:
    """The network's features for every face of ``loader``, in the order of the table's rows."""
    parts: list[dict[str, Tensor]] = []
    index: list[Tensor] = []
    network.eval()
    for batch in loader:
        masks = None if batch.masks is None else batch.masks.to(device)
        encoded = network.encode(batch.images.to(device), masks)
        parts.append({name: tensor.cpu() for name, tensor in encoded.items()})
        index.append(batch.index)
    order = torch.cat(index).argsort()
    return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}


class StepProgress(lightning.Callback):
    """Tells ``report(done, total)`` after each training step.

    Args:
        report: called with the steps done and all steps.
    """

    def __init__(self, *, report: Callable[[int, int], None]) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.report(trainer.global_step, int(trainer.estimated_stepping_batches))
