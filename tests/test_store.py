"""Values on disk: the same as computed, never half, never someone else's, computed by one process of several."""

import errno
import resource
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from faceinsight import store as stores
from faceinsight.store import FeatureStore, JsonStore, key_of

FEATURES = {"image": torch.linspace(-3, 3, 24).view(4, 2, 3), "part": torch.arange(4)}


def test_what_is_put_comes_back_rounded_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    put, got = store.put("key", FEATURES), store.get("key")
    assert got.keys() == put.keys() == FEATURES.keys()
    assert got["image"].dtype == torch.float16
    assert torch.equal(got["image"], FEATURES["image"].half())
    assert torch.equal(put["image"], got["image"])
    assert torch.equal(got["part"], FEATURES["part"])


def test_another_precision_can_be_asked_for(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, dtype=torch.float32)
    store.put("key", FEATURES)
    assert torch.equal(store.get("key")["image"], FEATURES["image"])


def test_values_too_large_for_the_precision_keep_their_own(tmp_path: Path) -> None:
    large = torch.tensor([1.0, 70000.0])
    assert torch.equal(FeatureStore(tmp_path).put("key", {"image": large})["image"], large)


def test_an_unknown_key_gives_none(tmp_path: Path) -> None:
    assert FeatureStore(tmp_path / "not yet there").get("key") is None


def test_a_truncated_file_is_named_and_stored_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.put("key", FEATURES)
    whole = store.path("key").read_bytes()
    for length in (0, 5, 60, len(whole) - 1):
        store.path("key").write_bytes(whole[:length])
        with pytest.warns(UserWarning, match=r"key.safetensors .*again: .*header"):
            assert store.get("key") is None
    store.put("key", FEATURES)
    assert torch.equal(store.get("key")["part"], FEATURES["part"])


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    save_file({"image": torch.zeros(4)}, store.path("foreign"))
    store.put("other", FEATURES)
    store.path("other").rename(store.path("renamed"))
    for key in ("foreign", "renamed"):
        with pytest.warns(UserWarning, match=f"{key}.safetensors .*not written"):
            assert store.get(key) is None


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path)
    store.put("key", FEATURES)

    def no_space(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "save_file", no_space)
    with pytest.raises(OSError, match="No space left on device") as caught:
        store.put("key", {"image": torch.zeros(3)})
    assert "make room there, or choose another folder" in "".join(caught.value.__notes__)
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]
    assert torch.equal(store.get("key")["part"], FEATURES["part"])


def test_a_write_that_the_system_refuses_is_an_error_of_the_system(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # no file may grow beyond 1,000 bytes
    try:
        with pytest.raises(OSError, match=r"File too large.*was not stored in") as caught:
            store.put("key", {"image": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_of_the_same_key_may_come_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look() -> None:
        got = FeatureStore(tmp_path).get("key")
        seen.append(got is not None and torch.equal(got["part"], FEATURES["part"]))

    def interrupted(tensors: dict, path: Path, **named: object) -> None:
        path.write_bytes(b"half of it")
        look()
        monkeypatch.undo()
        FeatureStore(tmp_path).put("key", FEATURES)  # the second writer begins and ends while the first one writes
        look()
        save_file(tensors, path, **named)
        look()

    monkeypatch.setattr(stores, "save_file", interrupted)
    FeatureStore(tmp_path).put("key", FEATURES)
    look()
    assert seen == [False, True, True, True]
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]


def test_equal_parts_give_equal_keys_and_any_change_another() -> None:
    key = key_of(weights="ab", preprocessing={"size": 96, "mean": [0.5, 0.5]})
    assert key == key_of(preprocessing={"mean": (0.5, 0.5), "size": 96}, weights="ab")
    assert key != key_of(weights="ab", preprocessing={"size": 96, "mean": [0.5, 0.4]})
    assert key != key_of(weights="ac", preprocessing={"size": 96, "mean": [0.5, 0.5]})
    assert len(key) == 64


def test_a_part_that_is_not_plain_data_is_named() -> None:
    with pytest.raises(TypeError, match=r"key_of: folder .*PosixPath"):
        key_of(folder=Path("x"))


def test_a_key_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a key is letters, digits"):
        FeatureStore(tmp_path).get("../x")


def test_plain_data_comes_back_and_a_cut_file_is_made_again(tmp_path: Path) -> None:
    store, value = JsonStore(tmp_path), {"texts": ["ja", "né"], "seconds": 0.25}
    assert store.get_or_make("logits-1", lambda: value) == store.get("logits-1") == value
    store.path("logits-1").write_text('{"texts": [')
    with pytest.warns(UserWarning, match="logits-1.json cannot be used"):
        assert store.get_or_make("logits-1", lambda: [1]) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["logits-1.json"]


def test_what_is_stored_is_not_made_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    first = store.get_or_make("key", lambda: FEATURES)
    again = store.get_or_make("key", lambda: pytest.fail("made again"))
    assert torch.equal(first["image"], again["image"])
    assert first["image"].dtype == torch.float16


def test_of_two_that_want_a_value_at_once_one_makes_it(tmp_path: Path) -> None:
    begun, go_on, made, got = threading.Event(), threading.Event(), [], []

    def make() -> dict[str, Any]:
        made.append(1)
        begun.set()
        assert go_on.wait(60)
        return {"value": len(made)}

    def want() -> None:
        got.append(JsonStore(tmp_path).get_or_make("key", make))

    threads = [threading.Thread(target=want) for _ in range(2)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    go_on.set()
    for each in threads:
        each.join()
    assert got == [{"value": 1}] * 2
    assert len(made) == 1


def test_what_fails_while_it_is_made_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        JsonStore(tmp_path).get_or_make("key", fail)
    assert JsonStore(tmp_path).get_or_make("key", lambda: 3) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]
