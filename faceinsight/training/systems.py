"""How networks are trained: objectives, optimiser, schedule and logging. The networks themselves compute elsewhere.

Source: FaceInsight (https://arxiv.org/abs/2504.15624) trains with ``L = L_bce + L_c``; the form and weight of ``L_c``
are not published and are choices of this library, see :mod:`faceinsight.modules.logical`.

Several processes (``--trainer.strategy ddp --trainer.devices N``) train what one process with N times the batch size
trains: every loss is a mean over all defined labels of all processes, and a network in which a face's output depends
on the other faces of its process is refused. Augmentation and drop-out draw other random numbers in each process.

Accumulated batches (``--trainer.accumulate_grad_batches N``) train what one batch N times as large trains, whichever
labels are undefined (:mod:`faceinsight.training.accumulation`).
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Literal

import lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassJaccardIndex
from transformers import get_cosine_schedule_with_warmup

from faceinsight.data.batch import FaceBatch
from faceinsight.errors import InputError, did_you_mean
from faceinsight.knowledge.rules import RuleSet
from faceinsight.metrics.attributes import attribute_metrics, check_probability, measure
from faceinsight.models.contracts import as_network
from faceinsight.models.decoded import DecodedOutput, undecoded
from faceinsight.models.face_insight import FaceInsightOutput, FaceModel
from faceinsight.modules.bce import bce_sum_and_count
from faceinsight.modules.decoder import decode
from faceinsight.modules.evidence import Evidence
from faceinsight.modules.frozen import frozen_names
from faceinsight.modules.logical import LogicalConstraint, broken_components
from faceinsight.modules.trained import freeze_all_but
from faceinsight.processes import gathered, mean_over_processes, share_of_mean
from faceinsight.training.accumulation import Step, upcoming
from faceinsight.training.callbacks import data_of
from faceinsight.training.evidence_fit import fit_evidence
from faceinsight.training.objectives import (
    AnswerObjective,
    LabelObjective,
    RuleObjective,
    check_objective,
    count_of,
    sum_and_count,
)

__all__ = [
    "AttributeSystem",
    "BatchStatisticsError",
    "LossNotFiniteError",
    "ParserSystem",
    "TrainingSystem",
    "check_batch_statistics",
    "parameter_groups",
]

ClassWeight = Literal["none", "balanced"]

#: The norms that Lightning's ``sync_batchnorm`` replaces by the same thing over all processes.
EXCHANGED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

#: How a count is logged: summed over the batches of the epoch and over all processes.
PER_EPOCH: dict[str, Any] = {"on_step": False, "on_epoch": True, "reduce_fx": "sum", "sync_dist": True}

#: The class id of pixels that no loss counts.
UNCOUNTED = -100


class LossNotFiniteError(InputError, FloatingPointError):
    """The training loss became NaN or infinite; the message says where and what to try."""


class BatchStatisticsError(InputError):
    """Several processes would each train with the statistics of their own faces; the message names the modules."""


def check_batch_statistics(network: nn.Module, *, synchronised: bool = False) -> None:
    """Refuse batch normalisation in training mode, whose output for a face depends on the others of its process.

    Args:
        synchronised: whether Lightning is to exchange the statistics (``sync_batchnorm``), which it does on GPUs. What
            it puts in place is torch's plain layer; timm's, with an activation inside, would lose that silently, and
            is refused here too.

    Raises:
        BatchStatisticsError: naming the modules.
    """
    norms = {name: each for name, each in network.named_modules() if isinstance(each, _BatchNorm) and each.training}
    beyond = {name: each for name, each in norms.items() if type(each) not in EXCHANGED}
    refused = beyond if synchronised else norms
    if not refused:
        return
    kind = type(next(iter(refused.values()))).__name__
    why = "each process would use the statistics of its own faces"
    if synchronised:
        why = "sync_batchnorm would put torch's plain layer in its place, without what this one does besides"
    named = ", ".join([*refused][:4]) + (", ..." if len(refused) > 4 else "")
    raise BatchStatisticsError(
        f"{len(refused)} trained layers of batch normalisation ({kind}) with several processes: {why}: {named}. "
        "Train this network in one process, or put it in Frozen, or build it with another norm "
        "(timm's resnet18: options={norm_layer: groupnorm})"
        + ("" if beyond else ", or on GPUs set trainer.sync_batchnorm")
    )


def parameter_groups(
    network: nn.Module, *, lr: float, part_lr: dict[str, float], weight_decay: float
) -> list[dict[str, object]]:
    """Return the trained parameters as optimiser groups: a learning rate for each part, no decay on vectors and
    scalars.

    Args:
        part_lr: dotted part of the network -> its learning rate; the longest matching part wins, the others get ``lr``.

    Raises:
        InputError: a name in ``part_lr`` matches no trained parameter.
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
        hint = did_you_mean(min(unknown), parts)
        raise InputError(
            f"part_lr names {sorted(unknown)}, which hold no trained parameter{hint}; trained parts: {parts}"
        )
    return [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in groups.items()]


def check_numbers(**numbers: float) -> None:
    """Refuse what cannot be a learning rate or a weight: a negative number, NaN, infinity.

    >>> check_numbers(lr=1e-3, weight_decay=0.0)

    Raises:
        InputError: naming the first.
    """
    for name, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name} must be a finite number of at least 0, got {value}")


class TrainingSystem(lightning.LightningModule):
    """A network with AdamW, a linear warm-up and a cosine decay to zero.

    Args:
        network: what is trained.
        trained: the parts that train, by name (:func:`~faceinsight.modules.trained.freeze_all_but`); all others are
            put into Frozen, in place. None leaves the network as it is given: what is in Frozen stays, the rest trains.
        lr: highest learning rate.
        part_lr: learning rates of single parts, see :func:`parameter_groups`.
        weight_decay: of weight matrices; vectors and scalars have none.
        warmup: share of all steps in which the learning rate rises.

    Raises:
        InputError: a number that is negative or not finite, or a ``warmup`` above 1.
    """

    network: Any  # a module; what else it must have is said by each system

    def __init__(
        self,
        *,
        network: nn.Module,
        trained: list[str] | None = None,
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.05,
        warmup: float = 0.1,
    ) -> None:
        super().__init__()
        named = {f"part_lr[{name!r}]": rate for name, rate in (part_lr or {}).items()}
        check_numbers(lr=lr, weight_decay=weight_decay, warmup=warmup, **named)
        if warmup > 1:
            raise InputError(f"warmup is a share of all steps, from 0 to 1, got {warmup}")
        if trained is not None:
            freeze_all_but(undecoded(network), trained)
        self.network = network
        self.lr, self.part_lr, self.weight_decay, self.warmup = lr, part_lr or {}, weight_decay, warmup
        self.groups: list[dict[str, object]] = []
        self._step: Step | None = None  # of accumulated batches

    def setup(self, stage: str) -> None:
        """Refuse to train what would come out otherwise than in one process; choose what has which learning rate."""
        if stage != "fit":
            return
        # before a strategy may flatten the tensors, as FSDP does: then a matrix looks like a vector
        network = undecoded(self.network)
        self.groups = parameter_groups(network, lr=self.lr, part_lr=self.part_lr, weight_decay=self.weight_decay)
        if self.trainer.world_size > 1:
            synchronised = getattr(self.trainer.strategy, "_layer_sync", None) is not None
            check_batch_statistics(self.network, synchronised=synchronised)

    def configure_optimizers(self) -> Any:
        if not self.groups:
            raise InputError(
                "nothing in this model is trained by gradient; `faceinsight test --config FILE` fits its evidence, "
                "if it has any, and measures it"
            )
        optimizer = torch.optim.AdamW(self.groups)
        if self.trainer.estimated_stepping_batches == float("inf"):
            raise InputError(
                "the learning rate falls to zero at the last step, and nothing says which that is; "
                "give trainer.max_epochs or trainer.max_steps, also beside trainer.max_time"
            )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_cosine_schedule_with_warmup(optimizer, round(self.warmup * steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def counts(self, batch: FaceBatch) -> dict[str, Tensor]:
        """Return what each term of the loss is a mean over, counted in one batch; by the names that :meth:`mean` is
        given.
        """
        return {}

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        """Look at the other batches of an optimiser's step before the first of them is trained on."""
        size = self.trainer.accumulate_grad_batches
        if size == 1:
            self._step = None
        elif self._step is None or batch_idx % size == 0:
            batches = [batch, *upcoming(self.trainer, size - 1 - batch_idx % size)]
            self._step = Step.of([self.counts(each) for each in batches], size, self.device)

    def mean(self, name: str, total: Float[Tensor, ""], count: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Return a term of the loss from its sum over this batch: the mean over all batches of the optimiser's step
        and all processes, of which this is one share.
        """
        if self._step is None:
            return mean_over_processes(total, count)
        return share_of_mean(total, self._step.counts[name], self._step.divisor)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen: it is built again from the configuration."""
        for name in frozen_names(self):
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what is frozen from here; that it is the same is seen by ``FrozenCheck``."""
        own = self.state_dict()
        checkpoint["state_dict"] |= {name: own[name] for name in frozen_names(self)}

    def finite(self, loss: Tensor, terms: dict[str, Tensor]) -> Tensor:
        """Return the loss as it came, or :class:`LossNotFiniteError` with every term's value."""
        if not torch.isfinite(loss):
            values = ", ".join(f"{name} = {term.item():.4g}" for name, term in terms.items())
            raise LossNotFiniteError(
                f"the training loss is {loss.item()} at step {self.global_step} ({values}); "
                f"check the inputs, or lower lr (now {self.lr:g})"
            )
        return loss


class AttributeSystem(TrainingSystem):
    """Attributes from faces: masked BCE plus the logical constraint, and what the network says of them.

    Any face of a batch may have labels, a text, or both: undefined labels and missing texts count nowhere.

    The conditional constraint leaves to BCE what labels break (:func:`~faceinsight.modules.logical.conditional_loss`);
    ``train/broken_faces`` in the log is the number of such faces in each epoch. The rules of a network that is trained
    with it become the network's own, since its logits mean nothing under a sigmoid.

    A network with rules of its own is measured under these, by
    :attr:`~faceinsight.models.face_insight.FaceInsightOutput.probability`, whatever it is trained with; any other
    network, and one behind a decoder, by the sigmoid of its logits.

    Every objective is logged under its name while it trains (``train/bce``), and for the validation faces
    (``val/logical``), whose weighted sum is ``val/loss``. ``val/bce`` is the cross-entropy of the probabilities that
    are measured, without class weights.

    After a test, ``test_probability`` holds the probabilities of every test face and ``test_index`` their rows in the
    table, in order, on every process.

    Args:
        network: a model of :mod:`faceinsight.models`; or any module from images to logits ``[face, attr]``, in the
            order of the rules' schema.
        rules: for the metrics of every variant, whether or not it trains with them.
        logical: the constraint loss; None leaves it out.
        logical_weight: its weight.
        bce_weight: weight of the BCE; 0 for the conditional objective alone.
        class_weight: ``balanced`` weighs each attribute's positives by negatives / positives of the training split.
        text_weight: weight of the mean next-token loss over the answers in the batch's texts; 0 reads no text.
        objectives: name -> a further objective of one's own, see :mod:`faceinsight.training.objectives`.
        weights: name -> the weight of such an objective; 1 by default.
        training_evidence: what a network with evidence sees of it on training faces: ``leave_one_out`` fits the
            evidence before training and gives each face its score from the regression on all others; ``in_sample`` fits
            it and gives the fitted scores, which have seen the answer; ``fixed`` keeps evidence that was fitted before.
        implied_labels: fill in undefined labels that follow by the rules before evidence is fitted: of all attributes,
            of none (False), or of those that are named. Every set of faces on which attributes are defined is solved
            apart, so with many such sets this takes long.
        gradient_checkpointing: compute the language model's layers again in the backward pass rather than keep what is
            in them; it holds for a frozen language model (:mod:`faceinsight.modules.language.recompute`).

    Raises:
        ValueError: texts, or gradient checkpointing, for a network without a language model; a network that is trained
            as conditioned on other rules than its own; objectives that cannot be trained with.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        rules: RuleSet,
        logical: LogicalConstraint | None = None,
        logical_weight: float = 1.0,
        bce_weight: float = 1.0,
        class_weight: ClassWeight = "none",
        text_weight: float = 0.0,
        objectives: dict[str, nn.Module] | None = None,
        weights: dict[str, float] | None = None,
        training_evidence: Literal["leave_one_out", "in_sample", "fixed"] = "leave_one_out",
        implied_labels: bool | list[str] = True,
        gradient_checkpointing: bool = False,
        trained: list[str] | None = None,
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.05,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(
            network=as_network(network, rules.schema),
            trained=trained,
            lr=lr,
            part_lr=part_lr,
            weight_decay=weight_decay,
            warmup=warmup,
        )
        check_numbers(logical_weight=logical_weight, bce_weight=bce_weight, text_weight=text_weight)
        self.network.schema.check_names(rules.schema.names, "the rules")
        if (text_weight or gradient_checkpointing) and not hasattr(network, "answer_sum_and_count"):
            raise InputError(
                f"a {type(network).__name__} has no language model that says anything: text_weight and "
                "gradient_checkpointing are for a FaceInsight"
            )
        if gradient_checkpointing:
            self.network.language_model.checkpoint_layers()
        if logical is not None and logical.kind == "conditional" and isinstance(network, FaceModel):
            network.rules = check_conditioned(network.rules, logical.rules)
        self.training_evidence, self.implied_labels, self.class_weight = training_evidence, implied_labels, class_weight
        self.left_out: Float[Tensor, "row observed"] | None = None
        self.rules, self.logical = rules, logical
        own = {name: check_objective(name, each) for name, each in (objectives or {}).items()}
        if unknown := (weights or {}).keys() - own.keys():
            raise InputError(f"weights: there is no objective {min(unknown)!r}{did_you_mean(min(unknown), own)}")
        self.weights = {"bce": bce_weight, "logical": logical_weight, "text": text_weight}
        self.weights |= dict.fromkeys(own, 1.0) | (weights or {})
        check_numbers(**{f"weights[{name!r}]": weight for name, weight in (weights or {}).items()})
        parts: dict[str, nn.Module] = {"bce": LabelObjective()}
        if logical is not None:
            parts["logical"] = RuleObjective(logical)
        if text_weight:
            parts["text"] = AnswerObjective(network)
        self.objectives = nn.ModuleDict(parts | own)
        # "disable" would lose the weights (torchmetrics 1.9)
        self.val_bce = MeanMetric(nan_strategy="error")
        self.val_objectives: Any = nn.ModuleDict({name: MeanMetric(nan_strategy="error") for name in self.objectives})
        self.val_metrics = attribute_metrics(self.network.schema, rules, prefix="val/", undefined=0)
        self.test_probability: Float[Tensor, "face attr"] | None = None
        self.test_index: Tensor | None = None
        self._tested: list[tuple[Tensor, ...]] = []

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.class_weight == "balanced":
            labels = data_of(self.trainer).train_labels()
            positive, negative = (labels == 1).sum(0), (labels == -1).sum(0)
            self.objectives["bce"].pos_weight = (negative / positive.clamp(min=1)).to(self.device)

    @property
    def evidence(self) -> Evidence | None:
        """The network's evidence; None where it has none."""
        return getattr(self.network, "evidence", None)

    def on_fit_start(self) -> None:
        """Fit the evidence, unless this training goes on from where one was interrupted."""
        if self.evidence is not None and self.training_evidence != "fixed" and self.left_out is None:
            self.fit_evidence()

    def on_test_start(self) -> None:
        """Fit the evidence of a network in which there was nothing to train by gradient."""
        if self.evidence is not None and not self.evidence.fitted:
            self.fit_evidence()

    def fit_evidence(self) -> None:
        """Fit the network's evidence on the training faces of the trainer's data module, and keep their scores."""
        precision = self.trainer.precision_plugin  # the faces are encoded as they are in a training step
        named = self.implied_labels if isinstance(self.implied_labels, list) else None
        with precision.forward_context():
            self.left_out = fit_evidence(
                self.network,
                data_of(self.trainer),
                self.device,
                precision.convert_input,
                rules=self.rules if self.implied_labels else None,
                implied=named,
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also keep the training faces' leave-one-out scores, so that the evidence is fitted once."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["left_out"] = self.left_out

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.left_out = checkpoint.get("left_out")

    def training_scores(self, batch: FaceBatch) -> dict[str, Tensor]:
        """Return the evidence's scores of training faces, as an argument of the network; none where it reads its
        own.
        """
        if self.evidence is None or self.training_evidence != "leave_one_out" or self.left_out is None:
            return {}
        scores = self.left_out.to(batch.labels.device)[batch.index.clamp(min=0)]
        # a face shown a second time counts nowhere, but a NaN would reach the gradient of a gain that trains
        return {"scores": scores.masked_fill(~batch.counted[:, None], 0.0)}

    def forward(self, batch: FaceBatch) -> Float[Tensor, "batch attr"]:
        return self.network(batch.images, masks=batch.masks, features=batch.features).logits

    def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
        scores = self.training_scores(batch)
        output = self.network(batch.images, masks=batch.masks, features=batch.features, **scores)
        terms = {
            name: self.mean(name, *sum_and_count(name, objective, output, batch))
            for name, objective in self.objectives.items()
        }
        loss = reduce(add, (self.weights[name] * term for name, term in terms.items()))
        if self.logical is not None and self.logical.kind == "conditional":
            labels = batch.labels[batch.counted]
            broken = broken_components(labels, self.logical.rules, undefined=0).any(-1).sum().float()
            self.log("train/broken_faces", broken, **PER_EPOCH, batch_size=len(batch))
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()}, batch_size=len(batch))
        return self.finite(loss, terms)

    def counts(self, batch: FaceBatch) -> dict[str, Tensor]:
        return {name: count_of(name, objective, batch) for name, objective in self.objectives.items()}

    def probability(self, logits: Float[Tensor, "face attr"]) -> Float[Tensor, "face attr"]:
        """Return the probabilities that are measured and stored: those that the network's output has."""
        return FaceInsightOutput(logits, {}, self.conditioned_on).probability

    @property
    def conditioned_on(self) -> RuleSet | None:
        """The rules under which the logits are to be read; a network with a decoder has done so already."""
        if isinstance(self.network, DecodedOutput):
            return None
        if isinstance(self.network, FaceModel):
            return self.network.rules
        if self.logical is None or self.logical.kind != "conditional":
            return None
        return self.logical.rules

    def validation_step(self, batch: FaceBatch, batch_index: int) -> None:
        output = self.network(batch.images, masks=batch.masks, features=batch.features)
        for name, objective in self.objectives.items():
            total, count = sum_and_count(name, objective, output, batch)
            self.val_objectives[name].update(total / count.clamp(min=1), weight=count)
        logits, labels = output.logits[batch.counted], batch.labels[batch.counted]
        self.val_metrics.update(self.probability(logits), labels)
        rules = self.conditioned_on
        decoded = logits if rules is None else decode(logits, rules, "marginals")
        total, count = bce_sum_and_count(decoded, labels, undefined=0)
        self.val_bce.update(total / count.clamp(min=1), weight=count)
        self.log("val/bce", self.val_bce, batch_size=len(batch), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        # they are the same on every process already; Lightning asks for the flag
        self.log_dict(self.val_metrics.compute(), sync_dist=True)
        self.val_metrics.reset()
        means = {name: metric.compute() for name, metric in self.val_objectives.items()}
        known = {name: mean for name, mean in means.items() if not mean.isnan()}  # NaN where nothing was counted
        values = {f"val/{name}": mean for name, mean in known.items() if name != "bce"}
        if known:
            values["val/loss"] = reduce(add, (self.weights[name] * mean for name, mean in known.items()))
        self.log_dict(values, sync_dist=True)
        for metric in self.val_objectives.values():
            metric.reset()

    def on_test_epoch_start(self) -> None:
        self._tested.clear()

    def test_step(self, batch: FaceBatch, batch_index: int) -> None:
        probability = self.probability(self(batch)[batch.counted])
        check_probability(probability, self.network.schema.names)
        self._tested.append((probability.float(), batch.labels[batch.counted], batch.index[batch.counted]))

    def on_test_epoch_end(self) -> None:
        """Gather the faces of all processes and log their metrics."""
        probability, labels, index = (gathered(torch.cat(each)).cpu() for each in zip(*self._tested, strict=True))
        order = index.argsort()
        self.test_probability, self.test_index = probability[order], index[order]
        found = measure(probability.double(), labels, rules=self.rules)
        values = {f"test/{name}": each.nanmean().float().to(self.device) for name, each in found.items()}
        self.log_dict(values, sync_dist=True)  # they are the same on every process already


def check_conditioned(own: RuleSet | None, conditioned_on: RuleSet) -> RuleSet:
    """Return the rules that a network has when it is trained as conditioned on some.

    Raises:
        InputError: it has others.
    """
    if own is not None and own != conditioned_on:
        raise InputError(
            f"the network keeps {len(own)} rules of its own and is trained as conditioned on {len(conditioned_on)} "
            "others, so its probabilities would be read under the wrong ones; give both the same rules"
        )
    return conditioned_on


class ParserSystem(TrainingSystem):
    """A face parser, trained with cross-entropy on parsing masks; reports the mean intersection over union
    over the classes that occur.

    Args:
        network: a :class:`~faceinsight.modules.vision.face_parser.FaceParser`.
        class_weights: weight of each class in the loss, in the order of the class ids; None weighs pixels alike.
        options: of :class:`TrainingSystem`.

    Raises:
        InputError: weights of another number of classes.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        network: nn.Module,
        lr: float = 1e-3,
        part_lr: dict[str, float] | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(network=network, lr=lr, part_lr=part_lr, weight_decay=weight_decay, warmup=warmup)
        if not isinstance(classes := getattr(network, "classes", None), int):
            raise InputError(
                "a face parser says how many classes it tells apart, such as a FaceParser; "
                f"got {type(network).__name__}, which has no 'classes'"
            )
        check_numbers(**{f"class_weights[{each}]": weight for each, weight in enumerate(class_weights or ())})
        if class_weights is not None and len(class_weights) != classes:
            raise InputError(f"class_weights: wanted one for each of {classes} classes, got {len(class_weights)}")
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.val_iou = MulticlassJaccardIndex(classes, average="macro")
        self.test_iou = MulticlassJaccardIndex(classes, average="macro")

    def forward(self, batch: FaceBatch) -> tuple[Float[Tensor, "batch region height width"], Tensor]:
        """Logits for every pixel, and the true class ids."""
        if batch.masks is None or batch.images is None:
            raise InputError("training a face parser needs images and parsing masks; this data source lacks them")
        return self.network(batch.images), batch.masks.long()

    def training_step(self, batch: FaceBatch, batch_index: int) -> Tensor:
        logits, masks = self(batch)
        masks = masks.masked_fill(~batch.counted[:, None, None], UNCOUNTED)
        weights = self.class_weights
        total = F.cross_entropy(logits, masks, weight=weights, ignore_index=UNCOUNTED, reduction="sum")
        counted = masks[masks != UNCOUNTED]
        count = counted.new_tensor(len(counted)) if weights is None else weights[counted].sum()
        loss = self.mean("cross_entropy", total, count.to(total))
        self.log("train/cross_entropy", loss.detach(), batch_size=len(batch))
        return self.finite(loss, {"cross_entropy": loss})

    def counts(self, batch: FaceBatch) -> dict[str, Tensor]:
        masks = torch.zeros(0, dtype=torch.uint8) if batch.masks is None else batch.masks[batch.counted]
        weights = None if self.class_weights is None else self.class_weights.to(masks.device)
        count = torch.tensor(masks.numel()) if weights is None else weights[masks.long()].sum()
        return {"cross_entropy": count}

    def validation_step(self, batch: FaceBatch, batch_index: int) -> None:
        logits, masks = self(batch)
        self.val_iou.update(logits.argmax(1)[batch.counted], masks[batch.counted])
        self.log("val/mean_iou", self.val_iou, batch_size=len(batch))

    def test_step(self, batch: FaceBatch, batch_index: int) -> None:
        logits, masks = self(batch)
        self.test_iou.update(logits.argmax(1)[batch.counted], masks[batch.counted])
        self.log("test/mean_iou", self.test_iou, batch_size=len(batch))
