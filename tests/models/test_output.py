"""The road from a model's logits to probabilities goes through its rules."""

import itertools
import math

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import faceinsight as fi
from faceinsight.data.batch import FaceBatch
from faceinsight.errors import InputError
from faceinsight.knowledge.groups import group_rows
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.metrics import accuracy, auroc, brier
from faceinsight.models.controls import TokenClassifier
from faceinsight.models.decoded import DecodedOutput
from faceinsight.models.face_insight import FaceInsightOutput
from faceinsight.modules.decoder import ConsistentDecoder
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.logical import LogicalConstraint
from faceinsight.training.systems import AttributeSystem

SCHEMA = Schema.from_names(["Young", "Middle", "Old", "Smiling"])
RULES = RuleSet.parse("exactly_one(Young, Middle, Old)", SCHEMA)
LOGITS = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) + 1
LABELS = torch.where(torch.randn(20, 4, generator=torch.Generator().manual_seed(1)) > 0, 1, -1).to(torch.int8)

QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "accelerator": "cpu",
}  # fmt: skip


def by_enumeration(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Marginals and mode by looking at every assignment."""
    marginals, modes = [], []
    for face in logits.double().tolist():
        faces = [each for each in itertools.product([0, 1], repeat=4) if sum(each[:3]) == 1]
        weights = [math.exp(sum(z * y for z, y in zip(face, each, strict=True))) for each in faces]
        marginals.append([sum(w for w, y in zip(weights, faces, strict=True) if y[a]) / sum(weights) for a in range(4)])
        modes.append(faces[weights.index(max(weights))])
    return torch.tensor(marginals), torch.tensor(modes, dtype=torch.float32)


class Fixed(nn.Module):
    """Every face's logits, kept as one trained tensor; the images say which face it is."""

    def __init__(self, schema: Schema = SCHEMA) -> None:
        super().__init__()
        self.schema, self.logits = schema, nn.Parameter(LOGITS.clone())

    def forward(self, images: Tensor, *, masks: None = None, features: None = None) -> FaceInsightOutput:
        return FaceInsightOutput(self.logits[images[:, 0, 0, 0].long()], {})


def batches(size: int = 7) -> DataLoader:
    images = torch.arange(20.0).reshape(20, 1, 1, 1).expand(20, 3, 2, 2)
    rows = torch.arange(20).split(size)
    return DataLoader([FaceBatch(images[row], LABELS[row], row) for row in rows], batch_size=None)


def test_an_output_with_rules_gives_the_exact_marginals_and_mode() -> None:
    output = FaceInsightOutput(LOGITS, {}, RULES)
    marginals, mode = by_enumeration(LOGITS)
    assert (LOGITS.sigmoid()[:, :3].sum(1) - 1).abs().max() > 0.5, "the sigmoid is something else"
    torch.testing.assert_close(output.probability, marginals.float())
    torch.testing.assert_close(output.probability[:, :3].sum(1), torch.ones(20))
    assert torch.equal(output.mode, mode)
    assert torch.equal(output.marginals, output.probability)
    assert output.distribution.sample((3,)).shape == (3, 20, 4)


def test_an_output_without_rules_gives_the_sigmoid_in_float32() -> None:
    output = FaceInsightOutput(LOGITS.bfloat16(), {})
    assert torch.equal(output.probability, LOGITS.bfloat16().float().sigmoid())
    assert torch.equal(output.mode, (LOGITS.bfloat16() > 0).bfloat16())
    with pytest.raises(InputError, match="without rules"):
        output.distribution  # noqa: B018
    with pytest.raises(InputError, match="nan"):
        FaceInsightOutput(torch.tensor([[math.nan]]), {}).probability  # noqa: B018


def test_the_model_that_ships_sums_its_groups_to_one() -> None:
    model = fi.FaceInsight.from_pretrained("tiny")
    with torch.no_grad():
        output = model(torch.rand(2, 3, 150, 150, generator=torch.Generator().manual_seed(0)))
    assert output.rules == model.rules
    race = [model.schema.index(label) for label in model.schema.groups["race"].labels]
    torch.testing.assert_close(output.probability[:, race].sum(1), torch.ones(2))
    assert not model.rules.violations(output.mode.bool()).any()
    assert all(row["race"] for row in group_rows(model.schema, output.mode.bool()))


def test_every_model_of_the_library_hands_its_rules_to_its_output() -> None:
    vit = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    network = TokenClassifier(schema=SCHEMA, image_encoder=vit, embed_dim=12, rules=RULES).eval()
    images = torch.rand(2, 3, 32, 32)
    assert network(images).rules == RULES
    decoded = DecodedOutput(network=network, decoder=ConsistentDecoder(rules=RULES, decisions="marginals")).eval()
    assert decoded(images).rules is None, "conditioned once, not twice"
    torch.testing.assert_close(decoded(images).probability, network(images).probability)


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.parametrize("kind", ["semantic", "conditional"])
def test_a_network_trained_as_conditioned_on_its_rules_is_measured_under_them(kind: str) -> None:
    logical = LogicalConstraint(rules=RULES, kind=kind)
    system = AttributeSystem(network=Fixed(), rules=RULES, logical=logical, bce_weight=0.0)
    trainer = lightning.Trainer(**QUIET)
    expected = by_enumeration(LOGITS)[0] if kind == "conditional" else LOGITS.double().sigmoid()
    cross_entropy = torch.where(LABELS > 0, -expected.log(), -(1 - expected).log()).mean()
    tested, validated = (run(system, batches(), verbose=False)[0] for run in (trainer.test, trainer.validate))
    for prefix, found in (("test", tested), ("val", validated)):
        assert found[f"{prefix}/brier"] == pytest.approx(float(brier(expected, LABELS).mean()), abs=1e-6)
        assert found[f"{prefix}/accuracy"] == pytest.approx(float(accuracy(expected, LABELS).mean()), abs=1e-6)
        assert found[f"{prefix}/auroc"] == pytest.approx(float(auroc(expected, LABELS).mean()), abs=1e-6)
    assert validated["val/bce"] == pytest.approx(float(cross_entropy), abs=1e-5)
    torch.testing.assert_close(system.test_probability, expected.float())


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_a_conditioned_network_with_a_decoder_is_not_conditioned_twice() -> None:
    network = DecodedOutput(network=Fixed(), decoder=ConsistentDecoder(rules=RULES, decisions="marginals"))
    system = AttributeSystem(network=network, rules=RULES, logical=LogicalConstraint(rules=RULES, kind="conditional"))
    lightning.Trainer(**QUIET).test(system, batches(), verbose=False)
    torch.testing.assert_close(system.test_probability, by_enumeration(LOGITS)[0].float(), atol=1e-6, rtol=1e-5)


def test_the_rules_of_the_objective_become_the_networks_own_or_are_refused() -> None:
    vit = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    network = TokenClassifier(schema=SCHEMA, image_encoder=vit, embed_dim=12)
    conditional = LogicalConstraint(rules=RULES, kind="conditional")
    AttributeSystem(network=network, rules=RULES, logical=conditional)
    assert network.rules == RULES
    others = LogicalConstraint(rules=RuleSet.parse("Young -> Smiling", SCHEMA), kind="conditional")
    with pytest.raises(InputError, match="the same rules"):
        AttributeSystem(network=network, rules=RULES, logical=others)
