"""A model over faces: one loop, and a progress bar for it."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.models.loop import Faces, over_faces, progress_bars, read_batches

__all__ = ["Faces", "over_faces", "progress_bars", "read_batches"]

__getattr__, __dir__ = lazy(__name__, dict.fromkeys(__all__, "faceinsight.models.loop"))
