"""A file is written whole or not at all; text and YAML are read safely."""

import errno
import os
import socket
from pathlib import Path

import pytest

from faceinsight.errors import InputError
from faceinsight.files import make_folder, plain_yaml, read_text, replacing, write_text


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert caught.value.__notes__ == [f"while writing {path}; what stood there before is untouched"]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made_and_the_suffix_is_kept(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b" / "plot.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"image")
    assert (tmp_path / "a" / "b" / "plot.png").read_bytes() == b"image"


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_skipped(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "marked.txt"
    path.write_bytes(mark + "Überschrift\r\nzwei".encode())
    assert read_text(path) == "Überschrift\nzwei"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text("name: mine\n", encoding=encoding)
    with pytest.raises(InputError, match=r"other\.txt .*UTF-(16|32).*UTF-8"):
        read_text(path)


def test_latin_1_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_text("file,Bald\nrené.jpg,1\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"latin\.csv, line 2: .*0xe9"):
        read_text(path)


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        bound.bind("socket")
        for name, kind in {"pipe": "pipe", "socket": "socket", "/dev/zero": "device", str(tmp_path): "folder"}.items():
            with pytest.raises(InputError, match=kind):
                read_text(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be a file's name"):
        read_text("a\0b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "whole YAML"),
        ("a: 1\nb: 2\na: 3", r"f, line 3: 'a' stands a second time \(first in line 1\)"),
        ("x:\n  - {y: 1, y: 2}", "line 2: 'y' stands a second time"),
        ("[" * 250 + "]" * 250, "nested more than 100 deep"),
        ("\n".join(f"{' ' * depth}a:" for depth in range(250)), "nested more than 100 deep"),
        ("&a [*a]", "contains it"),
        ("a: &a {b: *a}", "contains it"),
        ("a: 2024-13-45", "whole YAML"),
        ("a: !!python/object/apply:os.system [ls]", "whole YAML"),
        ("{a: 1}: 2", "whole YAML"),
        ("a: !!timestamp x", "whole YAML"),
        ("a: 1\n---\nb: 2", "whole YAML"),
        ("a: \x07", "whole YAML"),
    ],
)
def test_yaml_that_is_damaged_or_means_harm_is_refused_with_its_file(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plain_yaml(text, "f")


def test_aliases_that_grow_are_refused_and_those_that_save_writing_are_taken() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    for as_text in (False, True):
        with pytest.raises(InputError, match="aliases stand for"):
            plain_yaml(bomb, as_text=as_text)
    shared = "base: &base {lr: 1, epochs: 2}\none: {<<: *base, lr: 3}\ntwo: *base"
    assert plain_yaml(shared)["one"] == {"lr": 3, "epochs": 2}
    assert plain_yaml(shared, as_text=True)["one"] == {"lr": "3", "epochs": "2"}


def test_as_text_everything_is_kept_as_it_is_written() -> None:
    words = ["Yes", "No", "on", "20_29", "010", "0x1F", "1e3", "2024-05-01", "1:30", "=", ".5", "+1", "True", "y"]
    text = "\n".join(f"- {word}" for word in words)
    assert plain_yaml(text, as_text=True) == words
    assert plain_yaml("- 'null'\n- \"~\"\n-", as_text=True) == ["null", "~", ""]
    for null in ("~", "null", "Null", "NULL"):
        with pytest.raises(InputError, match=r"line 2: .* quote it"):
            plain_yaml(f"- a\n- {null}", as_text=True)
        with pytest.raises(InputError, match="quote it"):
            plain_yaml(f"{null}: a", as_text=True)
    with pytest.raises(InputError, match="tag"):
        plain_yaml("- !!int 5", as_text=True)


def test_a_file_in_the_place_of_a_folder_and_a_folder_in_that_of_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for path in (tmp_path / "notes", tmp_path / "notes" / "below"):
        with pytest.raises(InputError, match=r"notes is a file"):
            make_folder(path)
    with pytest.raises(InputError, match=r"notes is a file"):
        write_text(tmp_path / "notes" / "table.csv", "a")
    with pytest.raises(InputError, match=r"is a folder"):
        write_text(tmp_path, "a")
    assert (tmp_path / "notes").read_text() == "mine"
    assert [*tmp_path.iterdir()] == [tmp_path / "notes"]
