"""What a model says of one face: exact probabilities under its rules, the most probable consistent face, its groups."""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from faceinsight.data.dataset import FaceReader
from faceinsight.data.images import Picture, whole_picture
from faceinsight.errors import InputError, did_you_mean
from faceinsight.files import PlainData
from faceinsight.knowledge.groups import group_rows
from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.logic.formula import Atom, Not
from faceinsight.knowledge.logic.language import parse_expression
from faceinsight.knowledge.rules import Rule, RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.face_insight import FaceModel
from faceinsight.models.predicting.detection import FoundFace, Place
from faceinsight.models.predicting.found import printable
from faceinsight.modules.constrained import ConstrainedBernoulli

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faceinsight.models.predicting.explanation import Explanation

__all__ = ["FacePrediction", "group_probability"]


@dataclass(frozen=True, eq=False, repr=False)
class FacePrediction:
    """One face as a model sees it. What is asked for is computed when it is asked for, and exact.

    Args:
        index: position of the picture in its source.
        picture: its file, or the picture itself.
        logits: of independent attributes, before the rules condition them.
        rules: what the prediction keeps.
        model: the model, for what needs the picture again: :attr:`segmentation`, :meth:`explain` and :meth:`plot`.
        evidence: what is known of the face besides; see :meth:`given`.
        facts: the same, and the rules that were added to the model's, as text.
        found: where the face is in the picture; None if the whole picture is the face.
    """

    index: int
    picture: Picture
    logits: Float[Tensor, " attr"]
    rules: RuleSet
    model: FaceModel | None = None
    evidence: Mapping[str, bool] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    found: FoundFace | None = None

    @property
    def path(self) -> str | None:
        """The picture's file; None of a picture without one."""
        return os.fspath(self.picture) if isinstance(self.picture, str | os.PathLike) else None

    @property
    def name(self) -> str:
        """The picture's file as it can be printed, or its number from 1."""
        return f"picture {self.index + 1}" if self.path is None else printable(self.path)

    @property
    def schema(self) -> Schema:
        """The attributes."""
        return self.rules.schema

    @cached_property
    def distribution(self) -> ConstrainedBernoulli:
        """The exact distribution over faces that keep the rules: samples, entropy, log-probabilities."""
        faces = ConstrainedBernoulli(logits=self.logits, rules=self.rules, validate_args=True)
        return faces.condition(self.evidence) if self.evidence else faces

    @classmethod
    def of_batch(
        cls,
        places: Sequence[Place],
        pictures: Sequence[Picture],
        logits: Float[Tensor, "face attr"],
        rules: RuleSet,
        model: FaceModel,
    ) -> "list[FacePrediction]":
        """Return the predictions of a batch; what tables need of each face is computed for all of them at once."""
        faces = [
            cls(index, each, own, rules, model, found=found)
            for (index, found), each, own in zip(places, pictures, logits, strict=True)
        ]
        together = ConstrainedBernoulli(logits=logits, rules=rules, validate_args=True)
        modes = together.mode
        computed = zip(faces, together.marginals, modes, group_rows(rules.schema, modes.bool()), strict=True)
        for face, marginals, mode, groups in computed:
            vars(face).update(marginals=marginals, mode=mode, groups=groups)  # where cached properties are kept
        return faces

    @cached_property
    def marginals(self) -> Float[Tensor, " attr"]:
        """``p(attribute | rules)`` of each attribute, in the schema's order."""
        return self.distribution.marginals

    @cached_property
    def mode(self) -> Float[Tensor, " attr"]:
        """The most probable face as 0 and 1, in the schema's order."""
        return self.distribution.mode

    @cached_property
    def probabilities(self) -> dict[str, float]:
        """``p(attribute | rules)`` of each attribute by name; exact."""
        return dict(zip(self.schema.names, self.marginals.tolist(), strict=True))

    @cached_property
    def attributes(self) -> dict[str, bool]:
        """The most probable face that keeps every rule, by attribute name.

        A yes here need not have a probability above one half: one label of a group is most probable of all.
        """
        return dict(zip(self.schema.names, self.mode.bool().tolist(), strict=True))

    @cached_property
    def groups(self) -> dict[str, str | None]:
        """The label of each of the schema's groups in the most probable face; None where it has none."""
        return group_rows(self.schema, self.mode.bool()[None])[0]

    @cached_property
    def group_probabilities(self) -> dict[str, dict[str, float]]:
        """The probability of each label of each group; exact. What they lack to 1 is that none holds."""
        found = {name: group_probability(self.distribution, name) for name in self.schema.groups}
        return {name: {label: float(each) for label, each in labels.items()} for name, labels in found.items()}

    @cached_property
    def broken_rules(self) -> tuple[str, ...]:
        """The rules that a yes for every logit above 0 would break: what the rules had to mend in this face."""
        plain = self.rules.violations((self.logits > 0)[None])[0].tolist()
        return tuple(text for text, broken in zip(self.rules.texts, plain, strict=True) if broken)

    @cached_property
    def changed(self) -> dict[str, bool]:
        """The attributes that the most probable face has otherwise than a yes for every logit above 0 would."""
        plain = dict(zip(self.schema.names, (self.logits > 0).tolist(), strict=True))
        return {name: yes for name, yes in self.attributes.items() if plain[name] != yes}

    def given(self, what: object) -> "FacePrediction":
        """Return the same face if something more were known of it; exact, by Bayes' rule.

        Args:
            what: attribute name -> whether the face has it; group name -> one of its labels; or a rule, such as
                ``"Senior and not Male"``.

        Raises:
            InputError: an unknown name, or a rule that cannot be read.
            UnsatisfiableError: no face that keeps the rules agrees with it; the smallest conflict is named.
        """
        if isinstance(what, str):
            return self._with_rules(RuleSet.parse(what, self.schema).rules)
        if not isinstance(what, Mapping):
            raise InputError(f"give attribute names with True or False, or a rule as text; got {type(what).__name__}")
        known, rules, facts = dict(self.evidence), [], list(self.facts)
        for name, value in what.items():
            if isinstance(value, str):
                rules.append(self._label_rule(name, value))
                continue
            if not isinstance(value, bool):
                raise InputError(f"{name!r} is known as True or False, got {value!r}")
            self.schema.index(name)
            if known.setdefault(name, value) != value:
                raise UnsatisfiableError([Atom(name), Not(Atom(name))])
            facts.append(str(Atom(name) if value else Not(Atom(name))))
        face = replace(self, evidence=known, facts=tuple(facts))
        return face._with_rules(tuple(rules)) if rules else face._possible()

    def _label_rule(self, group: str, label: str) -> Rule:
        """Return a group's label as a rule."""
        if group not in self.schema.groups:
            hint = did_you_mean(group, self.schema.groups)
            raise InputError(f"no group is named {group!r}{hint or ';'} an attribute is known as True or False")
        labels = self.schema.groups[group].labels
        if label not in labels:
            hint = did_you_mean(label, labels)
            raise InputError(f"group {group!r} has no label {label!r}{hint} it has {', '.join(labels)}")
        return Rule(labels[label], parse_expression(labels[label], self.schema))

    def _with_rules(self, rules: tuple[Rule, ...]) -> "FacePrediction":
        facts = self.facts + tuple(each.text for each in rules)
        return replace(self, rules=RuleSet(self.schema, self.rules.rules + rules), facts=facts)._possible()

    def _possible(self) -> "FacePrediction":
        """Return this prediction, or raise an UnsatisfiableError where no face agrees with what is known."""
        _ = self.distribution.log_partition
        return self

    @cached_property
    def image(self) -> Float[Tensor, "3 height width"]:
        """The picture as the model sees it, RGB in [0, 1]; a file is read again."""
        model = self._needed("image")
        if self.found is None:
            return model.images([self.picture])[0]
        reader = FaceReader(memory_mb=0, **model.picture_options)
        image = reader.aligned(whole_picture(self.picture), self.found.landmarks, model.margin)
        return image.to(next(model.parameters()).device)

    @cached_property
    def segmentation(self) -> UInt8[Tensor, "rows columns"] | None:
        """The most probable part of the face at each pixel, by the ids of ``knowledge.face_parts``.

        None of a model without a parser of its own.
        """
        encoder = self._needed("parsing map").segmentation
        if encoder is None or encoder.parser is None:
            return None
        return encoder.class_map(self.image[None])[0].cpu()

    def explain(self, name: str) -> "Explanation":
        """Return what moved one attribute's logit, and what the rules then did; the parts add up exactly.

        Args:
            name: of the attribute.

        Raises:
            UnknownAttributeError: the schema has no such attribute.
        """
        from faceinsight.models.predicting.explanation import explain

        self._needed("explanation")
        return explain(self, name)

    def _needed(self, what: str) -> FaceModel:
        if self.model is None:
            raise InputError(f"this prediction has no model any more, which its {what} needs; call model.predict again")
        return self.model

    def plot(self, attributes: int = 12) -> "Figure":
        """Draw the photograph, the parser's map, the groups, the strongest attributes, and what the rules changed.

        Args:
            attributes: how many of those outside the groups are shown.

        Returns:
            a matplotlib figure; save it by ``figure.savefig("face.png")``.
        """
        from faceinsight.models.predicting.drawing import plot_prediction

        return plot_prediction(self, attributes)

    def to_dict(self) -> PlainData:
        """Return everything as plain data, which JSON takes."""
        return {
            "index": self.index,
            "path": None if self.path is None else printable(self.path),
            "found": None if self.found is None else asdict(self.found),
            "groups": self.groups,
            "attributes": self.attributes,
            "probabilities": self.probabilities,
            "group_probabilities": self.group_probabilities,
            "broken_rules": list(self.broken_rules),
            "given": list(self.facts),
            "learnt_from": {kind: list(names) for kind, names in self.schema.learnt_from.items()},
        }

    def __repr__(self) -> str:
        """Return name and groups, on one line."""
        said = ", ".join(
            f"{name} {label} ({self.group_probabilities[name][label]:.0%})"
            for name, label in self.groups.items()
            if label is not None
        )
        which = f", face {self.found.number}" if self.found else ""
        return f"FacePrediction({self.name}{which}: {said or f'{sum(self.attributes.values())} attributes'})"

    def _repr_html_(self) -> str:
        """Return the plot for a notebook."""
        written = io.BytesIO()
        self.plot().savefig(written, format="png", dpi=80)
        data = base64.b64encode(written.getvalue()).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{html.escape(repr(self), quote=True)}">'


def group_probability(faces: ConstrainedBernoulli, group: str) -> dict[str, Float[Tensor, "*batch"]]:
    """Return the probability of each label of a group under an exact distribution.

    A label that is an attribute, or the opposite of one, has a marginal; that of any other expression is the share of
    the distribution's mass that satisfies it.

    >>> schema = Schema.load("celeba")
    >>> faces = ConstrainedBernoulli(logits=torch.zeros(40), rules=RuleSet(schema))
    >>> group_probability(faces, "gender")
    {'Male': tensor(0.5000), 'Female': tensor(0.5000)}
    """
    schema, marginals, found = faces.rules.schema, faces.marginals, {}
    for label, expression in schema.groups[group].labels.items():
        formula = parse_expression(expression, schema)
        if isinstance(formula, Atom):
            found[label] = marginals[..., schema.index(formula.name)]
        elif isinstance(formula, Not) and isinstance(formula.operand, Atom):
            found[label] = 1 - marginals[..., schema.index(formula.operand.name)]
        else:
            found[label] = _mass(faces, Rule(expression, formula))
    return found


def _mass(faces: ConstrainedBernoulli, rule: Rule) -> Float[Tensor, "*batch"]:
    """Return the probability that a rule holds."""
    narrower = RuleSet(faces.rules.schema, (*faces.rules.rules, rule))
    try:
        inside = ConstrainedBernoulli(logits=faces.logits, rules=narrower, evidence=faces.evidence)
        return (inside.log_partition - faces.log_partition).exp().clamp(max=1)
    except UnsatisfiableError:
        return torch.zeros(faces.batch_shape)
