"""Metrics with undefined labels left out: of attributes and of groups."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.metrics.attributes import (
        AttributeMetric,
        accuracy,
        attribute_metrics,
        auroc,
        average_precision,
        balanced_accuracy,
        brier,
        broken_rules,
        calibration_error,
        check_probability,
        constant_attributes,
        contradicting_accuracy,
        decisions,
        exact_match,
        f1,
        logical_accuracy,
        rank_attributes,
        ranked_attributes,
        ranking,
        violation_rate,
    )
    from faceinsight.metrics.groups import group_accuracy, group_macro_f1, group_metrics, within_one_bin, years_error

__all__ = [
    "AttributeMetric",
    "accuracy",
    "attribute_metrics",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "broken_rules",
    "calibration_error",
    "check_probability",
    "constant_attributes",
    "contradicting_accuracy",
    "decisions",
    "exact_match",
    "f1",
    "group_accuracy",
    "group_macro_f1",
    "group_metrics",
    "logical_accuracy",
    "rank_attributes",
    "ranked_attributes",
    "ranking",
    "violation_rate",
    "within_one_bin",
    "years_error",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AttributeMetric": "faceinsight.metrics.attributes",
        "accuracy": "faceinsight.metrics.attributes",
        "attribute_metrics": "faceinsight.metrics.attributes",
        "auroc": "faceinsight.metrics.attributes",
        "average_precision": "faceinsight.metrics.attributes",
        "balanced_accuracy": "faceinsight.metrics.attributes",
        "brier": "faceinsight.metrics.attributes",
        "broken_rules": "faceinsight.metrics.attributes",
        "calibration_error": "faceinsight.metrics.attributes",
        "check_probability": "faceinsight.metrics.attributes",
        "constant_attributes": "faceinsight.metrics.attributes",
        "contradicting_accuracy": "faceinsight.metrics.attributes",
        "decisions": "faceinsight.metrics.attributes",
        "exact_match": "faceinsight.metrics.attributes",
        "f1": "faceinsight.metrics.attributes",
        "group_accuracy": "faceinsight.metrics.groups",
        "group_macro_f1": "faceinsight.metrics.groups",
        "group_metrics": "faceinsight.metrics.groups",
        "logical_accuracy": "faceinsight.metrics.attributes",
        "rank_attributes": "faceinsight.metrics.attributes",
        "ranked_attributes": "faceinsight.metrics.attributes",
        "ranking": "faceinsight.metrics.attributes",
        "violation_rate": "faceinsight.metrics.attributes",
        "within_one_bin": "faceinsight.metrics.groups",
        "years_error": "faceinsight.metrics.groups",
    },
)
