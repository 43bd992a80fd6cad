"""The label graph: which attribute hears which, counted from labels and readable by name.

``C[i, j]`` is what attribute i hears of attribute j when the correlation constraint computes ``rho(C T W)``.

Sources:
    ML-GCN, threshold and re-weighting: https://arxiv.org/abs/1904.03582
    FaceInsight, a graph of facial attributes: https://arxiv.org/abs/2504.15624. Its threshold and its share for
    neighbours are not published; the defaults here are ML-GCN's (tau 0.4, 0.2 for the neighbours).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.files import write_text
from faceinsight.knowledge.graph_file import graph_from_text, graph_to_text
from faceinsight.knowledge.pair_counts import PairCounts, count_pairs
from faceinsight.knowledge.schema import Schema, UnknownAttributeError

if TYPE_CHECKING:
    import pandas as pd
    from torch_geometric.data import Data

__all__ = ["GraphSettings", "LabelGraph", "share_weights"]

Normalise = Literal["row", "column"]
Edges = Literal["probability", "lift"]
Control = Literal["none", "identity", "shuffled", "uniform"]

#: Thresholds where none is given. For lift: our choice, "at least twice as often as by chance".
THRESHOLDS: dict[str, float] = {"probability": 0.4, "lift": 2.0}


def share_weights(
    edges: Bool[Tensor, "attr attr"], reweight: float, normalise: Normalise
) -> Float[Tensor, "attr attr"]:
    """ML-GCN's re-weighting: ``reweight`` is shared among neighbours, the diagonal keeps the rest.

    With ``row``, the neighbours are those whom an attribute hears, and what it hears sums to 1. With ``column``, they
    are those by whom it is heard, and what it gives sums to 1; so a popular attribute is heard faintly by each. An
    attribute without such neighbours keeps 1.

    >>> edges = torch.tensor([[False, True, False], [False, False, False], [False, True, False]])
    >>> share_weights(edges, 0.2, "row")  # 0 and 2 hear 1
    tensor([[0.8000, 0.2000, 0.0000],
            [0.0000, 1.0000, 0.0000],
            [0.0000, 0.2000, 0.8000]])
    >>> share_weights(edges, 0.2, "column")  # 1 is heard by two, who share its 0.2
    tensor([[1.0000, 0.1000, 0.0000],
            [0.0000, 0.8000, 0.0000],
            [0.0000, 0.1000, 1.0000]])
    """
    neighbour = edges.double().fill_diagonal_(0)
    degree = neighbour.sum(dim=1 if normalise == "row" else 0)
    share = reweight / degree.clamp(min=1)
    kept = torch.where(degree > 0, 1 - reweight, 1.0)
    spread = share[:, None] if normalise == "row" else share[None, :]
    return (neighbour * spread + torch.diag(kept)).float()


def shuffled_places(count: int, seed: int) -> Int64[Tensor, " attr"]:
    """Return for each attribute the one in the place of which it is put: one cycle through all of them."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    place = torch.empty_like(order)
    place[order] = order.roll(1)
    return place


def nearest_correlation(matrix: Float64[Tensor, "attr attr"]) -> Float64[Tensor, "attr attr"]:
    """Set the negative eigenvalues of a symmetric matrix to 0, then scale its diagonal back to 1.

    >>> nearest_correlation(torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64))
    tensor([[1.0000, 0.5000],
            [0.5000, 1.0000]], dtype=torch.float64)
    """
    values, vectors = torch.linalg.eigh(matrix)
    if len(values) == 0 or values[0] >= -1e-12:
        return matrix
    positive = (vectors * values.clamp(min=0)) @ vectors.T
    deviation = positive.diagonal().sqrt()
    return positive / (deviation[:, None] * deviation)


@dataclass(frozen=True)
class GraphSettings:
    """How a graph was made. ``control`` and ``seed`` say what replaced the counted weights, if anything did."""

    threshold: float
    reweight: float
    normalise: Normalise
    edges: Edges
    control: Control = "none"
    seed: int | None = None

    def __post_init__(self) -> None:
        for key, allowed in (("normalise", ("row", "column")), ("edges", ("probability", "lift"))):
            if getattr(self, key) not in allowed:
                raise InputError(f"{key} must be one of {allowed}, got {getattr(self, key)!r}")
        if not 0 <= self.reweight <= 1:
            raise InputError(f"reweight must be from 0 (hear nobody) to 1 (hear only neighbours), got {self.reweight}")
        highest = 1.0 if self.edges == "probability" else float("inf")
        if not 0 < self.threshold <= highest:
            raise InputError(
                f"threshold must be above 0 and at most {highest:g} for {self.edges}, got {self.threshold}"
            )


def counted_weights(counts: PairCounts, settings: GraphSettings) -> Float[Tensor, "attr attr"]:
    """Draw an edge wherever a pair reaches the threshold, and share the weights."""
    varies = ~counts.constant
    above = (counts.probability if settings.edges == "probability" else counts.lift) >= settings.threshold
    return share_weights(above & varies[:, None] & varies[None, :], settings.reweight, settings.normalise)


class LabelGraph:
    """A graph over named attributes: ``weights[i, j]`` is what attribute i hears of attribute j.

    Args:
        names: the attributes, in the order of the rows and columns.
        weights: C after re-weighting, as the correlation constraint uses it.
        counts: what was counted in the labels; a control replaces the weights, never the counts.
        settings: how the weights were made.

    >>> schema = Schema.from_names(["Goatee", "Male"])
    >>> labels = torch.tensor([[1, 1], [-1, 1], [-1, 1], [-1, -1]], dtype=torch.int8)
    >>> graph = LabelGraph.from_labels(labels, schema)
    >>> graph
    LabelGraph(2 attributes, 1 edges, threshold=0.4, reweight=0.2, normalise='row', edges='probability')
    >>> graph.weights  # whoever has a goatee is a man: Goatee hears Male, but not the other way round
    tensor([[0.8000, 0.2000],
            [0.0000, 1.0000]])
    """

    # not a dataclass: jsonargparse takes no `class_path: faceinsight.LabelGraph.from_labels` for one

    def __init__(
        self, names: tuple[str, ...], weights: Float[Tensor, "attr other"], counts: PairCounts, settings: GraphSettings
    ) -> None:
        square = (len(names), len(names))
        for name, matrix in {"weights": weights, **vars(counts)}.items():
            if matrix.shape != square:
                raise InputError(
                    f"{name} must be {square[0]} x {square[0]}, one row per name, got {list(matrix.shape)}"
                )
        self.names, self.weights, self.counts, self.settings = names, weights, counts, settings

    def __repr__(self) -> str:
        given = ", ".join(
            f"{key}={value!r}" for key, value in asdict(self.settings).items() if value not in ("none", None)
        )
        return f"LabelGraph({len(self.names)} attributes, {len(self.edges)} edges, {given})"

    @classmethod
    def from_labels(
        cls,
        labels: Shaped[Tensor, "..."],
        schema: Schema,
        *,
        threshold: float | None = None,
        reweight: float = 0.2,
        normalise: Normalise = "row",
        edges: Edges = "probability",
        undefined: int | float | None = None,
    ) -> "LabelGraph":
        """Count the labels of the *training* faces and draw an edge wherever a pair reaches the threshold.

        A conditional probability is high for whatever is frequent: on CelebA nearly everything hears No_Beard and
        Young. ``lift`` keeps what occurs together more often than by chance. Show :meth:`identity` beside any claim.
        An attribute that never varies has no edges (our choice): all there is to hear is a constant.

        Args:
            labels: 1, -1 or 0 (undefined), or booleans. A pair is counted over the faces where both are defined.
            schema: names the columns of ``labels``.
            threshold: tau: an edge needs at least this; by default 0.4 for ``probability`` and 2 for ``lift``.
            reweight: omega: the share that neighbours have together; 0.2 as in ML-GCN.
            normalise: who shares it, see :func:`share_weights`; ML-GCN's corrected equation says ``column``.
            edges: ``probability``, ``p(j | i)`` as in the papers: i hears j; or ``lift``, ``p(j | i) / p(j)``.
            undefined: the value of undefined labels; see :meth:`Schema.check_labels`.

        Raises:
            InputError: labels that are not the schema's or of 0 and 1, fewer than two faces, or a setting out of its
                range.
        """
        checked = schema.check_labels(labels, undefined=undefined)
        if len(checked) < 2:  # of one face nothing varies, and every covariance is 0
            raise InputError(
                f"a label graph needs at least two faces, got {len(checked) or 'none'}; is the training split empty, "
                "or the label table cut short?"
            )
        reach = THRESHOLDS.get(edges, 0.4) if threshold is None else threshold
        settings = GraphSettings(reach, reweight, normalise, edges)
        counts = count_pairs(checked)
        return cls(schema.names, counted_weights(counts, settings), counts, settings)

    @property
    def probability(self) -> Float[Tensor, "attr attr"]:
        """``p(j | i)`` in row i and column j."""
        return self.counts.probability.float()

    @property
    def lift(self) -> Float[Tensor, "attr attr"]:
        """``p(j | i) / p(j)``."""
        return self.counts.lift.float()

    @property
    def mean(self) -> Float64[Tensor, " attr"]:
        """The share of faces that show each attribute; one half where no face defines it."""
        return self.counts.mean

    @property
    def covariance(self) -> Float64[Tensor, "attr attr"]:
        """The covariance of the labels (1 for yes, 0 for no), as the graph or its control has it.

        Each pair is counted over the faces where both are defined. Where undefined labels leave a matrix that no
        labels could have, its negative eigenvalues are set to 0 and the variances kept. Every control keeps mean and
        variances: the identity has no covariance between attributes, the shuffled graph has each correlation in the
        place of another, the uniform graph has their mean everywhere.
        """
        covariance = self.counts.covariance
        deviation = covariance.diagonal().sqrt()
        # an attribute that never varies goes together with nothing
        correlation = covariance / (deviation[:, None] * deviation).clamp(min=1e-12)
        others = ~torch.eye(len(self.names), dtype=torch.bool)
        match self.settings.control:
            case "identity":
                correlation = torch.zeros_like(correlation)
            case "uniform":
                correlation = (
                    torch.full_like(correlation, float(correlation[others].mean())) if others.any() else correlation
                )
            case "shuffled":
                place = shuffled_places(len(self.names), self.settings.seed or 0)
                correlation = correlation[place][:, place]
        correlation = nearest_correlation(torch.where(others, correlation, 1.0))
        return correlation * deviation[:, None] * deviation

    @property
    def constant(self) -> tuple[str, ...]:
        """Attributes that never vary in the labels, and so have no edges."""
        return tuple(name for name, fixed in zip(self.names, self.counts.constant.tolist(), strict=True) if fixed)

    @cached_property
    def edges(self) -> Int64[Tensor, "edge 2"]:
        """Pairs (i, j), i not j, where i hears j."""
        return (self.weights - torch.diag(self.weights.diagonal())).nonzero()

    def identity(self) -> "LabelGraph":
        """Return the control without any graph: every attribute hears only itself."""
        return self._controlled(torch.eye(len(self.names)), "identity")

    def uniform(self) -> "LabelGraph":
        """Return the control without any knowledge: every attribute hears all others alike."""
        others = ~torch.eye(len(self.names), dtype=torch.bool)
        weights = share_weights(others, self.settings.reweight, self.settings.normalise)
        return self._controlled(weights, "uniform")

    def shuffled(self, seed: int) -> "LabelGraph":
        """Return the control with the wrong knowledge: the same graph, each attribute in the place of another.

        The places are one cycle through all attributes, so that none keeps its own; the counts stay the data's.
        """
        place = shuffled_places(len(self.names), seed)
        return self._controlled(self.weights[place][:, place], "shuffled", seed)

    def _controlled(
        self, weights: Float[Tensor, "attr attr"], control: Control, seed: int | None = None
    ) -> "LabelGraph":
        return LabelGraph(self.names, weights, self.counts, replace(self.settings, control=control, seed=seed))

    def select(self, names: Iterable[str]) -> "LabelGraph":
        """Return the graph of some of the attributes, in this order: exactly the one that their labels alone would
        give.

        Raises:
            UnknownAttributeError: a name that the graph does not have.
            InputError: a control, whose weights were not counted, or names that stand twice.
        """
        wanted = tuple(names)
        at = self.places(wanted)
        if len(set(wanted)) < len(wanted) or self.settings.control != "none":
            raise InputError(
                f"select takes each name once, of a counted graph; got {len(wanted)} names of a graph with "
                f"control={self.settings.control!r}; select first, then take the control"
            )
        counts = PairCounts(**{name: matrix[at][:, at] for name, matrix in vars(self.counts).items()})
        return LabelGraph(wanted, counted_weights(counts, self.settings), counts, self.settings)

    def places(self, names: Sequence[str]) -> Int64[Tensor, " some"]:
        """Return the row of each name.

        Raises:
            UnknownAttributeError: a name that the graph does not have.
        """
        for name in names:
            if name not in self.names:
                raise UnknownAttributeError(name, self.names)
        return torch.tensor([self.names.index(name) for name in names], dtype=torch.int64)

    def reorder(self, names: Iterable[str]) -> "LabelGraph":
        """Return the same graph with rows and columns in the order of ``names``, such as a schema's.

        Raises:
            UnknownAttributeError: a name that the graph does not have.
            InputError: names that are left out or named twice; for some of the attributes see :meth:`select`.
        """
        wanted = tuple(names)
        at = self.places(wanted)
        missing = set(self.names) - set(wanted)
        if missing or len(wanted) != len(self.names):
            raise InputError(
                f"reordering needs each of the graph's {len(self.names)} attributes once, got {len(wanted)}"
                f"{', without ' + ', '.join(sorted(missing)) if missing else ''}; "
                "for fewer attributes, use select"
            )
        counts = PairCounts(**{name: matrix[at][:, at] for name, matrix in vars(self.counts).items()})
        return LabelGraph(wanted, self.weights[at][:, at], counts, self.settings)

    def edges_frame(self) -> "pd.DataFrame":
        """Return the edges as a table, one row for each pair in which ``target`` hears ``source`` (PyG's direction).

        Columns: source, target, count (faces that show both), probability (of the faces that show the target, the
        share that show the source too), lift, weight.
        """
        import pandas as pd

        target, source = self.edges.unbind(dim=1)
        return pd.DataFrame(
            {
                "source": [self.names[j] for j in source.tolist()],
                "target": [self.names[i] for i in target.tolist()],
                "count": self.counts.together[target, source].numpy(),
                "probability": self.counts.probability[target, source].numpy(),
                "lift": self.counts.lift[target, source].numpy(),
                "weight": self.weights[target, source].numpy(),
            }
        )

    def to_pyg(self) -> "Data":
        """Return the graph for PyTorch Geometric: edges from source j to target i, self-loops among them.

        With it, ``GCNConv(normalize=False, add_self_loops=False, bias=False)`` computes exactly ``C X W``. PyG's
        ``dense_to_sparse(C)`` has the directions the other way and would compute the transpose.
        """
        from torch_geometric.data import Data

        at = self.weights.nonzero()
        edge_index = at.T.flip(0).contiguous()
        return Data(edge_index=edge_index, edge_weight=self.weights[at[:, 0], at[:, 1]], num_nodes=len(self.names))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph as a YAML file to be read by people too, everything by attribute name."""
        tables: dict[str, Tensor] = {"weights": self.weights, **vars(self.counts)}
        write_text(path, graph_to_text(self.names, asdict(self.settings), tables))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LabelGraph":
        """Read what :meth:`save` wrote, exactly.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: the file is not a label graph; what is wrong is named.
        """
        names, settings, tables = graph_from_text(path)
        try:
            given = GraphSettings(**settings)
        except (TypeError, InputError) as error:
            raise InputError(f"{path}: settings: {error}") from error
        weights = tables.pop("weights").float()
        counts = PairCounts(**{name: table.long() for name, table in tables.items()})
        return cls(names, weights, counts, given)
