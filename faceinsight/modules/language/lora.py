"""LoRA: a language model that stays as it is, with small trained matrices beside its linear layers.

Sources: LoRA (https://arxiv.org/abs/2106.09685); the layers are peft's own. FaceLLM (https://arxiv.org/abs/2507.10300)
trains InternVL so, with rank 16 and alpha 32 on all linear layers of its language model. Whether FaceInsight does is
not published; here it is an option, and only of the language model.
"""

import copy
from itertools import chain
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from faceinsight.errors import InputError
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.language_model import LanguageModel

__all__ = ["LoRA"]

#: peft's name of a model's only adapter.
ADAPTER = "default"


class LoRA(Frozen):
    """A frozen language model whose low-rank adapters train; needs ``pip install faceinsight[lora]``.

    It is a :class:`Frozen` in everything but its adapters: the base stays in evaluation mode, is checked after training
    and saved as its hash; the adapters, and their drop-out, train. At the start it computes exactly what the base does.
    The given model is left without adapters and shares its weights with this one, so that one base can have several.

    Args:
        module: the :class:`~faceinsight.modules.language_model.LanguageModel`, in Frozen or not.
        rank: inner width of each adapter.
        alpha: an adapter's product is scaled by ``alpha / rank``.
        dropout: before each adapter.
        targets: the linear layers that get one: ends of their names, such as ``["q_proj", "v_proj"]``, or one regular
            expression for whole names, or ``"all-linear"``, all but the head. By default peft's choice for the family
            (queries and values), and ``"all-linear"`` where it has none.

    Raises:
        ImportError: peft is not installed.
        ValueError: a module that is no language model or has adapters, or targets that name no layer, or the head or
            the embedding, whose rows are read directly.
    """

    module: LanguageModel

    def __init__(
        self,
        *,
        module: nn.Module,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: str | list[str] | None = None,
    ) -> None:
        base = module.module if type(module) is Frozen else module
        if not isinstance(base, LanguageModel):
            raise InputError(
                f"low-rank adapters go into a LanguageModel without any, got a {type(base).__name__}; image encoders "
                "take none: train them, or keep them in Frozen"
            )
        super().__init__(with_shared_tensors(base))
        self.rank, self.alpha, self.dropout, self.targets = rank, alpha, dropout, targets
        inject(self.module.backbone, rank=rank, alpha=alpha, dropout=dropout, targets=targets)
        kept = self.kept()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name not in kept)

    def train(self, mode: bool = True) -> "LoRA":
        """Adapters follow ``mode``; the base stays in evaluation mode."""
        super().train(mode)
        for layer in adapted_layers(self.module).values():
            layer.lora_dropout.train(mode)
        return self

    def kept(self) -> dict[str, str]:
        """Return the base's state by its name here and by its name in the base alone; the adapters' is left out."""
        layers = adapted_layers(self.module)
        found = {}
        for name in self.module.state_dict():
            layer = next((each for each in layers if name.startswith(f"{each}.")), None)
            if layer is None:
                found[f"module.{name}"] = name
            elif (rest := name.removeprefix(f"{layer}.")).startswith("base_layer."):
                found[f"module.{name}"] = f"{layer}.{rest.removeprefix('base_layer.')}"
        return found

    def merged(self) -> LanguageModel:
        """Return a plain language model that computes the same to rounding: each adapter added to its layer's weights.

        It shares all other weights with this one. To export it in the Hugging Face layout:
        ``merged().backbone.save_pretrained(directory)``, and likewise its ``tokenizer``.
        """
        model = with_shared_tensors(self.module)
        for name, layer in adapted_layers(model).items():
            linear = copy.deepcopy(layer.get_base_layer())
            added, weight = layer.get_delta_weight(ADAPTER), linear.weight.data
            linear.weight.data = (weight + added).to(weight.dtype)  # added up in the wider of the two
            model.set_submodule(name, linear)
        del model.backbone.peft_config
        model.origin = None  # neither its configuration nor its checkpoint gives these weights
        return model.eval()


def inject(
    backbone: PreTrainedModel, *, rank: int, alpha: int, dropout: float, targets: str | list[str] | None
) -> None:
    """Put peft's layers in the place of the targets, in place."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as BY_FAMILY
    except ImportError as error:
        raise ImportError(
            f"LoRA needs the package peft ({error}); install it: pip install 'faceinsight[lora]'"
        ) from error
    if targets is None:
        known: dict[str, Any] = dict(BY_FAMILY)
        targets = known.get(backbone.config.get_text_config().model_type, "all-linear")
    linear = sorted({name.rpartition(".")[2] for name, each in backbone.named_modules() if isinstance(each, nn.Linear)})
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    try:
        inject_adapter_in_model(config, backbone, ADAPTER)
    except ValueError as error:
        raise InputError(f"no adapters for targets={targets!r}: {error} Its linear layers: {linear}") from error
    layers = [*adapted_layers(backbone).values()]
    if any(each in layers for each in (backbone.get_input_embeddings(), backbone.get_output_embeddings())):
        raise InputError(
            f"targets={targets!r} name the embedding or the head, whose rows are read directly, past any adapter; "
            f"name layers between them, of {linear}"
        )


def adapted_layers(module: nn.Module) -> dict[str, Any]:
    """Return the layers that peft put in, by their names."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: each for name, each in module.named_modules() if isinstance(each, BaseTunerLayer)}


def with_shared_tensors(model: LanguageModel) -> LanguageModel:
    """Return a copy of the modules round the very same parameters, buffers and tokenizer."""
    shared = [*chain(model.parameters(), model.buffers()), model.tokenizer]
    return copy.deepcopy(model, {id(each): each for each in shared})
