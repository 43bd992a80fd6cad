"""FaceInsight: face perception with a structured multimodal LLM.

Named attributes and rules, a label graph, an exact logical constraint and a one-pass attribute query around a mostly
frozen language model. Names are loaded when they are first used, so that ``import faceinsight`` is quick.
"""

import sys
from typing import TYPE_CHECKING

from faceinsight._lazy import MovedModules, lazy

if TYPE_CHECKING:
    from faceinsight import data, evaluation, modules, tiny
    from faceinsight.knowledge.graph import LabelGraph
    from faceinsight.knowledge.rules import RuleSet
    from faceinsight.knowledge.schema import Schema
    from faceinsight.models import controls
    from faceinsight.models.face_insight import FaceInsight
    from faceinsight.modules.constrained import ConstrainedBernoulli

# first, so that a file left over from an older version is not a second copy of a module
sys.meta_path.insert(0, MovedModules())

__version__ = "0.2.0"

__all__ = [
    "ConstrainedBernoulli",
    "FaceInsight",
    "LabelGraph",
    "RuleSet",
    "Schema",
    "__version__",
    "controls",
    "data",
    "evaluation",
    "modules",
    "tiny",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ConstrainedBernoulli": "faceinsight.modules.constrained",
        "FaceInsight": "faceinsight.models.face_insight",
        "LabelGraph": "faceinsight.knowledge.graph",
        "RuleSet": "faceinsight.knowledge.rules",
        "Schema": "faceinsight.knowledge.schema",
        "controls": "faceinsight.models",
        "data": "",
        "evaluation": "",
        "modules": "",
        "tiny": "",
    },
)
