"""Data sets and drawn faces, as one typed batch."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.data.augment import Augmentation
    from faceinsight.data.batch import FaceBatch
    from faceinsight.data.celeba import CelebA
    from faceinsight.data.celebamask import CelebAMask
    from faceinsight.data.datamodule import FaceDataModule
    from faceinsight.data.degraded import DegradedLabels
    from faceinsight.data.expw import ExpW
    from faceinsight.data.face_texts import FaceTexts
    from faceinsight.data.fairface import FairFace
    from faceinsight.data.graph_from_data import drawn_graph, label_prior, table_graph, training_graph
    from faceinsight.data.joined import JoinedFaces
    from faceinsight.data.maad import MAADFace
    from faceinsight.data.rafdb import RAFDB
    from faceinsight.data.ridge import pixel_ridge, token_ridge
    from faceinsight.data.synthfaces import SynthFaces
    from faceinsight.data.table import FaceTable
    from faceinsight.data.utkface import UTKFace

__all__ = [
    "RAFDB",
    "Augmentation",
    "CelebA",
    "CelebAMask",
    "DegradedLabels",
    "ExpW",
    "FaceBatch",
    "FaceDataModule",
    "FaceTable",
    "FaceTexts",
    "FairFace",
    "JoinedFaces",
    "MAADFace",
    "SynthFaces",
    "UTKFace",
    "drawn_graph",
    "label_prior",
    "pixel_ridge",
    "table_graph",
    "token_ridge",
    "training_graph",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Augmentation": "faceinsight.data.augment",
        "CelebA": "faceinsight.data.celeba",
        "CelebAMask": "faceinsight.data.celebamask",
        "DegradedLabels": "faceinsight.data.degraded",
        "ExpW": "faceinsight.data.expw",
        "FaceBatch": "faceinsight.data.batch",
        "FaceDataModule": "faceinsight.data.datamodule",
        "FaceTable": "faceinsight.data.table",
        "FaceTexts": "faceinsight.data.face_texts",
        "FairFace": "faceinsight.data.fairface",
        "JoinedFaces": "faceinsight.data.joined",
        "MAADFace": "faceinsight.data.maad",
        "RAFDB": "faceinsight.data.rafdb",
        "SynthFaces": "faceinsight.data.synthfaces",
        "UTKFace": "faceinsight.data.utkface",
        "drawn_graph": "faceinsight.data.graph_from_data",
        "label_prior": "faceinsight.data.graph_from_data",
        "pixel_ridge": "faceinsight.data.ridge",
        "table_graph": "faceinsight.data.graph_from_data",
        "token_ridge": "faceinsight.data.ridge",
        "training_graph": "faceinsight.data.graph_from_data",
    },
)
