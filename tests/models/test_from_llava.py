"""A LLaVA or InternVL checkpoint taken apart answers as it did in one piece."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, CLIPImageProcessor

import faceinsight as fi
from faceinsight.data.images import Crop, image_batch
from faceinsight.modules.attribute_query import AttributeQuery
from faceinsight.modules.correlation import CorrelationConstraint
from faceinsight.modules.language.multimodal import QUESTION, multimodal_parts
from faceinsight.modules.text_encoder import TextEncoder
from faceinsight.modules.vision.vision_tower import VisionTower
from tests.modules.checkpoints import (
    COMMIT,
    in_hub_cache,
    pickled,
    write_internvl,
    write_language_model,
    write_llava,
)

SCHEMA = fi.Schema.from_dict(
    {
        "name": "few",
        "attributes": {
            "Bald": "who is bald",
            "Hat": "wearing a hat",
            "Blurry": {"prompt": "in a blurry photo", "questions": ["Is this blurred?", "Is it out of focus?"]},
        },
    }
)
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{% for part in message['content'] %}"
    "{{ 'PLACE ' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %} [answer]"
)
CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "LLaVA": write_llava,
    "LLaVA over Gemma 2": lambda folder: write_llava(folder, "Gemma 2"),
    "LLaVA over Qwen2 with windows": lambda folder: write_llava(folder, "Qwen2 with windows"),
    "LLaVA of two layers": lambda folder: write_llava(folder, vision_feature_layer=[-2, -1]),
    "LLaVA with a chat template": lambda folder: write_llava(
        folder, chat_template=TEMPLATE.replace("PLACE", "<image>")
    ),
    "InternVL": write_internvl,
    "InternVL of an inner layer": lambda folder: write_internvl(folder, vision_feature_layer=-2),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("multimodal")
    return cache(lambda kind: CHECKPOINTS[kind](folder / kind))


def faces(model: fi.FaceInsight, count: int = 2) -> Tensor:
    size = model.image_encoder.image_size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def original(folder: Path, images: Tensor, prompts: list[str]) -> Tensor:
    """Next-token logits of the checkpoint in one piece: its processor's pixels, its placeholders written out."""
    whole, tokenizer = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    pixels = processor(list(images), do_rescale=False, return_tensors="pt")["pixel_values"]
    placeholders = "<image>" * 9 if whole.config.model_type == "llava" else f"<img>{'<IMG_CONTEXT>' * 4}</img>"
    rows = []
    for face in pixels:
        texts = [prompt.replace("{image}", placeholders) for prompt in prompts]
        ids = [tokenizer(text, add_special_tokens=not text.startswith("<s>"))["input_ids"] for text in texts]
        assert all(each.count(tokenizer.bos_token_id) == 1 for each in ids)
        rows.append([whole(input_ids=torch.tensor([each]), pixel_values=face[None]).logits[0, -1] for each in ids])
    return torch.stack([torch.stack(row) for row in rows])


@torch.no_grad()
def vocabulary_logits(model: fi.FaceInsight, images: Tensor) -> Tensor:
    """Next-token logits of our model for every question, over the whole vocabulary."""
    features = model.encode(images)
    hidden = model.query(model.prefix(features), None, model.language_model, model.words()[2])
    return model.language_model.logits(hidden)


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_next_token_logits_equal_those_of_the_checkpoint_in_one_piece(kind: str, checkpoint: Any) -> None:
    model = fi.FaceInsight.from_llava(checkpoint(kind), schema=SCHEMA)
    images = faces(model)
    asked = [text for paraphrases in model.questions() for text in paraphrases]
    prompts = [model.instruction.replace("{question}", text) for text in asked]
    assert (len(asked), asked[0]) == (4, QUESTION.replace("{prompt}", "who is bald"))
    before, _, after = prompts[0].partition("{image}")
    assert before, "text before the image"
    assert after, "text after the image"
    whole = original(checkpoint(kind), images, prompts)
    assert whole.std() > 0.1
    assert (whole[0] - whole[1]).abs().max() > 1e-2, "the image makes no difference"
    torch.testing.assert_close(vocabulary_logits(model, images), whole, atol=1e-4, rtol=0)
    yes, no = (int(model.language_model.token_ids(word)) for word in ("Yes", "No"))
    answers = whole[..., yes] - whole[..., no]
    expected = torch.stack([answers[:, 0], answers[:, 1], answers[:, 2:].mean(1)], dim=1)
    torch.testing.assert_close(model(images).logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["LLaVA", "InternVL"])
def test_a_tower_keeps_the_promises_of_an_image_encoder(kind: str, checkpoint: Any) -> None:
    parts = multimodal_parts(checkpoint(kind))
    tower: Any = parts["image_encoder"]
    size, grid = (12, (3, 3)) if kind == "LLaVA" else (16, (2, 2))
    images = torch.rand(3, 3, size, size) / 2
    tokens = tower(images)
    assert (tower.grid, tower.num_tokens) == (grid, grid[0] * grid[1])
    assert tokens.shape == (3, tower.num_tokens, tower.embed_dim)
    torch.testing.assert_close(tower(images[1:2]), tokens[1:2], rtol=1e-4, atol=1e-5)
    assert tower.preprocessing == {
        "image_size": size,
        "mean": pytest.approx([0.4, 0.5, 0.6]),
        "std": pytest.approx([0.2, 0.3, 0.4]),
        "interpolation": "bicubic",
        "shape": "square" if kind == "LLaVA" else "whole",
    }
    moved = images.clone()
    moved[:, :, : size // grid[0], -size // grid[1] :] += 0.5  # the upper right cell: the last token of the first row
    changes = (tower(moved) - tokens).abs().mean((0, 2))
    assert int(changes.argmax()) == grid[1] - 1
    with pytest.raises(ValueError, match=rf"^images must be {size} x {size} px, got 8 x 8"):
        tower(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"^images must be RGB"):
        tower(torch.rand(1, 1, size, size))


@pytest.mark.parametrize("kind", ["LLaVA", "InternVL"])
def test_a_picture_that_is_not_square_is_cut_or_squashed_as_the_checkpoints_own_processor_does(
    kind: str, checkpoint: Any
) -> None:
    model = fi.FaceInsight.from_llava(checkpoint(kind), schema=SCHEMA)
    rows, columns = np.mgrid[0:48, 0:24]
    picture = Image.fromarray(np.stack([5 * rows, 10 * columns, 3 * (rows + columns)], axis=-1).astype(np.uint8))
    processor = AutoImageProcessor.from_pretrained(checkpoint(kind))
    pixels = processor(picture, return_tensors="pt")["pixel_values"][0]
    whole = pixels * torch.tensor([0.2, 0.3, 0.4])[:, None, None] + torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    torch.testing.assert_close(model.images([picture])[0], whole, rtol=0, atol=0.02)
    other = Crop(shape="whole" if kind == "LLaVA" else "square")
    otherwise = image_batch([picture], **(model.picture_options | {"crop": other}))[0]
    assert (otherwise - whole).abs().max() > 0.2


def test_words_shared_by_all_questions_are_read_once(checkpoint: Any) -> None:
    model = fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA)
    before, shared, own = model.words()
    table = model.language_model.embed_tokens
    texts = ("<s>USER: ", "\nIs ")
    for words, text in zip((before, shared), texts, strict=True):
        ids = model.language_model.tokenizer.encode(text, add_special_tokens=False)
        assert torch.equal(words, table(torch.tensor(ids)))
    assert len({len(each) for each in own}) > 1
    assert model.prefix(model.encode(faces(model))).shape[1] == len(before) + 9 + len(shared)


def test_parts_of_this_library_stand_beside_the_checkpoints_own(checkpoint: Any) -> None:
    labels = torch.randint(0, 2, (50, 3), generator=torch.Generator().manual_seed(0)).bool()
    model = fi.FaceInsight.from_llava(
        checkpoint("InternVL"),
        schema=SCHEMA,
        text_encoder=TextEncoder(),
        correlation=CorrelationConstraint(graph=fi.LabelGraph.from_labels(labels, SCHEMA), embed_dim=32, depth=1),
        query=AttributeQuery(prompt_dim=32, embed_dim=32, num_tokens=2),
        question=["Is this a person {prompt}?", "A person {prompt}?"],
    )
    model.train()(faces(model)).logits.sum().backward()
    trained = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert trained == {"projector", "correlation", "query"}
    assert [len(each) for each in model.questions()] == [2, 2, 2]


@pytest.mark.parametrize("kind", ["LLaVA", "InternVL"])
@pytest.mark.parametrize("along", [False, True], ids=["base given again", "base saved along"])
def test_a_saved_model_comes_back_on_its_base(kind: str, along: bool, checkpoint: Any, tmp_path: Path) -> None:
    model = fi.FaceInsight.from_llava(checkpoint(kind), schema=SCHEMA, revision="0123abc")
    with torch.no_grad():
        for weight in model.projector.parameters():
            weight += 0.1
    model.save_pretrained(tmp_path / "saved", include_frozen=along)
    told = json.loads((tmp_path / "saved" / "config.json").read_text())["model"]
    for part in ("image_encoder", "language_model"):
        assert told[part]["module"]["name_or_path"] == str(checkpoint(kind))
        assert told[part]["module"]["revision"] == "0123abc"
        assert len(told[part]["fingerprint"]) == 64
    assert (tmp_path / "saved" / "frozen.safetensors").is_file() == along
    with pytest.raises(ValueError, match=r"(?s)projector: .*only you can build\n  language_model: "):
        fi.FaceInsight.from_pretrained(tmp_path / "saved")
    again = fi.FaceInsight.from_pretrained(tmp_path / "saved", **multimodal_parts(checkpoint(kind)))
    assert torch.equal(again(faces(model)).logits, model(faces(model)).logits)
    assert again.schema == SCHEMA


def test_a_checkpoint_from_the_hub_is_told_by_its_commit(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hub_cache(monkeypatch, tmp_path, llava=checkpoint("LLaVA"))
    model = fi.FaceInsight.from_llava("somebody/llava", schema=SCHEMA)
    for part in (model.image_encoder, model.language_model):
        assert (part.origin["name_or_path"], part.origin["revision"]) == ("somebody/llava", COMMIT)
    local = fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA)
    assert torch.equal(model(faces(model)).logits, local(faces(model)).logits)


def test_another_base_is_refused(checkpoint: Any, tmp_path: Path) -> None:
    model = fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"language_model is not the frozen part"):
        fi.FaceInsight.from_pretrained(tmp_path, **multimodal_parts(checkpoint("LLaVA over Gemma 2")))


# --- what is refused ---------------------------------------------------------------------------------------------


def test_image_tokens_that_do_not_match_are_refused(checkpoint: Any) -> None:
    named = fi.FaceInsight.from_llava(
        checkpoint("LLaVA"), schema=SCHEMA, instruction="USER: <image><image>{image}{question}"
    )
    with pytest.raises(ValueError, match=r"image token '<image>' 2 times"):
        named(faces(named))
    model = fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA)
    with pytest.raises(ValueError, match=r"hold 4 image tokens .*gives 9"):
        model(features={"image": torch.rand(1, 4, 24)})
    with pytest.raises(ValueError, match=r"^images must be 12 x 12 px, got 16 x 16"):
        model(torch.rand(1, 3, 16, 16))


def test_a_model_that_could_not_ask_is_refused(checkpoint: Any) -> None:
    def build(**parts: Any) -> fi.FaceInsight:
        return fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA, **parts)

    with pytest.raises(ValueError, match=r"{question}, or neither, got 'USER: {image}'"):
        build(instruction="USER: {image}")
    with pytest.raises(ValueError, match=r"^without soft tokens .*question"):
        build(question="")
    with pytest.raises(ValueError, match=r"^soft tokens .*and a text encoder$"):
        build(text_encoder=TextEncoder())
    with pytest.raises(ValueError, match=r"^a correlation constraint .*query has none"):
        build(correlation=torch.nn.Identity())
    with pytest.raises(ValueError, match=r"without '{prompt}' in it"):
        build(question="Bald?")(torch.rand(1, 3, 12, 12))


def test_checkpoints_that_cannot_be_taken_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no directory .*none"):
        multimodal_parts(tmp_path / "none")
    with pytest.raises(ValueError, match=r"a 'llama' model .*vision tower 'none'"):
        multimodal_parts(write_language_model(tmp_path / "text", "Llama"))
    whole = write_llava(tmp_path / "whole")
    with pytest.raises(ValueError, match=r"only as pickle \(pytorch_model.bin\)"):
        multimodal_parts(pickled(whole, tmp_path / "pickled"))
    path = whole / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"^the weights in .*cut short or damaged"):
        multimodal_parts(whole)
    with pytest.raises(ValueError, match=r"10 patch tokens, .*3 x 3"):
        multimodal_parts(write_llava(tmp_path / "with class token", vision_feature_select_strategy="full"))
    with pytest.raises(ValueError, match=r"^the tokenizer has no image token: .*999"):
        multimodal_parts(write_llava(tmp_path / "no image token", image_token_index=999))


def test_a_processor_that_is_missing_or_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_llava(tmp_path)
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"images of 16 px, .*takes 12 px"):
        multimodal_parts(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)^no image processor in .*copy"):
        multimodal_parts(folder)


def test_a_chat_template_without_places_is_refused(tmp_path: Path) -> None:
    folder = write_llava(tmp_path, chat_template="{{ messages[0]['role'] }}")
    with pytest.raises(ValueError, match=r"chat template gives 'user'"):
        fi.FaceInsight.from_llava(folder, schema=SCHEMA)


def test_patches_that_do_not_divide_into_squares_are_refused(checkpoint: Any) -> None:
    tower: Any = multimodal_parts(checkpoint("LLaVA"))["image_encoder"]
    with pytest.raises(ValueError, match=r"3 x 3 patches .*squares of 2 x 2"):
        VisionTower(trunk=tower.trunk, image_size=12, mean=[0.5] * 3, std=[0.5] * 3, shuffle=2)
