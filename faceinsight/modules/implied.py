"""Labels that follow from other labels by the rules."""

import torch
from jaxtyping import Int8, Shaped
from torch import Tensor

from faceinsight.knowledge.rules import RuleSet
from faceinsight.modules.constrained import ConstrainedBernoulli

__all__ = ["implied_labels"]

#: The logit of a label that is given: its opposite has probability 1e-26.
SURE = 60.0

#: A marginal this near to 0 or 1 follows from the labels.
NEAR = 1e-9


def implied_labels(
    labels: Shaped[Tensor, "face attr"], rules: RuleSet, *, undefined: int | float | None = None
) -> Int8[Tensor, "face attr"]:
    """Fill in every undefined label that follows from the defined ones: who is 30 to 39 is no child.

    Exact: a label follows if no consistent face with the defined labels has the other one. A face of which the defined
    labels break the rules stays as it is. Equal rows are looked at once.

    Args:
        labels: 1, -1 and 0 (undefined), or booleans, in the order of the rules' schema.
        undefined: the value of undefined labels; see :meth:`~faceinsight.knowledge.schema.Schema.check_labels`.

    Raises:
        InputError: labels of other attributes, of 0 and 1, or with another value.

    >>> from faceinsight.knowledge.schema import Schema
    >>> schema = Schema.from_names(["Young", "Old", "Child"])
    >>> rules = RuleSet.parse(["exactly_one(Young, Old)", "Old -> not Child"], schema)
    >>> implied_labels(torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]), rules, undefined=0)
    tensor([[-1,  1, -1],
            [ 1, -1,  0],
            [ 0,  0,  0]], dtype=torch.int8)
    """
    labels = rules.schema.check_labels(labels, undefined=undefined)
    rows, kind = labels.unique(dim=0, return_inverse=True)
    filled = []
    for some in rows.split(1024):
        logits = some.double() * SURE
        faces = ConstrainedBernoulli(logits=logits, rules=rules, validate_args=False)
        marginals, possible = faces.marginals, faces.log_partition > -SURE / 2
        follows = (marginals > 1 - NEAR).to(torch.int8) - (marginals < NEAR).to(torch.int8)
        filled.append(torch.where((some == 0) & possible[:, None], follows, some))
    return torch.cat(filled)[kind] if len(rows) else labels
