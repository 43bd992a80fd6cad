"""What is trained: each objective gives its sum over a batch, and the count that the sum is to be divided by.

The mean is then taken over all labels of an optimiser's step, over accumulated batches and all processes. An objective
of one's own is any module with such a ``forward``, under a name and a weight:

    class Confidence(nn.Module):
        def forward(self, output, batch):
            probability = output.logits[batch.counted].sigmoid()
            return (probability * (1 - probability)).sum(), torch.tensor(float(probability.numel()))

    AttributeSystem(network=network, rules=rules, objectives={"confidence": Confidence()}, weights={"confidence": 0.1})

With accumulated batches it also needs ``count(batch)``, the same count before the network has seen the batch.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faceinsight.data.batch import FaceBatch
from faceinsight.errors import InputError
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.bce import bce_sum_and_count
from faceinsight.modules.language.answers import answer_ids
from faceinsight.modules.logical import LogicalConstraint

__all__ = [
    "AnswerObjective",
    "LabelObjective",
    "Objective",
    "RuleObjective",
    "check_objective",
    "count_of",
    "sum_and_count",
]

SumAndCount = tuple[Float[Tensor, ""], Float[Tensor, ""]]


class Objective(nn.Module, ABC):
    """A loss by its sum and its count. It has no parameters: what trains is in the network."""

    @abstractmethod
    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> SumAndCount:
        """Return the loss summed over the faces of a batch that count, and what to divide the sum by.

        Args:
            output: what the network gave for the batch.
            batch: its faces; those that :attr:`FaceBatch.counted` leaves out are not to be counted.
        """

    @abstractmethod
    def count(self, batch: FaceBatch) -> Tensor:
        """Return the count of :meth:`forward`, from the batch alone."""


class LabelObjective(Objective):
    """Binary cross-entropy over the defined labels (:func:`~faceinsight.modules.bce.masked_bce`).

    Args:
        pos_weight: for each attribute, the weight of its positive faces; 1 by default.
    """

    pos_weight: Tensor | None

    def __init__(self, *, pos_weight: Float[Tensor, " attr"] | None = None) -> None:
        super().__init__()
        self.register_buffer("pos_weight", pos_weight, persistent=False)

    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> SumAndCount:
        logits, labels = output.logits[batch.counted], batch.labels[batch.counted]
        return bce_sum_and_count(logits, labels, self.pos_weight, undefined=0)

    def count(self, batch: FaceBatch) -> Tensor:
        return (batch.labels[batch.counted] != 0).sum()


class RuleObjective(Objective):
    """The rules as a loss.

    Args:
        constraint: which rules, and how they become a loss.
    """

    def __init__(self, constraint: LogicalConstraint) -> None:
        super().__init__()
        self.constraint = constraint

    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> SumAndCount:
        return self.constraint.sum_and_count(output.logits[batch.counted], batch.labels[batch.counted], undefined=0)

    def count(self, batch: FaceBatch) -> Tensor:
        if self.constraint.kind == "conditional":
            return (batch.labels[batch.counted] != 0).any(-1).sum()
        return batch.counted.sum()


class AnswerObjective(Objective):
    """The next-token loss over the tokens of the answers in the batch's texts.

    A validation batch without texts counts nothing.

    Args:
        network: with a language model, such as a :class:`~faceinsight.models.face_insight.FaceInsight`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network: tuple[Any] = (network,)  # in a tuple: its weights are not this module's

    def forward(self, output: FaceInsightOutput, batch: FaceBatch) -> SumAndCount:
        """Return the sum over all answers' tokens, and their number.

        Raises:
            InputError: a training batch without texts.
        """
        if batch.texts is not None:
            return self._network[0].answer_sum_and_count(output.features, batch.texts)
        if self.training:
            raise InputError(
                "text_weight is not 0, but the batch has no texts; give the data module texts: "
                "faceinsight.data.FaceTexts(rules=...)"
            )
        return output.logits.new_zeros(()), output.logits.new_zeros(())

    def count(self, batch: FaceBatch) -> Tensor:
        answers = [text[1] for text in batch.texts or [] if text is not None]
        return torch.tensor(sum(len(answer_ids(self._network[0].language_model, each)) for each in answers))


def check_objective(name: str, objective: nn.Module) -> nn.Module:
    """Return an objective of the user's.

    Raises:
        InputError: a name that has a meaning already, or a module with something to train in it.
    """
    if name in ("bce", "logical", "text", "loss", "broken_faces") or not name.isidentifier():
        raise InputError(
            f"an objective of your own cannot be called {name!r}: take another word; bce, logical and text are set by "
            "their own arguments"
        )
    if any(each.requires_grad for each in objective.parameters()):
        raise InputError(f"objective {name!r} has parameters, which nothing would train; put them into the network")
    return objective


def sum_and_count(name: str, objective: nn.Module, output: FaceInsightOutput, batch: FaceBatch) -> SumAndCount:
    """Return what an objective gives.

    Raises:
        InputError: it gives something else than two numbers.
    """
    found = objective(output, batch)
    if not isinstance(found, tuple) or len(found) != 2 or not all(isinstance(x, Tensor) and x.ndim == 0 for x in found):
        raise InputError(
            f"objective {name!r} gives {type(found).__name__}, wanted (sum, count): two tensors without axes, the loss "
            "summed over the batch and what to divide the sum by"
        )
    total, count = found
    return total, count.to(total)


def count_of(name: str, objective: nn.Module, batch: FaceBatch) -> Tensor:
    """Return what an objective counts in a batch.

    Raises:
        InputError: it cannot tell.
    """
    count = getattr(objective, "count", None)
    if not callable(count):
        raise InputError(
            f"objective {name!r} has no count(batch), which accumulated batches need: the number that its sum is "
            "divided by, from the batch alone"
        )
    return count(batch)
