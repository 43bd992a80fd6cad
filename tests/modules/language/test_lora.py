"""Low-rank adapters: what trains, what stays, and that merging changes nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from faceinsight.modules.frozen import Frozen, fingerprint, frozen_names
from faceinsight.modules.language.lora import LoRA
from faceinsight.modules.language_model import LanguageModel
from tests.modules.checkpoints import write_language_model

pytest.importorskip("peft")


def base() -> LanguageModel:
    return LanguageModel.from_config(embed_dim=16, depth=2, num_heads=2)


def moved(model: LoRA) -> LoRA:
    """With adapters that do something: B begins at zero."""
    generator = torch.Generator().manual_seed(1)
    for each in model.parameters():
        if each.requires_grad:
            each.data = torch.randn(each.shape, generator=generator).to(each) / 3
    return model.eval()


@torch.no_grad()
def logits(model: Any) -> Tensor:
    sequence = torch.randn(2, 9, model.embed_dim, generator=torch.Generator().manual_seed(0))
    return model.logits(model(sequence.to(model.backbone.dtype)))


def test_it_begins_as_its_base_which_is_left_as_it_was_and_shares_its_weights() -> None:
    plain = base()
    names = list(plain.state_dict())
    model = LoRA(module=Frozen(plain), rank=2)
    assert torch.equal(logits(model), logits(plain))
    assert not torch.equal(logits(moved(model)), logits(plain))
    assert list(plain.state_dict()) == names
    own = {each.data_ptr() for each in model.parameters()}
    assert {each.data_ptr() for each in plain.parameters()} <= own


def test_an_adapted_layer_adds_alpha_over_rank_times_the_product() -> None:
    model = moved(LoRA(module=base(), rank=2, alpha=6, targets=["q_proj"]))
    layer: Any = model.backbone.model.layers[1].self_attn.q_proj
    inputs = torch.randn(3, 16)
    product = inputs @ layer.lora_A.default.weight.T @ layer.lora_B.default.weight.T
    torch.testing.assert_close(layer(inputs), inputs @ layer.base_layer.weight.T + 3 * product)


@pytest.mark.parametrize(
    ("targets", "layers"), [(None, 2 * 2), ("all-linear", 2 * 7), (["o_proj"], 2), (r".*\.1\.mlp\.up_proj", 1)]
)
def test_targets_are_the_familys_all_or_by_name(targets: Any, layers: int) -> None:
    model = LoRA(module=base(), rank=3, targets=targets)
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    assert len(trained) == 2 * layers
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    assert trained == [name for name in model.state_dict() if name not in model.kept()]


def test_the_adapters_train_and_the_base_stays_in_evaluation_mode_with_its_fingerprint() -> None:
    plain = base()
    model = LoRA(module=plain, rank=2, dropout=0.5)
    network = nn.ModuleDict({"language_model": model}).train()
    training = {name for name, each in model.named_modules() if each.training}
    assert training
    assert all(".lora_dropout" in name for name in training)
    assert not any(each.training for each in network.eval()["language_model"].modules())
    moved(model)
    assert fingerprint(model) == fingerprint(plain)
    trained = {f"language_model.{name}" for name, each in model.named_parameters() if each.requires_grad}
    assert network.state_dict().keys() - frozen_names(network) == trained
    next(plain.parameters()).data += 1
    assert fingerprint(model) == fingerprint(plain) != fingerprint(base())


@pytest.mark.parametrize("family", ["Llama", "Phi 3", "Gemma 3"])
def test_merged_it_is_a_plain_model_of_the_same_logits_also_when_exported(family: str, tmp_path: Path) -> None:
    plain = LanguageModel.from_pretrained(write_language_model(tmp_path / "base", family)).double()
    model = moved(LoRA(module=plain, rank=2, targets="all-linear"))
    merged = model.merged()
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-5, atol=1e-5)
    assert (logits(model) - logits(plain)).abs().max() > 0.01
    assert merged.state_dict().keys() == plain.state_dict().keys()
    merged.backbone.save_pretrained(tmp_path / "merged")
    merged.tokenizer.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(
        logits(LanguageModel.from_pretrained(tmp_path / "merged")), logits(model), rtol=1e-5, atol=1e-5
    )


def test_a_configuration_can_name_it() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "part")
    module = {"class_path": "faceinsight.modules.LanguageModel.from_config", "init_args": {"embed_dim": 16, "depth": 1}}
    given = {"module": module, "rank": 2, "alpha": 4, "targets": ["o_proj"]}
    config = parser.parse_object({"part": {"class_path": "faceinsight.modules.LoRA", "init_args": given}})
    part = parser.instantiate(config).part
    assert (type(part), part.alpha, part.targets) == (LoRA, 4, ["o_proj"])


def test_what_cannot_have_an_adapter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"into a LanguageModel .*got a Linear"):
        LoRA(module=nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"without any, got a LoRA"):
        LoRA(module=LoRA(module=base(), rank=2))
    with pytest.raises(ValueError, match=r"\['c_attn'\].*linear layers: \['down_p"):
        LoRA(module=base(), targets=["c_attn"])
    with pytest.raises(ValueError, match=r"^targets=\['lm_head'\] name .*head"):
        LoRA(module=base(), targets=["lm_head"])


def test_without_peft_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"peft .*pip install 'faceinsight\[lora\]'$"):
        LoRA(module=base())
