"""LLaVA and InternVL checkpoints taken apart: vision tower, projector and language model, each the checkpoint's own.

Sources: LLaVA-1.5 (https://arxiv.org/abs/2310.03744), FaceInsight's base; InternVL 3
(https://arxiv.org/abs/2504.10479), FaceLLM's base. An image is one tile of the tower's own size, cut or squashed to a
square as the checkpoint's processor
does: a face crop needs no cutting up into several tiles, which InternVL's does with large pictures by default
(``crop_to_patches=False``).
"""

import os
from typing import Any

import torch
from jinja2 import TemplateError
from PIL.Image import Resampling
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from faceinsight.errors import InputError
from faceinsight.files import PlainData
from faceinsight.modules.contracts import LanguageModelLike
from faceinsight.modules.frozen import Frozen
from faceinsight.modules.language.pretrained import check_options, commit_of, load_pretrained, load_tokenizer
from faceinsight.modules.language_model import LanguageModel
from faceinsight.modules.vision.vision_tower import VisionTower

__all__ = ["QUESTION", "conversation", "multimodal_parts"]

#: LLaVA-1.5's prompt for short answers (its section 3.2), which InternVL was trained on too.
QUESTION = "Is this a person {prompt}?\nAnswer the question using a single word or phrase."

#: The conversation that each family was trained on, for checkpoints without a chat template.
CONVERSATIONS = {
    "llava": "USER: {image}\n{question} ASSISTANT:",
    "internvl": "<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n",
}

#: What each family's processor writes round an image's tokens.
FRAMES = {"llava": ("", ""), "internvl": ("<img>", "</img>")}


def multimodal_parts(
    name_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    attn_implementation: str | None = None,
    **options: Any,
) -> dict[str, nn.Module]:
    """Return the parts of a LLaVA or InternVL checkpoint by the names of
    :class:`~faceinsight.models.face_insight.FaceInsight`'s arguments.

    Vision tower and language model come frozen, the projector as it is. Saved models that were built on the checkpoint
    want the same parts again: ``FaceInsight.from_pretrained(directory, **multimodal_parts(name_or_path))``.

    Args:
        name_or_path: a local directory, or the id of a model on the hub.
        revision: the commit of a hub model.
        dtype: of the weights, such as ``"bfloat16"``; as they were saved by default.
        attn_implementation: ``"sdpa"`` or ``"eager"``; by default the first that each part has.
        options: passed to transformers' ``from_pretrained``, e.g. ``device_map``.

    Raises:
        FileNotFoundError, ValueError: no whole checkpoint (see :mod:`faceinsight.modules.language.pretrained`), none of
            these families, a processor for other images than the tower's, or a tokenizer without the image token.
    """
    given = {"dtype": dtype, "attn_implementation": attn_implementation}
    options |= {name: value for name, value in given.items() if value is not None}
    check_options(options)
    revision = commit_of(name_or_path, revision)
    family = family_of(name_or_path, revision)
    whole = load_pretrained(AutoModelForImageTextToText, name_or_path, revision=revision, **options)
    called = "faceinsight.modules.language.multimodal.multimodal_parts"
    origin = {"given": called, "name_or_path": str(name_or_path), "revision": revision}
    tokenizer = load_tokenizer(name_or_path, revision=revision)
    tower = VisionTower(trunk=whole.model.vision_tower, **tower_options(whole.config, family, name_or_path, revision))
    language_model = LanguageModel(
        backbone=causal_part(whole),
        tokenizer=tokenizer,
        image_token=image_token(tokenizer, whole.config),
        image_frame=FRAMES[family],
    )
    tower.origin, language_model.origin = {**origin}, {**origin}
    return {
        "image_encoder": Frozen(tower),
        "projector": whole.model.multi_modal_projector,
        "language_model": Frozen(language_model),
    }


def family_of(name_or_path: str | os.PathLike[str], revision: str | None) -> str:
    """``llava`` or ``internvl``, before any weight is read."""
    try:
        config = AutoConfig.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
    except OSError as error:
        raise FileNotFoundError(f"{name_or_path} cannot be loaded: {error}") from error
    except ValueError as error:
        raise InputError(f"{name_or_path} cannot be loaded: {error}") from error
    tower = getattr(getattr(config, "vision_config", None), "model_type", "none")
    if config.model_type not in CONVERSATIONS or tower == "pixtral":
        raise InputError(
            f"{name_or_path} is a {config.model_type!r} model with the vision tower {tower!r}; "
            "models of these families are taken apart here: "
            f"{', '.join(CONVERSATIONS)}, with a tower for images of one size (CLIP, SigLIP, InternViT)"
        )
    return str(config.model_type)


def causal_part(whole: PreTrainedModel) -> PreTrainedModel:
    """Return the language model and head of a multimodal model as the causal language model that they were, without a
    copy.
    """
    with torch.device("meta"):
        causal = AutoModelForCausalLM.from_config(
            whole.config.text_config, attn_implementation=whole.model.language_model.config._attn_implementation
        )
    setattr(causal, causal.base_model_prefix, whole.model.language_model)
    causal.set_output_embeddings(whole.get_output_embeddings())
    causal.config = whole.model.language_model.config  # one configuration for both, not a copy
    causal.generation_config = whole.generation_config  # where its answers end
    if getattr(causal.config, "final_logit_softcapping", None):
        causal.config.final_logit_softcapping = None  # multimodal models give their head's logits as they are
    if unfilled := [name for name, weight in causal.named_parameters() if weight.is_meta]:
        raise InputError(f"{type(causal).__name__} has weights that the checkpoint does not give: {unfilled[:3]}")
    return causal.eval()


def tower_options(
    config: PreTrainedConfig, family: str, name_or_path: str | os.PathLike[str], revision: str | None
) -> PlainData:
    """How the checkpoint prepares images and picks its tower's tokens, in the words of :class:`VisionTower`."""
    try:
        processor = AutoImageProcessor.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"no image processor in {name_or_path} ({error}); copy the checkpoint's preprocessor_config.json or "
            "processor_config.json beside its weights"
        ) from error
    size = config.vision_config.image_size
    size = size if isinstance(size, int) else size[0]
    cropped = getattr(processor, "do_center_crop", None)
    made = processor.crop_size if cropped else processor.size
    if (found := made.get("height") or made.get("shortest_edge")) != size:
        raise InputError(
            f"the image processor in {name_or_path} makes images of {found} px, its vision tower takes {size} px; "
            "get the processor's configuration that belongs to the checkpoint"
        )
    normalised, resample, layer = processor.do_normalize, processor.resample, config.vision_feature_layer
    return {
        "image_size": size,
        "mean": [float(value) for value in processor.image_mean] if normalised else [0.0] * 3,
        "std": [float(value) for value in processor.image_std] if normalised else [1.0] * 3,
        "interpolation": (Resampling(resample) if isinstance(resample, int) else resample).name.lower(),
        "shape": "square" if cropped or made.get("shortest_edge") else "whole",
        "layer": None if family == "internvl" and layer == -1 else layer,
        "select": config.vision_feature_select_strategy,
        "shuffle": round(1 / config.downsample_ratio) if family == "internvl" else 1,
    }


def image_token(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> str:
    """Return the text of the token in whose place the image's tokens are put."""
    number = config.image_token_id
    token = tokenizer.convert_ids_to_tokens(number) if number < len(tokenizer) else None
    if not isinstance(token, str) or tokenizer.encode(token, add_special_tokens=False) != [number]:
        raise InputError(
            f"the tokenizer has no image token: the configuration says number {number}, the tokenizer has "
            f"{len(tokenizer)} tokens; get the tokenizer that belongs to the checkpoint"
        )
    return token


def conversation(language_model: LanguageModelLike, family: str) -> str:
    """One turn of the conversation that a checkpoint was trained on, with ``{image}`` and ``{question}`` in it.

    Args:
        language_model: of :func:`multimodal_parts`, whose tokenizer may have a chat template.
        family: whose own conversation it is otherwise.
    """
    tokenizer, image = language_model.tokenizer, language_model.image_token or ""
    if tokenizer.chat_template is None:
        return CONVERSATIONS[family]
    parts = [{"type": "image"}, {"type": "text", "text": "{question}"}]
    tried = []
    for content in (parts, f"{image}\n{{question}}"):  # templates of models of text take a message as one text
        try:
            turn = str(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}],  # type: ignore[arg-type]  # a message may have parts
                    add_generation_prompt=True,
                    tokenize=False,
                )
            )
        except (TypeError, ValueError, TemplateError) as error:
            tried.append(f"fails ({error})")
            continue
        if turn.count(image) == 1 and turn.count("{question}") == 1:
            return turn.replace(image, "{image}")
        tried.append(f"gives {turn!r}")
    raise InputError(
        f"the checkpoint's chat template {tried[0]}, without one place for the image ({image}) and one for the "
        "question; write the prompt yourself: instruction='USER: {image} {question} ASSISTANT:'"
    )
