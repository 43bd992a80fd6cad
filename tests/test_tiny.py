"""The parts and the model that ship with the package: whole, frozen, loaded without a network, and of use."""

import configparser
import copy
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import Image
from torch import Tensor

import faceinsight as fi
from faceinsight import tiny
from faceinsight.data.sources.fairface import list_name, read_list
from faceinsight.data.synthetic.population import face
from faceinsight.data.synthetic.renderer import render
from faceinsight.knowledge.face_parts import FACE_PARTS
from faceinsight.knowledge.groups import group_rows
from faceinsight.models.controls import TokenClassifier
from faceinsight.modules.frozen import Frozen, fingerprint
from faceinsight.training.configure import built

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("image_encoder", "face_parser", "language_model", "model")
COUNT = 6


@cache
def drawn() -> list[tuple[Image, Image]]:
    """Pictures and masks of another population than the one that the parts were trained on."""
    return [render(face(2026, index)) for index in range(COUNT)]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody even tries to reach one: some libraries go on in silence where they cannot."""
    tried: list[object] = []

    def refused(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        raise OSError("there is no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    yield
    assert tried == []


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    return tiny.parts()


@pytest.fixture(scope="module")
def model() -> Any:
    return fi.FaceInsight.from_pretrained("tiny")


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model(model.images([picture for picture, _ in drawn()])).logits


def parameters(part: Any) -> int:
    return sum(each.numel() for each in part.parameters())


def shipped_files() -> list[Path]:
    return [
        path
        for path in sorted(tiny.FOLDER.rglob("*"))
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"
    ]


# --- the parts ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_the_parts_are_loaded_without_a_network_and_stay_as_they_are() -> None:
    for part in (tiny.image_encoder(), tiny.face_parser(), tiny.language_model()):
        assert type(part) is Frozen
        part.train()
        assert not any(each.training for each in part.modules())
        assert not any(each.requires_grad for each in part.parameters())
        assert {each.dtype for each in part.parameters()} == {torch.float32}


def test_the_parts_are_small_and_fit_one_another(parts: dict[str, Any]) -> None:
    assert 2e6 < parameters(parts["image_encoder"]) < 7e6
    assert 4e6 < parameters(parts["language_model"]) < 10e6
    sizes = {name: parts[name].preprocessing["image_size"] for name in ("image_encoder", "segmentation.parser")}
    assert sizes == {"image_encoder": 150, "segmentation.parser": 128}  # each is given images of its own size
    assert parts["segmentation.parser"].classes == len(FACE_PARTS)
    tokenizer = parts["language_model"].tokenizer
    text = "Is this a person who is smiling? yes"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_all_that_ships_is_packaged_and_below_40_megabytes() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    patterns = config["options.package_data"]["faceinsight"].split()
    packaged = {path for pattern in patterns for path in Path(fi.__file__).parent.glob(pattern)}
    files = shipped_files()
    assert {path.parent.name for path in files} == {*FOLDERS}
    assert [path for path in files if path not in packaged] == []
    assert sum(path.stat().st_size for path in files) < 40e6


@pytest.mark.parametrize("name", FOLDERS)
def test_each_card_says_how_it_was_made_and_whose_data_it_saw(name: str) -> None:
    card = (tiny.FOLDER / name / "README.md").read_text("utf-8")
    told = json.loads((tiny.FOLDER / name / "metrics.json").read_text("utf-8"))
    assert told["command"] in card
    assert told["command"].startswith(f"python -m experiments.tiny.{name} ")
    if name == "face_parser":
        assert "\nlicense: mit\n" in card
        assert "no photograph" in card
    else:
        assert f"\nlicense: {'mit' if name == 'language_model' else 'cc-by-4.0'}\n" in card
        for wanted in ("FairFace", "Karkkainen and", "CC BY 4.0"):
            assert wanted in card


def test_a_part_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"face_parser.safetensors; train it"):
        tiny.face_parser(tmp_path)
    monkeypatch.setattr(tiny, "FOLDER", tmp_path)
    assert tiny.builder_of("0" * 64) is None, "without the files all frozen parts are asked for"
    for load in (tiny.image_encoder, tiny.language_model, lambda: fi.FaceInsight.from_pretrained("tiny")):
        with pytest.raises(FileNotFoundError, match=r"no file .*install it again"):
            load()


def test_a_part_is_the_class_path_of_an_experiment() -> None:
    def part(name: str, /, **arguments: object) -> dict:
        return {"class_path": f"faceinsight.{name}", "init_args": arguments}

    schema = part("Schema.load", name_or_path="synthfaces")
    network = part("controls.TokenClassifier", schema=schema, embed_dim=896, image_encoder=part("tiny.image_encoder"))
    rules = part("RuleSet.load", name_or_path="synthfaces")
    data = part("data.FaceDataModule", source=part("data.SynthFaces", root="nowhere", count=40))
    trainer = {"accelerator": "cpu", "logger": False}
    objects = built(
        {"model": part("system.AttributeSystem", network=network, rules=rules), "data": data, "trainer": trainer}
    )
    assert type(objects.model.network.image_encoder) is Frozen
    directory = part("FaceInsight.from_pretrained", directory="tiny")
    rules["init_args"]["name_or_path"] = "tiny"
    objects = built(
        {"model": part("system.AttributeSystem", network=directory, rules=rules), "data": data, "trainer": trainer}
    )
    assert type(objects.model.network) is fi.FaceInsight


# --- the model ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_the_model_reads_a_drawn_face_without_a_network() -> None:
    model = fi.FaceInsight.from_pretrained("tiny")
    found = logits(model)
    assert found.shape == (COUNT, len(fi.Schema.load("tiny")))
    assert found.isfinite().all()
    assert not model.training
    assert model.schema == fi.Schema.load("tiny")
    assert model.rules == fi.RuleSet.load("tiny")


def test_every_group_has_one_label_of_each_face_by_the_rules(model: Any) -> None:
    decided = fi.modules.ConsistentDecoder(rules=model.rules)(logits(model)) > 0
    assert not model.rules.violations(decided).any()
    rows = group_rows(model.schema, decided)
    assert len(rows) == COUNT
    for row in rows:
        assert row.keys() == model.schema.groups.keys() >= {"gender", "age", "race", "hair_colour"}
        for name, group in model.schema.groups.items():
            assert row[name] in [*group.labels, *([None] if group.kind == "at_most_one" else [])]


def test_the_name_is_the_shipped_model_and_a_directory_of_that_name_is_a_path(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits(fi.FaceInsight.from_pretrained("tiny")), logits(model))
    for directory in ("./tiny", Path("tiny"), tmp_path / "tiny"):
        with pytest.raises(FileNotFoundError, match=r"no config.json in .*tiny: no model"):
            fi.FaceInsight.from_pretrained(directory)
    with pytest.raises(ValueError, match=r"'tiny' is the name .*'./tiny'"):
        model.save_pretrained("tiny")
    assert [*(tmp_path / "tiny").iterdir()] == []


def test_the_shipped_model_has_no_revision_and_is_no_classifier() -> None:
    with pytest.raises(ValueError, match=r"^revision='main' .*is a directory"):
        fi.FaceInsight.from_pretrained("tiny", revision="main")
    with pytest.raises(ValueError, match=r"FaceInsight, not a TokenClassifier"):
        TokenClassifier.from_pretrained("tiny")


def test_the_shipped_model_is_asked_for_other_attributes() -> None:
    celeba = fi.RuleSet.load("celeba")
    own = fi.FaceInsight.from_pretrained("tiny").schema.names
    both = fi.Schema.from_names(dict.fromkeys([*celeba.schema.names, *own]))  # the gain goes from one to the other
    labels = torch.randint(0, 2, (50, len(both)), generator=torch.Generator().manual_seed(0)).bool()
    graph = fi.LabelGraph.from_labels(labels, both)
    asked = fi.FaceInsight.from_pretrained("tiny", schema=celeba.schema, rules=celeba, graph=graph)
    assert logits(asked).shape == (COUNT, 40)
    assert asked.rules == celeba


# --- models that stand on the parts ------------------------------------------------------------------------------


def test_a_model_on_the_shipped_parts_comes_back_without_being_given_them(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "frozen.safetensors").exists()
    again = fi.FaceInsight.from_pretrained(tmp_path / "model")
    assert torch.equal(logits(again), logits(model))
    torch.manual_seed(0)
    classifier = TokenClassifier(schema=model.schema, image_encoder=tiny.image_encoder(), embed_dim=896).eval()
    classifier.save_pretrained(tmp_path / "classifier")
    assert torch.equal(logits(TokenClassifier.from_pretrained(tmp_path / "classifier")), logits(classifier))


def test_the_shipped_model_knows_its_parts_by_their_hashes(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        assert tiny.builder_of(fingerprint(part)) is tiny.PARTS[name]
    assert tiny.builder_of("0" * 64) is None


def changed(part: Any) -> Frozen:
    """Another part of the same class."""
    other = copy.deepcopy(part)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    return other


def test_another_part_of_the_same_class_is_refused(parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        with pytest.raises(ValueError, match=rf"{name} is not the frozen part"):
            fi.FaceInsight.from_pretrained("tiny", **{**parts, name: changed(part)})


def test_a_model_on_another_part_of_the_same_class_asks_for_that_one_alone_and_loads_none(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fi.FaceInsight.from_pretrained("tiny")
    model.encoder.image_encoder = other = changed(parts["image_encoder"])
    model.save_pretrained(tmp_path)
    again = fi.FaceInsight.from_pretrained(tmp_path, image_encoder=other)
    assert again.image_encoder is other

    def loaded() -> Frozen:
        raise AssertionError("a part was loaded in vain")

    monkeypatch.setattr(tiny, "PARTS", dict.fromkeys(parts, loaded))
    with pytest.raises(ValueError, match="these parts are not in the directory") as caught:
        fi.FaceInsight.from_pretrained(tmp_path)
    _, encoder, mend = str(caught.value).split("\n")
    assert encoder.startswith("  image_encoder: HybridEncoder(")
    assert encoder.endswith(f"frozen and therefore not saved, SHA-256 {fingerprint(other)}")
    assert "FaceInsight.from_pretrained(directory, **{'image_encoder': ...})" in mend


# --- what they can do --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_parser_finds_the_skin_of_drawn_faces(model: Any) -> None:
    skin = FACE_PARTS.index("skin")
    found = model.segmentation.class_map(model.images([picture for picture, _ in drawn()])) == skin
    masks = [mask.resize(found.shape[1:], 0) for _, mask in drawn()]
    there = torch.stack([torch.from_numpy(np.asarray(mask) == skin) for mask in masks])
    assert 0.05 < there.float().mean() < 0.6
    assert int((found & there).sum()) / int((found | there).sum()) > 0.75


@torch.no_grad()
def test_the_model_tells_gender_in_fairfaces_photographs(model: Any, fairface_root: Path) -> None:
    listed, _ = read_list(fairface_root / list_name("val"))
    here = itertools.islice((name for name in listed.index if (fairface_root / name).is_file()), 120)
    faces = listed.loc[[*here]]
    truth = torch.tensor((faces["gender"] == "Male").to_numpy())
    images = model.images([fairface_root / name for name in faces.index])
    right = (model(images).logits[:, model.schema.index("Male")] > 0) == truth
    majority = max(float(truth.float().mean()), float((~truth).float().mean()))
    assert len(faces) == 120
    assert float(right.float().mean()) > majority + 0.15


# --- the installed package ---------------------------------------------------------------------------------------

ELSEWHERE = """
import socket

def refused(*arguments, **options):
    raise OSError("there is no network in this test")

socket.socket.connect = socket.getaddrinfo = refused
import torch
import faceinsight as fi

model = fi.FaceInsight.from_pretrained("tiny")
found = model(torch.zeros(1, 3, 96, 96)).logits
assert found.isfinite().all()
print(fi.__file__)
"""


def run(code: str, cwd: Path, **environment: str) -> str:
    """What a fresh process prints."""
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, check=True, stdout=-1, text=True).stdout


def copied(folder: Path) -> Path:
    """What a package is built from, where its build may leave files."""
    folder.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copytree(REPOSITORY / "faceinsight", folder / "faceinsight", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_an_installed_package_made_from_its_source_archive_holds_the_model(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    run(
        f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})",
        cwd=copied(tmp_path / "repository"),
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, str(archive)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(installed)
    for path in shipped_files():
        kept = installed / "faceinsight" / "tiny" / path.relative_to(tiny.FOLDER)
        assert kept.read_bytes() == path.read_bytes()
    said = run(ELSEWHERE, cwd=empty, PYTHONPATH=str(installed), HF_HUB_OFFLINE="1")
    assert said == f"{installed / 'faceinsight' / '__init__.py'}\n"


def test_loading_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    tiny.language_model()
    assert capfd.readouterr() == ("", "")
