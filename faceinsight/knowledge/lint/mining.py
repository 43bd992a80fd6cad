"""Mining: the regularities of a label table, proposed as statistical rules.

What is mined describes photographs and those who annotated them, not people. That nearly every face with a necktie is
marked male says who was photographed with one, and how somebody marked it; no table can say that a rule holds by
meaning. So proposals are *statistical* rules: off unless somebody who has read them asks for them.

A candidate is ``A -> B`` or ``A -> not B`` for two attributes. Its numbers are counted over the faces on which both are
defined: *support*, the share of them that show A and keep the rule; *confidence*, of those that show A the share that
keep it, with Wilson's interval; *lift*, how many times as frequent the consequent is under A as it is overall.

Whether the two depend on each other at all is Fisher's exact test, one-sided, given how many faces show either (exact,
because the exclusions of interest have few or no counterexamples). The p-values are corrected over all candidates after
Benjamini and Yekutieli: a person reads the list, so the share of false ones on it is what matters, and the tests depend
on each other in every way (each pair is tested both ways), which rules out Benjamini and Hochberg's condition. The test
and the interval take faces as independent. Several photographs of one person are not: where identities repeat, p-values
are too small and intervals too narrow.

Sources:
    Agrawal, Imielinski and Swami 1993, Mining association rules between sets of items (support, confidence)
    Brin, Motwani, Ullman and Tsur 1997, Dynamic itemset counting (interest, today called lift)
    Wilson 1927, Probable inference; Fisher 1935, The logic of inductive inference
    Benjamini and Yekutieli 2001, The control of the false discovery rate in multiple testing under dependency
"""

from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from faceinsight.errors import InputError
from faceinsight.knowledge.lint.mined_rules import LEVEL, MinedRule, MinedRules
from faceinsight.knowledge.pair_counts import PairCounts, count_pairs
from faceinsight.knowledge.rules import RuleSet, group_rules
from faceinsight.knowledge.schema import Schema, quoted

__all__ = ["mine", "wilson"]


def mine(
    labels: Tensor,
    schema: Schema,
    *,
    rules: RuleSet | None = None,
    confidence: float = 0.95,
    support: float = 0.01,
    lift: float = 1.1,
    alpha: float = 0.05,
    table: str | None = None,
    undefined: int | float | None = None,
) -> MinedRules:
    """Propose the implications between two attributes that a label table keeps and chance does not explain.

    What says nothing is left out: what follows from the schema's groups or from ``rules``; what has a lift near 1; an
    exclusion's contrapositive (of ``A -> not B`` and ``B -> not A`` the one with the higher lift is shown); and, choice
    of this library, a proposal that follows from the others in a chain of implications. The defaults are choices of
    this library too.

    Args:
        labels: ``[face, attr]``, three-valued or boolean; see :meth:`Schema.check_labels`.
        rules: what is known already, next to the schema's groups; statistical rules among them count as well.
        confidence: the lower end of its interval must reach this, so a rule kept by few faces is not proposed.
        support: the least share of the faces that show A and keep the rule.
        lift: the least.
        alpha: the largest ``q``: at most this share of the candidates that pass the test is expected to be independent.
        table: what the labels are called in the rules' sources, best the file's name.
        undefined: the value of undefined labels; see :meth:`Schema.check_labels`.

    Raises:
        InputError: a threshold is out of its range, labels or rules are not of this schema.
        UnsatisfiableError, ComponentTooLargeError: of the rules known already.

    >>> import torch
    >>> labels = torch.tensor([[1, 1], [1, 1], [-1, 1], [-1, -1]] * 50, dtype=torch.int8)
    >>> mined = mine(labels, Schema.from_names(["Goatee", "Male"]))
    >>> mined.rules.texts, mined.proposals[0].confidence, round(mined.proposals[0].lift, 2)
    (('Goatee -> Male',), 1.0, 1.33)
    """
    if not (0 <= confidence <= 1 and 0 <= support <= 1 and 0 <= alpha <= 1 and lift >= 0):
        raise InputError(
            "confidence, support and alpha are shares from 0 to 1 and lift is not negative, "
            f"got {confidence=}, {support=}, {alpha=}, {lift=}"
        )
    known = group_rules(schema.groups.values(), schema)
    if rules is not None:
        schema.check_names(rules.schema.names, "the rules")
        known += rules.rules
    implied = implications(RuleSet(schema, known))
    tested = measured(count_pairs(schema.check_labels(labels, undefined=undefined)))
    tested = tested[~implied[tested["left"], tested["right"]]].copy()
    tested["q"] = stats.false_discovery_control(tested["p"], method="by") if len(tested) else tested["p"]
    passed = tested[
        (tested["low"] >= confidence)
        & (tested["support"] >= support)
        & (tested["lift"] >= lift)
        & (tested["q"] <= alpha)
    ]
    candidates = once(passed, len(schema))
    kept = candidates[independent(candidates, implied)]
    return MinedRules(schema, proposals(kept, schema), len(tested), len(candidates) - len(kept), table)


def wilson(
    kept: Float[np.ndarray, " pair"], shown: Float[np.ndarray, " pair"]
) -> tuple[Float[np.ndarray, " pair"], Float[np.ndarray, " pair"]]:
    """Wilson's 95 % interval of each share ``kept / shown``.

    >>> low, high = wilson(np.array([9.0, 10.0]), np.array([10.0, 10.0]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.596, 0.722], [0.982, 1.0])
    """
    z = stats.norm.ppf((1 + LEVEL) / 2)
    middle = (kept + z**2 / 2) / (shown + z**2)
    half = z / (shown + z**2) * np.sqrt(kept * (shown - kept) / shown + z**2 / 4)
    return middle - half, middle + half


def measured(counts: PairCounts) -> pd.DataFrame:
    """Every candidate with its numbers; ``left`` and ``right`` are literals, the second half of them negative.

    Candidates that no face can speak for or against are none: one side is constant where both are defined.
    """
    size = len(counts.defined)
    left, other = np.nonzero(~np.eye(size, dtype=bool))
    together, shown, faces = (each.numpy()[left, other] for each in (counts.together, counts.shown, counts.defined))
    holds = counts.shown.numpy()[other, left]
    affirmed = {"left": left, "right": other, "faces": faces, "shown": shown, "kept": together, "holds": holds}
    denied = affirmed | {"right": other + size, "kept": shown - together, "holds": faces - holds}
    frame = pd.concat([pd.DataFrame(affirmed), pd.DataFrame(denied)], ignore_index=True)
    varies = frame["shown"].between(1, frame["faces"] - 1) & frame["holds"].between(1, frame["faces"] - 1)
    frame = frame[varies].copy()
    faces, shown, kept, holds = (frame[name].to_numpy() for name in ("faces", "shown", "kept", "holds"))
    frame["support"], frame["confidence"] = kept / faces, kept / shown
    frame["low"], frame["high"] = wilson(kept.astype(float), shown.astype(float))
    frame["lift"] = frame["confidence"] / (holds / faces)
    frame["p"] = np.minimum(stats.hypergeom.sf(kept - 1, faces, holds, shown), 1)  # a sum may round to more
    return frame.drop(columns="holds")


def implications(rules: RuleSet) -> Bool[np.ndarray, "literal literal"]:
    """Which literal implies which by the rules: every attribute, then the negation of every attribute.

    Exact: two literals that no face allowed by the rules can have together exclude each other.
    """
    size = len(rules.schema)
    negation = np.roll(np.arange(2 * size), size)
    together = np.ones((2 * size, 2 * size), dtype=bool)
    together[np.arange(2 * size), negation] = False
    for component in rules.components:
        index = np.concatenate([component.index.numpy(), component.index.numpy() + size])
        literals = np.vstack([np.eye(len(component)), -np.eye(len(component))])
        pairs = np.clip(literals[:, None] + literals, -1, 1).astype(np.int8).reshape(-1, len(component))
        changes = component.fewest_changes(torch.from_numpy(pairs)).numpy()
        together[np.ix_(index, index)] &= changes.reshape(len(index), len(index)) == 0
    possible = together.diagonal()
    return ~(together & np.outer(possible, possible))[:, negation]


def once(passed: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the highest lift first; of an exclusion that holds both ways, only the way with the higher one."""
    passed = passed.sort_values("lift", ascending=False, kind="stable")
    excludes = passed["right"] >= size
    pair = np.sort(np.stack([passed["left"], passed["right"] % size]), axis=0)
    again = pd.DataFrame({"one": pair[0], "other": pair[1], "excludes": excludes.to_numpy()}).duplicated()
    return passed[~(again.to_numpy() & excludes)]


def independent(candidates: pd.DataFrame, implied: Bool[np.ndarray, "literal literal"]) -> Bool[np.ndarray, " pair"]:
    """Which proposals do not follow from the others and ``implied`` in a chain.

    The least confident go first; of two that say the same of groups' labels (``-> Male``, ``-> not Female``) the later.
    """
    size = len(implied) // 2
    left, right = candidates["left"].to_numpy(), candidates["right"].to_numpy()
    kept = np.ones(len(candidates), dtype=bool)
    for position in np.lexsort((-np.arange(len(candidates)), candidates["low"])):
        kept[position] = False
        step = implied.copy()
        step[left[kept], right[kept]] = True
        step[(right[kept] + size) % (2 * size), (left[kept] + size) % (2 * size)] = True  # contrapositives
        kept[position] = not reachable(step)[left[position], right[position]]
    return kept


def reachable(step: Bool[np.ndarray, "literal literal"]) -> Bool[np.ndarray, "literal literal"]:
    """Which literal leads to which in any number of steps."""
    while True:
        further = step | (step.astype(np.float32) @ step.astype(np.float32) > 0)
        if (further == step).all():
            return step
        step = further


def proposals(kept: pd.DataFrame, schema: Schema) -> tuple[MinedRule, ...]:
    """Return the rows as rules in the rule language, with their numbers."""
    literals = [*map(quoted, schema.names), *(f"not {quoted(name)}" for name in schema.names)]
    rules = [f"{literals[left]} -> {literals[right]}" for left, right in zip(kept["left"], kept["right"], strict=True)]
    numbers = kept[[each.name for each in fields(MinedRule)][1:]].itertuples(index=False, name=None)
    return tuple(MinedRule(rule, *row) for rule, row in zip(rules, numbers, strict=True))
