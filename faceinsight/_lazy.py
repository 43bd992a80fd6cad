"""Names that are imported when they are first used, so that a package's front door stays light (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "MovedModules", "lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package whose public names live in other modules.

    Args:
        package: its ``__name__``.
        homes: public name -> the module that defines it; a name that is itself a module has an empty home.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        return getattr(importlib.import_module(home), name) if home else importlib.import_module(f"{package}.{name}")

    return get, lambda: sorted(homes)


#: Modules that have moved, by the names that they had in version 0.1.0, without ``faceinsight.``. Configurations of
#: finished runs, notebooks and users' own modules name them so.
MOVED = {
    "accumulation": "training.accumulation",
    "callbacks": "training.callbacks",
    "checkpoint": "models.saving.checkpoint",
    "configure": "training.configure",
    "controls": "models.controls",
    "data.absent": "data.sources.absent",
    "data.categories": "data.sources.categories",
    "data.celeba": "data.sources.celeba",
    "data.celeba_lists": "data.sources.celeba_lists",
    "data.celebamask": "data.sources.celebamask",
    "data.check": "data.inspection.check",
    "data.degraded": "data.sources.degraded",
    "data.expw": "data.sources.expw",
    "data.face_texts": "data.words.face_texts",
    "data.fairface": "data.sources.fairface",
    "data.feature_store": "store",
    "data.hashed_split": "data.sources.hashed_split",
    "data.joined": "data.sources.joined",
    "data.label_files": "data.sources.label_files",
    "data.maad": "data.sources.maad",
    "data.rafdb": "data.sources.rafdb",
    "data.report": "data.inspection.report",
    "data.ridge": "models.ridge",
    "data.sheet": "data.inspection.sheet",
    "data.synthfaces": "data.sources.synthfaces",
    "data.utkface": "data.sources.utkface",
    "decoding": "models.decoded",
    "evaluation.discoveries": "evaluation.report.discoveries",
    "evaluation.evaluate": "evaluation.protocols.evaluate",
    "evaluation.groups": "metrics.groups",
    "evaluation.heat_map": "evaluation.report.heat_map",
    "evaluation.per_attribute": "evaluation.statistics.per_attribute",
    "evaluation.plot": "evaluation.report.plot",
    "evaluation.resampling": "evaluation.statistics.resampling",
    "evaluation.results": "evaluation.report.results",
    "evaluation.scores": "evaluation.statistics.scores",
    "evaluation.sheet": "evaluation.report.sheet",
    "evaluation.tables": "evaluation.report.tables",
    "evaluation.training_free": "evaluation.protocols.training_free",
    "evidence_fit": "training.evidence_fit",
    "hub": "models.saving.hub",
    "knowledge.clauses": "knowledge.logic.clauses",
    "knowledge.components": "knowledge.logic.components",
    "knowledge.diagram": "knowledge.logic.diagram",
    "knowledge.formula": "knowledge.logic.formula",
    "knowledge.label_check": "knowledge.lint.label_check",
    "knowledge.language": "knowledge.logic.language",
    "knowledge.lint_tables": "knowledge.lint.tables",
    "knowledge.mined_rules": "knowledge.lint.mined_rules",
    "knowledge.mining": "knowledge.lint.mining",
    "knowledge.ordering": "knowledge.logic.ordering",
    "model": "models.face_insight",
    "model_directory": "models.saving.directory",
    "modules.answers": "modules.language.answers",
    "modules.attention": "modules.language.attention",
    "modules.enumeration": "modules.logic.enumeration",
    "modules.face_parser": "modules.vision.face_parser",
    "modules.face_regions": "modules.vision.face_regions",
    "modules.fuzzy": "modules.logic.fuzzy",
    "modules.generation": "modules.language.generation",
    "modules.hybrid_encoder": "modules.vision.hybrid_encoder",
    "modules.layered": "modules.logic.layered",
    "modules.log_space": "modules.logic.log_space",
    "modules.lora": "modules.language.lora",
    "modules.multimodal": "modules.language.multimodal",
    "modules.one_pass_check": "modules.language.one_pass_check",
    "modules.pretrained": "modules.language.pretrained",
    "modules.prompt": "modules.language.prompt",
    "modules.recompute": "modules.language.recompute",
    "modules.rule_tables": "modules.logic.rule_tables",
    "modules.shield": "modules.logic.shield",
    "modules.tokens": "modules.language.tokens",
    "modules.vision_tower": "modules.vision.vision_tower",
    "parsing": "modules.language.parsing",
    "resume": "training.resume",
    "speaking": "models.speaking",
    "system": "training.systems",
}


class MovedModules(MetaPathFinder, Loader):
    """Imports a module that has moved also by its name in version 0.1.0; both names are one module.

    >>> from faceinsight.system import AttributeSystem
    >>> AttributeSystem.__module__
    'faceinsight.training.systems'
    """

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for the names in :data:`MOVED`."""
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "faceinsight" and name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in the place of the empty one that the import system made."""
        name = module.__name__
        sys.modules[name] = importlib.import_module(f"faceinsight.{MOVED[name.partition('.')[2]]}")
