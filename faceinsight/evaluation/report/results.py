"""What an ablation came to: its rows in the table's order, whatever state each is in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from faceinsight.errors import InputError
from faceinsight.evaluation.statistics.bootstrap import Bootstrap, Comparison, Estimate
from faceinsight.evaluation.statistics.per_attribute import AttributeComparison
from faceinsight.metrics.registry import INTERVALS

__all__ = ["Report", "Status", "VariantResult"]

Status = Literal["finished", "partial", "failed", "missing"]


@dataclass(frozen=True)
class VariantResult:
    """One row of an ablation.

    Args:
        name, group: as in the experiment's file; rows of one group stand together, such as "added alone".
        reference: the variant it is compared with.
        seeds: of the finished runs.
        errors: seed -> message of the failed runs.
        waiting: seeds that have not run.
        estimates: metric -> estimate over the finished runs.
        comparisons: metric -> difference from the reference.
        parameters: trained parameters.
        seconds: mean wall time of a finished run.
        shares: metric -> further numbers of the row, without interval.
    """

    name: str
    group: str = ""
    reference: str | None = None
    seeds: tuple[int, ...] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    waiting: tuple[int, ...] = ()
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    parameters: int | None = None
    seconds: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        if not self.seeds:
            return "failed" if self.errors else "missing"
        return "partial" if self.errors or self.waiting else "finished"


@dataclass(frozen=True)
class Report:
    """The rows of an ablation in the table's order, and what they were measured on.

    Args:
        bootstrap: None as long as no run has finished.
        compared: the metrics whose differences are shown; the first is the primary one.
        constant: names of the attributes that no ranking metric could include.
        remarks: further lines for the notes, such as how well the trunks do.
        trained: whether its rows are trained runs; without, nothing is said of seeds and trained parameters.
    """

    variants: tuple[VariantResult, ...]
    bootstrap: Bootstrap | None = None
    compared: tuple[str, ...] = ("accuracy", "average_precision", "violation_rate")
    constant: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    trained: bool = True

    def __post_init__(self) -> None:
        if unknown := [name for name in self.compared if name not in INTERVALS]:
            raise InputError(f"cannot compare {unknown[0]!r}; the metrics are {', '.join(INTERVALS)}")

    @property
    def attributes(self) -> tuple[AttributeComparison, ...]:
        """Every comparison in every single attribute."""
        return () if self.bootstrap is None else self.bootstrap.attributes

    @property
    def measured(self) -> list[str]:
        """The metrics that some variant has."""
        return [name for name in INTERVALS if any(name in each.estimates for each in self.variants)]

    @property
    def shares(self) -> list[str]:
        """The further numbers that some variant has."""
        return [*dict.fromkeys(name for each in self.variants for name in each.shares)]
