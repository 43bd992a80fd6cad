"""How often attributes are shown together: the counts behind a label graph.

Undefined labels are left out pair by pair: a pair is counted over the faces where both labels are defined.
"""

from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Bool, Float64, Int8, Int64
from torch import Tensor

__all__ = ["PairCounts", "count_pairs"]


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Numbers of faces for every ordered pair of attributes (i, j), over the faces where both are defined.

    Args:
        together: faces that show i and j; on the diagonal, faces that show i.
        shown: faces that show i, among those where j is defined.
        defined: faces where i and j are defined.
    """

    together: Int64[Tensor, "attr attr"]
    shown: Int64[Tensor, "attr attr"]
    defined: Int64[Tensor, "attr attr"]

    @property
    def probability(self) -> Float64[Tensor, "attr attr"]:
        """``p(j | i)``: of the faces that show i, the share that show j too; 0 where no face shows i."""
        return self.together.double() / self.shown.clamp(min=1)

    @property
    def lift(self) -> Float64[Tensor, "attr attr"]:
        """``p(j | i) / p(j)``, symmetric, 1 by chance; 0 where no face shows i or none shows j."""
        return self.together.double() * self.defined / (self.shown.double() * self.shown.T).clamp(min=1)

    @property
    def mean(self) -> Float64[Tensor, " attr"]:
        """The share of faces that show i, among those where it is defined; one half where it never is."""
        defined = self.defined.diagonal()
        return torch.where(defined > 0, self.together.diagonal().double() / defined.clamp(min=1), 0.5)

    @property
    def covariance(self) -> Float64[Tensor, "attr attr"]:
        """The covariance of i and j (1 for yes, 0 for no) over the faces where both are defined; 0 where none are."""
        faces = self.defined.clamp(min=1).double()
        return self.together / faces - (self.shown / faces) * (self.shown.T / faces)

    @property
    def constant(self) -> Bool[Tensor, " attr"]:
        """Attributes that every face shows, or none (or that no face defines)."""
        shown = self.together.diagonal()
        return (shown == 0) | (shown == self.defined.diagonal())


def count_pairs(labels: Int8[Tensor, "face attr"]) -> PairCounts:
    """Count every pair of attributes in labels of 1, -1 and 0 (undefined).

    >>> counts = count_pairs(torch.tensor([[1, 1], [1, -1], [1, 0]], dtype=torch.int8))
    >>> counts.together.tolist(), counts.shown.tolist(), counts.defined.tolist()
    ([[3, 1], [1, 1]], [[3, 2], [1, 1]], [[3, 2], [2, 2]])
    """
    width = labels.shape[1]
    together, shown, defined = torch.zeros(3, width, width, dtype=torch.float64)
    for part in labels.split(1 << 16):  # float64 counts exactly, but is eight times as large
        positive, known = (part == 1).double(), (part != 0).double()
        together += einsum(positive, positive, "face i, face j -> i j")
        shown += einsum(positive, known, "face i, face j -> i j")
        defined += einsum(known, known, "face i, face j -> i j")
    return PairCounts(together.long(), shown.long(), defined.long())
