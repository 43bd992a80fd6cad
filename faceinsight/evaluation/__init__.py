"""Predictions, statistics, tables and plots."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.evaluation.predictions import Predictions, read_predictions, write_predictions
    from faceinsight.evaluation.report import Report
    from faceinsight.evaluation.statistics import paired_bootstrap

__all__ = ["Predictions", "Report", "paired_bootstrap", "read_predictions", "write_predictions"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Predictions": "faceinsight.evaluation.predictions",
        "Report": "faceinsight.evaluation.report",
        "paired_bootstrap": "faceinsight.evaluation.statistics",
        "read_predictions": "faceinsight.evaluation.predictions",
        "write_predictions": "faceinsight.evaluation.predictions",
    },
)
