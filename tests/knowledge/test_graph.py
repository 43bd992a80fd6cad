import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.pair_counts import count_pairs
from faceinsight.knowledge.schema import Schema, UnknownAttributeError

SCHEMA = Schema.from_names(["A", "B", "C"])

# Five faces by hand. A is shown by 2, B by 4, C by 2; A and B together by 2, B and C by 1, A and C never.
#   p(B|A) = 2/2   p(A|B) = 2/4   p(C|B) = 1/4   p(B|C) = 1/2   p(C|A) = p(A|C) = 0
# At 0.4: A hears B, B hears A, C hears B; B does not hear C.
LABELS = torch.tensor([[1, 1, -1], [1, 1, -1], [-1, 1, 1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.int8)


def by_hand() -> LabelGraph:
    return LabelGraph.from_labels(LABELS, SCHEMA)


def random_labels(faces: int = 300, attributes: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(attributes, generator=generator)[None].expand(faces, -1)
    labels = torch.bernoulli(weights, generator=generator).to(torch.int8) * 2 - 1
    return labels.masked_fill(torch.rand(faces, attributes, generator=generator) < 0.2, 0)


def random_graph(attributes: int = 7, seed: int = 0, **settings: object) -> LabelGraph:
    schema = Schema.from_names([f"label {number}" for number in range(attributes)])
    return LabelGraph.from_labels(random_labels(300, attributes, seed), schema, **settings)


def same(one: LabelGraph, other: LabelGraph) -> bool:
    tables = [(getattr(graph.counts, name)) for graph in (one, other) for name in ("together", "shown", "defined")]
    return (
        (one.names, one.settings) == (other.names, other.settings)
        and torch.equal(one.weights, other.weights)
        and all(torch.equal(mine, yours) for mine, yours in zip(tables[:3], tables[3:], strict=True))
    )


# counting


def test_probability_and_lift_of_five_faces_by_hand() -> None:
    graph = by_hand()
    assert graph.counts.together.tolist() == [[2, 2, 0], [2, 4, 1], [0, 1, 2]]
    assert graph.probability.tolist() == [[1, 1, 0], [0.5, 1, 0.25], [0, 0.5, 1]]
    # p(B|A) / p(B) = 1 / (4/5); p(B|C) / p(B) = (1/2) / (4/5)
    torch.testing.assert_close(graph.lift, torch.tensor([[2.5, 1.25, 0], [1.25, 1.25, 0.625], [0, 0.625, 2.5]]))


def test_pairs_are_counted_over_the_faces_where_both_labels_are_defined() -> None:
    labels = random_labels()
    counts = count_pairs(labels)
    for i in range(labels.shape[1]):
        for j in range(labels.shape[1]):
            both = [(a, b) for a, b in zip(labels[:, i].tolist(), labels[:, j].tolist(), strict=True) if a and b]
            share = sum(a == 1 and b == 1 for a, b in both) / sum(a == 1 for a, _ in both)
            base = sum(b == 1 for _, b in both) / len(both)
            assert counts.defined[i, j] == len(both)
            assert counts.probability[i, j].item() == share
            assert counts.lift[i, j].item() == pytest.approx(share / base)


def test_counting_in_parts_changes_nothing() -> None:
    few = random_labels(faces=50, attributes=3)
    many = few.repeat(1400, 1)  # 70,000 faces: more than one part
    assert torch.equal(count_pairs(many).together, count_pairs(few).together * 1400)
    assert torch.equal(count_pairs(many).defined, count_pairs(few).defined * 1400)


def test_boolean_labels_count_as_yes_and_no() -> None:
    assert same(LabelGraph.from_labels(LABELS == 1, SCHEMA), by_hand())


# weights


def test_row_shares_what_an_attribute_hears_by_hand() -> None:
    # everyone hears one other, so gives it 0.2 and keeps 0.8
    expected = torch.tensor([[0.8, 0.2, 0], [0.2, 0.8, 0], [0, 0.2, 0.8]])
    assert torch.equal(by_hand().weights, expected)


def test_column_shares_what_an_attribute_gives_by_hand() -> None:
    # A is heard by B alone: 0.2. B is heard by A and C: 0.1 each. Nobody hears C, so it keeps 1.
    expected = torch.tensor([[0.8, 0.1, 0], [0.2, 0.8, 0], [0, 0.1, 1.0]])
    assert torch.equal(LabelGraph.from_labels(LABELS, SCHEMA, normalise="column").weights, expected)


@pytest.mark.parametrize(("normalise", "axis"), [("row", 1), ("column", 0)])
@pytest.mark.parametrize("edges", ["probability", "lift"])
def test_weights_equal_the_equation_written_as_loops(normalise: str, axis: int, edges: str) -> None:
    graph = random_graph(
        normalise=normalise, edges=edges, threshold=0.5 if edges == "probability" else 1.02, reweight=0.3
    )
    n = len(graph.names)
    value = graph.counts.probability if edges == "probability" else graph.counts.lift
    a = [[float(i != j and value[i, j].item() >= graph.settings.threshold) for j in range(n)] for i in range(n)]
    expected = torch.zeros(n, n)
    for i in range(n):
        for j in range(n):
            degree = sum(a[i]) if normalise == "row" else sum(a[k][j] for k in range(n))
            if i != j and a[i][j]:
                expected[i, j] = 0.3 / degree
            elif i == j:
                expected[i, j] = 1 - 0.3 if degree else 1
    assert 0 < sum(map(sum, a)) < n * (n - 1)
    torch.testing.assert_close(graph.weights, expected)
    torch.testing.assert_close(graph.weights.sum(dim=axis), torch.ones(n))


def test_an_edge_needs_at_least_the_threshold_and_a_share_of_two_fifths_is_0_4() -> None:
    labels = torch.tensor([[1, 1], [1, 1], [1, -1], [1, -1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.int8)
    schema = Schema.from_names(["one", "two"])
    assert LabelGraph.from_labels(labels, schema, threshold=0.4).weights[0, 1] > 0
    assert LabelGraph.from_labels(labels, schema, threshold=0.401).weights[0, 1] == 0


def test_lift_asks_for_more_than_chance_by_default() -> None:
    graph = LabelGraph.from_labels(LABELS, SCHEMA, edges="lift")
    assert graph.settings.threshold == 2.0
    assert len(graph.edges) == 0, "the highest lift of two attributes is 1.25"
    assert LabelGraph.from_labels(LABELS, SCHEMA, edges="lift", threshold=1.2).edges.tolist() == [[0, 1], [1, 0]]


def test_attributes_that_never_vary_have_no_edges_and_are_listed() -> None:
    labels = torch.tensor([[1, 1, -1, 0], [1, -1, -1, 0], [1, 1, -1, 0]], dtype=torch.int8)
    schema = Schema.from_names(["always", "varies", "never", "undefined"])
    for normalise in ("row", "column"):
        for edges in ("probability", "lift"):
            graph = LabelGraph.from_labels(labels, schema, normalise=normalise, edges=edges, threshold=0.1)
            assert graph.constant == ("always", "never", "undefined")
            assert torch.equal(graph.weights, torch.eye(4))
            assert torch.isfinite(graph.probability).all()
            assert torch.isfinite(graph.lift).all()
    assert graph.probability[1, 0] == 1, "the counts are still those of the labels"


# controls


def test_identity_hears_only_itself_and_uniform_hears_all_alike() -> None:
    graph = by_hand()
    assert torch.equal(graph.identity().weights, torch.eye(3))
    assert torch.equal(graph.uniform().weights, torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))
    assert (graph.identity().settings.control, graph.uniform().settings.control) == ("identity", "uniform")
    assert torch.equal(graph.uniform().counts.together, graph.counts.together)


@pytest.mark.parametrize("attributes", [2, 3, 7])
def test_shuffled_is_the_same_graph_with_every_attribute_in_anothers_place(attributes: int) -> None:
    graph = random_graph(attributes, threshold=0.5)
    for seed in range(5):
        shuffled = graph.shuffled(seed)
        place = [  # who stands where, found from the weights of a graph in which all are different
            row.nonzero().item()
            for row in _marked(graph).shuffled(seed).weights.diagonal()[:, None] == torch.arange(attributes)
        ]
        assert sorted(place) == list(range(attributes))
        assert all(new != old for new, old in enumerate(place))
        assert torch.equal(shuffled.weights, graph.weights[place][:, place])
        assert torch.equal(shuffled.counts.together, graph.counts.together)
        assert same(shuffled, graph.shuffled(seed))
    assert (shuffled.settings.control, shuffled.settings.seed) == ("shuffled", 4)


def _marked(graph: LabelGraph) -> LabelGraph:
    return LabelGraph(graph.names, torch.diag(torch.arange(len(graph.names))).float(), graph.counts, graph.settings)


def test_shuffling_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    by_hand().shuffled(3)
    assert torch.equal(torch.get_rng_state(), before)


# by name


def test_reordering_moves_rows_columns_and_counts_with_their_names() -> None:
    graph = random_graph()
    again = graph.reorder(reversed(graph.names))
    for i, one in enumerate(again.names):
        for j, other in enumerate(again.names):
            at = graph.names.index(one), graph.names.index(other)
            assert again.weights[i, j] == graph.weights[at]
            assert again.counts.shown[i, j] == graph.counts.shown[at]
    assert same(again.reorder(graph.names), graph)


def test_permuted_labels_give_the_reordered_graph() -> None:
    labels, order = random_labels(), [3, 0, 6, 1, 5, 2, 4]
    schema = Schema.from_names([f"label {number}" for number in order])
    assert same(LabelGraph.from_labels(labels[:, order], schema), random_graph().reorder(schema.names))


def test_the_frame_lists_who_hears_whom_by_name() -> None:
    frame = LabelGraph.from_labels(LABELS, SCHEMA, normalise="column").edges_frame()
    expected = pd.DataFrame(
        {
            "source": ["B", "A", "B"],
            "target": ["A", "B", "C"],
            "count": [2, 2, 1],
            "probability": [1.0, 0.5, 0.5],
            "lift": [1.25, 1.25, 0.625],
            "weight": pd.Series([0.1, 0.2, 0.1], dtype="float32"),
        }
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_to_pyg_gives_edges_from_the_heard_to_the_hearer() -> None:
    data = by_hand().to_pyg()
    edges = {
        tuple(edge): weight for edge, weight in zip(data.edge_index.T.tolist(), data.edge_weight.tolist(), strict=True)
    }
    a, b, c = range(3)
    expected = {(a, a): 0.8, (b, b): 0.8, (c, c): 0.8, (b, a): 0.2, (a, b): 0.2, (b, c): 0.2}
    assert edges == pytest.approx(expected)
    assert data.num_nodes == 3


@pytest.mark.parametrize("control", ["none", "identity", "uniform", "shuffled"])
def test_a_saved_graph_comes_back_exactly(control: str, tmp_path: Path) -> None:
    graph = random_graph(threshold=0.5, reweight=1 / 3, normalise="column")
    if control != "none":
        graph = graph.shuffled(7) if control == "shuffled" else getattr(graph, control)()
    graph.save(tmp_path / "graph.yaml")
    assert same(LabelGraph.load(tmp_path / "graph.yaml"), graph)


def test_any_float_comes_back_exactly(tmp_path: Path) -> None:
    graph = random_graph(attributes=30)
    torch.manual_seed(0)
    weights = torch.randn(30, 30) * torch.logspace(-30, 30, 30)
    LabelGraph(graph.names, weights, graph.counts, graph.settings).save(tmp_path / "graph.yaml")
    assert torch.equal(LabelGraph.load(tmp_path / "graph.yaml").weights, weights)


def test_the_file_reads_well(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "graph.yaml")
    assert (
        (tmp_path / "graph.yaml").read_text()
        == """\
faceinsight_graph: 1
settings: {threshold: 0.4, reweight: 0.2, normalise: row, edges: probability, control: none, seed: null}
attributes: [A, B, C]

# what each attribute hears of itself and of others
weights:
  A: {A: 0.8, B: 0.2}
  B: {A: 0.2, B: 0.8}
  C: {B: 0.2, C: 0.8}

# faces that show both attributes
together:
  A: {A: 2, B: 2}
  B: {A: 2, B: 4, C: 1}
  C: {B: 1, C: 2}

# faces that show the line's attribute, among those where the other is defined
shown: {A: 2, B: 4, C: 2}

# faces where both attributes are defined
defined: {A: 5, B: 5, C: 5}
"""
    )


def test_names_that_yaml_could_mistake_come_back(tmp_path: Path) -> None:
    schema = Schema.from_names(["No", "5_o_Clock_Shadow", "more than 70", "3-9"])
    LabelGraph.from_labels(random_labels(attributes=4), schema).save(tmp_path / "graph.yaml")
    assert LabelGraph.load(tmp_path / "graph.yaml").names == schema.names


# mean and covariance


def test_mean_and_covariance_are_those_of_the_labels_as_numbers() -> None:
    labels = random_labels().clone()
    labels[labels == 0] = -1
    graph = LabelGraph.from_labels(labels, Schema.from_names([f"label {number}" for number in range(7)]))
    shown = (labels == 1).double()
    torch.testing.assert_close(graph.mean, shown.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(graph.covariance, torch.cov(shown.T, correction=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(graph.covariance, np.cov(shown.T, bias=True), atol=1e-12)


def test_each_pair_s_covariance_is_that_of_the_faces_where_both_are_defined() -> None:
    labels, graph = random_labels(), random_graph()
    for i in range(7):
        assert graph.mean[i] == pytest.approx(float((labels[labels[:, i] != 0, i] == 1).double().mean()))
        for j in range(7):
            both = (labels[:, i] != 0) & (labels[:, j] != 0)
            expected = np.cov(*(labels[both][:, [i, j]] == 1).double().T.numpy(), bias=True)[0, 1]
            assert graph.counts.covariance[i, j] == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(graph.covariance, graph.counts.covariance, atol=1e-12, rtol=0)


def test_pairs_that_no_labels_could_have_together_become_a_covariance() -> None:
    """A and B always agree, B and C always agree, A and C never do, each pair on faces of its own."""
    pairs = [[1, 1, 0], [-1, -1, 0], [0, 1, 1], [0, -1, -1], [1, 0, -1], [-1, 0, 1]]
    graph = LabelGraph.from_labels(torch.tensor(pairs, dtype=torch.int8), SCHEMA)
    assert torch.linalg.eigvalsh(graph.counts.covariance)[0] < -0.2
    assert torch.linalg.eigvalsh(graph.covariance)[0] > -1e-9
    torch.testing.assert_close(graph.covariance.diagonal(), graph.counts.covariance.diagonal())
    assert graph.covariance[0, 1] > 0 > graph.covariance[0, 2]


def test_what_never_varies_or_is_never_defined_goes_together_with_nothing() -> None:
    labels = torch.tensor([[1, 1, -1, 0], [1, -1, -1, 0], [1, 1, -1, 0]], dtype=torch.int8)
    graph = LabelGraph.from_labels(labels, Schema.from_names(["always", "varies", "never", "undefined"]))
    assert graph.mean.tolist() == [1, pytest.approx(2 / 3), 0, 0.5]
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 1] = 2 / 9
    for each in (graph, graph.identity(), graph.uniform(), graph.shuffled(0)):
        torch.testing.assert_close(each.covariance, expected)


def test_the_controls_keep_means_and_variances_and_replace_the_correlations() -> None:
    graph = random_graph()
    deviation = graph.covariance.diagonal().sqrt()

    def correlation(each: LabelGraph) -> Tensor:
        return each.covariance / (deviation[:, None] * deviation)

    for each in (graph.identity(), graph.uniform(), graph.shuffled(3)):
        torch.testing.assert_close(each.covariance.diagonal(), graph.covariance.diagonal())
        assert torch.equal(each.mean, graph.mean)
    torch.testing.assert_close(correlation(graph.identity()), torch.eye(7, dtype=torch.float64))
    others = ~torch.eye(7, dtype=torch.bool)
    mean = correlation(graph)[others].mean()
    torch.testing.assert_close(correlation(graph.uniform())[others], mean.expand(42))
    shuffled, place = correlation(graph.shuffled(3)), _marked(graph).shuffled(3).weights.diagonal().long()
    for i in range(7):
        for j in range(7):
            assert shuffled[i, j] == pytest.approx(float(correlation(graph)[place[i], place[j]]))


# some of the attributes


@pytest.mark.parametrize("settings", [{}, {"edges": "lift", "threshold": 1.02}, {"normalise": "column"}])
def test_the_graph_of_some_attributes_is_the_one_that_their_labels_give(settings: dict) -> None:
    labels, chosen = random_labels(), [5, 0, 3]
    schema = Schema.from_names([f"label {number}" for number in chosen])
    found = random_graph(**settings).select(schema.names)
    assert same(found, LabelGraph.from_labels(labels[:, chosen], schema, **settings))
    torch.testing.assert_close(found.covariance, random_graph().covariance[chosen][:, chosen], atol=1e-12, rtol=0)


def test_places_are_the_rows_of_the_names() -> None:
    assert by_hand().places(["C", "A", "C"]).tolist() == [2, 0, 2]
    assert by_hand().places([]).tolist() == []


def test_attributes_that_cannot_be_selected_are_refused() -> None:
    with pytest.raises(UnknownAttributeError, match="'D'"):
        by_hand().select(["A", "D"])
    for graph, names in [(by_hand(), ["A", "A"]), (by_hand().identity(), ["A", "B"])]:
        with pytest.raises(InputError, match="select first, then take the control"):
            graph.select(names)


# bad input


def test_bad_settings_and_labels_are_refused() -> None:
    def build(**settings: object) -> None:
        LabelGraph.from_labels(LABELS, SCHEMA, **settings)

    with pytest.raises(ValueError, match=r"^threshold must be above 0 and at most 1 for probability, got 0.0$"):
        build(threshold=0.0)
    with pytest.raises(ValueError, match=r"^threshold must be above 0 and at most 1 for probability, got 40.0$"):
        build(threshold=40.0)
    with pytest.raises(ValueError, match=r"^reweight must be from 0 .* got 1.5$"):
        build(reweight=1.5)
    for faces, got in ((0, "none"), (1, "1")):  # of one face nothing varies
        with pytest.raises(ValueError, match=rf"at least two faces, got {got}"):
            LabelGraph.from_labels(LABELS[:faces], SCHEMA)
    with pytest.raises(ValueError, match=r"^label values must be 1 \(yes\), -1 \(no\) or 0 \(undefined\), got 2"):
        LabelGraph.from_labels(LABELS * 2, SCHEMA)
    with pytest.raises(ValueError, match=r"^weights must be 3 x 3, one row per name, got \[2, 2\]$"):
        LabelGraph(SCHEMA.names, torch.eye(2), by_hand().counts, by_hand().settings)


def test_reordering_by_other_names_is_refused() -> None:
    with pytest.raises(UnknownAttributeError, match=r"^unknown attribute 'D'"):
        by_hand().reorder(["A", "B", "D"])
    with pytest.raises(
        ValueError, match=r"^reordering needs each of the graph's 3 attributes once, got 2, without C; "
    ):
        by_hand().reorder(["A", "B"])
    with pytest.raises(ValueError, match=r"^reordering needs each of the graph's 3 attributes once, got 4; "):
        by_hand().reorder(["A", "B", "C", "A"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("faceinsight_graph: 1", "graph: 1", r"is not a label graph: it lacks the key 'faceinsight_graph'"),
        ("faceinsight_graph: 1", "faceinsight_graph: 2", r"has version 2 of a label graph, this library reads 1$"),
        ("A: {A: 0.8, B: 0.2}", "D: {A: 0.8, B: 0.2}", r"weights must have one line for each .* unknown: A, D$"),
        ("A: {A: 0.8, B: 0.2}", "A: {A: 0.8, D: 0.2}", r"weights of 'A' names \['D'\], which are no attributes"),
        ("defined: {A: 5, B: 5, C: 5}", "", r"is not a whole label graph: it lacks defined$"),
        ("[A, B, C]", "[A, B, C", r"is not a whole YAML file: "),
    ],
)
def test_files_that_are_no_graph_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    by_hand().save(path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        LabelGraph.load(path)


def test_a_failed_save_leaves_the_graph_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.yaml"
    by_hand().save(path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device"):
        random_graph().save(path)
    monkeypatch.undo()
    assert same(LabelGraph.load(path), by_hand())
    assert [file.name for file in tmp_path.iterdir()] == ["graph.yaml"]


def test_importing_the_graph_loads_no_pyg() -> None:
    code = "import sys, faceinsight.knowledge.graph; print('torch_geometric' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# CelebA


def celeba_labels(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "list_attr_celeba.txt", sep=r"\s+", skiprows=1)


def test_the_graph_of_all_celeba_shows_priors_more_than_dependence(celeba_root: Path) -> None:
    table = celeba_labels(celeba_root)
    assert table.shape == (202_599, 40)
    labels, schema = torch.tensor(table.to_numpy(dtype="int8")), Schema.from_names(table.columns)
    graph = LabelGraph.from_labels(labels, schema, threshold=0.4)
    heard_by = graph.edges_frame()["source"].value_counts()
    assert len(graph.edges) == 303
    assert heard_by[["No_Beard", "Young", "Mouth_Slightly_Open"]].tolist() == [35, 34, 34]
    assert 40 - len(heard_by) == 16, "sixteen attributes are heard by nobody"
    assert graph.edges_frame()["target"].nunique() == 40, "everyone hears somebody"
    lift = LabelGraph.from_labels(labels, schema, edges="lift").edges_frame()
    assert not {"No_Beard", "Young", "Mouth_Slightly_Open"} & set(lift["source"])
    assert set(lift.query("target == 'Goatee'").nlargest(3, "lift")["source"]) == {"Bald", "Mustache", "Sideburns"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[A, B, C]", "[A, B, No]", "quote it"),
        ("[A, B, C]", "[A, B, B]", "named twice"),
        ("[A, B, C]", "A", "must be a list"),
        ("A: {A: 0.8, B: 0.2}", "A: {A: 0.8, B: .nan}", "finite number"),
        ("A: {A: 0.8, B: 0.2}", "A: {A: 0.8, B: yes}", "finite number"),
        ("A: {A: 0.8, B: 0.2}", "A: many", "finite number"),
        ("threshold:", "treshold:", "settings"),
        ("threshold: 0.4", "threshold: high", "settings"),
        ("threshold: 0.4", "threshold: 4", "settings"),
        ("faceinsight_graph: 1", "faceinsight_graph: 1\nfaceinsight_graph: 1", "second time"),
    ],
)
def test_graph_files_with_other_values_are_refused_with_their_file(old: str, new: str, message: str, tmp_path: Path):
    path = tmp_path / "graph.yaml"
    by_hand().save(path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=rf"graph\.yaml.*{message}"):
        LabelGraph.load(path)
