"""How networks are trained: objectives, optimiser, schedule and logging. The networks themselves compute elsewhere.

Source: FaceInsight (https://arxiv.org/abs/2504.15624) trains with ``L = L_bce + L_c``; the form and weight of ``L_c``
are not published and are choices of this library, see :mod:`faceinsight.modules.logical`.
"""

from typing import Any, Literal

import lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassJaccardIndex
from transformers import get_cosine_schedule_with_warmup

from faceinsight.data.batch import FaceBatch
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics import attribute_metrics
from faceinsight.modules.bce import masked_bce
from faceinsight.modules.frozen import frozen_names
from faceinsight.modules.logical import LogicalConstraint

__all__ = ["AttributeSystem", "LossNotFiniteError", "ParserSystem", "TrainingSystem", "parameter_groups"]

ClassWeight = Literal["none", "balanced"]


class LossNotFiniteError(FloatingPointError):
    """The training loss became NaN or infinite; the message says where and what to try."""


def parameter_groups(
    network: nn.Module, *, lr: float, part_lr: dict[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """The trained parameters as optimiser groups: a learning rate for each part, no decay on vectors and scalars.

    Args:
        part_lr: dotted part of the network -> its learning rate; the longest matching part wins, the others get ``lr``.

    Raises:
        ValueError: a name in ``part_lr`` matches no trained parameter.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    matched: set[str] = set()
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        holding = [part for part in part_lr if f"{name}.".startswith(f"{part}.")]
        matched.update(holding)
        part = max(holding, key=len, default=None)
        key = (lr if part is None else part_lr[part], weight_decay if parameter.ndim > 1 else 0.0)
        groups.setdefault(key, []).append(parameter)
    if unknown := part_lr.keys() - matched:
        parts = sorted({name.split(".")[0] for name, each in network.named_parameters() if each.requires_grad})
        raise ValueError(f"part_lr names {sorted(unknown)}, which hold no trained parameter; trained parts: {parts}")
    return [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in groups.items()]


class TrainingSystem(lightning.LightningModule):
    """A network with AdamW, a linear warm-up and a cosine decay to zero.

    Args:
        network: what is trained.
        lr: highest learning rate.
        part_lr: learning rates of single parts, see :func:`parameter_groups`.
        weight_decay: of weight matrices; vectors and scalars have none.
        warmup: share of all steps in which the learning rate rises.
    """

    network: Any  # a module; what else it must have is said by each system

    def __init__(
        self,
        *,
        network: nn.Module,
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.05,
        warmup: float = 0.1,
    ) -> None:
        super().__init__()
        self.network = network
        self.lr, self.part_lr, self.weight_decay, self.warmup = lr, part_lr or {}, weight_decay, warmup

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.network, lr=self.lr, part_lr=self.part_lr, weight_decay=self.weight_decay)
        if not groups:
            return None
        optimizer = torch.optim.AdamW(groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_cosine_schedule_with_warmup(optimizer, round(self.warmup * steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen: it is built again from the configuration."""
        for name in frozen_names(self):
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what is frozen from here; that it is the same is seen by ``FrozenCheck``."""
        own = self.state_dict()
        checkpoint["state_dict"] |= {name: own[name] for name in frozen_names(self)}

    def finite(self, loss: Tensor, terms: dict[str, Tensor]) -> Tensor:
        """The loss as it came, or :class:`LossNotFiniteError` with every term's value."""
        if not torch.isfinite(loss):
            values = ", ".join(f"{name} = {term.item():.4g}" for name, term in terms.items())
            raise LossNotFiniteError(
                f"the training loss is {loss.item()} at step {self.global_step} ({values}); "
                f"check the inputs, or lower lr (now {self.lr:g})"
            )
        return loss


class AttributeSystem(TrainingSystem):
    """Attributes from faces: masked BCE plus the logical constraint.

    Args:
        network: gives ``.logits`` for images or cached features, and has a ``.schema``; see :mod:`faceinsight.model`
            and :mod:`faceinsight.controls`.
        rules: for the metrics of every variant, whether or not it trains with them.
        logical: the constraint loss; None leaves it out.
        logical_weight: its weight.
        bce_weight: weight of the BCE; 0 for the conditional objective alone.
        class_weight: ``balanced`` weighs each attribute's positives by negatives / positives of the training split.
        options: of :class:`TrainingSystem`.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        *,
        network: nn.Module,
        rules: RuleSet,
        logical: LogicalConstraint | None = None,
        logical_weight: float = 1.0,
        bce_weight: float = 1.0,
        class_weight: ClassWeight = "none",
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.05,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(network=network, lr=lr, part_lr=part_lr, weight_decay=weight_decay, warmup=warmup)
        self.rules, self.logical = rules, logical
        self.logical_weight, self.bce_weight, self.class_weight = logical_weight, bce_weight, class_weight
        self.register_buffer("pos_weight", None, persistent=False)
        self.val_metrics = attribute_metrics(self.network.schema, rules, prefix="val/")
        self.test_metrics = attribute_metrics(self.network.schema, rules, prefix="test/")
        self.test_probability: Float[Tensor, "face attr"] | None = None
        self.test_index: Tensor | None = None
        self._tested: list[tuple[Tensor, Tensor]] = []

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.class_weight == "balanced":
            labels = self.trainer.datamodule.train_labels()  # type: ignore[attr-defined]
            positive, negative = (labels == 1).sum(0), (labels == -1).sum(0)
            self.pos_weight = (negative / positive.clamp(min=1)).to(self.device)

    def forward(self, batch: FaceBatch) -> Float[Tensor, "batch attr"]:
        return self.network(batch.images, masks=batch.masks, features=batch.features).logits

    def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
        logits = self(batch)
        terms = {"bce": masked_bce(logits, batch.labels, self.pos_weight)}
        loss = self.bce_weight * terms["bce"]
        if self.logical is not None:
            terms["logical"] = self.logical(logits, batch.labels)
            loss = loss + self.logical_weight * terms["logical"]
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()}, batch_size=len(logits))
        return self.finite(loss, terms)

    def validation_step(self, batch: FaceBatch, batch_index: int) -> None:
        logits = self(batch)
        self.val_metrics.update(logits.sigmoid(), batch.labels)
        self.log("val/bce", masked_bce(logits, batch.labels), batch_size=len(logits), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.val_metrics.compute())
        self.val_metrics.reset()

    def on_test_epoch_start(self) -> None:
        self._tested.clear()

    def test_step(self, batch: FaceBatch, batch_index: int) -> None:
        probability = self(batch).float().sigmoid()
        self.test_metrics.update(probability, batch.labels)
        self._tested.append((probability.cpu(), batch.index.cpu()))

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.test_metrics.compute())
        self.test_metrics.reset()
        probability, index = zip(*self._tested, strict=True)
        self.test_probability, self.test_index = torch.cat(probability), torch.cat(index)


class ParserSystem(TrainingSystem):
    """A face parser, trained with cross-entropy on parsing masks; reports the mean intersection over union
    over the classes that occur.

    Args:
        network: a :class:`~faceinsight.modules.segmentation.FaceParser`.
        options: of :class:`TrainingSystem`.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(network=network, lr=lr, part_lr=part_lr, weight_decay=weight_decay, warmup=warmup)
        self.val_iou = MulticlassJaccardIndex(self.network.classes, average="macro")
        self.test_iou = MulticlassJaccardIndex(self.network.classes, average="macro")

    def forward(self, batch: FaceBatch) -> tuple[Float[Tensor, "batch region height width"], Tensor]:
        """Logits for every pixel, and the true class ids."""
        if batch.masks is None or batch.images is None:
            raise ValueError("training a face parser needs images and parsing masks; this data source lacks them")
        return self.network(batch.images), batch.masks.long()

    def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
        loss = F.cross_entropy(*self(batch))
        self.log("train/cross_entropy", loss.detach(), batch_size=len(batch))
        return self.finite(loss, {"cross_entropy": loss})

    def validation_step(self, batch: FaceBatch, batch_index: int) -> None:
        logits, masks = self(batch)
        self.val_iou.update(logits.argmax(1), masks)
        self.log("val/mean_iou", self.val_iou, batch_size=len(batch))

    def test_step(self, batch: FaceBatch, batch_index: int) -> None:
        logits, masks = self(batch)
        self.test_iou.update(logits.argmax(1), masks)
        self.log("test/mean_iou", self.test_iou, batch_size=len(batch))
