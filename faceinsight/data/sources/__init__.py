"""Data sets, one file each, and what their readers share."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.data.sources.by_name import source, source_names

__all__ = [
    "source",
    "source_names",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "source": "faceinsight.data.sources.by_name",
        "source_names": "faceinsight.data.sources.by_name",
    },
)
