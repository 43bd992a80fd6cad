"""What the README and CONTRIBUTING say is so."""

import re
from pathlib import Path

import pytest
import torch

from faceinsight.ablation.plan import read_ablation
from faceinsight.data import drawn_graph
from faceinsight.data.synthetic import population, renderer
from faceinsight.training.configure import built

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text()


def test_the_readmes_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    renderer.render(population.face(seed=1, index=7))[0].save(tmp_path / "photos" / "1.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_readmes_ablation_file_adds_graph_and_rules_to_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "experiments").symlink_to(REPOSITORY / "experiments")
    (tmp_path / "mine.yaml").write_text(block)
    graph = drawn_graph().shuffled(seed=0)  # another one than the extended file's
    graph.save(tmp_path / "graph.yaml")
    monkeypatch.chdir(tmp_path)
    rows = read_ablation("mine.yaml").rows
    alone, joined, decoded = (built(row.config).model.network for row in rows)
    assert alone.evidence.gain is None
    for network in (joined, decoded):
        assert torch.equal(network.evidence.gain.graph.weights, graph.weights)
    assert not hasattr(joined, "decoder")
    assert len(decoded.decoder.rules)


def test_the_readmes_pictures_and_links_are_there() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(targets) > 4
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


def test_the_readmes_make_targets_exist() -> None:
    named = set(re.findall(r"\bmake (\w+)", README))
    targets = set(re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"ablation", "test"} <= named <= targets


@pytest.mark.parametrize(
    "folder",
    [
        "knowledge",
        "modules",
        "data",
        "metrics",
        "tiny",
        "models",
        "training",
        "evaluation",
        "ablation",
        "cli",
    ],
)
def test_contributing_names_every_room(folder: str) -> None:
    assert f"{folder}/" in (REPOSITORY / "CONTRIBUTING.md").read_text()
