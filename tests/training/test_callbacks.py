"""Checks that turn silent failures into errors."""

import warnings

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from faceinsight.modules.frozen import Frozen
from faceinsight.training.callbacks import FrozenCheck, GradientCheck


class Toy(lightning.LightningModule):
    """A linear model with whatever parts a test gives it."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        for name, part in parts.items():
            setattr(self, name, part)
        self.scale = 0.0

    def training_step(self, batch: list[Tensor], batch_index: int) -> Tensor:
        loss = self.linear(batch[0]).square().mean()
        if hasattr(self, "quiet"):
            loss = loss + self.scale * self.quiet(batch[0]).sum()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([each for each in self.parameters() if each.requires_grad], lr=0.1)


def fit(system: Toy, *callbacks: lightning.Callback) -> None:
    loader = DataLoader(TensorDataset(torch.randn(32, 3)), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'train_dataloader' does not have many workers")
        warnings.filterwarnings("ignore", message="Found 2 module")
        trainer.fit(system, loader)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_part_without_any_gradient_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"2 trained tensors .*unused.weight, unused.bias"):
        fit(Toy(unused=nn.Linear(2, 2)), GradientCheck())


def test_a_part_with_only_zero_gradients_is_named_after_some_steps() -> None:
    with pytest.raises(RuntimeError, match=r"2 trained tensors .*3 steps: quiet\.weight"):
        fit(Toy(quiet=nn.Linear(3, 1)), GradientCheck(patience=3))


def test_tensors_that_may_stay_quiet_are_left_alone() -> None:
    quiet = nn.Linear(3, 1)
    quiet.may_lack_gradient = ("weight", "bias")
    check = GradientCheck(patience=3)
    fit(Toy(quiet=quiet), check)
    assert check.steps > 0
    assert check.waiting == {}


def test_a_frozen_part_that_changes_while_training_is_named() -> None:
    class Meddling(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, *args) -> None:
            pl_module.trunk.module.weight.data.add_(1e-3)

    fit(Toy(trunk=Frozen(nn.Linear(3, 3))), FrozenCheck())
    with pytest.raises(RuntimeError, match=r"frozen parts changed .*trunk"):
        fit(Toy(trunk=Frozen(nn.Linear(3, 3))), Meddling(), FrozenCheck())
