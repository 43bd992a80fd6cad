"""How well named attributes are predicted: pure functions over faces, and the same as one torchmetrics collection.

Everywhere, ``probability`` is ``[face, attr]`` in [0, 1], ``labels`` are 1, -1 or 0, and a label of 0 (undefined)
counts for nothing. A face is said to have an attribute where its probability is above 0.5. Metrics of single attributes
come back as ``[attr]``, with NaN where the labels define none; the collection reports their mean over the defined ones.
An attribute that is constant among its defined labels has no balanced accuracy, F1, average precision or AUROC: it is
left out of those means and named by :func:`constant_attributes`.

Labels of 0 and 1 would be read as labels without any no, so they are refused: give booleans, or say with ``undefined``
which value is undefined (:func:`~faceinsight.knowledge.labels.three_valued`).

Every function takes ``weights``, one per face or one row of them per bootstrap resample (``[resample, face]``), so that
the reported numbers and their intervals (:mod:`faceinsight.evaluation.statistics`) are computed by the same lines.

Not in the paper: torchmetrics' multilabel metrics are not used. In 1.9, an attribute without any defined label
has accuracy 0 in their mean, its AUROC raises IndexError, and a constant attribute's AUROC is 0 with a warning.
"""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any

import torch
from jaxtyping import Bool, Float, Int8, Int64, Shaped
from torch import Tensor
from torch.nn.functional import embedding_bag
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from faceinsight.errors import InputError
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.pair_counts import count_pairs
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics.entry import MetricEntry

__all__ = [
    "ATTRIBUTE_METRICS",
    "AttributeMetric",
    "accuracy",
    "attribute_metrics",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "broken_rules",
    "calibration_error",
    "check_probability",
    "constant_attributes",
    "contradicting_accuracy",
    "decisions",
    "exact_match",
    "f1",
    "logical_accuracy",
    "measure",
    "rank_attributes",
    "ranked_attributes",
    "ranking",
    "undecided_is_wrong",
    "violation_rate",
]

Probability = Float[Tensor, "face attr"]
Decided = Int8[Tensor, "face attr"]
#: 1, -1, 0 undefined; or booleans
Labels = Shaped[Tensor, "face attr"]
Weights = Float[Tensor, "*resample face"]
PerAttribute = Float[Tensor, "*resample attr"]
Overall = Float[Tensor, "*resample"]


def decisions(probability: Probability) -> Decided:
    """Return the predictions as labels: 1 where the probability is above 0.5, else -1.

    Raises:
        InputError: a probability that is not in [0, 1], as logits and NaN are not; so does every metric here.

    >>> decisions(torch.tensor([[0.2, 0.5, 0.9]])).tolist()
    [[-1, -1, 1]]
    """
    return (check_probability(probability) > 0.5).to(torch.int8) * 2 - 1


def check_probability(
    probability: Float[Tensor, " face *attr"], names: Sequence[str] | None = None
) -> Float[Tensor, " face *attr"]:
    """Return the probabilities.

    Raises:
        InputError: one of them is not in [0, 1]; the first is named.
    """
    inside = (probability >= 0) & (probability <= 1)
    if not bool(inside.all()):
        place = (~inside).nonzero()[0].tolist()
        what = "" if len(place) < 2 else f" for {place[1] if names is None else repr(names[place[1]])}"
        raise InputError(
            f"probability must lie in [0, 1], got {probability[tuple(place)].item():.8g}{what} of face {place[0]}; "
            "take the model's output.probability, or pass logits through torch.sigmoid; NaN is of a diverged model"
        )
    return probability


def constant_attributes(labels: Labels, *, undefined: int | float | None = None) -> Bool[Tensor, " attr"]:
    """Which attributes are all yes, all no or all undefined: no ranking of faces can be right or wrong about them.

    >>> constant_attributes(torch.tensor([[1, 1, 0], [-1, 0, 0]]), undefined=0).tolist()
    [False, True, True]
    """
    labels = three_valued(labels, undefined=undefined)
    return ~((labels == 1).any(0) & (labels == -1).any(0))


def accuracy(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Share of faces whose attribute is predicted right; the mean over attributes is CelebA's customary number.

    >>> probability = torch.tensor([[0.9, 0.2], [0.6, 0.7]])
    >>> accuracy(probability, torch.tensor([[1, -1], [-1, 0]], dtype=torch.int8)).tolist()
    [0.5, 1.0]
    """
    labels = three_valued(labels, undefined=undefined)
    return share(decisions(probability) == labels, labels != 0, weights)


def balanced_accuracy(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Mean of the shares of positives and of negatives that are predicted right."""
    labels = three_valued(labels, undefined=undefined)
    right = decisions(probability) == labels
    positive, negative = labels == 1, labels == -1
    return (share(right & positive, positive, weights) + share(right & negative, negative, weights)) / 2


def f1(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Harmonic mean of precision and recall of the positives."""
    labels = three_valued(labels, undefined=undefined)
    decided, weights = decisions(probability), unit_weights(labels, weights)
    found = weighted_sum((decided == 1) & (labels == 1), weights)
    claimed = weighted_sum((decided == 1) & (labels != 0), weights)
    present, absent = weighted_sum(labels == 1, weights), weighted_sum(labels == -1, weights)
    return (2 * found / (claimed + present)).where((present > 0) & (absent > 0), torch.nan)


def average_precision(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Area under precision and recall in steps (scikit-learn's definition); its mean over attributes is mAP."""
    return rank_attributes(probability, labels, weights, undefined=undefined)[1]


def auroc(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Probability that a face with the attribute is ranked above one without it; ties count half."""
    return rank_attributes(probability, labels, weights, undefined=undefined)[0]


def brier(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> PerAttribute:
    """Mean squared distance of the probability from the label (1 or 0)."""
    labels = three_valued(labels, undefined=undefined)
    defined = labels != 0
    return share(
        (check_probability(probability) - (labels == 1).to(probability.dtype)).square() * defined, defined, weights
    )


def calibration_error(
    probability: Probability,
    labels: Labels,
    weights: Weights | None = None,
    *,
    bins: int = 15,
    undefined: int | float | None = None,
) -> PerAttribute:
    """Return the expected calibration error: how far the probability is from the observed frequency, averaged over
    bins.

    Bins are of equal width over the probability of the attribute (not over the confidence of the decision).
    """
    labels = three_valued(labels, undefined=undefined)
    defined, weights = labels != 0, unit_weights(labels, weights)
    excess = (check_probability(probability) - (labels == 1).to(probability.dtype)) * defined
    place = (probability * bins).long().clamp(max=bins - 1)
    gaps = sum(weighted_sum(excess * (place == each), weights).abs() for each in range(bins))
    return gaps / weighted_sum(defined, weights)


def exact_match(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> Overall:
    """Share of faces all of whose defined attributes are right, among the faces that have a defined attribute."""
    labels = three_valued(labels, undefined=undefined)
    wrong = ((decisions(probability) != labels) & (labels != 0)).any(1, keepdim=True)
    counted = (labels != 0).any(1, keepdim=True)
    return share(~wrong & counted, counted, weights)[..., 0]


#: The strongest pairs of attributes in which :func:`contradicting_accuracy` looks for contradicting faces.
PAIRS = 16


def contradicting_accuracy(
    probability: Probability,
    labels: Labels,
    weights: Weights | None = None,
    *,
    pairs: int = PAIRS,
    undefined: int | float | None = None,
) -> Overall:
    """Share of right answers where a face contradicts what usually goes together: men with lipstick, bald women.

    Of the pairs of attributes with the strongest correlation in these labels, both attributes of every face that has
    one without the other (or, for a negative correlation, both or neither) count. This is where whatever leans on
    co-occurrence shows its price. Not in the paper.

    Args:
        pairs: how many; fewer where there are not so many.

    >>> labels = torch.tensor([[1, 1], [1, 1], [-1, -1], [1, -1]], dtype=torch.int8)  # the last contradicts
    >>> contradicting_accuracy(torch.tensor([[0.9, 0.9], [0.9, 0.9], [0.1, 0.1], [0.9, 0.9]]), labels).item()
    0.5
    """
    labels = three_valued(labels, undefined=undefined)
    counts = count_pairs(labels.cpu())
    deviation = counts.covariance.diagonal().clamp(min=0).sqrt()
    correlation = counts.covariance / (deviation[:, None] * deviation).clamp(min=1e-12)
    first, second = torch.triu_indices(len(correlation), len(correlation), offset=1)
    strength = correlation[first, second].nan_to_num(0)
    strongest = strength.abs().topk(min(pairs, len(strength))).indices
    against = torch.zeros_like(labels, dtype=torch.bool)
    for pair in strongest[strength[strongest] != 0].tolist():
        i, j = int(first[pair]), int(second[pair])
        product = labels[:, i] * labels[:, j]
        faces = product == (-1 if strength[pair] > 0 else 1)
        against[:, i] |= faces
        against[:, j] |= faces
    right = ((decisions(probability) == labels) & against).sum(-1)
    return share(right[:, None], against.sum(-1)[:, None], weights)[..., 0]


def violation_rate(probability: Probability, rules: RuleSet, weights: Weights | None = None) -> Overall:
    """Share of faces whose predictions, taken together, break at least one rule."""
    broken = rules.violations(decisions(probability)).any(1, keepdim=True)
    return share(broken, torch.ones_like(broken), weights)[..., 0]


def broken_rules(probability: Probability, rules: RuleSet, weights: Weights | None = None) -> Overall:
    """Mean number of rules that a face's predictions break."""
    broken = rules.violations(decisions(probability)).sum(1, keepdim=True)
    return share(broken, torch.ones_like(broken), weights)[..., 0]


def logical_accuracy(
    probability: Probability,
    labels: Labels,
    rules: RuleSet,
    weights: Weights | None = None,
    *,
    undefined: int | float | None = None,
) -> PerAttribute:
    """Accuracy in which a face whose predictions break a rule earns no credit on any attribute.

    Source: Wu and Bowyer, "Logical Consistency and Greater Descriptive Power for Facial Hair Attribute Learning"
    (CVPR 2023).
    """
    labels = three_valued(labels, undefined=undefined)
    decided = decisions(probability)
    consistent = ~rules.violations(decided).any(1, keepdim=True)
    return share((decided == labels) & consistent, labels != 0, weights)


def ranking(
    probability: Float[Tensor, " face"], positive: Bool[Tensor, " face"], weights: Weights
) -> tuple[Overall, Overall]:
    """Weighted AUROC and average precision of one attribute, for any number of rows of weights at the cost of one sort.

    Equal to scikit-learn's ``roc_auc_score`` and ``average_precision_score`` with ``sample_weight``, ties included; NaN
    where the positives or the negatives weigh nothing.
    """
    order = check_probability(probability).argsort(descending=True, stable=True)
    falling, positive = -probability[order], positive[order]
    hit = positive.nonzero()[:, 0]
    # a threshold admits all faces of equal probability: how many faces lie above each positive, and how many with it
    above, within = (torch.searchsorted(falling, falling[hit], right=right) for right in (False, True))
    tied = bool((within - above > 1).any())
    everyone = hit.new_tensor([len(order)])
    edges = torch.cat([above, within, everyone] if tied else [within, everyone]).unique()
    positives = torch.cat([hit.new_zeros(1), positive.cumsum(0)])

    # one row for each edge, one column for each resample: the weight of all faces up to there, and of the positive ones
    resample = weights.shape[:-1]
    rows = weights.reshape(resample.numel(), len(order)).T.contiguous()
    admitted = sums_between(rows, order, edges).cumsum_(0)
    gained = sums_between(rows, order[hit], positives[edges])
    found = gained.cumsum(0)
    missed = admitted - found
    total_found, total_missed = found[-1].clone(), missed[-1].clone()
    # in place from here on: tables of this size take longer to ask for than to fill
    ahead = (missed + missed.roll(1, 0)).div_(2) if tied else missed
    precision = found.div_(admitted.clamp_(min=torch.finfo(rows.dtype).tiny))
    area = 1 - ahead.mul_(gained).sum(0) / (total_found * total_missed)
    steps = precision.mul_(gained).sum(0) / total_found
    ranked = (total_found > 0) & (total_missed > 0)
    return area.where(ranked, torch.nan).reshape(resample), steps.where(ranked, torch.nan).reshape(resample)


def sums_between(
    rows: Float[Tensor, "face resample"], order: Int64[Tensor, " ranked"], edges: Int64[Tensor, " edge"]
) -> Float[Tensor, "edge resample"]:
    """Return the rows' sums over the faces from each edge of the order to the next, the first from the beginning.

    An embedding bag never writes the rows down in their new order, which a cumulative sum would: ten times as fast.
    """
    begins = torch.cat([edges.new_zeros(1), edges[:-1]])
    return embedding_bag(order, rows, begins, mode="sum")


def rank_attributes(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> tuple[PerAttribute, PerAttribute]:
    """Return :func:`ranking` of every attribute over the faces where it is defined: AUROC, average precision."""
    labels = three_valued(labels, undefined=undefined)
    check_probability(probability)
    weights = unit_weights(labels, weights)
    pairs = []
    for attr in range(labels.shape[1]):
        defined = labels[:, attr] != 0
        chosen = weights if bool(defined.all()) else weights[..., defined]
        pairs.append(ranking(probability[defined, attr], labels[defined, attr] == 1, chosen))
    area, steps = zip(*pairs, strict=True)
    return torch.stack(area, -1), torch.stack(steps, -1)


def unit_weights(faces: Tensor, weights: Weights | None) -> Weights:
    """Return the weights as given, or 1 for every face of ``faces [face, ...]``."""
    return torch.ones(len(faces), dtype=torch.float64, device=faces.device) if weights is None else weights


def weighted_sum(values: Tensor, weights: Weights) -> PerAttribute:
    """Sum over faces, for each row of weights; whole numbers are summed exactly even where weights are float32."""
    return (weights @ values.to(weights.dtype)).double()


def share(earned: Tensor, counted: Tensor, weights: Weights | None) -> PerAttribute:
    """Return what was earned over what was counted, each ``[face, column]``; NaN where nothing was counted."""
    weights = unit_weights(counted, weights)
    return weighted_sum(earned, weights) / weighted_sum(counted, weights)


class AttributeMetric(Metric):
    """One function of this file as a torchmetrics metric: it keeps every face it is shown and computes at the end.

    Args:
        schema: of the probabilities and labels it will be shown.
        function: takes all probabilities and labels (1, -1, 0 undefined), all checked; if it gives one number for each
            attribute, their mean is reported, leaving out the undefined ones (NaN if all are).
        undefined: the value of undefined labels, see :meth:`Schema.check_labels`. Without it, labels that are 0 and 1
            on all faces together are refused when the metric is computed.
    """

    full_state_update = False
    is_differentiable = False
    probability: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self,
        *,
        schema: Schema,
        function: Callable[[Tensor, Tensor], Tensor],
        undefined: int | float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.schema, self.undefined = schema, undefined
        # the functions of this file check labels too, which are checked here already
        said = {"undefined": 0} if "undefined" in signature(function).parameters else {}
        self.function = partial(function, **said)
        self.add_state("probability", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, probability: Float[Tensor, "batch attr"], labels: Tensor) -> None:
        """Show one batch of faces.

        Raises:
            ValueError: the shapes differ from each other or from the schema's, a label is none of -1, 0, 1, or a
                probability is not in [0, 1] (as logits and NaN are not).
        """
        # a batch may lack a -1 by chance: whether the labels are 0 and 1 is seen when all are there
        labels = self.schema.check_labels(labels, undefined=0 if self.undefined is None else self.undefined)
        if probability.shape != labels.shape:
            raise ValueError(
                f"probability is {list(probability.shape)} but labels are {list(labels.shape)}; "
                "both must be [face, attr] of the same faces"
            )
        check_probability(probability, self.schema.names)
        self.probability.append(probability.detach().float())
        self.labels.append(labels)

    def compute(self) -> Float[Tensor, ""]:
        """Return the metric over all faces shown so far; computed in float64 on the CPU.

        Raises:
            InputError: the labels of all faces together are 0 and 1.
        """
        probability, labels = dim_zero_cat(self.probability).cpu(), dim_zero_cat(self.labels).cpu()
        if self.undefined is None:
            self.schema.check_labels(labels)
        return self.function(probability.double(), labels).double().nanmean().float().to(self.device)


def attribute_metrics(
    schema: Schema, rules: RuleSet | None = None, prefix: str = "", *, undefined: int | float | None = None
) -> MetricCollection:
    """All metrics of faces with named attributes, in one collection that stores the faces once.

    Args:
        schema: of the probabilities and labels.
        rules: adds ``violation_rate``, ``broken_rules`` and ``logical_accuracy``; without rules these are not reported,
            rather than reported as perfect.
        prefix: put before every name, such as "val/".
        undefined: the value of undefined labels; see :class:`AttributeMetric`.

    ``ranked_attributes`` is the number of attributes that take part in the means of ``balanced_accuracy``, ``f1``,
    ``average_precision`` and ``auroc``, which need both values among the labels.

    >>> metrics = attribute_metrics(Schema.from_names(["Smiling", "Bald"]), prefix="val/")
    >>> metrics.update(torch.tensor([[0.9, 0.2], [0.3, 0.1]]), torch.tensor([[1, -1], [-1, -1]]))
    >>> {name: value.item() for name, value in metrics.compute().items() if name in ("val/auroc", "val/accuracy")}
    {'val/accuracy': 1.0, 'val/auroc': 1.0}
    >>> int(metrics["ranked_attributes"].compute())
    1
    """
    entries = [entry for entry in ATTRIBUTE_METRICS if rules is not None or "rules" not in entry.needs]
    metrics: dict[str, Metric | MetricCollection] = {
        entry.name: AttributeMetric(
            schema=schema, function=partial(evaluate_entry, entry, rules=rules), undefined=undefined
        )
        for entry in entries
    }
    # one group: the faces are stored by its first metric and read by the others
    return MetricCollection(metrics, prefix=prefix or None, compute_groups=[[entry.name for entry in entries]])


def evaluate_entry(
    entry: MetricEntry, probability: Probability, labels: Labels, *, rules: RuleSet | None
) -> Float[Tensor, " column"]:
    """Return one metric of the faces as they are; see :func:`measure`."""
    return measure(probability, labels, rules=rules, entries=[entry])[entry.name]


def measure(
    probability: Probability,
    labels: Labels,
    *,
    rules: RuleSet | None = None,
    weights: Weights | None = None,
    entries: Sequence[MetricEntry] | None = None,
    undecided: bool = False,
) -> dict[str, Float[Tensor, "*resample column"]]:
    """Return each metric by its name: a column for each attribute, or one for a metric of whole faces.

    A function that gives several metrics is called once.

    Args:
        labels: 1, -1, or 0 where undefined.
        rules: metrics that need rules are left out without them.
        weights: the faces' weights, one row a resample.
        entries: the metrics; all of :data:`ATTRIBUTE_METRICS` by default.
        undecided: a probability of exactly one half decides nothing, see :class:`MetricEntry`.
    """
    given: dict[str, Tensor | RuleSet] = {"labels": labels} if rules is None else {"labels": labels, "rules": rules}
    graded = undecided_is_wrong(probability, labels) if undecided else probability
    found: dict[tuple[Callable[..., Any], bool], Any] = {}
    values = {}
    for entry in ATTRIBUTE_METRICS if entries is None else entries:
        if not given.keys() >= {*entry.needs}:
            continue
        wrong = entry.undecided == "wrong"
        call = (entry.function, wrong)
        if call not in found:
            options = {"undefined": 0} if "labels" in entry.needs else {}
            needed = [given[need] for need in entry.needs]
            found[call] = entry.function(graded if wrong else probability, *needed, weights, **options)
        value = found[call] if entry.part is None else found[call][entry.part]
        values[entry.name] = value[..., None] if entry.level == "face" else value
    return values


def undecided_is_wrong(probability: Probability, labels: Labels) -> Probability:
    """Return the probabilities, with the wrong decision wherever one is left undecided at exactly one half.

    >>> undecided_is_wrong(torch.tensor([[0.5, 0.5, 0.2]]), torch.tensor([[-1, 1, 1]], dtype=torch.int8))
    tensor([[1.0000, 0.0000, 0.2000]])
    """
    return probability.where(probability != 0.5, (labels == -1).to(probability))


def ranked_attributes(
    probability: Probability, labels: Labels, weights: Weights | None = None, *, undefined: int | float | None = None
) -> Overall:
    """Return how many attributes have both values among their defined labels, of faces that weigh something."""
    labels = three_valued(labels, undefined=undefined)
    weights = unit_weights(labels, weights)
    return ((weighted_sum(labels == 1, weights) > 0) & (weighted_sum(labels == -1, weights) > 0)).sum(-1).double()


#: Every metric of attributes and of faces, in the order of a table's columns.
ATTRIBUTE_METRICS = (
    MetricEntry(
        name="accuracy",
        title="accuracy",
        function=accuracy,
        direction="up",
        level="attribute",
        needs=("labels",),
        shown="interval",
        undecided="wrong",
        attribute_title="accuracy",
        attribute_place=2,
    ),
    MetricEntry(
        name="balanced_accuracy",
        title="balanced",
        panel="balanced accuracy",
        function=balanced_accuracy,
        direction="up",
        level="attribute",
        needs=("labels",),
        shown="interval",
        undecided="wrong",
    ),
    MetricEntry(
        name="average_precision",
        title="mAP",
        function=rank_attributes,
        part=1,
        direction="up",
        level="attribute",
        needs=("labels",),
        shown="interval",
        attribute_title="AP",
        attribute_place=1,
        rests_on="rarer",
    ),
    MetricEntry(
        name="auroc",
        title="AUROC",
        function=rank_attributes,
        part=0,
        direction="up",
        level="attribute",
        needs=("labels",),
        shown="interval",
    ),
    MetricEntry(
        name="violation_rate",
        title="violations",
        panel="faces breaking a rule",
        function=violation_rate,
        direction="down",
        level="face",
        needs=("rules",),
        shown="interval",
    ),
    MetricEntry(
        name="logical_accuracy",
        title="logical",
        panel="logical accuracy",
        function=logical_accuracy,
        direction="up",
        level="attribute",
        needs=("labels", "rules"),
        shown="interval",
        undecided="unmeasured",
    ),
    MetricEntry(
        name="exact_match",
        title="exact",
        panel="exact match",
        function=exact_match,
        direction="up",
        level="face",
        needs=("labels",),
        shown="interval",
        undecided="wrong",
    ),
    MetricEntry(
        name="contradicting_accuracy",
        title="contradicting",
        panel="accuracy, contradicting",
        function=contradicting_accuracy,
        direction="up",
        level="face",
        needs=("labels",),
        shown="interval",
    ),
    MetricEntry(
        name="calibration_error",
        title="ECE",
        function=calibration_error,
        direction="down",
        level="attribute",
        needs=("labels",),
        shown="share",
    ),
    MetricEntry(
        name="brier",
        title="Brier",
        function=brier,
        direction="down",
        level="attribute",
        needs=("labels",),
        shown="share",
    ),
    MetricEntry(name="f1", title="F1", function=f1, direction="up", level="attribute", needs=("labels",)),
    MetricEntry(
        name="broken_rules",
        title="broken rules",
        function=broken_rules,
        direction="down",
        level="face",
        needs=("rules",),
    ),
    MetricEntry(
        name="ranked_attributes",
        title="ranked",
        function=ranked_attributes,
        direction="none",
        level="face",
        needs=("labels",),
    ),
)
