"""Imports point down the floors, and the front door is light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import faceinsight

PACKAGE = Path(faceinsight.__file__).parent

#: The floor of each room; a module may import from its own floor and below.
FLOORS = {
    "_lazy": 0, "errors": 0, "files": 0, "processes": 0, "store": 0, "knowledge": 0,
    "modules": 1, "data": 1, "metrics": 1,
    "tiny": 2,
    "models": 3,
    "training": 4, "inference": 4,
    "evaluation": 5,
    "ablation": 6,
    "cli": 7,
}  # fmt: skip


def imported_rooms(path: Path) -> list[tuple[int, str]]:
    """Line and room of every import of this package, lazy ones included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("faceinsight.")]
    return found


def test_no_import_points_up() -> None:
    checked, upward = 0, []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":  # the facade stands before the house
            continue
        for line, target in imported_rooms(path):
            checked += 1
            if FLOORS[target] > FLOORS[room]:
                upward.append(f"{path.relative_to(PACKAGE)}:{line} imports {target}")
    assert checked > 30
    assert upward == []


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} <= FLOORS.keys()


def test_import_faceinsight_alone_loads_no_heavy_library() -> None:
    heavy = ("torch_geometric", "segmentation_models_pytorch", "lightning", "transformers", "timm", "matplotlib")
    code = f"import faceinsight, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_of_the_facade_can_be_had() -> None:
    for name in faceinsight.__all__:
        assert getattr(faceinsight, name) is not None
    assert set(faceinsight.__all__) - {"__version__"} == set(dir(faceinsight))


def test_nothing_loose_lies_beside_the_rooms() -> None:
    loose = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert loose <= {"__init__.py", "py.typed", "_lazy.py", "errors.py", "files.py", "processes.py", "store.py"}


def test_contributings_tree_names_every_module_and_none_that_is_not_there() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    (tree,) = re.findall(r"```\n(setup\.cfg.*?)```", text, flags=re.DOTALL)
    rooms = tree.partition("faceinsight/")[2].partition("benchmarks/")[0]
    modules = {path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    named = set(re.findall(r"\w+\.py", rooms))
    # one file a part of the drawn face; the tree names their folder
    unnamed = {path.name for path in modules if path.parent.name != "synthetic"} - named
    assert unnamed == set()
    assert named - {path.name for path in modules} == set()
