"""An ablation's numbers as tables, plots and files."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.evaluation.report.tables import METRIC_TITLES
    from faceinsight.evaluation.report.writing import (
        Report,
        VariantResult,
        comparisons_sheet,
        notes,
        print_report,
        scores_sheet,
        to_frame,
        write_report,
    )

__all__ = [
    "METRIC_TITLES",
    "Report",
    "VariantResult",
    "comparisons_sheet",
    "notes",
    "print_report",
    "scores_sheet",
    "to_frame",
    "write_report",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "METRIC_TITLES": "faceinsight.evaluation.report.tables",
        "Report": "faceinsight.evaluation.report.writing",
        "VariantResult": "faceinsight.evaluation.report.writing",
        "comparisons_sheet": "faceinsight.evaluation.report.writing",
        "notes": "faceinsight.evaluation.report.writing",
        "print_report": "faceinsight.evaluation.report.writing",
        "scores_sheet": "faceinsight.evaluation.report.writing",
        "to_frame": "faceinsight.evaluation.report.writing",
        "write_report": "faceinsight.evaluation.report.writing",
    },
)
