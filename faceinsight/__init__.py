"""FaceInsight: face perception with a structured multimodal LLM.

Named attributes and rules, a label graph, an exact logical constraint and a one-pass attribute query around a mostly
frozen language model. Names are loaded when they are first used, so that ``import faceinsight`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceinsight import data, evaluation, modules
    from faceinsight.knowledge.graph import LabelGraph
    from faceinsight.knowledge.rules import RuleSet
    from faceinsight.knowledge.schema import Schema
    from faceinsight.model import FaceInsight
    from faceinsight.modules.constrained import ConstrainedBernoulli
    from faceinsight.prediction import FacePrediction

__version__ = "0.1.0"

__all__ = [
    "ConstrainedBernoulli",
    "FaceInsight",
    "FacePrediction",
    "LabelGraph",
    "RuleSet",
    "Schema",
    "__version__",
    "data",
    "evaluation",
    "modules",
]

_HOMES = {
    "ConstrainedBernoulli": "faceinsight.modules.constrained",
    "FaceInsight": "faceinsight.model",
    "FacePrediction": "faceinsight.prediction",
    "LabelGraph": "faceinsight.knowledge.graph",
    "RuleSet": "faceinsight.knowledge.rules",
    "Schema": "faceinsight.knowledge.schema",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("data", "evaluation", "modules"):
        return importlib.import_module(f"faceinsight.{name}")
    raise AttributeError(f"module 'faceinsight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
