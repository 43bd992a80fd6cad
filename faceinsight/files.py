"""Files: written so that a kill, a full disk or a second process never leaves half of one; YAML read quickly."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

__all__ = ["plain_yaml", "replacing", "write_text"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place in one step.

    If the block raises (a full disk, an interrupt), the temporary file is removed, whatever stood at ``path``
    is untouched, and the error goes on. Missing parent folders are made.

    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(f"{folder.name}/new/text.txt") as temporary:
    ...     _ = temporary.write_text("whole or not at all")
    >>> Path(folder.name, "new", "text.txt").read_text()
    'whole or not at all'
    >>> folder.cleanup()
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        error.add_note(f"while writing {target}; what stood there before is untouched")
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain_yaml(text: str) -> Any:
    """YAML as plain data, by libyaml where PyYAML was built with it, which takes a tenth of the time.

    >>> plain_yaml("names: [Bald, Bangs]")
    {'names': ['Bald', 'Bangs']}

    Raises:
        yaml.YAMLError: no YAML, or more than plain data.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
