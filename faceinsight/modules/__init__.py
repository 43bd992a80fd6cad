"""The paper's parts, one idea per file; each imports and works alone."""

from typing import TYPE_CHECKING

from faceinsight._lazy import lazy

if TYPE_CHECKING:
    from faceinsight.modules.attribute_query import AttributeQuery, SharedHead
    from faceinsight.modules.attribute_tokens import AttributeTokens, MLPQuery
    from faceinsight.modules.cooccurrence import CooccurrenceGain
    from faceinsight.modules.correlation import CorrelationConstraint
    from faceinsight.modules.decoder import ConsistentDecoder
    from faceinsight.modules.evidence import Evidence, Gate
    from faceinsight.modules.frozen import Frozen
    from faceinsight.modules.image_encoder import ImageEncoder
    from faceinsight.modules.language.lora import LoRA
    from faceinsight.modules.language_model import LanguageModel
    from faceinsight.modules.logic.shield import ShieldLayer
    from faceinsight.modules.logical import LogicalConstraint
    from faceinsight.modules.projector import Projector
    from faceinsight.modules.segmentation import MapTokens, RegionTokens, SegmentationEncoder
    from faceinsight.modules.text_encoder import LearnedText, TextEncoder
    from faceinsight.modules.vision.face_parser import FaceParser
    from faceinsight.modules.vision.face_resnet import FaceResNet
    from faceinsight.modules.vision.hybrid_encoder import HybridEncoder
    from faceinsight.modules.vision.vision_tower import VisionTower

__all__ = [
    "AttributeQuery",
    "AttributeTokens",
    "ConsistentDecoder",
    "CooccurrenceGain",
    "CorrelationConstraint",
    "Evidence",
    "FaceParser",
    "FaceResNet",
    "Frozen",
    "Gate",
    "HybridEncoder",
    "ImageEncoder",
    "LanguageModel",
    "LearnedText",
    "LoRA",
    "LogicalConstraint",
    "MLPQuery",
    "MapTokens",
    "Projector",
    "RegionTokens",
    "SegmentationEncoder",
    "SharedHead",
    "ShieldLayer",
    "TextEncoder",
    "VisionTower",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AttributeQuery": "faceinsight.modules.attribute_query",
        "AttributeTokens": "faceinsight.modules.attribute_tokens",
        "ConsistentDecoder": "faceinsight.modules.decoder",
        "CooccurrenceGain": "faceinsight.modules.cooccurrence",
        "CorrelationConstraint": "faceinsight.modules.correlation",
        "Evidence": "faceinsight.modules.evidence",
        "FaceParser": "faceinsight.modules.vision.face_parser",
        "FaceResNet": "faceinsight.modules.vision.face_resnet",
        "Frozen": "faceinsight.modules.frozen",
        "Gate": "faceinsight.modules.evidence",
        "HybridEncoder": "faceinsight.modules.vision.hybrid_encoder",
        "ImageEncoder": "faceinsight.modules.image_encoder",
        "LanguageModel": "faceinsight.modules.language_model",
        "LearnedText": "faceinsight.modules.text_encoder",
        "LoRA": "faceinsight.modules.language.lora",
        "LogicalConstraint": "faceinsight.modules.logical",
        "MLPQuery": "faceinsight.modules.attribute_tokens",
        "MapTokens": "faceinsight.modules.segmentation",
        "Projector": "faceinsight.modules.projector",
        "RegionTokens": "faceinsight.modules.segmentation",
        "SegmentationEncoder": "faceinsight.modules.segmentation",
        "SharedHead": "faceinsight.modules.attribute_query",
        "ShieldLayer": "faceinsight.modules.logic.shield",
        "TextEncoder": "faceinsight.modules.text_encoder",
        "VisionTower": "faceinsight.modules.vision.vision_tower",
    },
)
