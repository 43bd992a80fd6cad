"""Evidence: logits that are linear in what frozen encoders saw, fitted in closed form in seconds.

The steps, each a pure function here and together in :class:`Evidence`:

1. ridge regression to the labels on the 0/1 scale, with the leave-one-out score of every training face;
2. the co-occurrence gain (:mod:`faceinsight.modules.cooccurrence`), if there is one;
3. a slope and an offset for each attribute, which turn scores into calibrated logits (Platt scaling); the labels of
   one choice, such as an age, may be calibrated together (matrix scaling).

The leave-one-out score of a face comes from the regression on all other faces. What is trained on top of the evidence
must see these scores on its training faces: the in-sample scores have seen the answer and leave nothing to learn.

Not in the paper. Sources:
    Ridge regression: Hoerl and Kennard 1970. Its leave-one-out residual, r_i / (1 - h_i): Allen 1974 (PRESS).
    Fit the head first, then train what is below: LP-FT, https://arxiv.org/abs/2202.10054
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float64, Int8, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from faceinsight.errors import InputError
from faceinsight.knowledge.groups import group_attributes
from faceinsight.knowledge.labels import three_valued
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.calibration import matrix_scaling, platt_scaling, soft_logit
from faceinsight.modules.cooccurrence import CooccurrenceGain, check_unique
from faceinsight.modules.logic.log_space import wide_linear

__all__ = ["Evidence", "Gate", "RidgeFit", "pool_levels", "ridge"]

#: So many rows at a time, where all at once would need as much memory again.
CHUNK = 1024

#: What evidence may read of a face; see :class:`Evidence`.
SOURCES = ("image", "mirrored", "places", "parts")

#: Penalties that are tried, as multiples of the number of features. Not in the paper.
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def pool_levels(
    tokens: Float[Tensor, "batch patch dim"], grid: tuple[int, int], levels: Sequence[tuple[int, int]]
) -> Float[Tensor, "batch feature"]:
    """Pool each slice of the tokens' numbers to a grid of its own, and lay all of them side by side.

    Args:
        tokens: in row-major order of the grid.
        grid: rows and columns of the tokens.
        levels: (width, side) of each slice: its numbers per token, and the rows and columns to which it is averaged.

    Raises:
        InputError: levels whose widths do not add up to the tokens' width, or tokens that do not fill the grid.

    >>> tokens = torch.arange(8.0).reshape(1, 4, 2)  # a grid of 2 x 2, two numbers a token
    >>> pool_levels(tokens, (2, 2), [(1, 2), (1, 1)])  # the first number in each place, the second averaged
    tensor([[0., 2., 4., 6., 4.]])
    """
    widths = [width for width, _ in levels]
    if sum(widths) != tokens.shape[2] or grid[0] * grid[1] != tokens.shape[1]:
        raise InputError(
            f"tokens of {tokens.shape[1]} places and {tokens.shape[2]} numbers, but a grid of {grid[0]} x {grid[1]} "
            f"and levels of {' + '.join(map(str, widths))} numbers; give the grid and levels of this encoder"
        )
    maps = rearrange(tokens, "batch (row column) dim -> batch dim row column", row=grid[0])
    parts = zip(maps.split(widths, dim=1), levels, strict=True)
    return torch.cat([F.adaptive_avg_pool2d(part, side).flatten(1) for part, (_, side) in parts], dim=1)


@dataclass(frozen=True)
class RidgeFit:
    """Ridge regressions of all attributes on the same features.

    Args:
        weight: of the features.
        bias: the intercepts.
        left_out: each face's score from the regression on all other faces. Where the face's own label is undefined,
            no regression has seen it, and its score is the fitted one.
        penalty: the chosen penalty; one for all attributes.
        errors: mean squared leave-one-out error of each penalty that was tried, in units of the labels' variance.
    """

    weight: Float[Tensor, "attr feature"]
    bias: Float[Tensor, " attr"]
    left_out: Float[Tensor, "face attr"]
    penalty: float
    errors: dict[float, float]


def ridge(
    inputs: Float[Tensor, "face feature"],
    labels: Shaped[Tensor, "face attr"],
    penalties: Sequence[float],
    *,
    undefined: int | float | None = None,
) -> RidgeFit:
    """Minimise ``|y - X w - b|^2 + penalty |w|^2``, y 1 for yes and 0 for no, each attribute over its defined labels.

    The intercept is not penalised. One penalty serves all attributes: the one with the least squared leave-one-out
    error, each attribute's in units of its labels' variance. Attributes that are defined on the same faces are solved
    together, by the smaller of the two Gram matrices. An attribute that never varies, or is defined on fewer than two
    faces, gets zero weights and its share of yes (0.5 where nothing is defined).

    Args:
        inputs: standardised features; give float64.
        labels: 1, -1 and 0 (undefined), or booleans.
        penalties: to choose from; above 0. They are tried from the middle one on, as long as the error gets smaller.
        undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

    Raises:
        InputError: no penalty, or one that is not a finite number above 0, or too small for these features; no faces,
            labels of other faces, or features that are not finite.

    >>> fit = ridge(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[-1], [-1], [1]], dtype=torch.int8), [0.5])
    >>> fit.weight.squeeze(), fit.bias.squeeze()  # without a penalty 1/2 and -1/6
    (tensor(0.4000), tensor(-0.0667))
    >>> fit.left_out[:2].squeeze()  # the first from a regression on the others alone
    tensor([-0.2500,  0.5000])
    """
    check_penalties(penalties)
    if inputs.ndim != 2 or not len(inputs) or labels.ndim != 2 or len(labels) != len(inputs):
        raise InputError(
            f"a regression needs features [face, feature] and labels [face, attr] of the same faces, at least one; got "
            f"features {list(inputs.shape)} and labels {list(labels.shape)}"
        )
    inputs = inputs.to(torch.promote_types(inputs.dtype, torch.float32))  # nothing is solved in halves or integers
    if not torch.isfinite(inputs).all():
        raise InputError("the features hold values that are not finite; check the encoder that made them")
    labels = three_valued(labels, undefined=undefined)
    defined = labels != 0
    targets = (labels == 1).to(inputs)
    share = torch.where(defined.any(0), (targets * defined).sum(0) / defined.sum(0).clamp(min=1), 0.5)
    varying = ((targets * defined).sum(0) > 0) & ((1 - targets) * defined).sum(0).gt(0)
    patterns = [*_patterns(defined, varying)]
    kept = [_problem(inputs, targets - share, *patterns[0])] if len(patterns) == 1 else None

    def fit(penalty: float) -> RidgeFit:
        weight, bias = inputs.new_zeros(labels.shape[1], inputs.shape[1]), share.clone()
        left_out = share.expand(labels.shape).clone()
        for problem in kept or (_problem(inputs, targets - share, *each) for each in patterns):
            solution, out = _solve(problem, penalty)
            faces, columns = problem.faces, problem.columns
            weight[columns], bias[columns] = solution.T, share[columns] - problem.middle @ solution
            scores = inputs @ solution + bias[columns]
            scores[faces] = out + share[columns]
            left_out[:, columns] = scores
        squared = ((left_out - targets).square() * defined).sum(0) / defined.sum(0).clamp(min=1)
        error = float((squared / (share * (1 - share)))[varying].mean()) if patterns else 0.0
        return RidgeFit(weight, bias, left_out, penalty, {penalty: error})

    return _least(sorted(map(float, penalties)), fit)


def check_penalties(penalties: Sequence[float]) -> None:
    """Refuse anything but finite numbers above 0, at least one of them."""
    numbers = all(isinstance(each, int | float) and 0 < each < math.inf for each in penalties)
    if not numbers or not len(penalties):
        raise InputError(f"penalties must be above 0 and finite, at least one of them, got {list(penalties)}")


def _least(penalties: Sequence[float], fit: Callable[[float], RidgeFit]) -> RidgeFit:
    """Walk from the middle penalty towards smaller errors, and return the fit where they stop getting smaller.

    The error is taken to have one valley; so about half of the penalties are never tried.
    """
    place = len(penalties) // 2
    best = fit(penalties[place])
    errors = dict(best.errors)
    for step in (1, -1):
        while 0 <= place + step < len(penalties) and penalties[place + step] not in errors:
            other = fit(penalties[place + step])
            errors |= other.errors
            if other.errors[other.penalty] >= best.errors[best.penalty]:
                break
            best, place = other, place + step
    return replace(best, errors=dict(sorted(errors.items())))


@dataclass(frozen=True)
class _Problem:
    """Attributes that are defined on the same faces, ready to be solved.

    Args:
        faces, columns: which faces and attributes.
        middle: mean of the features over these faces.
        inputs, targets: centred, of these faces and attributes.
        gram: the smaller of the two Gram matrices, its lower triangle; that of the faces with ``extra`` added to the
            variance along (1, ..., 1).
        extra: the mean of its diagonal, for the Gram matrix of the faces; None for that of the features.
    """

    faces: Bool[Tensor, " all"]
    columns: Int64[Tensor, " some"]
    middle: Float[Tensor, " feature"]
    inputs: Float[Tensor, "face feature"]
    targets: Float[Tensor, "face some"]
    gram: Float[Tensor, "size size"]
    extra: Float[Tensor, ""] | None


def _problem(
    inputs: Float[Tensor, "all feature"],
    targets: Float[Tensor, "all attr"],
    faces: Bool[Tensor, " all"],
    columns: Int64[Tensor, " some"],
) -> _Problem:
    """Centre the features, and multiply them once for all penalties.

    Centred features say nothing along (1, ..., 1), nor do centred targets. Some variance there changes no solution, and
    makes the Gram matrix of the faces one that can be inverted without any penalty.
    """
    centred = inputs[faces]
    middle = centred.mean(0)
    centred -= middle  # a copy, which may be large: no second one
    by_face = len(centred) <= centred.shape[1] + 1  # where each face can be told from all others
    gram = _lower_gram(centred if by_face else centred.T)
    extra = None
    if by_face:
        extra = gram.diagonal().mean()
        gram += extra / len(gram)
    return _Problem(faces, columns, middle, centred, targets[faces][:, columns], gram, extra)


def _patterns(
    defined: Bool[Tensor, "face attr"], varying: Bool[Tensor, " attr"]
) -> Iterator[tuple[Bool[Tensor, " face"], Int64[Tensor, " some"]]]:
    """Yield sets of attributes that are defined on the same faces, with those faces; without attributes that never
    vary.
    """
    columns = varying.nonzero().flatten()
    patterns, kind = defined[:, columns].unique(dim=1, return_inverse=True)
    for number, faces in enumerate(patterns.unbind(1)):
        yield faces, columns[kind == number]


def _solve(problem: _Problem, penalty: float) -> tuple[Float[Tensor, "feature some"], Float[Tensor, "face some"]]:
    """Return the weights and the leave-one-out scores.

    The residual of face i without face i is ``r_i / (1 - h_i - 1/n)``: h is the diagonal of the hat matrix of the
    centred problem, 1/n is what the intercept adds to it. By the Gram matrix of the faces, numerator and denominator
    both have the penalty as a factor. It is left out of both, so that a small one costs no digits.

    Raises:
        InputError: a penalty by which the Gram matrix cannot be inverted in this precision.
    """
    inputs, targets = problem.inputs, problem.targets
    shifted = problem.gram.clone()
    shifted.diagonal().add_(penalty)
    factor, failed = torch.linalg.cholesky_ex(shifted)
    del shifted
    if failed:
        raise InputError(
            f"a penalty of {penalty:g} is too small for these features: some follow from others, or faces are alike; "
            "give larger penalties"
        )
    if problem.extra is not None:
        solution = torch.cholesky_solve(targets, factor)
        unseen = torch.cholesky_inverse(factor).diagonal() - 1 / (penalty + problem.extra) / len(inputs)
        return inputs.T @ solution, targets - solution / unseen[:, None]
    weight = torch.cholesky_solve(inputs.T @ targets, factor)
    solved = (torch.linalg.solve_triangular(factor, part.T, upper=False) for part in inputs.split(CHUNK))
    unseen = 1 - torch.cat([part.square().sum(0) for part in solved]) - 1 / len(inputs)
    return weight, targets - (targets - inputs @ weight) / unseen[:, None]


def _lower_gram(rows: Float[Tensor, "row column"]) -> Float[Tensor, "row row"]:
    """``rows @ rows.T`` on and below the diagonal, which is all that a Cholesky factorisation reads; by blocks."""
    gram = rows.new_zeros(len(rows), len(rows))
    for start in range(0, len(rows), CHUNK):
        end = start + CHUNK
        gram[start:end, :end] = rows[start:end] @ rows[:end].T
    return gram


def feature_scale(deviation: Float[Tensor, " feature"], widths: Sequence[int]) -> Float[Tensor, " feature"]:
    """Return the factor of each feature: one over its standard deviation, or over the median one of its source.

    A feature that hardly varies is not blown up: after tuning, a hundred of the face network's numbers are nearly
    constant, and dividing by their own deviation costs half a point of AUROC (CelebA, 1,000 faces).

    Args:
        deviation: standard deviation of each feature.
        widths: features of each source, in order.

    >>> feature_scale(torch.tensor([4.0, 2.0, 0.1, 0.5]), [3, 1])
    tensor([0.2500, 0.5000, 0.5000, 2.0000])
    """
    floors = torch.cat([each.median().expand(len(each)) for each in deviation.split([*widths])])
    floor = torch.maximum(deviation, floors)
    return torch.where(floor > 0, 1 / floor.clamp(min=torch.finfo(floor.dtype).tiny), 0.0)


class Evidence(nn.Module):
    """Linear evidence for every attribute, fitted once in closed form and saved with the model; nothing here is trained
    by gradient, unless the gain is.

    Args:
        num_features: numbers that describe one face, see :func:`pool_levels`; of several sources, one number for each.
        names: the attributes that it is fitted on, in the order of the labels.
        gain: a :class:`~faceinsight.modules.cooccurrence.CooccurrenceGain` that observes these attributes; or None.
        sources: what is read of a face: ``image`` (the image tokens, pooled) or ``mirrored`` (the mean of those of the
            picture and of its mirror image), ``places`` (size and place of the face's parts), ``parts`` (places and
            appearance of the face's parts).
        penalties: to choose from by leave-one-out, as multiples of ``num_features``.
        choices: attributes that are calibrated together, since a face has exactly one, or at most one, of them; see
            :func:`~faceinsight.modules.calibration.matrix_scaling`. Read their logits under that rule: a softmax of
            them is a probability, a sigmoid is not.

    Raises:
        InputError: a gain that observes other attributes, an unknown source, names that stand twice, a number of
            features or a penalty that is not above 0, or a choice of unknown attributes or of some that belong to
            another choice.

    >>> evidence = Evidence(num_features=3, names=["Bald", "Hat"])
    >>> draw = torch.Generator().manual_seed(0)
    >>> inputs = torch.randn(50, 3, generator=draw)
    >>> left_out = evidence.fit(inputs, torch.where(inputs[:, :2] > 0, 1, -1).to(torch.int8))
    >>> evidence(inputs).shape, left_out.shape
    (torch.Size([50, 2]), torch.Size([50, 2]))
    """

    #: fitted, not trained: there is nothing in it to freeze
    closed_form = True

    centre: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    slope: Tensor
    offset: Tensor
    faces: Tensor
    across: Tensor
    shift: Tensor

    def __init__(
        self,
        *,
        num_features: int | Sequence[int],
        names: Sequence[str],
        gain: CooccurrenceGain | None = None,
        sources: Sequence[str] = ("image", "places"),
        penalties: Sequence[float] = PENALTIES,
        choices: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__()
        if not sources or not {*sources} <= {*SOURCES} or {"image", "mirrored"} <= {*sources}:
            raise InputError(
                f"sources are some of {', '.join(SOURCES)}, of the first two one at most; got {list(sources)}"
            )
        if gain is not None and gain.observed != [*names]:
            raise InputError(
                f"the gain observes {len(gain.observed)} attributes, the evidence is of {len(names)} others, or in "
                "another order; build the gain with observed=names"
            )
        check_unique(names, "the evidence's names")
        self.widths = [num_features] if isinstance(num_features, int) else [*num_features]
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"num_features are numbers above 0, one for each source; got {num_features}")
        check_penalties(penalties)
        chosen = [name for choice in choices for name in choice]
        if not {*chosen} <= {*names} or len({*chosen}) < len(chosen) or any(len(choice) < 2 for choice in choices):
            raise InputError(
                f"choices are sets of two or more of the {len(names)} attributes, each attribute in one at most; got "
                f"{[list(choice) for choice in choices]}"
            )
        self.num_features, self.names, self.gain = num_features, list(names), gain
        self.choices = [list(choice) for choice in choices]
        total = sum(self.widths)
        self.sources, self.penalties = list(sources), list(penalties)
        attrs = len(self.names)
        for name, tensor in {
            "centre": torch.zeros(total),
            "scale": torch.ones(total),
            "weight": torch.zeros(attrs, total),
            "bias": torch.full((attrs,), 0.5),
            "slope": torch.ones(attrs),
            "offset": torch.zeros(attrs),
            "faces": torch.zeros(attrs, dtype=torch.int64),
        }.items():
            self.register_buffer(name, tensor)
        if choices:  # what the scores of one choice add to each other's logits, and to the offsets
            self.register_buffer("across", torch.zeros(attrs, attrs))
            self.register_buffer("shift", torch.zeros(attrs))

    @classmethod
    def for_schema(
        cls,
        *,
        schema: Schema,
        num_features: int | Sequence[int],
        gain: CooccurrenceGain | None = None,
        sources: Sequence[str] = ("image", "places"),
        penalties: Sequence[float] = PENALTIES,
        choices: bool = False,
    ) -> "Evidence":
        """Build the evidence for a schema's attributes: the class path for an experiment file.

        Args:
            choices: calibrate the labels of each of the schema's groups together; see :class:`Evidence`. Groups such as
                a gender, of which one label is the opposite of the other, need none.
        """
        return cls(
            num_features=num_features,
            names=schema.names,
            gain=gain,
            sources=sources,
            penalties=penalties,
            choices=[*group_attributes(schema).values()] if choices else (),
        )

    @property
    def asked(self) -> list[str]:
        """The attributes of the logits: those of the gain, if there is one."""
        return self.names if self.gain is None else self.gain.asked

    @property
    def fitted(self) -> bool:
        """Whether :meth:`fit` has been called, here or before it was saved."""
        return bool(self.faces.any())

    @torch.no_grad()
    def fit(
        self,
        inputs: Float[Tensor, "face feature"],
        labels: Shaped[Tensor, "face attr"],
        *,
        undefined: int | float | None = None,
    ) -> Float[Tensor, "face observed"]:
        """Fit ridge, gain and calibration on the training faces, and return their leave-one-out scores.

        The features are centred and scaled by these faces alone, see :func:`feature_scale`. The scores are those
        before gain and calibration: give them to :meth:`logits`. Computed in float64.

        Args:
            inputs: features of the training faces.
            labels: 1, -1 and 0 (undefined), or booleans.
            undefined: the value of undefined labels; see :func:`~faceinsight.knowledge.labels.three_valued`.

        Raises:
            InputError: labels of 0 and 1, fewer than two faces, another number of features, labels of another number of
                attributes or without a single one that is defined, or features that are not finite.
        """
        total = sum(self.widths)
        if not isinstance(inputs, Tensor) or not isinstance(labels, Tensor):
            raise InputError(
                f"features and labels are tensors, got {type(inputs).__name__} and {type(labels).__name__}; use "
                "torch.as_tensor"
            )
        if len(inputs) < 2 or inputs.shape[1] != total or labels.shape != (len(inputs), len(self.names)):
            raise InputError(
                f"evidence of {total} features for {len(self.names)} attributes needs at least two faces; "
                f"got features {list(inputs.shape)} and labels {list(labels.shape)}; "
                f"num_features must add up to {inputs.shape[1]} if the encoder is the right one"
            )
        labels = three_valued(labels, undefined=undefined, names=self.names)
        if not labels.any():
            raise InputError(f"none of the {len(inputs):,} faces has a defined label; evidence needs labelled faces")
        wide = inputs.to(torch.float64, copy=True)
        if not torch.isfinite(wide).all():
            raise InputError("the features hold values that are not finite; check the encoder that made them")
        # as they are kept, so that a large mean is taken off here as it is later
        centre = wide.mean(0).to(self.centre).double()
        scale = feature_scale(wide.std(0, correction=0), self.widths).to(self.scale).double()
        if not (torch.isfinite(centre) & torch.isfinite(scale)).all():
            raise InputError(
                f"the features are too large or too small for {self.centre.dtype}, which the evidence is kept in: they "
                f"reach from {float(wide.min()):g} to {float(wide.max()):g}; scale them to about 1 before they come "
                "here, or fit in a wider type"
            )
        wide.sub_(centre).mul_(scale)
        fit = ridge(wide, labels, [each * total for each in self.penalties], undefined=0)
        scores = fit.left_out
        if self.gain is not None:
            self.gain.fit(scores, labels, undefined=0)
            scores = self.gain(scores)[:, [self.gain.asked.index(name) for name in self.names]]
        slope, offset = platt_scaling(scores, labels, undefined=0)
        for choice in self.choices:
            self._fit_choice(choice, scores, labels, slope, offset)
        for name, tensor in {
            "centre": centre,
            "scale": scale,
            "weight": fit.weight,
            "bias": fit.bias,
            "slope": slope,
            "offset": offset,
            "faces": (labels != 0).sum(0),
        }.items():
            getattr(self, name).copy_(tensor)
        return fit.left_out.to(torch.promote_types(inputs.dtype, torch.float32))

    def _fit_choice(
        self,
        choice: Sequence[str],
        scores: Float64[Tensor, "face attr"],
        labels: Int8[Tensor, "face attr"],
        slope: Float64[Tensor, " attr"],
        offset: Float64[Tensor, " attr"],
    ) -> None:
        """Calibrate one choice on the faces where all its labels are defined and one, or none, is yes."""
        at = torch.tensor([self.names.index(name) for name in choice], device=scores.device)
        yes = labels[:, at] == 1
        kept = (labels[:, at] != 0).all(1) & (yes.sum(1) <= 1)
        weight, level = torch.diag(slope[at]), offset[at]
        if kept.any():
            chosen = torch.where(yes.any(1), yes.to(torch.int8).argmax(1), len(choice))[kept]
            weight, level = matrix_scaling(scores[kept][:, at], chosen, slope[at], offset[at])
        self.across[at[:, None], at] = (weight - torch.diag(slope[at])).to(self.across)
        self.shift[at] = (level - offset[at]).to(self.shift)

    def scores(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch observed"]:
        """Return the regressions' scores on the 0/1 scale, before gain and calibration.

        Raises:
            InputError: another number of features than the evidence was built for.
        """
        if inputs.shape[-1] != len(self.centre):
            raise InputError(
                f"evidence of {len(self.centre)} features was given {inputs.shape[-1]}; read the same sources of a "
                "face as it was fitted on"
            )
        wide = torch.promote_types(inputs.dtype, torch.float32)  # also of a model in half precision
        centre, scale, weight, bias = (each.to(wide) for each in (self.centre, self.scale, self.weight, self.bias))
        return wide_linear((inputs.to(wide) - centre) * scale, weight, bias)

    def logits(self, scores: Float[Tensor, "batch observed"]) -> Float[Tensor, "batch asked"]:
        """Scores, fitted or left out, through gain and calibration.

        An attribute that the labelled faces do not tell has no calibration of its own: its logit is that of the gain's
        estimate (:func:`~faceinsight.modules.calibration.soft_logit`). A choice of which not every label is asked for
        is not calibrated together.

        Raises:
            InputError: scores of another number of attributes.
        """
        if scores.shape[-1] != len(self.names):
            raise InputError(f"the evidence is of {len(self.names)} attributes, got scores {list(scores.shape)}")
        estimate = scores if self.gain is None else self.gain(scores)
        at = torch.tensor([self.names.index(name) if name in self.names else 0 for name in self.asked])
        logits = self.slope[at] * estimate + self.offset[at]
        whole = [name for choice in self.choices if {*choice} <= {*self.asked} for name in choice]
        if whole:
            here = torch.tensor([self.asked.index(name) for name in whole])
            there = torch.tensor([self.names.index(name) for name in whole])
            across = self.across[there[:, None], there]  # a product and a sum: autocast leaves them in full precision
            heard = (estimate[:, None, here] * across).sum(2) + self.shift[there]
            logits = logits.index_add(1, here.to(logits.device), heard.to(logits))
        return logits if self.gain is None else torch.where(self.gain.told, logits, soft_logit(estimate))

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch asked"]:
        """Logits of the asked attributes.

        Raises:
            InputError: the evidence was never fitted.
        """
        if not self.fitted:
            raise InputError(
                "the evidence is not fitted: call evidence.fit(inputs, labels) on the training faces, or train the "
                "model with an AttributeSystem, which fits it first"
            )
        return self.logits(self.scores(inputs))


class Gate(nn.Module):
    """How much of the language model's reading is added to the evidence: one trained number g, ``e + g r``.

    It starts small: the model then begins as its evidence, and the reading still has a gradient. Not in the paper;
    compare ReZero, https://arxiv.org/abs/2003.04887.

    Args:
        start: g before training.

    Raises:
        InputError: a start of 0, at which nothing in the reading would ever have a gradient.

    >>> Gate(start=0.5)(torch.tensor([2.0])).item()
    1.0
    """

    def __init__(self, *, start: float = 0.1) -> None:
        super().__init__()
        if start == 0:
            raise InputError("a gate that starts at 0 lets no gradient into the reading; start it small, such as 0.1")
        self.start = start
        self.scale = nn.Parameter(torch.tensor(float(start)))

    def forward(self, reading: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.scale * reading
