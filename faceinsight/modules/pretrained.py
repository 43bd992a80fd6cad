"""Checkpoints in the Hugging Face layout: loaded whole, as safetensors and without remote code, or refused by name.

transformers fills what a checkpoint lacks with random weights and a warning; here that is an error.
"""

import json
import os
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from faceinsight.errors import InputError

__all__ = ["commit_of", "load_pretrained", "load_tokenizer"]

#: What transformers calls pickled weights.
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")

#: Why pickled weights are refused, and what to do about it.
PICKLE = (
    "pickle can run any code and is never opened here; get the checkpoint's safetensors, or write them where you trust "
    "the file: AutoModel...from_pretrained(directory).save_pretrained(other)"
)


def load_pretrained(kind: Any, name_or_path: str | os.PathLike[str], **options: Any) -> PreTrainedModel:
    """A transformers model with every weight from the checkpoint.

    Args:
        kind: transformers' class, such as ``AutoModelForCausalLM``.
        name_or_path: a local directory, or the id of a model on the hub.
        options: passed to the class's own ``from_pretrained``: ``revision``, ``dtype``, ``attn_implementation``, ...

    Raises:
        FileNotFoundError: the directory, its configuration or its weights are not there.
        ValueError: the weights are pickled, cut short, or do not fill the model.
    """
    check_directory(name_or_path)
    try:
        model, found = kind.from_pretrained(
            name_or_path, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
        )
    except SafetensorError as error:
        raise InputError(f"the weights in {name_or_path} are cut short or damaged ({error}); get them again") from error
    except OSError as error:
        if "use_safetensors" in str(error):  # transformers' advice is to leave it out
            raise InputError(f"the hub's {name_or_path} has no safetensors at this revision; {PICKLE}") from error
        raise FileNotFoundError(f"{name_or_path} cannot be loaded: {error}") from error
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"{name_or_path} lacks {len(missing)} of the weights of a {type(model).__name__} "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); get the whole checkpoint"
        )
    return model


def load_tokenizer(name_or_path: str | os.PathLike[str], *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A checkpoint's tokenizer.

    Raises:
        FileNotFoundError: the checkpoint has none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
        if not tokenizer.get_vocab().keys() - {*tokenizer.all_special_tokens}:
            raise InputError("it has no vocabulary")
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise FileNotFoundError(
            f"no tokenizer in {name_or_path} ({' '.join(str(error).split())}); copy the checkpoint's tokenizer files "
            "beside its weights"
        ) from error
    return tokenizer


def commit_of(name_or_path: str | os.PathLike[str], revision: str | None) -> str | None:
    """The commit that a hub model's revision is now; of a directory, what was said.

    Every file is then asked for by it. Asked for a branch of pickles, transformers would have them converted, publicly.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_pretrained`.
    """
    check_directory(name_or_path)
    if Path(name_or_path).is_dir():
        return revision
    try:
        return Path(hf_hub_download(str(name_or_path), "config.json", revision=revision)).parent.name
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{name_or_path} is no directory here, and cannot be loaded from the hub: {error}"
        ) from error


def check_directory(name_or_path: str | os.PathLike[str]) -> None:
    """Refuse a directory that is no whole checkpoint; the names of hub models pass."""
    folder = Path(name_or_path)
    if not folder.is_dir():
        if folder.is_absolute() or str(name_or_path).startswith((".", "~")):
            raise FileNotFoundError(f"no directory {name_or_path}; give a checkpoint's directory or the id of a model")
        return
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {folder}: this is no checkpoint in the Hugging Face layout")
    for path in sorted({*folder.glob("*config.json"), *folder.glob("*.index.json")}):
        try:  # transformers goes on without some of them, and without a word
            json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is cut short or damaged ({error}); get it again") from error
    if index := next(folder.glob("*.safetensors.index.json"), None):
        shards = {*json.loads(index.read_text("utf-8"))["weight_map"].values()}
        if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}, which {index.name} names; get them too")
    elif not any(folder.glob("*.safetensors")):
        if pickled := sorted(path.name for pattern in PICKLED for path in folder.glob(pattern)):
            raise InputError(f"{folder} holds its weights only as pickle ({', '.join(pickled)}); {PICKLE}")
        raise FileNotFoundError(f"no weights (*.safetensors) in {folder}; get the whole checkpoint")
