"""What is watched while a network trains: gradients, frozen parts, cached features, progress.

Source of the checks: users of neighbouring projects met losses that were silently zero, frozen parts that drifted and
parts that never trained; each check turns one of these into an error that names the part.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from typing import Any

import lightning
import pandas as pd
import torch
from torch import Tensor, nn

from faceinsight.data.batch import FaceBatch
from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.dataset import whole
from faceinsight.errors import InputError
from faceinsight.models.decoded import undecoded
from faceinsight.models.face_insight import FaceEncoder
from faceinsight.models.loop import over_faces
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.processes import summed
from faceinsight.store import FeatureStore, key_of

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
    for name, part in undecoded(network).named_children():
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
    """Check that parts in :class:`Frozen` do not change in training, not by a bit, nor across a resumption.

    Raises:
        RuntimeError: naming the parts that changed.
    """

    def __init__(self) -> None:
        self.before: dict[str, str] = {}

    @staticmethod
    def fingerprints(network: nn.Module) -> dict[str, str]:
        """Return the hash of each frozen part, by its place in the network."""
        return {name: fingerprint(part) for name, part in network.named_modules() if isinstance(part, Frozen)}

    def state_dict(self) -> dict[str, Any]:
        return {"before": self.before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = dict(state_dict["before"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        now = self.fingerprints(pl_module)
        if changed := [name for name, before in self.before.items() if now.get(name) != before]:
            raise RuntimeError(
                f"frozen parts are not those that the training began with: {', '.join(changed)}; "
                "give the same weights again, or begin again without the checkpoint"
            )
        self.before = now

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        after = self.fingerprints(pl_module)
        if changed := [name for name in self.before if after.get(name) != self.before[name]]:
            raise RuntimeError(f"frozen parts changed while training: {', '.join(changed)}")


def data_of(trainer: lightning.Trainer) -> FaceDataModule:
    """Return what a trainer reads."""
    return trainer.datamodule  # type: ignore[attr-defined]  # Lightning adds it when it is given one


#: Faces in one file of cached features: what an interruption costs at most, and what a changed picture does.
SHARD = 1024


class CacheFeatures(lightning.Callback):
    """Frozen encoders look at each face once; training and testing then read their features from a store.

    Networks whose encoders train are left alone. The features are those of the images as they are: no augmentation.

    Args:
        folder: where the features are kept, keyed by weights, preprocessing and images.
    """

    def __init__(self, *, folder: str) -> None:
        self.store = FeatureStore(folder)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        data = data_of(trainer)
        encoder = getattr(pl_module.network, "encoder", None)
        if encoder is None or not getattr(encoder, "frozen", False) or data.features is not None:
            return
        data.features = stored_features(self.store, encoder, data, pl_module.device)


def stored_features(
    store: FeatureStore, encoder: FaceEncoder, data: FaceDataModule, device: torch.device
) -> dict[str, Tensor]:
    """Every face's features in the order of the table's rows, as stored: shards that are missing are computed first.

    Args:
        encoder: a frozen :class:`~faceinsight.models.face_insight.FaceEncoder`.
        data: a :class:`~faceinsight.data.datamodule.FaceDataModule`.
    """
    made_of = encoder.feature_keys()
    shards: dict[str, list[Tensor]] = {name: [] for name in made_of}
    for rows in torch.arange(len(data.table)).split(SHARD):
        faces = data.fingerprint(rows)
        known: dict[str, Tensor] = {}
        for name, parts in made_of.items():
            make = partial(encoded, encoder, name, partial(data.faces_dataloader, rows), dict(known), device)
            # as stored, which is half precision, also for what is computed from it: the same in every later run
            known |= store.get_or_make(key_of(data=faces, **parts), make)
            shards[name].append(known[name])
    return {name: torch.cat(parts) for name, parts in shards.items()}


def encoded(
    encoder: FaceEncoder,
    name: str,
    loader: Callable[[], Iterable[FaceBatch]],
    known: Mapping[str, Tensor],
    device: torch.device,
) -> dict[str, Tensor]:
    """Return one feature of every face of ``loader()`` by its name, from those that are ``known`` of the same faces."""
    encoder.to(device).eval()
    places = count()

    def feature(batch: FaceBatch) -> Tensor:
        if batch.images is None:
            raise InputError("features are of images, and these faces come without; read the images too")
        positions = [next(places) for _ in range(len(batch))]
        earlier = {each: whole(tensor[positions]).to(device) for each, tensor in known.items()}
        return encoder.feature(name, batch.images, batch.masks, earlier).cpu()

    return {name: torch.cat([found for _, found in over_faces(feature, loader(), device=device)])}


class StepProgress(lightning.Callback):
    """Tells ``report(done, total)`` after each training step.

    Args:
        report: called with the steps done and all steps.
    """

    def __init__(self, *, report: Callable[[int, int], None]) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        self.report(trainer.global_step, int(trainer.estimated_stepping_batches))
