"""A thousand changed checkpoints: a harmful change is refused in one sentence, a harmless one changes nothing.

Each mutation is labelled by how it was made. A harmful one that is accepted fails, and so does whatever ends in another
error than the library's own.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceinsight.errors import InputError
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.models.controls import TokenClassifier
from faceinsight.models.saving.directory import sha256
from faceinsight.modules.image_encoder import ImageEncoder
from faceinsight.modules.language_model import LanguageModel
from tests.modules.checkpoints import write_language_model

MUTATIONS = 1000
SCHEMA = Schema.from_names(["Bald", "Bangs", "Smiling"])
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

Draw = random.Random
Mutation = Callable[[Path, Draw], None]


def forge(folder: Path, change: Callable[[dict[str, Any]], object] = lambda config: None) -> None:
    """Change ``config.json``, with the right hashes of all files that are there."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if "files" in config:
        config["files"] = {name: sha256(folder / name) for name in config["files"] if (folder / name).is_file()}
    change(config)
    path.write_text(json.dumps(config))


def cut(folder: Path, draw: Draw) -> None:
    path = draw.choice(sorted(each for each in folder.iterdir() if each.name in FILES))
    whole = path.read_bytes()
    path.write_bytes(whole[: draw.randrange(len(whole) // 2)])


def flip(folder: Path, draw: Draw) -> None:
    path = draw.choice([folder / "model.safetensors", folder / "schema.yaml", folder / "rules.yaml"])
    whole = bytearray(path.read_bytes())
    whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(whole))


def remove(folder: Path, draw: Draw) -> None:
    (folder / draw.choice(["config.json", "model.safetensors", "schema.yaml"])).unlink()


def tensors(change: Callable[[dict[str, torch.Tensor], str, Draw], None]) -> Mutation:
    def mutate(folder: Path, draw: Draw) -> None:
        path = folder / "model.safetensors"
        stored = load_file(path)
        change(stored, draw.choice(sorted(name for name in stored if stored[name].is_floating_point())), draw)
        save_file(stored, path, metadata={"format": "pt"})
        forge(folder)

    return mutate


def not_finite(stored: dict[str, torch.Tensor], name: str, draw: Draw) -> None:
    flat = stored[name].flatten()
    flat[draw.randrange(len(flat))] = draw.choice([torch.nan, torch.inf, -torch.inf])
    stored[name] = flat.reshape(stored[name].shape)


def other_shape(stored: dict[str, torch.Tensor], name: str, draw: Draw) -> None:
    stored[name] = torch.zeros(*stored[name].shape[:-1], stored[name].shape[-1] + draw.randint(1, 3))


def whole_numbers(stored: dict[str, torch.Tensor], name: str, draw: Draw) -> None:
    stored[name] = stored[name].to(draw.choice([torch.int8, torch.int64, torch.uint8]))


def lost(stored: dict[str, torch.Tensor], name: str, draw: Draw) -> None:
    del stored[name]


def extra(stored: dict[str, torch.Tensor], name: str, draw: Draw) -> None:
    stored[f"{name}.{draw.randrange(100)}"] = torch.zeros(draw.randint(1, 4))


def huge(folder: Path, draw: Draw) -> None:
    size = 10 ** draw.randint(5, 11)
    own = draw.choice([{"embed_dim": size}, {"options": {"embed_dim": size}}, {"options": {"depth": size}},
                       {"image_size": size}])  # fmt: skip

    def change(config: dict[str, Any]) -> None:
        (config["model"] if "embed_dim" in own else config["model"]["image_encoder"]).update(own)

    forge(folder, change)


def wrong_value(folder: Path, draw: Draw) -> None:
    value = draw.choice([None, "x", -1, 0, 1.5, [], {}, {"class": "os.system"}, {"file": "../x"}, True, "a" * 10_000])

    def change(config: dict[str, Any]) -> None:
        part = draw.choice([config["model"], config["model"]["image_encoder"]])
        part[draw.choice([key for key in part if key not in ("projector", "segmentation", "options", "class",
                                                             "feature_index", "output_stride")])] = value  # fmt: skip

    forge(folder, change)


def wrong_class(folder: Path, draw: Draw) -> None:
    name = draw.choice(["nn.Linear", "os.system", "Projector", "", "Frozen", 7, None])
    forge(folder, lambda config: config["model"]["image_encoder"].update({"class": name}))


def other_format(folder: Path, draw: Draw) -> None:
    forge(folder, lambda config: config.update(format=draw.choice([0, 2, "1", None, []])))


def other_file(folder: Path, draw: Draw) -> None:
    name = draw.choice(["../schema.yaml", "/etc/passwd", "model.bin", "model.pt", "x", ""])
    forge(folder, lambda config: config["files"].update({name: "0" * 64}))


def nested(folder: Path, draw: Draw) -> None:
    depth = draw.randint(1_000, 100_000)
    (folder / "config.json").write_text("[" * depth + "]" * depth)


def stray(folder: Path, draw: Draw) -> None:
    (folder / draw.choice(["README.md", "notes.txt", "pytorch_model.bin", ".hidden"])).write_bytes(draw.randbytes(30))


def spaced(folder: Path, draw: Draw) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=draw.randint(0, 9)) + "\n" * draw.randint(0, 9))


FILES = ("config.json", "model.safetensors", "schema.yaml", "rules.yaml")
TENSORS = (tensors(each) for each in (not_finite, other_shape, whole_numbers, lost, extra))
HARMFUL = (cut, flip, remove, *TENSORS, huge, wrong_value, wrong_class, other_format, other_file, nested)
HARMLESS = (stray, spaced)


def bad_index(folder: Path, draw: Draw) -> None:
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    names: dict[str, Any] = dict.fromkeys(stored, "part.safetensors")
    names[draw.choice(sorted(names))] = draw.choice(
        ["part.bin", "../part.safetensors", "/part.safetensors", "a/b.safetensors", None, 3, "", "missing.safetensors"]
    )
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def bad_number(folder: Path, draw: Draw) -> None:
    key = draw.choice(["hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers"])
    forge(folder, lambda config: config.update({key: config[key] * 10 ** draw.randint(3, 8)}))


def bad_settings(folder: Path, draw: Draw) -> None:
    own = draw.choice([{"_attn_implementation": "a/b"}, {"text_config": {"attn_implementation": "c/d"}},
                       {"quantization_config": {"quant_method": draw.choice(["awq", "gptq"])}},
                       {"model_type": draw.choice(["internvl_chat", "llava_llama", "no such family"])}])  # fmt: skip
    forge(folder, lambda config: config.update(own))


def cut_language_model(folder: Path, draw: Draw) -> None:
    path = folder / draw.choice(["config.json", "model.safetensors"])
    whole = path.read_bytes()
    path.write_bytes(whole[: draw.randrange(len(whole) - 1)])


LANGUAGE_HARMFUL = (
    bad_index,
    bad_number,
    bad_settings,
    cut_language_model,
    *(tensors(each) for each in (not_finite, whole_numbers, lost)),
)


def refused(load: Callable[[], Any]) -> str | None:
    """The refusal's one sentence or two; None where the checkpoint was taken."""
    try:
        load()
    except (InputError, FileNotFoundError) as error:
        return str(error)
    return None


@pytest.mark.slow
def test_a_saved_model_that_was_changed_is_refused_or_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vit = ImageEncoder(name="vit_tiny_patch16_224", image_size=32, options={"embed_dim": 12, "depth": 1})
    rules = RuleSet.parse("Bald -> not Bangs", SCHEMA)
    model = TokenClassifier(schema=SCHEMA, image_encoder=vit, embed_dim=12, rules=rules).eval()
    model.save_pretrained(tmp_path / "whole")
    wanted, kinds = model(IMAGES).logits, [*HARMFUL, *HARMLESS]
    accepted, seen = [], 0
    for number in range(MUTATIONS):
        draw = random.Random(number)
        folder, mutation = tmp_path / "changed", kinds[number % len(kinds)]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", folder)
        mutation(folder, draw)
        said = refused(lambda folder=folder: TokenClassifier.from_pretrained(folder))
        seen += 1
        if mutation in HARMLESS:
            assert said is None, said
            assert torch.equal(TokenClassifier.from_pretrained(folder)(IMAGES).logits, wanted)
        elif said is None:
            accepted.append((number, mutation.__name__))
    assert seen == MUTATIONS
    assert accepted == []


@pytest.mark.slow
def test_a_language_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    whole = write_language_model(tmp_path / "whole", "Llama")
    accepted = []
    for number in range(MUTATIONS):
        draw = random.Random(number)
        folder, mutation = tmp_path / "changed", LANGUAGE_HARMFUL[number % len(LANGUAGE_HARMFUL)]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        mutation(folder, draw)
        if refused(lambda folder=folder: LanguageModel.from_pretrained(folder)) is None:
            accepted.append((number, mutation.__name__))
    assert accepted == []
