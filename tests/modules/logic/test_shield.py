"""The shield layer against every face looked at one by one, and the published formula by hand."""

import random

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema, UnknownAttributeError
from faceinsight.metrics import decisions
from faceinsight.modules.logic.shield import ShieldLayer, bounds_along, shield
from tests.knowledge.random_rules import SCHEMA, Face, consistent_faces, random_rules
from tests.knowledge.strict_rules import STRICT

#: Logits at, beside and far from the threshold: float32's sigmoid of 1e-9 and of 1e-7 is exactly 0.5.
HARD = torch.tensor(
    [0.0, -0.0, 1e-9, -1e-9, 1e-7, 3e-7, -3e-7, 1e-5, -1e-5, 0.7, -0.7, 0.7, 90.0, -90.0, torch.inf, -torch.inf]
)
SATISFIABLE = [seed for seed in range(60) if consistent_faces(random_rules(seed))]


def some_logits(seed: int, faces: int = 60) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    smooth = 2 * torch.randn(faces, len(SCHEMA), generator=generator)
    hard = HARD[torch.randint(len(HARD), (faces, len(SCHEMA)), generator=generator)]
    return torch.cat([smooth, hard])


def decided(logits: Tensor) -> list[Face]:
    return [tuple(value > 0 for value in row) for row in decisions(logits.sigmoid()).tolist()]


def kept_while_possible(face: Face, order: list[str], faces: list[Face]) -> Face:
    """Every decision that some consistent face shares, given those before it; the others turned round."""
    for name in order:
        place = SCHEMA.names.index(name)
        agreeing = [each for each in faces if each[place] == face[place]]
        faces = agreeing or faces
    (only,) = faces
    return only


def test_enough_rule_sets_can_be_satisfied() -> None:
    assert len(SATISFIABLE) > 30


@pytest.mark.parametrize("seed", SATISFIABLE)
def test_decisions_keep_every_rule_and_change_only_where_those_before_them_ask_for_it(seed: int) -> None:
    rules, logits = random_rules(seed), some_logits(seed)
    faces = consistent_faces(rules)
    order = random.Random(seed).sample(SCHEMA.names, len(SCHEMA))
    layer = ShieldLayer(rules=rules, order=order)
    shielded = layer(logits)
    wanted = [kept_while_possible(face, order, faces) for face in decided(logits)]
    assert decided(shielded) == wanted
    assert torch.equal(layer(shielded), shielded)
    # as they come back from a predictions file
    rounded = torch.tensor([[float(f"{value:.6g}") for value in row] for row in shielded.sigmoid().tolist()])
    assert {tuple(value > 0 for value in row) for row in decisions(rounded).tolist()} <= set(faces)


@pytest.mark.parametrize("seed", SATISFIABLE[:10])
def test_equally_certain_consistent_faces_come_back_to_the_bit(seed: int) -> None:
    faces = torch.tensor(consistent_faces(random_rules(seed)))
    for certainty in (0.3, 2.7):
        logits = torch.where(faces, certainty, -certainty)
        free = faces.any(0) & ~faces.all(0)  # what the rules fix becomes certain
        shielded = ShieldLayer(rules=random_rules(seed))(logits)
        assert torch.equal(shielded[:, free], logits[:, free])
        assert torch.equal(shielded > 0, faces)


def test_a_hierarchy_gives_the_published_maximum_over_subclasses() -> None:
    schema = Schema.from_names(["Goatee", "Mustache", "Beard", "Hair"])
    rules = RuleSet.parse("Goatee -> Beard\nMustache -> Beard\nBeard -> Hair", schema)
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    p = logits.sigmoid()
    beard = p[:, :3].amax(1)  # C-HMCNN: a class is as probable as the most probable of its subclasses
    expected = torch.stack([p[:, 0], p[:, 1], beard, torch.maximum(beard, p[:, 3])], dim=1)
    torch.testing.assert_close(ShieldLayer(rules=rules)(logits).sigmoid(), expected)


def test_groups_are_clamped_as_by_hand() -> None:
    schema = Schema.from_names(["x", "y", "z"])
    p = torch.tensor([[0.2, 0.3, 0.1], [0.6, 0.7, 0.9]])
    one = ShieldLayer(rules=RuleSet.parse("exactly_one(x, y, z)", schema))(p.logit()).sigmoid()
    # z >= min(1 - x, 1 - y) = 0.7 in the first face; y <= 1 - x and z <= 1 - max(x, y) in the second
    torch.testing.assert_close(one, torch.tensor([[0.2, 0.3, 0.7], [0.6, 0.4, 0.4]]))
    last = ShieldLayer(rules=RuleSet.parse("exactly_one(x, y, z)", schema), order=["z", "x"])(p.logit()).sigmoid()
    torch.testing.assert_close(last, torch.tensor([[0.2, 0.8, 0.1], [0.1, 0.1, 0.9]]))


def test_what_follows_from_two_rules_binds_the_attributes_that_come_first() -> None:
    schema = Schema.from_names(["x", "y", "z"])
    rules = RuleSet.parse("x -> z\ny -> not z", schema)
    shielded = ShieldLayer(rules=rules)(torch.tensor([[2.0, 1.0, -3.0]]))
    assert shielded.tolist() == [[2.0, -2.0, 2.0]]


def test_an_attribute_that_the_rules_fix_is_certain_and_its_loss_finite() -> None:
    schema = Schema.from_names(["x", "y"])
    shielded = ShieldLayer(rules=RuleSet.parse("x and not y", schema))(torch.tensor([[-3.0, 0.0]]))
    assert shielded.sigmoid().round(decimals=6).tolist() == [[1.0, 0.0]]
    assert shielded.isfinite().all()


def test_attributes_that_no_rule_mentions_are_left_alone() -> None:
    logits = torch.tensor([[1e-9, 5.0, 5.0, 0.0, 1e6, -1e-8, 0.5]])
    shielded = ShieldLayer(rules=RuleSet.parse("b -> not c", SCHEMA))(logits)
    assert torch.equal(shielded[:, [0, 1, 3, 4, 5, 6]], logits[:, [0, 1, 3, 4, 5, 6]])
    assert shielded[0, 2] == -5
    none = ShieldLayer(rules=RuleSet(SCHEMA))
    assert torch.equal(none(logits), logits)


def test_gradients_pass_through_the_minima_and_maxima() -> None:
    rules = random_rules(SATISFIABLE[0])
    bounds = bounds_along(rules)
    logits = torch.randn(4, len(SCHEMA), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert gradcheck(lambda each: shield(each, bounds), logits.requires_grad_())
    chain = ShieldLayer(rules=RuleSet.parse("a -> b", SCHEMA))
    logits = torch.tensor([[2.0, 1.0, 0, 0, 0, 0, 0]]).requires_grad_()
    chain(logits)[0, 1].backward()
    assert logits.grad[0, :2].tolist() == [1, 0]


def test_a_network_that_starts_at_zero_still_learns() -> None:
    layer = ShieldLayer(rules=RuleSet.parse("a -> b", SCHEMA))
    logits = torch.zeros(1, len(SCHEMA), requires_grad=True)
    layer(logits).sum().backward()
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_and_any_batch_shape_keep_the_rules(dtype: torch.dtype) -> None:
    schema = Schema.load("celeba")
    rules = RuleSet.parse(STRICT, schema)
    logits = torch.randn(3, 40, len(schema), generator=torch.Generator().manual_seed(1)).to(dtype)
    shielded = ShieldLayer(rules=rules)(logits)
    assert shielded.shape == logits.shape
    assert rules.violations(decisions(logits.flatten(0, 1).float().sigmoid())).any()
    assert not rules.violations(decisions(shielded.flatten(0, 1).float().sigmoid())).any()


def test_what_cannot_be_shielded_is_refused() -> None:
    with pytest.raises(UnsatisfiableError):
        ShieldLayer(rules=RuleSet.parse("a\na -> b\nnot b", SCHEMA))
    with pytest.raises(UnknownAttributeError, match="'aa'"):
        ShieldLayer(rules=RuleSet.parse("a -> b", SCHEMA), order=["aa"])
    with pytest.raises(ValueError, match=r"logits must be \[..., 7\]"):
        ShieldLayer(rules=RuleSet.parse("a -> b", SCHEMA))(torch.zeros(2, 6))
