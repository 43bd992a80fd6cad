"""Predictions, statistics, tables and plots."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.evaluation.predictions import Predictions, read_predictions, write_predictions
    from faceinsight.evaluation.protocols.evaluate import evaluate_training_free
    from faceinsight.evaluation.readings import blank_images, blank_logits
    from faceinsight.evaluation.report.heat_map import plot_attributes, save_attributes
    from faceinsight.evaluation.report.plot import plot_report, save_plot
    from faceinsight.evaluation.report.writing import Report, VariantResult, print_report, to_frame, write_report
    from faceinsight.evaluation.statistics.bootstrap import Bootstrap, Comparison, Estimate, holm, paired_bootstrap
    from faceinsight.evaluation.statistics.per_attribute import AttributeComparison
    from faceinsight.metrics.groups import group_metrics
    from faceinsight.modules.language.parsing import parse_choice, parse_yes_no

__all__ = [
    "AttributeComparison",
    "Bootstrap",
    "Comparison",
    "Estimate",
    "Predictions",
    "Report",
    "VariantResult",
    "blank_images",
    "blank_logits",
    "evaluate_training_free",
    "group_metrics",
    "holm",
    "paired_bootstrap",
    "parse_choice",
    "parse_yes_no",
    "plot_attributes",
    "plot_report",
    "print_report",
    "read_predictions",
    "save_attributes",
    "save_plot",
    "to_frame",
    "write_predictions",
    "write_report",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AttributeComparison": "faceinsight.evaluation.statistics.per_attribute",
        "Bootstrap": "faceinsight.evaluation.statistics",
        "Comparison": "faceinsight.evaluation.statistics",
        "Estimate": "faceinsight.evaluation.statistics",
        "Predictions": "faceinsight.evaluation.predictions",
        "Report": "faceinsight.evaluation.report",
        "VariantResult": "faceinsight.evaluation.report",
        "blank_images": "faceinsight.evaluation.readings",
        "blank_logits": "faceinsight.evaluation.readings",
        "evaluate_training_free": "faceinsight.evaluation.protocols.evaluate",
        "group_metrics": "faceinsight.metrics.groups",
        "holm": "faceinsight.evaluation.statistics",
        "paired_bootstrap": "faceinsight.evaluation.statistics",
        "parse_choice": "faceinsight.modules.language.parsing",
        "parse_yes_no": "faceinsight.modules.language.parsing",
        "plot_attributes": "faceinsight.evaluation.report.heat_map",
        "plot_report": "faceinsight.evaluation.report.plot",
        "print_report": "faceinsight.evaluation.report",
        "read_predictions": "faceinsight.evaluation.predictions",
        "save_attributes": "faceinsight.evaluation.report.heat_map",
        "save_plot": "faceinsight.evaluation.report.plot",
        "to_frame": "faceinsight.evaluation.report",
        "write_predictions": "faceinsight.evaluation.predictions",
        "write_report": "faceinsight.evaluation.report",
    },
)
