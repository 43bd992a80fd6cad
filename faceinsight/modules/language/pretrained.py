"""Checkpoints in the Hugging Face layout: loaded whole, as safetensors and without remote code, or refused by name.

transformers fills what a checkpoint lacks with random weights and a warning; here that is an error.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from faceinsight.errors import InputError
from faceinsight.modules.language.gguf_file import check_gguf
from faceinsight.modules.weights import check_numbers

__all__ = ["commit_of", "load_pretrained", "load_tokenizer"]

AutoClass = type[AutoModelForCausalLM] | type[AutoModelForImageTextToText]

#: What transformers calls pickled weights.
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")

#: A safetensors file in the same directory.
PLAIN_NAME = re.compile(r"\w[\w.-]*\.safetensors")

#: What safetensors calls floating-point numbers of 16 bits and more.
FLOATING = ("F64", "F32", "F16", "BF16")

#: Layouts of authors that transformers cannot read: their name, their own classes, what to take instead.
LAYOUTS = (
    ("LLaVA", ("LlavaLlamaForCausalLM", "LlavaMistralForCausalLM", "LlavaQwenForCausalLM", "llava_llama", "llava_qwen"),
     "llava-hf/llava-1.5-7b-hf"),
    ("InternVL", ("internvl_chat", "InternVLChatModel"), "OpenGVLab/InternVL3-1B-hf"),
)  # fmt: skip

#: Why pickled weights are refused, and what to do about it.
PICKLE = (
    "pickle can run any code and is never opened here; get the checkpoint's safetensors, or write them where you trust "
    "the file: AutoModel...from_pretrained(directory).save_pretrained(other)"
)


def load_pretrained(kind: AutoClass, name_or_path: str | os.PathLike[str], **options: Any) -> PreTrainedModel:
    """Return a transformers model with every weight from the checkpoint.

    Args:
        kind: transformers' class, such as ``AutoModelForCausalLM``.
        name_or_path: a local directory, or the id of a model on the hub.
        options: passed to the class's own ``from_pretrained``: ``revision``, ``dtype``, ``attn_implementation``, ...;
            ``gguf_file``, the name of a GGUF file in a local directory, which then needs nothing else.

    Raises:
        FileNotFoundError: the directory, its configuration or its weights are not there.
        ValueError: the weights are pickled, cut short, or do not fill the model.
        ModuleNotFoundError: a GGUF file, and what reads it is not installed.
    """
    check_directory(name_or_path, options.get("gguf_file"))
    check_options(options)
    try:
        if config := checked_config(kind, name_or_path, options.get("revision"), options.get("gguf_file")):
            options = {**options, "config": config}
        with without_progress() if os.path.isdir(name_or_path) else nullcontext():
            loaded: Any = kind.from_pretrained(
                name_or_path, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
            )
        model, found = loaded
    except SafetensorError as error:
        raise InputError(f"the weights in {name_or_path} are cut short or damaged ({error}); get them again") from error
    except OSError as error:
        if "use_safetensors" in str(error):  # transformers' advice is to leave it out
            raise InputError(f"the hub's {name_or_path} has no safetensors at this revision; {PICKLE}") from error
        raise FileNotFoundError(f"{name_or_path} cannot be loaded: {error}") from error
    except InputError:
        raise
    except (ValueError, KeyError, RecursionError) as error:  # such as a family that transformers does not know
        raise InputError(f"{name_or_path} cannot be loaded: {error}") from error
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"{name_or_path} lacks {len(missing)} of the weights of a {type(model).__name__} "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); get the whole checkpoint"
        )
    for name, weight in model.named_parameters():
        if not weight.is_meta and not bool(weight.isfinite().all()):
            raise InputError(f"{name} in {name_or_path} holds NaN or infinite weights; get the checkpoint again")
    return model


@contextmanager
def without_progress() -> Iterator[None]:
    """Silence transformers' progress bars, such as the one over the weights of a checkpoint."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def check_options(options: Mapping[str, object]) -> None:
    """Refuse options that transformers would obey otherwise than meant, before anything is loaded.

    Raises:
        InputError: an attention that is a kernel from the hub, that is code; or a dtype that torch does not have.
    """
    check_attention("the option attn_implementation", {"attn_implementation": options.get("attn_implementation")})
    dtype = options.get("dtype")
    if isinstance(dtype, str) and dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise InputError(f"no dtype {dtype!r}; give float32, bfloat16, float16 or auto")


def check_attention(where: str, config: object) -> None:
    """Refuse an attention that is a kernel from the hub, anywhere in a configuration."""
    for key, value in config.items() if isinstance(config, dict) else ():
        check_attention(where, value)
        if "attn_implementation" in key and isinstance(value, str) and "/" in value:
            raise InputError(
                f"{where} names the attention {value!r}: a kernel from the hub, that is code, which is never run here; "
                "use 'sdpa' or 'eager'"
            )


def check_config(where: str, config: object) -> None:
    """Refuse a configuration of a checkpoint that is not taken here, by what it is.

    Raises:
        InputError: the authors' own layout, quantised weights, or attention that is code.
    """
    if not isinstance(config, dict):
        raise InputError(f"{where} is no configuration of a checkpoint, but a {type(config).__name__}; get it again")
    check_attention(where, config)
    kinds = [str(each) for each in [config.get("model_type"), *(config.get("architectures") or [])]]
    for name, own, converted in LAYOUTS:
        if ("mm_vision_tower" in config and name == "LLaVA") or any(each in own for each in kinds):
            raise InputError(
                f"{where} is of {name} in its authors' own layout, which needs their code; take the repository "
                f"that was converted for transformers, such as {converted}"
            )
    if isinstance(quantised := config.get("quantization_config"), dict):
        method = str(quantised.get("quant_method", "quantised"))
        bits = 4 if quantised.get("load_in_4bit") else quantised.get("bits") or quantised.get("w_bit") or ""
        raise InputError(
            f"{where} says that the weights are quantised ({method}{f', {bits} bits' if bits else ''}); get the "
            "checkpoint as it was before, in float16 or bfloat16"
        )


def stored_elements(folder: Path) -> tuple[int, int]:
    """How many tensors a directory's safetensors hold, and how many numbers; only the files' heads are read.

    Raises:
        InputError: weights that are whole numbers.
    """
    tensors = numbers = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  it is no mapping
                piece = opened.get_slice(name)
                if name.endswith((".weight", ".bias")) and piece.get_dtype() not in FLOATING:
                    raise InputError(
                        f"{name} in {path} is {piece.get_dtype()}, not floating point: these weights are quantised or "
                        "damaged; get the checkpoint in float16 or bfloat16"
                    )
                tensors += 1
                numbers += math.prod(piece.get_shape())
    return tensors, numbers


def checked_config(
    kind: AutoClass, name_or_path: str | os.PathLike[str], revision: str | None, gguf_file: str | None
) -> PreTrainedConfig | None:
    """Refuse a directory whose configuration asks for more weights than its files hold, before it is obeyed.

    The model is built on torch's meta device, where weights take no memory. A hub's checkpoint is not looked at.

    Returns:
        The configuration in a GGUF file, which takes seconds to read; None elsewhere.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        return None
    where = folder / (gguf_file or "config.json")
    tensors, numbers = check_gguf(folder, gguf_file) if gguf_file else stored_elements(folder)
    options = {"gguf_file": gguf_file} if gguf_file else {"revision": revision}
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **options)
    check_numbers(
        json.loads(config.to_json_string()) if gguf_file else json.loads(where.read_text("utf-8")), tensors, str(where)
    )
    with torch.device("meta"):
        model = kind.from_config(config)
    wanted = sum(weight.numel() for weight in model.parameters())
    if wanted > numbers:
        raise InputError(
            f"{where} asks for {wanted:,} weights, but the files hold {numbers:,}; get the configuration that belongs "
            "to them, or the whole checkpoint"
        )
    return config if gguf_file else None


def load_tokenizer(
    name_or_path: str | os.PathLike[str], *, revision: str | None = None, gguf_file: str | None = None
) -> PreTrainedTokenizerBase:
    """Return a checkpoint's tokenizer, from the GGUF file if it is one.

    Raises:
        FileNotFoundError: the checkpoint has none.
    """
    try:
        options = {"gguf_file": gguf_file} if gguf_file else {"revision": revision}
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **options)
        if not tokenizer.get_vocab().keys() - {*tokenizer.all_special_tokens}:
            raise InputError("it has no vocabulary")
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise FileNotFoundError(
            f"no tokenizer in {name_or_path} ({' '.join(str(error).split())}); copy the checkpoint's tokenizer files "
            "beside its weights"
        ) from error
    return tokenizer


def commit_of(name_or_path: str | os.PathLike[str], revision: str | None, gguf_file: str | None = None) -> str | None:
    """Return the commit that a hub model's revision is now; of a directory, what was said.

    Every file is then asked for by it. Asked for a branch of pickles, transformers would have them converted, publicly.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_pretrained`.
    """
    check_directory(name_or_path, gguf_file)
    if Path(name_or_path).is_dir():
        return revision
    try:
        commit = Path(hf_hub_download(str(name_or_path), "config.json", revision=revision)).parent.name
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{name_or_path} is no directory here, and cannot be loaded from the hub: {error}"
        ) from error
    check_hub(str(name_or_path), commit)
    return commit


def check_directory(name_or_path: str | os.PathLike[str], gguf_file: str | None = None) -> None:
    """Refuse a directory that is no whole checkpoint; the names of hub models pass."""
    folder = Path(name_or_path)
    if gguf_file is not None:
        if not folder.is_dir():
            raise FileNotFoundError(f"no directory {name_or_path}; a GGUF file is read from a local directory")
        return  # the file is looked at by check_gguf
    if not folder.is_dir():
        if folder.is_absolute() or str(name_or_path).startswith((".", "~")):
            raise FileNotFoundError(f"no directory {name_or_path}; give a checkpoint's directory or the id of a model")
        return
    if not (folder / "config.json").is_file() and any(folder.glob("*.gguf")):
        raise InputError(f"{folder} holds a GGUF file; name it by gguf_file=..., or get the checkpoint's safetensors")
    if not (folder / "config.json").is_file() and (adapter := folder / "adapter_config.json").is_file():
        base = json.loads(adapter.read_text("utf-8")).get("base_model_name_or_path", "its base model")
        raise InputError(
            f"{folder} holds adapters (LoRA) for {base}, no model; merge them with peft (merge_and_unload) and save "
            "that, or load the base"
        )
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {folder}: this is no checkpoint in the Hugging Face layout")
    for path in sorted({*folder.glob("*config.json"), *folder.glob("*.index.json")}):
        try:  # transformers goes on without some of them, and without a word
            told = json.loads(path.read_text("utf-8"))
            check_attention(str(path), told)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is cut short or damaged ({error}); get it again") from error
    check_config(str(folder / "config.json"), json.loads((folder / "config.json").read_text("utf-8")))
    if index := next(folder.glob("*.safetensors.index.json"), None):
        shards = shards_in(index)
        if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}, which {index.name} names; get them too")
    elif not any(folder.glob("*.safetensors")):
        if pickled := sorted(path.name for pattern in PICKLED for path in folder.glob(pattern)):
            raise InputError(f"{folder} holds its weights only as pickle ({', '.join(pickled)}); {PICKLE}")
        raise FileNotFoundError(f"no weights (*.safetensors) in {folder}; get the whole checkpoint")


def shards_in(index: Path) -> list[str]:
    """Return the files that an index names: plain names of safetensors beside it, and nothing else.

    Raises:
        InputError: it names a pickle, or a file elsewhere.
    """
    told = json.loads(index.read_text("utf-8"))
    names = told.get("weight_map") if isinstance(told, dict) else None
    if not isinstance(names, dict) or not names:
        raise InputError(f"{index} names no weights; get it again")
    for name in names.values():
        if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
            raise InputError(
                f"{index} names {name!r}: only safetensors in the same directory are opened, by their plain name; "
                f"{PICKLE}"
            )
    return sorted({*names.values()})


def check_hub(name: str, commit: str) -> None:
    """Refuse a hub's checkpoint whose configuration or index would be refused in a directory."""
    for file in ("config.json", "model.safetensors.index.json"):
        try:
            path = Path(hf_hub_download(name, file, revision=commit))
        except (OSError, ValueError):  # there is no index where the weights are one file
            continue
        if file == "config.json":
            check_config(f"{name}'s config.json", json.loads(path.read_text("utf-8")))
        else:
            shards_in(path)
