"""The command line: ``faceinsight ...``."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.cli.commands import main

__all__ = [
    "main",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "main": "faceinsight.cli.commands",
    },
)
