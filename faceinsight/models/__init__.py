"""FaceInsight, its controls, and how models are saved."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.models import controls
    from faceinsight.models.controls import (
        EvidenceClassifier,
        MLGCNClassifier,
        PriorClassifier,
        RidgeClassifier,
        TokenClassifier,
    )
    from faceinsight.models.decoded import DecodedOutput, undecoded
    from faceinsight.models.face_insight import FaceEncoder, FaceInsight, FaceInsightOutput, FaceModel
    from faceinsight.models.ridge import pixel_ridge, token_ridge

__all__ = [
    "DecodedOutput",
    "EvidenceClassifier",
    "FaceEncoder",
    "FaceInsight",
    "FaceInsightOutput",
    "FaceModel",
    "MLGCNClassifier",
    "PriorClassifier",
    "RidgeClassifier",
    "TokenClassifier",
    "controls",
    "pixel_ridge",
    "token_ridge",
    "undecoded",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "DecodedOutput": "faceinsight.models.decoded",
        "EvidenceClassifier": "faceinsight.models.controls",
        "FaceEncoder": "faceinsight.models.face_insight",
        "FaceInsight": "faceinsight.models.face_insight",
        "FaceInsightOutput": "faceinsight.models.face_insight",
        "FaceModel": "faceinsight.models.face_insight",
        "MLGCNClassifier": "faceinsight.models.controls",
        "PriorClassifier": "faceinsight.models.controls",
        "RidgeClassifier": "faceinsight.models.controls",
        "TokenClassifier": "faceinsight.models.controls",
        "controls": "",
        "pixel_ridge": "faceinsight.models.ridge",
        "token_ridge": "faceinsight.models.ridge",
        "undecoded": "faceinsight.models.decoded",
    },
)
