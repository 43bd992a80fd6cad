"""A file is written whole or not at all."""

import errno
from pathlib import Path

import pytest

from faceinsight.files import replacing, write_text


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
