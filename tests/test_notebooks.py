"""The notebooks run from top to bottom as they are written."""

from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

SOURCES = sorted((Path(__file__).resolve().parent.parent / "notebooks" / "src").glob("*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all notebooks run, so that the second finds the faces that the first has drawn."""
    return tmp_path_factory.mktemp("notebooks")


def test_there_are_at_least_two_notebooks() -> None:
    assert len(SOURCES) >= 2


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two threads on a shared core wait for each other most of the time
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = jupytext.read(source, fmt="py:percent")
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    jupytext.write(notebook, folder / f"{source.stem}.ipynb")
