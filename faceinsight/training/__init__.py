"""Objectives, schedules, callbacks; from one configuration to a trainer."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.training.callbacks import CacheFeatures, FrozenCheck, GradientCheck, StepProgress, parts_table
    from faceinsight.training.evidence_fit import fit_evidence
    from faceinsight.training.objectives import AnswerObjective, LabelObjective, Objective, RuleObjective
    from faceinsight.training.systems import (
        AttributeSystem,
        BatchStatisticsError,
        LossNotFiniteError,
        ParserSystem,
        TrainingSystem,
        check_batch_statistics,
        parameter_groups,
    )

__all__ = [
    "AnswerObjective",
    "AttributeSystem",
    "BatchStatisticsError",
    "CacheFeatures",
    "FrozenCheck",
    "GradientCheck",
    "LabelObjective",
    "LossNotFiniteError",
    "Objective",
    "ParserSystem",
    "RuleObjective",
    "StepProgress",
    "TrainingSystem",
    "check_batch_statistics",
    "fit_evidence",
    "parameter_groups",
    "parts_table",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "RuleObjective": "faceinsight.training.objectives",
        "Objective": "faceinsight.training.objectives",
        "LabelObjective": "faceinsight.training.objectives",
        "AnswerObjective": "faceinsight.training.objectives",
        "AttributeSystem": "faceinsight.training.systems",
        "BatchStatisticsError": "faceinsight.training.systems",
        "CacheFeatures": "faceinsight.training.callbacks",
        "FrozenCheck": "faceinsight.training.callbacks",
        "GradientCheck": "faceinsight.training.callbacks",
        "LossNotFiniteError": "faceinsight.training.systems",
        "ParserSystem": "faceinsight.training.systems",
        "StepProgress": "faceinsight.training.callbacks",
        "TrainingSystem": "faceinsight.training.systems",
        "check_batch_statistics": "faceinsight.training.systems",
        "fit_evidence": "faceinsight.training.evidence_fit",
        "parameter_groups": "faceinsight.training.systems",
        "parts_table": "faceinsight.training.callbacks",
    },
)
