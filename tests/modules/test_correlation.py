from functools import partial
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GraphConv, SAGEConv
from torch_geometric.utils import dense_to_sparse

from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.correlation import PLAIN_GCN, CorrelationConstraint

NAMES = ["A", "B", "C", "D"]
# p(B|A) = 1, p(A|B) = 1/2, p(B|C) = 1/2 and so on: an asymmetric graph; D is shown by nobody and hears nobody
LABELS = torch.tensor(
    [[1, 1, -1, -1], [1, 1, -1, -1], [-1, 1, 1, -1], [-1, 1, -1, -1], [-1, -1, 1, -1]], dtype=torch.int8
)


def build_graph(normalise: str = "row", names: list[str] = NAMES, labels: Tensor = LABELS) -> LabelGraph:
    return LabelGraph.from_labels(labels, Schema.from_names(names), normalise=normalise)


def by_loops(graph: LabelGraph, weights: list[Tensor], prompts: Tensor) -> Tensor:
    """``T <- rho(C T W)`` one number at a time; W is ``[in, out]``."""
    c, t = graph.weights.double().tolist(), prompts.double().tolist()
    for w in (weight.double().tolist() for weight in weights):
        attributes, dims = range(len(c)), range(len(w))
        tw = [[sum(t[j][k] * w[k][d] for k in dims) for d in dims] for j in attributes]
        ctw = [[sum(c[i][j] * tw[j][d] for j in attributes) for d in dims] for i in attributes]
        t = [[x if x > 0 else 0.2 * x for x in row] for row in ctw]
    return torch.tensor(t)


def linear_weights(module: CorrelationConstraint) -> list[Tensor]:
    return [layer.lin.weight.detach().T for layer in module.layers]


@pytest.mark.parametrize("normalise", ["row", "column"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_module_equals_the_equation_written_as_loops(normalise: str, depth: int) -> None:
    torch.manual_seed(0)
    graph = build_graph(normalise)
    assert not torch.equal(graph.weights, graph.weights.T), "a symmetric graph would hide a swapped axis"
    module, prompts = CorrelationConstraint(graph=graph, embed_dim=5, depth=depth), torch.randn(4, 5)
    torch.testing.assert_close(module(prompts), by_loops(graph, linear_weights(module), prompts), rtol=1e-5, atol=1e-6)


def test_the_edges_the_other_way_round_would_compute_the_transpose() -> None:
    torch.manual_seed(0)
    graph, prompts, conv = build_graph(), torch.randn(4, 5), PLAIN_GCN(5, 5)
    sparse = conv(prompts, *dense_to_sparse(graph.weights))
    torch.testing.assert_close(sparse, graph.weights.T @ conv.lin(prompts))
    edges = graph.to_pyg()
    torch.testing.assert_close(conv(prompts, edges.edge_index, edges.edge_weight), graph.weights @ conv.lin(prompts))


def test_with_the_identity_graph_attributes_do_not_hear_each_other() -> None:
    torch.manual_seed(0)
    module = CorrelationConstraint(graph=build_graph().identity(), embed_dim=5)
    prompts = torch.randn(4, 5)
    changed = prompts.clone()
    changed[1] += 1
    differs = (module(changed) != module(prompts)).any(dim=-1)
    assert differs.tolist() == [False, True, False, False]


def test_an_attribute_hears_its_row_and_nothing_else() -> None:
    torch.manual_seed(0)
    module = CorrelationConstraint(graph=build_graph(), embed_dim=5, depth=1)
    prompts = torch.randn(4, 5)
    changed = prompts.clone()
    changed[2] += 1  # C: heard by nobody but itself, though it hears B
    differs = (module(changed) != module(prompts)).any(dim=-1)
    assert differs.tolist() == [False, False, True, False]


def test_permuting_attributes_permutes_outputs() -> None:
    torch.manual_seed(0)
    order, prompts = [2, 0, 3, 1], torch.randn(4, 5)
    module = CorrelationConstraint(graph=build_graph(), embed_dim=5)
    permuted = CorrelationConstraint(
        graph=build_graph(names=[NAMES[i] for i in order], labels=LABELS[:, order]), embed_dim=5
    )
    permuted.layers.load_state_dict(module.layers.state_dict())
    torch.testing.assert_close(permuted(prompts[order]), module(prompts)[order])


CONVOLUTIONS = {
    "the default": None,
    "GraphConv with weights": GraphConv,
    "GATConv that refuses batches": partial(GATConv, heads=2, concat=False),
    "SAGEConv without weights": SAGEConv,
    "GCNConv that normalises": GCNConv,
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_each_set_of_prompts_in_a_batch_is_refined_alone(kind: str) -> None:
    torch.manual_seed(0)
    module = CorrelationConstraint(graph=build_graph(), embed_dim=6, convolution=CONVOLUTIONS[kind])
    prompts = torch.randn(2, 3, 4, 6)
    refined = module(prompts)
    assert refined.shape == prompts.shape
    for first in range(2):
        for second in range(3):
            torch.testing.assert_close(module(prompts[first, second]), refined[first, second])


def test_another_convolution_gets_the_graphs_edges_and_weights() -> None:
    torch.manual_seed(0)
    graph, prompts = build_graph(), torch.randn(4, 6)
    module = CorrelationConstraint(graph=graph, embed_dim=6, depth=1, convolution=GraphConv, activation="between")
    layer = module.layers[0]  # GraphConv: W1 x_i + W2 sum_j w_ij x_j
    by_hand = layer.lin_root(prompts) + layer.lin_rel(graph.weights @ prompts)
    torch.testing.assert_close(module(prompts), by_hand)


def test_activation_between_leaves_the_last_layer_linear() -> None:
    torch.manual_seed(0)
    every = CorrelationConstraint(graph=build_graph(), embed_dim=5)
    between = CorrelationConstraint(graph=build_graph(), embed_dim=5, activation="between")
    between.load_state_dict(every.state_dict())
    prompts = torch.randn(4, 5)
    torch.testing.assert_close(nn.functional.leaky_relu(between(prompts), 0.2), every(prompts))
    assert not torch.equal(between(prompts), every(prompts))


def test_a_residual_adds_what_came_to_what_was_heard() -> None:
    torch.manual_seed(0)
    plain = CorrelationConstraint(graph=build_graph(), embed_dim=5, depth=1)
    residual = CorrelationConstraint(graph=build_graph(), embed_dim=5, depth=1, residual="add")
    residual.load_state_dict(plain.state_dict())
    prompts = torch.randn(4, 5)
    torch.testing.assert_close(residual(prompts), prompts + plain(prompts))


def test_the_gradient_is_that_of_finite_differences_and_reaches_every_weight() -> None:
    torch.manual_seed(0)
    module = CorrelationConstraint(graph=build_graph(), embed_dim=3).double()
    prompts = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, prompts)
    module(prompts).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in module.parameters())
    assert len(list(module.parameters())) == 2, "the graph itself is not trained"


def test_the_graph_is_saved_with_the_weights() -> None:
    module = CorrelationConstraint(graph=build_graph(), embed_dim=3)
    assert {"edge_index", "edge_weight"} <= module.state_dict().keys()
    other = CorrelationConstraint(graph=build_graph().identity(), embed_dim=3)
    with pytest.raises(RuntimeError, match="size mismatch for edge_index"):
        other.load_state_dict(module.state_dict())
    assert "4 attributes, 3 edges" in repr(module)
    assert module.training
    assert all(layer.training for layer in module.layers)


def test_a_configuration_builds_graph_and_convolution_by_class_path(tmp_path: Path) -> None:
    build_graph("column").save(tmp_path / "graph.yaml")
    load = {
        "class_path": "faceinsight.knowledge.graph.LabelGraph.load",
        "init_args": {"path": str(tmp_path / "graph.yaml")},
    }
    attention = {"class_path": "torch_geometric.nn.GATConv", "init_args": {"heads": 2, "concat": False}}
    arguments = {"graph": load, "embed_dim": 6, "convolution": attention}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--correlation", type=nn.Module)
    module = {"class_path": "faceinsight.modules.correlation.CorrelationConstraint", "init_args": arguments}
    built = parser.instantiate(parser.parse_object({"correlation": module})).correlation
    assert torch.equal(built.graph.weights, build_graph("column").weights)
    assert [type(layer) for layer in built.layers] == [GATConv, GATConv]


def test_what_cannot_be_refined_is_refused() -> None:
    graph = build_graph()
    with pytest.raises(ValueError, match=r"^depth must be at least 1, got 0"):
        CorrelationConstraint(graph=graph, embed_dim=3, depth=0)
    with pytest.raises(ValueError, match=r"^prompts must be .*4, 3\].*got \[5, 3\]$"):
        CorrelationConstraint(graph=graph, embed_dim=3)(torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"^the convolution .*width 4 into 8"):
        CorrelationConstraint(graph=graph, embed_dim=4, convolution=partial(GATConv, heads=2))
