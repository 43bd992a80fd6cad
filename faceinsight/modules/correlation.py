"""Correlation constraint: attribute prompts refined over a fixed graph of which attributes go together.

Sources:
    FaceInsight, correlation constraint module: https://arxiv.org/abs/2504.15624 (depth and activation not published)
    ML-GCN, graph convolutions over labels with LeakyReLU(0.2): https://arxiv.org/abs/1904.03582
    PyTorch Geometric, the convolutions: https://arxiv.org/abs/1903.02428
"""

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph

with warnings.catch_warnings():  # its own use of what torch deprecates is nothing that a user could mend
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    from torch_geometric.nn import GCNConv

__all__ = ["CorrelationConstraint", "disjoint_union"]

#: The convolution that is exactly ``C T W``: PyG's own normalisation, self-loops and bias are all off.
PLAIN_GCN = partial(GCNConv, normalize=False, add_self_loops=False, bias=False)


class CorrelationConstraint(nn.Module):
    """Graph convolutions ``T <- rho(C T W)`` over a label graph, rho = LeakyReLU(0.2).

    Row i of C is what attribute i hears; C is fixed, moves with the module and is saved with it. The attribute axis is
    in the order of ``graph.names``: for another schema give ``graph.reorder(schema.names)``.

    Args:
        graph: the label graph, or one of its controls (``graph.identity()`` must stand beside every claim).
        embed_dim: size of one attribute's prompt.
        depth: number of convolutions; the paper does not say, ML-GCN has 2.
        convolution: builds another convolution of PyG from its input and output width, such as
            ``partial(GATConv, heads=2, concat=False)``. It gets the weights of C if its ``forward`` takes an
            ``edge_weight``, else only the edges; batches reach it as one graph of separate parts.
        activation: ``every``, after each convolution, as in the equation; ``between``, not after the last, as in
            ML-GCN's code.
        residual: ``none``, as in the equation; ``add`` adds each convolution's input to its output, for where two
            rounds of averaging leave the prompts too much alike (our choice).

    Raises:
        ValueError: no convolution at all, or one that does not keep the width.

    >>> from faceinsight.knowledge.schema import Schema
    >>> labels = torch.tensor([[1, 1], [-1, 1], [-1, 1], [-1, -1]], dtype=torch.int8)
    >>> graph = LabelGraph.from_labels(labels, Schema.from_names(["Goatee", "Male"]))
    >>> CorrelationConstraint(graph=graph, embed_dim=8)(torch.zeros(2, 8)).shape
    torch.Size([2, 8])
    """

    edge_index: Tensor
    edge_weight: Tensor

    def __init__(
        self,
        *,
        graph: LabelGraph,
        embed_dim: int,
        depth: int = 2,
        convolution: Callable[[int, int], nn.Module] | None = None,
        activation: Literal["every", "between"] = "every",
        residual: Literal["none", "add"] = "none",
    ) -> None:
        super().__init__()
        if depth < 1:
            raise InputError(f"depth must be at least 1, got {depth}; leave the correlation constraint out instead")
        self.graph, self.embed_dim, self.depth, self.convolution = graph, embed_dim, depth, convolution
        self.activation, self.residual = activation, residual
        edges = graph.to_pyg()
        self.register_buffer("edge_index", edges.edge_index)
        self.register_buffer("edge_weight", edges.edge_weight)
        build = PLAIN_GCN if convolution is None else convolution
        self.layers = nn.ModuleList(build(embed_dim, embed_dim) for _ in range(depth))
        # many convolutions refuse a batch axis, and some read it as something else: ours is known to take it
        self._takes_batches = convolution is None
        self._takes_weights = "edge_weight" in inspect.signature(self.layers[0].forward).parameters
        self._check_width()

    def forward(self, prompts: Float[Tensor, "*batch attr dim"]) -> Float[Tensor, "*batch attr dim"]:
        """Refine prompts, each set over the graph by itself.

        Raises:
            ValueError: another number of attributes than the graph has.
        """
        if prompts.shape[-2] != len(self.graph.names):
            raise InputError(
                f"prompts must be [..., {len(self.graph.names)}, {self.embed_dim}], one for each attribute of the "
                f"graph, got {list(prompts.shape)}"
            )
        nodes = rearrange(prompts, "... attr dim -> (...) attr dim")
        for number, layer in enumerate(self.layers, start=1):
            heard = self._convolve(layer, nodes)
            if self.activation == "every" or number < len(self.layers):
                heard = F.leaky_relu(heard, negative_slope=0.2)
            nodes = nodes + heard if self.residual == "add" else heard
        return nodes.reshape(prompts.shape)

    def extra_repr(self) -> str:
        """Return the graph and the modes, for ``print(module)``."""
        return f"{self.graph}, activation={self.activation!r}, residual={self.residual!r}"

    def _convolve(self, layer: nn.Module, nodes: Float[Tensor, "batch attr dim"]) -> Float[Tensor, "batch attr heard"]:
        """One convolution over every set of prompts."""
        edge_index, edge_weight = self.edge_index, self.edge_weight
        if not self._takes_batches:
            edge_index, edge_weight = disjoint_union(edge_index, edge_weight, len(nodes), nodes.shape[1])
        weights: dict[str, Tensor] = {"edge_weight": edge_weight} if self._takes_weights else {}
        if self._takes_batches:
            return layer(nodes, edge_index, **weights)
        heard = layer(rearrange(nodes, "batch attr dim -> (batch attr) dim"), edge_index, **weights)
        return rearrange(heard, "(batch attr) dim -> batch attr dim", batch=len(nodes))

    def _check_width(self) -> None:
        """One set of empty prompts through the first layer."""
        nodes = torch.zeros(1, len(self.graph.names), self.embed_dim)
        with torch.no_grad():
            width = self._convolve(self.layers[0].eval(), nodes).shape[-1]
        self.layers.train()
        if width != self.embed_dim:
            raise InputError(
                f"the convolution turns prompts of width {self.embed_dim} into {width}; it must keep the width "
                "(for attention heads: concat=False)"
            )


def disjoint_union(
    edge_index: Int64[Tensor, " 2 edge"], edge_weight: Float[Tensor, " edge"], copies: int, nodes: int
) -> tuple[Int64[Tensor, " 2 edges"], Float[Tensor, " edges"]]:
    """One graph that holds a graph of ``nodes`` nodes several times over, with no edge between the copies.

    >>> edges, weights = disjoint_union(torch.tensor([[0], [1]]), torch.tensor([0.5]), copies=3, nodes=2)
    >>> edges.tolist(), weights.tolist()
    ([[0, 2, 4], [1, 3, 5]], [0.5, 0.5, 0.5])
    """
    first = torch.arange(copies, device=edge_index.device) * nodes
    shifted = rearrange(edge_index, "two edge -> two 1 edge") + rearrange(first, "copy -> 1 copy 1")
    union = rearrange(shifted, "two copy edge -> two (copy edge)")
    return union, repeat(edge_weight, "edge -> (copy edge)", copy=copies)
