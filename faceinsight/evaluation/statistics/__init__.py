"""Which differences are real."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.evaluation.statistics.bootstrap import (
        ALPHA,
        POWER,
        Bootstrap,
        Comparison,
        Estimate,
        face_weights,
        holm,
        paired_bootstrap,
    )
    from faceinsight.evaluation.statistics.scores import METRICS

__all__ = [
    "ALPHA",
    "METRICS",
    "POWER",
    "Bootstrap",
    "Comparison",
    "Estimate",
    "face_weights",
    "holm",
    "paired_bootstrap",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ALPHA": "faceinsight.evaluation.statistics.bootstrap",
        "Bootstrap": "faceinsight.evaluation.statistics.bootstrap",
        "Comparison": "faceinsight.evaluation.statistics.bootstrap",
        "Estimate": "faceinsight.evaluation.statistics.bootstrap",
        "METRICS": "faceinsight.evaluation.statistics.scores",
        "POWER": "faceinsight.evaluation.statistics.bootstrap",
        "face_weights": "faceinsight.evaluation.statistics.bootstrap",
        "holm": "faceinsight.evaluation.statistics.bootstrap",
        "paired_bootstrap": "faceinsight.evaluation.statistics.bootstrap",
    },
)
