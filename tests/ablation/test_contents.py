"""What a run's key holds beside its configuration: files, folders, source."""

import sys
from pathlib import Path

import pytest

from faceinsight.ablation import contents
from faceinsight.ablation.contents import Contents, own_modules


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package on the path: a module that imports others in every way, some of which nobody needs."""
    files = {
        "ours/__init__.py": "",
        "ours/network.py": "import ours.deep.layers\nfrom . import near\nfrom .deep import other as o\n",
        "ours/near.py": "def late():\n    from helpers import something\n",
        "ours/apart.py": "",
        "ours/deep/__init__.py": "from ..cousin import value",
        "ours/deep/layers.py": "import torch, json\nimport faceinsight.metrics",
        "ours/deep/other.py": "",
        "ours/cousin.py": "value = 1",
        "helpers.py": "import nowhere_to_be_found",
    }
    for name, text in files.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "source")
    return tmp_path / "source"


def test_source_is_followed_through_every_import_and_no_further(own: Path) -> None:
    ours = {"network", "deep", "deep.layers", "near", "deep.other", "cousin"}
    assert own_modules("ours.network.Network").keys() == {"ours", "helpers", *(f"ours.{each}" for each in ours)}
    assert "ours" not in sys.modules, "nothing is imported to find it"


@pytest.mark.parametrize("name", ["torch.nn.Linear", "faceinsight.modules.Projector", "json.loads", "no.such.thing"])
def test_installed_modules_and_this_package_have_no_source_of_ones_own(name: str) -> None:
    assert own_modules(name) == {}


def test_source_that_is_no_python_is_followed_no_further(own: Path) -> None:
    (own / "ours" / "network.py").write_text("import ours.near\nthis is no python")
    assert own_modules("ours.network.Network").keys() == {"ours", "ours.network"}


@pytest.mark.parametrize("module", ["ours/cousin.py", "helpers.py", "ours/deep/layers.py"])
def test_a_change_in_any_of_them_is_another_key(own: Path, module: str) -> None:
    config = {"model": {"class_path": "ours.network.Network"}}
    before = Contents().of(config)
    (own / module).write_text((own / module).read_text() + "\n# changed")
    after = Contents().of(config)
    assert before != after
    assert Contents().of(config) == after


def test_files_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    config = {"model": {"rules": str(path), "text": "Bald -> not Bangs\nno file", "number": 3}}
    assert Contents().of(config)["files"] == {}
    path.write_text("Bald -> not Bangs")
    before = Contents().of(config)["files"]
    assert [*before] == [str(path)]
    path.write_text("Bald -> not Young")
    assert Contents().of(config)["files"] != before
    path.write_text("Bald -> not Bangs")
    assert Contents().of(config)["files"] == before


def test_of_a_folder_pictures_are_known_by_name_and_all_else_by_what_is_in_it(tmp_path: Path) -> None:
    def key() -> str | None:
        return Contents().of({"data": {"root": str(tmp_path)}})["files"].get(str(tmp_path))

    def write(name: str, text: str) -> str | None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return key()

    assert key() is None
    drawn = write("v5/synthfaces.json", "{}")
    assert drawn is None, "faces that are drawn into a folder do not change it"
    first = write("labels.csv", "1")
    found = [first, write("labels.csv", "2"), write("lists/a.txt", "3"), write("pictures/1_0.jpg", "4")]
    assert len({*found}) == 4
    assert write("pictures/1_0.jpg", "5") == found[-1]
    assert write(".hidden", "6") == found[-1]


def test_folders_that_a_trainer_writes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("1")
    assert Contents().of({"trainer": {"default_root_dir": str(tmp_path)}})["files"] == {}


def test_the_hash_of_the_package_is_that_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def package(text: str) -> str:
        (tmp_path / "a.py").write_text(text)
        contents.package_hash.cache_clear()
        return contents.package_hash()

    before = contents.package_hash()
    with monkeypatch.context() as patch:
        patch.setattr(contents, "PACKAGE", tmp_path)
        assert package("1") != package("2")
        assert package("1") == package("1") != before
    contents.package_hash.cache_clear()
    assert contents.package_hash() == before
