"""Graph and prior are counted on the training faces only."""

from pathlib import Path

import pytest
import torch

from faceinsight.data.datamodule import FaceDataModule
from faceinsight.data.graph_from_data import drawn_graph, label_prior, table_graph, training_graph
from faceinsight.data.sources.celeba import CelebA
from faceinsight.data.synthetic.population import ATTRIBUTES, face
from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema


@pytest.fixture
def data(root: Path, schema: Schema) -> FaceDataModule:
    return FaceDataModule(source=CelebA(root=root, schema=schema))


def test_the_graph_is_that_of_the_training_labels(data: FaceDataModule) -> None:
    graph = training_graph(data=data, threshold=0.65, reweight=0.3, normalise="column", edges="probability")
    by_hand = LabelGraph.from_labels(
        data.table.labels[:6], data.schema, threshold=0.65, reweight=0.3, normalise="column", edges="probability"
    )
    assert torch.equal(graph.weights, by_hand.weights)
    assert graph.edges.tolist() == [[1, 2]]  # of the 3 with bangs 2 smile; of the 4 who smile 2 have bangs
    everybody = LabelGraph.from_labels(data.table.labels, data.schema, threshold=0.65)
    assert everybody.edges.tolist() == []  # of all 5 with bangs and a label for smiling 3 smile


def test_test_labels_do_not_change_the_graph(data: FaceDataModule, root: Path) -> None:
    before = training_graph(data=data).weights
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    changed = [*lines[:8], *(line.split()[0] + " 1 1 1" for line in lines[8:])]
    path.write_text("\n".join(changed) + "\n")
    again = FaceDataModule(source=data.source)
    assert not torch.equal(again.table.labels, data.table.labels)
    assert torch.equal(training_graph(data=again).weights, before)


def test_controls_replace_the_weights(data: FaceDataModule) -> None:
    graph = training_graph(data=data)
    assert torch.equal(training_graph(data=data, control="identity").weights, torch.eye(3))
    assert torch.equal(training_graph(data=data, control="uniform").weights, graph.uniform().weights)
    assert torch.equal(training_graph(data=data, control="shuffled", seed=3).weights, graph.shuffled(3).weights)


def test_the_prior_is_the_share_of_positives_among_defined_training_labels(data: FaceDataModule) -> None:
    torch.testing.assert_close(label_prior(data), torch.tensor([2 / 6, 3 / 6, 4 / 6]))


def test_undefined_labels_do_not_count_and_nothing_defined_is_even(data: FaceDataModule, root: Path) -> None:
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    for number in range(2, 8):
        name, *_ = lines[number].split()
        lines[number] = f"{name} 0 {1 if number == 2 else 0} {(1, -1)[number % 2]}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match=r"Bald \(never defined\), Bangs \(always"):
        prior = label_prior(data)
    assert prior.tolist() == [0.5, 1.0, 0.5]


def test_a_table_graph_counts_every_listed_face_but_the_excluded_ones(data: FaceDataModule, root: Path) -> None:
    lines = (root / "list_attr_celeba.txt").read_text().splitlines()
    more = root.parent / "more.txt"
    extra = ["900001.jpg 1 1 -1", "900002.jpg -1 1 1", "900003.jpg -1 -1 -1"]
    more.write_text("\n".join([str(int(lines[0]) + 3), *lines[1:], *extra]) + "\n")
    graph = table_graph(labels=str(more), schema=data.schema, exclude=data)
    by_name = dict(zip(lines[1].split(), zip(*[line.split()[1:] for line in extra], strict=True), strict=True))
    by_hand = torch.tensor([[int(value) for value in by_name[name]] for name in data.schema.names]).T.to(torch.int8)
    assert torch.equal(graph.counts.together, LabelGraph.from_labels(by_hand, data.schema).counts.together)
    everybody = table_graph(labels=str(more), schema=data.schema, control="identity")
    assert int(everybody.counts.defined.max()) == int(lines[0]) + 3
    assert everybody.settings.control == "identity"


def test_a_table_of_excluded_faces_alone_is_refused(data: FaceDataModule, root: Path) -> None:
    with pytest.raises(InputError, match="larger table"):
        table_graph(labels=str(root / "list_attr_celeba.txt"), schema=data.schema, exclude=data)


def test_a_drawn_graph_counts_the_labels_of_a_population() -> None:
    graph = drawn_graph(faces=200, population_seed=5)
    labels = [[face(5, number)[name] for name in ATTRIBUTES] for number in range(200)]
    at = ATTRIBUTES.index("Male")
    assert graph.mean[at].item() == pytest.approx(sum(row[at] for row in labels) / 200)
    assert graph.names == tuple(ATTRIBUTES)
    assert torch.equal(drawn_graph(faces=200, population_seed=5, control="shuffled", seed=3).mean, graph.mean)
