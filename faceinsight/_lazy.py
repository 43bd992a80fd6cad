"""Names that are imported when they are first used, so that a package's front door stays light (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose public names live in other modules.

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
