"""The co-occurrence gain: attribute scores corrected by which attributes occur together.

A label table without pictures says how often attributes occur (mean m) and how they vary together (covariance C). The
scores of a classifier are modelled as ``s = a + B y + e``: y the labels, B diagonal, e noise of diagonal covariance N,
both from leave-one-out scores of the labelled faces. The best linear estimate of y is then the Wiener filter

    ``y' = m + K (s - E s)``,    ``K = C B (B C B + N)^-1``

which is one signed graph convolution over the attributes. It helps where few faces are labelled, where labels are
missing or wrong, and for attributes of which no picture was ever labelled. With many clean labels it does not.

What it uses are regularities of a label table, social ones among them (lipstick tells Male): they are statistical and
never rules. They mislead on faces that contradict them (men with lipstick, bald women); measure these faces apart.

Not in the paper. Sources:
    Wiener filter: Wiener 1949. Relatives: curds and whey, Breiman and Friedman 1997 (C from the labelled faces alone).
    PyTorch Geometric, the convolution: https://arxiv.org/abs/1903.02428
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor, nn

from faceinsight.errors import InputError
from faceinsight.knowledge.graph import LabelGraph
from faceinsight.knowledge.labels import three_valued
from faceinsight.modules.calibration import log_likelihood

with warnings.catch_warnings():  # its own use of what torch deprecates is nothing that a user could mend
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    from torch_geometric.nn import SimpleConv

__all__ = ["CooccurrenceGain", "ScoreModel", "fit_score_model", "wiener_gain"]

#: Shares of the covariance between attributes that are tried; 0 is no graph.
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: Keeps the noise above 0.
JITTER = 1e-4

#: The least slope B of a score on its own label that counts as an observation.
LEAST_SLOPE = 0.02


@dataclass(frozen=True)
class ScoreModel:
    """How scores follow from labels: ``s = a + B y + e``, B diagonal, e of mean 0 and diagonal covariance N.

    Noise between attributes would be 780 more numbers for 40 attributes: at 100 labelled faces they cost up to 3 points
    of AUROC, and from 1,000 on they gained nothing (CelebA, three draws).

    Args:
        slope: the diagonal of B; 0 where the labelled faces do not tell (never labelled, or labels that never vary).
        intercept: a.
        noise: the diagonal of N.
    """

    slope: Float64[Tensor, " observed"]
    intercept: Float64[Tensor, " observed"]
    noise: Float64[Tensor, " observed"]


def fit_score_model(
    scores: Float64[Tensor, "face observed"],
    labels: Shaped[Tensor, "face observed"],
    *,
    undefined: int | float | None = None,
) -> ScoreModel:
    """Fit slope, intercept and noise of each attribute over the faces where it is defined.

    Args:
        scores: out of sample, such as leave-one-out scores.
        labels: 1, -1 and 0 (undefined), or booleans.
        undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

    >>> labels = torch.tensor([[1], [1], [-1], [-1]], dtype=torch.int8)
    >>> model = fit_score_model(torch.tensor([[0.75], [0.5], [0.0], [0.25]], dtype=torch.float64), labels)
    >>> model.slope.item(), model.intercept.item()
    (0.5, 0.125)
    """
    labels = three_valued(labels, undefined=undefined)
    defined, truth = (labels != 0).to(scores), (labels == 1).to(scores)
    faces = defined.sum(0).clamp(min=1)
    label_mean, score_mean = (truth * defined).sum(0) / faces, (scores * defined).sum(0) / faces
    off = (truth - label_mean) * defined
    variance = off.square().sum(0)
    slope = (off * (scores - score_mean)).sum(0) / variance.clamp(min=1e-12)
    slope = torch.where(variance > 1e-9, slope.clamp(min=LEAST_SLOPE), 0.0)
    error = (scores - score_mean - slope * (truth - label_mean)) * defined
    return ScoreModel(slope, score_mean - slope * label_mean, error.square().sum(0) / faces + JITTER)


def wiener_gain(
    across: Float64[Tensor, "asked observed"],
    within: Float64[Tensor, "observed observed"],
    slope: Float64[Tensor, " observed"],
    noise: Float64[Tensor, " observed"],
) -> Float64[Tensor, "asked observed"]:
    """Return the gain ``K = C B (B C B + N)^-1`` of the best linear estimate of labels from scores.

    Args:
        across: covariance of the asked with the observed attributes.
        within: covariance of the observed attributes.
        slope: the diagonal of B.
        noise: the diagonal of N, above 0.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> wiener_gain(0.25 * one[None], 0.25 * one[None], one, 0.25 * one)  # as much noise as signal: half of it counts
    tensor([[0.5000]], dtype=torch.float64)
    """
    return torch.linalg.solve(slope[:, None] * within * slope + torch.diag(noise), (across * slope).T).T


def check_unique(names: Sequence[str], what: str) -> None:
    """Refuse anything but a list of names, at least one, each of which stands once."""
    if isinstance(names, str) or not len(names) or len({*names}) < len(names):
        raise InputError(f"{what} must be a list of names, at least one, each of them once; got {names}")


class CooccurrenceGain(nn.Module):
    """Scores of the observed attributes to estimates of the asked ones, over a label graph.

    The graph brings mean and covariance of the labels; :meth:`fit` adds what the scores of labelled faces say of slope
    and noise, and how much of the graph is taken: the share of the covariance between attributes with the greatest
    likelihood of the labels under calibrated leave-one-out scores. So it fades as labels grow. Attributes that the
    labelled faces do not tell (never labelled, or always alike) are estimated from all others, with the whole
    covariance.

    Args:
        graph: with the counts of a label table, or a control (``identity()``, ``shuffled(seed)``).
        observed: attributes of the scores, among the graph's; all by default.
        asked: attributes of the estimates, among the graph's; the observed ones by default.
        trained: let the gain be trained further by gradient, from where :meth:`fit` puts it.
        amounts: shares of the covariance to choose from; a single one is taken as it is.

    Raises:
        InputError: shares outside [0, 1], names that stand twice, or attributes that the graph does not have
            (``UnknownAttributeError``).

    >>> from faceinsight.knowledge.schema import Schema
    >>> labels = torch.tensor([[1, 1], [-1, 1], [-1, 1], [-1, -1]], dtype=torch.int8)
    >>> graph = LabelGraph.from_labels(labels, Schema.from_names(["Goatee", "Male"]))
    >>> gain = CooccurrenceGain(graph=graph)
    >>> gain(torch.tensor([[0.5, 0.9]])).shape
    torch.Size([1, 2])
    """

    #: tensors that follow from the graph, which has a file of its own in a saved model
    from_graph: ClassVar[tuple[str, ...]] = ("mean", "covariance")

    #: the name of that file
    files: ClassVar[dict[str, str]] = {"graph": "cooccurrence.yaml"}

    mean: Tensor
    covariance: Tensor
    _from: Tensor
    _to: Tensor
    _at: Tensor
    slope: Tensor
    intercept: Tensor
    noise: Tensor
    amount: Tensor

    def __init__(
        self,
        *,
        graph: LabelGraph,
        observed: Sequence[str] | None = None,
        asked: Sequence[str] | None = None,
        trained: bool = False,
        amounts: Sequence[float] = AMOUNTS,
    ) -> None:
        super().__init__()
        if not amounts or not all(0 <= amount <= 1 for amount in amounts):
            raise InputError(f"amounts are shares from 0 to 1, at least one; got {list(amounts)}")
        for what, names in (("observed", observed), ("asked", asked)):
            if names is not None:
                check_unique(names, what)
        self.graph, self.trained, self.amounts = graph, trained, list(amounts)
        self.observed = [*(graph.names if observed is None else observed)]
        self.asked = [*(self.observed if asked is None else asked)]
        with torch.device("cpu"):  # a checkpoint's sizes are looked at on torch's meta device; a graph has numbers
            for name, tensor in {
                "mean": graph.mean,
                "covariance": graph.covariance,
                "_from": graph.places(self.observed),
                "_to": graph.places(self.asked),
                # the observed attribute that each asked one is; -1 for one that is not observed
                "_at": torch.tensor(
                    [self.observed.index(name) if name in self.observed else -1 for name in self.asked]
                ),
            }.items():
                self.register_buffer(name, tensor, persistent=False)
            # as long as nothing is fitted, scores are taken for estimates of the labels, with noise of their variance
            self.register_buffer("slope", torch.ones(len(self.observed), dtype=torch.float64))
            self.register_buffer("intercept", torch.zeros(len(self.observed), dtype=torch.float64))
            self.register_buffer("noise", self.covariance.diagonal()[self._from] + JITTER)
            self.register_buffer("amount", torch.ones((), dtype=torch.float64))
        self.convolution = SimpleConv(aggr="sum")
        with torch.device("cpu"):
            self.weight = nn.Parameter(self.gain().float()) if trained else None

    @property
    def told(self) -> Bool[Tensor, " asked"]:
        """Which asked attributes the labelled faces tell of; the others are estimated from these alone."""
        return (self._at >= 0) & (self.slope[self._at] > 0)

    @property
    def still(self) -> Bool[Tensor, " asked"]:
        """Which asked attributes never vary in the graph's table, which then says nothing of them."""
        return self.covariance.diagonal()[self._to] <= 0

    def gain(self, amount: Tensor | float | None = None) -> Float64[Tensor, "asked observed"]:
        """K, in the order of ``asked`` and ``observed``: what each asked attribute hears of each score.

        Args:
            amount: share of the covariance between attributes; as fitted by default. Attributes that the labelled
                faces do not tell always take all of it. One that the faces do tell of, and that never varies in the
                graph's table, keeps its own score.
        """
        # a model in half precision has its buffers so, too
        covariance, slope, noise = self.covariance.double(), self.slope.double(), self.noise.double()
        own = torch.diag(covariance.diagonal())
        shared = own + (self.amount if amount is None else amount) * (covariance - own)
        partly, wholly = (
            wiener_gain(matrix[self._to][:, self._from], matrix[self._from][:, self._from], slope, noise)
            for matrix in (shared, covariance)
        )
        kept = torch.where(self.told[:, None], partly, wholly)
        own_score = (self._at[:, None] == torch.arange(len(self.observed), device=self._at.device)).to(kept)
        return torch.where((self.told & self.still)[:, None], own_score, kept)

    def forward(self, scores: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch asked"]:
        """Estimate the asked attributes on the 0/1 scale; an estimate may lie a little outside.

        Raises:
            InputError: scores of another number of attributes.
        """
        if scores.shape[-1] != len(self.observed):
            raise InputError(f"the gain observes {len(self.observed)} attributes, got scores {list(scores.shape)}")
        return self._estimate(scores, self.gain() if self.weight is None else self.weight)

    def _estimate(
        self, scores: Float[Tensor, "*batch observed"], weight: Float[Tensor, "asked observed"]
    ) -> Float[Tensor, "*batch asked"]:
        """Return ``m + K (s - E s)``, as one convolution over the edges from observed to asked attributes."""
        asked, observed = weight.shape
        expected = self.intercept + self.slope * self.mean[self._from]
        edges = torch.cartesian_prod(torch.arange(asked), torch.arange(observed)).T.flip(0).to(scores.device)
        nodes = rearrange((scores - expected.to(scores)).reshape(-1, observed), "face attr -> face attr 1")
        heard = self.convolution((nodes, None), edges, weight.to(scores.dtype).flatten(), size=(observed, asked))
        return self.mean[self._to].to(scores) + heard.reshape(*scores.shape[:-1], asked)

    @torch.no_grad()
    def fit(
        self,
        scores: Float[Tensor, "face observed"],
        labels: Shaped[Tensor, "face observed"],
        *,
        undefined: int | float | None = None,
    ) -> dict[float, float]:
        """Fit slope and noise to leave-one-out scores, and choose how much of the graph is taken.

        Args:
            scores: leave-one-out scores.
            labels: 1, -1 and 0 (undefined), or booleans.
            undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

        Returns:
            the mean log-likelihood of the defined labels by amount; the amount with the greatest is taken.

        Raises:
            InputError: an observed attribute is not asked for (ask for others after fitting); or scores that are not
                finite, or of other faces or attributes than the labels.
        """
        if missing := set(self.observed) - set(self.asked):
            raise InputError(
                f"fit the gain before asking for other attributes; it does not ask for {sorted(missing)[:5]}"
            )
        labels = three_valued(labels, undefined=undefined, names=self.observed)
        if scores.ndim != 2 or scores.shape != labels.shape or scores.shape[1] != len(self.observed):
            raise InputError(
                f"the gain observes {len(self.observed)} attributes, got scores {list(scores.shape)} and labels "
                f"{list(labels.shape)}"
            )
        if not torch.isfinite(scores).all():
            raise InputError("the gain is fitted to scores that are not finite; give the scores of the labelled faces")
        model = fit_score_model(scores.double(), labels, undefined=0)
        for name in ("slope", "intercept", "noise"):
            getattr(self, name).copy_(getattr(model, name))
        kept = torch.tensor([self.asked.index(name) for name in self.observed])[model.slope.cpu() > 0]
        truth = labels[:, model.slope > 0]
        choices = {
            amount: log_likelihood(self._estimate(scores.double(), self.gain(amount))[:, kept], truth, undefined=0)
            for amount in self.amounts
        }
        self.amount.fill_(max(choices, key=lambda amount: choices[amount]))
        if self.weight is not None:
            self.weight.copy_(self.gain())
        return choices
