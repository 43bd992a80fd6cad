"""Data sets and drawn faces, as one typed batch."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.data.augment import Augmentation
    from faceinsight.data.batch import FaceBatch
    from faceinsight.data.datamodule import FaceDataModule
    from faceinsight.data.graph_from_data import drawn_graph, label_prior, table_graph, training_graph
    from faceinsight.data.sources.celeba import CelebA
    from faceinsight.data.sources.celebamask import CelebAMask
    from faceinsight.data.sources.degraded import DegradedLabels
    from faceinsight.data.sources.expw import ExpW
    from faceinsight.data.sources.fairface import FairFace
    from faceinsight.data.sources.joined import JoinedFaces
    from faceinsight.data.sources.maad import MAADFace
    from faceinsight.data.sources.rafdb import RAFDB
    from faceinsight.data.sources.synthfaces import SynthFaces
    from faceinsight.data.sources.utkface import UTKFace
    from faceinsight.data.table import FaceTable
    from faceinsight.data.words.face_texts import FaceTexts

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
    "table_graph",
    "training_graph",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Augmentation": "faceinsight.data.augment",
        "CelebA": "faceinsight.data.sources.celeba",
        "CelebAMask": "faceinsight.data.sources.celebamask",
        "DegradedLabels": "faceinsight.data.sources.degraded",
        "ExpW": "faceinsight.data.sources.expw",
        "FaceBatch": "faceinsight.data.batch",
        "FaceDataModule": "faceinsight.data.datamodule",
        "FaceTable": "faceinsight.data.table",
        "FaceTexts": "faceinsight.data.words.face_texts",
        "FairFace": "faceinsight.data.sources.fairface",
        "JoinedFaces": "faceinsight.data.sources.joined",
        "MAADFace": "faceinsight.data.sources.maad",
        "RAFDB": "faceinsight.data.sources.rafdb",
        "SynthFaces": "faceinsight.data.sources.synthfaces",
        "UTKFace": "faceinsight.data.sources.utkface",
        "drawn_graph": "faceinsight.data.graph_from_data",
        "label_prior": "faceinsight.data.graph_from_data",
        "pixel_ridge": "faceinsight.models.ridge",  # its place in version 0.1.0, as of token_ridge
        "table_graph": "faceinsight.data.graph_from_data",
        "token_ridge": "faceinsight.models.ridge",
        "training_graph": "faceinsight.data.graph_from_data",
    },
)
