"""What a checkpoint may not do: name other files, run code, take memory that its files do not hold; and clear words."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import faceinsight as fi
from faceinsight.errors import InputError
from faceinsight.modules.language.multimodal import conversation
from faceinsight.modules.language_model import LanguageModel
from tests.modules.checkpoints import write_language_model, write_llava

TEXT_ONLY = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'].upper() + ': ' + message['content'] }}{% endfor %} "
    "ASSISTANT:"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_language_model(tmp_path / "llama", "Llama")


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def sharded(folder: Path, name: str) -> None:
    """The weights under an index that names one file of them so."""
    weights = load_file(folder / "model.safetensors")
    names = dict.fromkeys(weights, "model-1.safetensors")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    names[next(iter(names))] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / "model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    save_file({"a": torch.zeros(1)}, folder.parent / "outside.safetensors")


@pytest.mark.parametrize(
    "name", ["model.bin", "../outside.safetensors", "/tmp/outside.safetensors", "sub\\a.safetensors", ".safetensors", 3]
)
def test_an_index_names_safetensors_beside_it_and_nothing_else(folder: Path, name: Any) -> None:
    sharded(folder, name)
    with pytest.raises(InputError, match=r"index.json names"):
        LanguageModel.from_pretrained(folder)


def test_an_index_of_plain_names_is_read(folder: Path) -> None:
    sharded(folder, "model-1.safetensors")
    assert LanguageModel.from_pretrained(folder).embed_dim == 32


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
def test_an_attention_from_the_hub_is_code_and_refused(folder: Path, key: str) -> None:
    with pytest.raises(InputError, match="that is code"):
        LanguageModel.from_pretrained(folder, attn_implementation="somebody/kernel")
    change(folder, text_config={key: "somebody/kernel"})
    with pytest.raises(InputError, match="that is code"):
        LanguageModel.from_pretrained(folder)


@pytest.mark.parametrize(
    "values",
    [{"hidden_size": 40_000}, {"vocab_size": 10**9}, {"num_hidden_layers": 10**9}, {"intermediate_size": 10**8}],
)
def test_numbers_that_the_files_do_not_hold_are_refused_before_they_are_obeyed(
    folder: Path, values: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, **values)
    monkeypatch.setattr(
        "transformers.AutoModelForCausalLM.from_pretrained", lambda *args, **kwargs: pytest.fail("built")
    )
    with pytest.raises(InputError, match=r"config.json asks for"):
        LanguageModel.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_weights_that_are_no_floating_point_numbers_are_named(folder: Path, dtype: torch.dtype) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model.norm.weight"):
        LanguageModel.from_pretrained(folder)


def test_weights_that_are_nan_are_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model.norm.weight"):
        LanguageModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "llava_llama"}, "llava-hf/"),
        ({"model_type": "llava", "mm_vision_tower": "openai/clip"}, "llava-hf/"),
        ({"model_type": "internvl_chat", "architectures": ["InternVLChatModel"]}, "InternVL3-1B-hf"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq, 4 bits"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "bitsandbytes, 4 bits"),
    ],
)
def test_what_is_not_taken_is_named_for_what_it_is(folder: Path, values: dict[str, Any], words: str) -> None:
    change(folder, **values)
    with pytest.raises(InputError, match=words):
        LanguageModel.from_pretrained(folder)
    with pytest.raises(InputError, match=words):
        fi.FaceInsight.from_llava(folder, schema=fi.Schema.from_names(["Bald"]))


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("adapter_config.json", '{"base_model_name_or_path": "some/base"}', "some/base"),
        ("a.gguf", "GGUF", "gguf_file="),
    ],
)
def test_folders_of_adapters_and_of_gguf_are_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=words):
        LanguageModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"dtype": "bfloat61"}, "bfloat61"), ({"attn_implementation": "a/b"}, "code"), ({"quesiton": "?"}, "quesiton")],
)
def test_arguments_are_checked_before_anything_is_loaded(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fi.FaceInsight.from_llava("/nowhere/at/all", schema=fi.Schema.from_names(["Bald"]), **options)


def test_a_chat_template_of_a_model_of_text_is_used_with_plain_text(tmp_path: Path) -> None:
    folder = write_llava(tmp_path / "llava", chat_template=TEXT_ONLY)
    model = fi.FaceInsight.from_llava(folder, schema=fi.Schema.from_names(["Bald"]))
    assert model.instruction == "<s>USER: {image}\n{question} ASSISTANT:"
    model.language_model.tokenizer.chat_template = "nothing"
    with pytest.raises(InputError, match="write the prompt yourself"):
        conversation(model.language_model, "llava")
