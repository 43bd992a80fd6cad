"""Judging models: per-face predictions, paired statistics, tables and plots. Names are loaded when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceinsight.evaluation.groups import group_metrics
    from faceinsight.evaluation.plot import plot_report, save_plot
    from faceinsight.evaluation.predictions import Predictions, read_predictions, write_predictions
    from faceinsight.evaluation.report import Report, VariantResult, print_report, to_frame, write_report
    from faceinsight.evaluation.statistics import Bootstrap, Comparison, Estimate, holm, paired_bootstrap

__all__ = [
    "Bootstrap",
    "Comparison",
    "Estimate",
    "Predictions",
    "Report",
    "VariantResult",
    "group_metrics",
    "holm",
    "paired_bootstrap",
    "plot_report",
    "print_report",
    "read_predictions",
    "save_plot",
    "to_frame",
    "write_predictions",
    "write_report",
]

_HOMES = {
    "groups": ("group_metrics",),
    "plot": ("plot_report", "save_plot"),
    "predictions": ("Predictions", "read_predictions", "write_predictions"),
    "report": ("Report", "VariantResult", "print_report", "to_frame", "write_report"),
    "statistics": ("Bootstrap", "Comparison", "Estimate", "holm", "paired_bootstrap"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"faceinsight.evaluation.{home}"), name)
    raise AttributeError(f"module 'faceinsight.evaluation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
