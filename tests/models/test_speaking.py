"""The model's own words are those of the checkpoint in one piece."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

import faceinsight as fi
from faceinsight.models import speaking
from faceinsight.models.speaking import answers
from tests.models.test_face_insight import face_insight, segmentation
from tests.modules.checkpoints import write_internvl, write_llava

SCHEMA = fi.Schema.from_names(["Bald", "Hat"])
QUESTIONS = ["Is this person bald?", "Is there a hat, and which?", "Describe it."]
CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "LLaVA": write_llava,
    "LLaVA over Qwen2 with windows": lambda folder: write_llava(folder, "Qwen2 with windows"),
    "InternVL": write_internvl,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("speaking")
    return cache(lambda kind: CHECKPOINTS[kind](folder / kind))


@pytest.fixture(scope="module")
def llava(checkpoint: Any) -> fi.FaceInsight:
    return fi.FaceInsight.from_llava(checkpoint("LLaVA"), schema=SCHEMA)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What was generated, before it became text."""
    recorded: list[Tensor] = []
    generate = speaking.generate

    def record(*given: Any, **options: Any) -> Tensor:
        recorded.append(generate(*given, **options))
        return recorded[-1]

    monkeypatch.setattr(speaking, "generate", record)
    return recorded


def faces(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def original(folder: Path, images: Tensor, prompt: str, **options: Any) -> list[list[int]]:
    """The tokens that the checkpoint in one piece writes about each face, its placeholders written out."""
    whole, tokenizer = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    pixels = AutoImageProcessor.from_pretrained(folder)(list(images), do_rescale=False, return_tensors="pt")
    placeholders = "<image>" * 9 if whole.config.model_type == "llava" else f"<img>{'<IMG_CONTEXT>' * 4}</img>"
    ids = torch.tensor([tokenizer(prompt.replace("{image}", placeholders))["input_ids"]])
    rows = [
        whole.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=face[None],
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            **options,
        )
        for face in pixels["pixel_values"]
    ]
    return [row[0, ids.shape[1] :].tolist() for row in rows]


def ended(rows: Tensor, pad: int) -> list[list[int]]:
    """Rows without what fills them up behind their end."""
    return [[token for token in row if token != pad] for row in rows.tolist()]


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_what_is_said_is_what_the_checkpoint_says(kind: str, checkpoint: Any, tokens: list[Tensor]) -> None:
    model = fi.FaceInsight.from_llava(checkpoint(kind), schema=SCHEMA)
    images = faces(model.image_encoder.image_size)
    said = model.ask(images, QUESTIONS[1], max_new_tokens=8)
    whole = original(checkpoint(kind), images, model.instruction.replace("{question}", QUESTIONS[1]), max_new_tokens=8)
    assert whole[0] != whole[1], "the image makes no difference"
    tokenizer = model.language_model.tokenizer
    assert ended(tokens[0], tokenizer.pad_token_id) == whole
    assert said == [text.strip() for text in tokenizer.batch_decode(whole, skip_special_tokens=True)]


def test_the_checkpoints_own_settings_hold_but_for_sampling(
    checkpoint: Any, llava: fi.FaceInsight, tokens: list[Tensor], tmp_path: Path
) -> None:
    images = faces(12)
    llava.ask(images, "Who?", max_new_tokens=6)
    first, second = (row.tolist() for row in tokens[0])
    end = next(token for token in first[2:] if token not in first[:2] and token not in second)
    folder = shutil.copytree(checkpoint("LLaVA"), tmp_path / "llava")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text()) | {"eos_token_id": [end], "repetition_penalty": 1.5, "do_sample": True}
    path.write_text(json.dumps({**settings, "temperature": 5.0}))
    model = fi.FaceInsight.from_llava(folder, schema=SCHEMA)
    model.ask(images, "Who?", max_new_tokens=20)
    prompt = model.instruction.replace("{question}", "Who?")
    whole = original(folder, images, prompt, max_new_tokens=20)
    assert ended(tokens[1], model.language_model.tokenizer.pad_token_id) == whole
    plain = original(folder, images, prompt, max_new_tokens=20, repetition_penalty=1.0)
    assert whole != plain, "the penalty makes no difference"
    model.ask(images, "Who?", max_new_tokens=20, repetition_penalty=1.0)
    rows = ended(tokens[2], model.language_model.tokenizer.pad_token_id)
    assert rows == plain
    assert rows[0][-1] == end
    assert len(rows[0]) < 6 < len(rows[1]), "one answer ends before the other"


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_questions_asked_together_are_answered_as_each_alone(kind: str, checkpoint: Any, tokens: list[Tensor]) -> None:
    model = fi.FaceInsight.from_llava(checkpoint(kind), schema=SCHEMA)
    features = model.encode(faces(model.image_encoder.image_size))
    together = answers(model, features, QUESTIONS, max_new_tokens=6)
    alone = [answers(model, features, [question], max_new_tokens=6) for question in QUESTIONS]
    assert together == [[texts[face][0] for texts in alone] for face in range(2)]
    for shared, own in zip(tokens[:3], tokens[3:], strict=True):
        assert torch.equal(shared, own)
    one = answers(model, {"image": features["image"][1:]}, QUESTIONS, max_new_tokens=6)
    assert one == together[1:]


@torch.no_grad()
def test_cached_is_uncached_with_the_faces_parts_among_what_is_seen(tokens: list[Tensor]) -> None:
    """By a loop that reads everything anew for each token."""
    model = face_insight(segmentation=segmentation(), instruction="Look. {image}{question} Answer:").eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features = model.encode(images)
    answers(model, features, ["Who is it?", "Who was it?"], max_new_tokens=5)
    language_model = model.language_model
    parts = [model.projector(features["image"]), model.segmentation(features["segmentation"])]
    for question, found in zip(("Who is it?", "Who was it?"), tokens, strict=True):
        before, after = (
            language_model.embed_text(text).expand(2, -1, -1) for text in ("Look. ", f"{question} Answer:")
        )
        sequence, said = torch.cat([before, *parts, after], dim=1), []
        for _ in range(5):
            said.append(language_model.logits(language_model(sequence)[:, -1]).argmax(-1))
            sequence = torch.cat([sequence, language_model.embed_tokens(said[-1])[:, None]], dim=1)
        end, pad = language_model.tokenizer.eos_token_id, language_model.tokenizer.pad_token_id
        for row, whole in zip(ended(found, pad), torch.stack(said, dim=1).tolist(), strict=True):
            assert row == (whole[: whole.index(end) + 1] if end in whole else whole)


def test_a_face_may_come_as_a_file_a_picture_or_a_tensor(llava: fi.FaceInsight, tmp_path: Path) -> None:
    pixels = (faces(30)[0, :, :24] * 255).byte()
    picture = Image.fromarray(pixels.movedim(0, -1).numpy())
    picture.save(tmp_path / "face.png")
    square = picture.resize((12, 12), Image.Resampling.BICUBIC, box=(3, 0, 27, 24))  # as the checkpoint was trained
    tensor = torch.tensor(list(square.tobytes())).reshape(12, 12, 3).movedim(-1, 0) / 255
    text = llava.ask(tensor, "Who?", max_new_tokens=6)
    assert text
    assert text != llava.ask(faces(12)[0], "Who?", max_new_tokens=6)
    for given in (tmp_path / "face.png", str(tmp_path / "face.png"), picture):
        assert llava.ask(given, "Who?", max_new_tokens=6) == text
    assert llava.ask([picture, tensor], "Who?", max_new_tokens=6) == [text, text]
    assert llava.describe(picture, max_new_tokens=6) == llava.ask(picture, speaking.DESCRIBE, max_new_tokens=6)
    assert torch.equal(llava.images([picture])[0], tensor)


def test_generations_options_are_passed_on(llava: fi.FaceInsight, tokens: list[Tensor]) -> None:
    face = faces(12)[0]
    llava.ask(face, "Who?", max_new_tokens=8)
    for seed in (0, 1):
        torch.manual_seed(seed)
        llava.ask(face, "Who?", max_new_tokens=8, do_sample=True, temperature=3.0)
    assert len({tuple(row[0].tolist()) for row in tokens}) == 3
    beams = answers(llava, llava.encode(face[None]), QUESTIONS[:2], max_new_tokens=4, num_beams=2)
    assert [len(row) for row in beams] == [2]
    letter = llava.language_model.tokenizer.decode(tokens[0][0, 1:2])
    llava.ask(face, "Who?", max_new_tokens=8, stop_strings=[letter])
    assert tokens[-1].shape[1] <= 2


def test_what_cannot_be_asked_is_refused(llava: fi.FaceInsight, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least one question .*got \[' '\]"):
        llava.ask(faces(12), " ")
    with pytest.raises(ValueError, match=r"^generation takes no 'num_return_sequences'"):
        llava.ask(faces(12), "Who?", num_return_sequences=2)
    with pytest.raises(ValueError, match=r"image token '<image>' 1 times"):
        llava.ask(faces(12), "<image>?")
    with pytest.raises(ValueError, match=r"^images must be 12 x 12 px, got 16 x 16"):
        llava.ask(faces(16), "Who?")
    with pytest.raises(fi.data.images.BrokenImageError, match=r"none\.png: there is no such file"):
        llava.ask(tmp_path / "none.png", "Who?")
    with pytest.raises(fi.data.images.BrokenImageError, match=r"^the picture: 'I;16'"):
        llava.ask(Image.new("I;16", (8, 8)), "Who?")


def test_the_readmes_lines_take_a_directory_to_probabilities_and_words(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()
    (block,) = (each for each in readme.split("```")[1::2] if "model.ask(" in each)
    shutil.copytree(checkpoint("LLaVA"), tmp_path / "llava-1.5-7b-hf")
    Image.new("RGB", (20, 24), "peru").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(block.strip().splitlines()) <= 14
    assert {*names["probability"]} == {*fi.Schema.load("celeba").names}
    assert 0 <= min(names["probability"].values()) < max(names["probability"].values()) <= 1
    assert len(capsys.readouterr().out) > 10
