"""A model goes to a repository of the hub and comes back; huggingface_hub's calls are replaced by copies on disk."""

import inspect
import shutil
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects

import faceinsight as fi
from faceinsight.modules.language.multimodal import multimodal_parts
from tests.modules.checkpoints import write_internvl, write_llava

SCHEMA = fi.Schema.from_names(["Bald", "Smiling"])
RULES = fi.RuleSet.parse("Bald -> not Smiling", SCHEMA)
FACES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Hub:
    """Repositories as folders, one for each commit; it takes what the real calls take."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.commits = root, 0
        for owner, name in (
            (huggingface_hub.HfApi, "create_repo"),
            (huggingface_hub.HfApi, "upload_folder"),
            (huggingface_hub, "snapshot_download"),
        ):
            monkeypatch.setattr(owner, name, self.instead_of(getattr(owner, name)))

    def instead_of(self, real: Any) -> Any:
        @wraps(real)
        def fake(*given: Any, **named: Any) -> Any:
            arguments = inspect.signature(real).bind(*given, **named).arguments
            assert "token" not in arguments, "whose token it is, huggingface_hub knows"
            arguments.pop("self", None)
            return getattr(self, real.__name__)(**arguments)

        return fake

    def create_repo(self, repo_id: str, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        (self.root / repo_id / "main").mkdir(parents=True, exist_ok=True)

    def upload_folder(self, repo_id: str, folder_path: str, delete_patterns: list[str], **_: Any) -> Any:
        self.commits += 1
        head = self.root / repo_id / "main"
        for name in filter_repo_objects([path.name for path in head.iterdir()], allow_patterns=delete_patterns):
            (head / name).unlink()
        shutil.copytree(folder_path, head, dirs_exist_ok=True)
        shutil.copytree(head, self.root / repo_id / f"commit{self.commits}")
        return SimpleNamespace(oid=f"commit{self.commits}")

    def snapshot_download(self, repo_id: str, revision: str | None, allow_patterns: list[str]) -> str:
        held, cache = self.root / repo_id / (revision or "main"), self.root / "cache" / repo_id / (revision or "main")
        if not held.is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"no {repo_id} at {revision}")
        cache.mkdir(parents=True, exist_ok=True)
        for name in filter_repo_objects([path.name for path in held.iterdir()], allow_patterns=allow_patterns):
            shutil.copy(held / name, cache)
        return str(cache)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(tmp_path / "hub", monkeypatch)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_internvl(tmp_path_factory.mktemp("internvl"))


def tuned(base: Path, seed: int, rules: fi.RuleSet | None = RULES) -> Any:
    """With adapters that do something."""
    language_model = fi.modules.LoRA(module=multimodal_parts(base)["language_model"], rank=2)
    model = fi.FaceInsight.from_llava(base, schema=SCHEMA, language_model=language_model, rules=rules)
    torch.manual_seed(seed)
    for each in model.parameters():
        if each.requires_grad:
            each.data = torch.randn_like(each) / 3
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(FACES).logits


def test_each_commit_gives_its_model_on_the_base_that_it_names(hub: Hub, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    models = [tuned(base, 0), tuned(base, 1, rules=None)]
    commits = [model.push_to_hub("somebody/tuned") for model in models]
    assert commits == ["commit1", "commit2"]
    assert not torch.equal(logits(models[0]), logits(models[1]))
    for model, revision in zip([*models, models[1]], [*commits, None], strict=True):
        again = fi.FaceInsight.from_pretrained("somebody/tuned", revision=revision, **multimodal_parts(base))
        assert torch.equal(logits(again), logits(model))
        assert again.rules == model.rules
    kept = {path.name for path in (hub.root / "somebody" / "tuned" / "main").iterdir()}
    assert kept == {"config.json", "schema.yaml", "model.safetensors"}, "the rules of the first model are gone"
    language_model = r"language_model: .*multimodal_parts\(name_or_path='.*'\), frozen .*SHA-256 \w{64}"
    with pytest.raises(ValueError, match=rf"(?s)not in the directory:.*{language_model}"):
        fi.FaceInsight.from_pretrained("somebody/tuned")
    other = multimodal_parts(write_llava(tmp_path / "other"))["language_model"]
    with pytest.raises(ValueError, match=r"language_model is not the frozen part"):
        fi.FaceInsight.from_pretrained("somebody/tuned", **{**multimodal_parts(base), "language_model": other})


def test_pickles_are_not_even_downloaded_and_foreign_repositories_are_refused(hub: Hub) -> None:
    held = hub.root / "somebody" / "pickled" / "main"
    held.mkdir(parents=True)
    (held / "config.json").write_text('{"architectures": ["LlavaForConditionalGeneration"]}')
    (held / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ValueError, match=r"config.json was not written by"):
        fi.FaceInsight.from_pretrained("somebody/pickled")
    assert [path.name for path in (hub.root / "cache" / "somebody" / "pickled" / "main").iterdir()] == ["config.json"]


def test_what_is_neither_directory_nor_repository_is_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no directory somebody/none"):
        fi.FaceInsight.from_pretrained("somebody/none")
    with pytest.raises(FileNotFoundError, match=r"^no config.json in a/b/c"):
        fi.FaceInsight.from_pretrained("a/b/c")
    with pytest.raises(ValueError, match=r"^revision='1' .*is a directory"):
        fi.FaceInsight.from_pretrained(tmp_path, revision="1")
