"""Rules checked by themselves and against labels; rules found in labels."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.knowledge.lint.findings import Finding, LintReport, lint

__all__ = [
    "Finding",
    "LintReport",
    "lint",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Finding": "faceinsight.knowledge.lint.findings",
        "LintReport": "faceinsight.knowledge.lint.findings",
        "lint": "faceinsight.knowledge.lint.findings",
    },
)
