"""Labels that follow from others by the rules."""

import pytest
import torch

from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.implied import implied_labels
from tests.knowledge.random_rules import consistent_faces, random_rules


def by_trying_every_face(labels: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """The same by going through all consistent faces."""
    filled = labels.clone()
    for row in filled:
        agreeing = faces[((row == 0) | (faces == row)).all(1)]
        if len(agreeing):
            follows = (agreeing == agreeing[0]).all(0) & (row == 0)
            row[follows] = agreeing[0][follows]
    return filled


@pytest.mark.parametrize("seed", range(12))
def test_what_follows_is_what_all_consistent_faces_agree_on(seed: int) -> None:
    rules = random_rules(seed)
    faces = torch.tensor(consistent_faces(rules), dtype=torch.int8) * 2 - 1
    if not len(faces):  # contradictory rules are refused by the distribution itself
        with pytest.raises(ValueError, match="satisf"):
            implied_labels(torch.zeros(1, 7, dtype=torch.int8), rules)
        return
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (80, 7), generator=draw).to(torch.int8)
    labels[torch.rand(80, 7, generator=draw) < 0.4] = 0
    found = implied_labels(labels, rules)
    assert torch.equal(found, by_trying_every_face(labels, faces))
    assert torch.equal(found[labels != 0], labels[labels != 0]), "what is defined stays"


def test_no_faces_have_no_labels_to_fill() -> None:
    rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    assert implied_labels(torch.zeros(0, 2, dtype=torch.int8), rules).shape == (0, 2)


def test_a_boolean_no_is_a_no_and_other_codes_are_refused() -> None:
    rules = RuleSet.parse("Bald -> not Bangs", Schema.from_names(["Bald", "Bangs"]))
    assert implied_labels(torch.tensor([[False, False]]), rules).tolist() == [[-1, -1]]
    with pytest.raises(InputError, match="0 and 1"):
        implied_labels(torch.tensor([[0, 1], [1, 0]]), rules)
    assert implied_labels(torch.tensor([[1, -100]]), rules, undefined=-100).tolist() == [[1, -1]]
