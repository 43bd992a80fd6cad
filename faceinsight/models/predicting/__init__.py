"""Photographs in, attributes that keep the rules out: what ``model.predict`` gives."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.models.predicting.detection import FaceFinder, FoundFace
    from faceinsight.models.predicting.explanation import Explanation
    from faceinsight.models.predicting.face_prediction import FacePrediction
    from faceinsight.models.predicting.found import BrokenPicture
    from faceinsight.models.predicting.predictions import Predictions

__all__ = ["BrokenPicture", "Explanation", "FaceFinder", "FacePrediction", "FoundFace", "Predictions"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BrokenPicture": "faceinsight.models.predicting.found",
        "Explanation": "faceinsight.models.predicting.explanation",
        "FaceFinder": "faceinsight.models.predicting.detection",
        "FacePrediction": "faceinsight.models.predicting.face_prediction",
        "FoundFace": "faceinsight.models.predicting.detection",
        "Predictions": "faceinsight.models.predicting.predictions",
    },
)
