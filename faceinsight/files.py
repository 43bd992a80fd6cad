"""Files: written so that a kill, a full disk or a second process never leaves half of one; text and YAML read safely.

What comes in is read from plain files only, as UTF-8. YAML is plain data without repeated keys, nested and grown by
aliases no further than people write it.
"""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

from faceinsight.errors import InputError

__all__ = [
    "PlainData",
    "check_file_names",
    "make_folder",
    "names_in",
    "opened_text",
    "plain_file",
    "plain_yaml",
    "read_text",
    "replacing",
    "write_text",
]

#: A mapping as JSON and YAML hold it: texts, numbers, booleans, None, and lists and mappings of them.
PlainData = dict[str, Any]

#: How deep YAML may be nested.
MAX_DEPTH = 100

#: How many values aliases may add to a YAML file, and to how many times its own.
MAX_GROWTH, MAX_TIMES = 100_000, 10

#: Marks at the beginning of a file in another encoding.
MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

#: What a path may name besides a plain file.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

STRING, NULL, MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "merge"))
TAGS = {STRING, MERGE, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place in one step.

    If the block raises (a full disk, an interrupt), the temporary file is removed, whatever stood at ``path``
    is untouched, and the error goes on. Missing parent folders are made.

    Raises:
        InputError: ``path`` is a folder, or a file stands where its folder should be.

    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(f"{folder.name}/new/text.txt") as temporary:
    ...     _ = temporary.write_text("whole or not at all")
    >>> Path(folder.name, "new", "text.txt").read_text()
    'whole or not at all'
    >>> folder.cleanup()
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a file in it, such as {target / 'results.csv'}")
    make_folder(target.parent)
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


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Return a folder, made with its parents if it is not there.

    Raises:
        InputError: a file stands in its place, or in that of a parent.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(each for each in (folder, *folder.parents) if each.exists() and not each.is_dir())
        raise InputError(f"{file} is a file, and {folder} should be a folder; give another name, or move it") from error
    return folder


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a plain file, which can be read to its end.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is a folder, a pipe, a device or a socket.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except ValueError as error:  # a zero byte in a name
        raise InputError(f"{os.fspath(path)!r} cannot be a file's name: {error}") from error
    if kind != stat.S_IFREG:
        raise InputError(f"{path} is {KINDS.get(kind, 'something else')}, not a plain file")
    return Path(path)


def check_file_names(names: Iterable[str], folder: str | os.PathLike[str]) -> None:
    """Refuse file names that cannot stand in a list: not UTF-8, or with a line end or a zero byte.

    Raises:
        InputError: the first such name, and how to mend it.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{folder}: the file name {name!r} is not UTF-8; rename it") from error
        if "\n" in name or "\r" in name or "\0" in name:
            raise InputError(f"{folder}: the file name {name!r} has a line end or a zero byte; rename it")


def names_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names in a folder, sorted; raises as :func:`check_file_names` does."""
    names = sorted(os.listdir(folder))
    check_file_names(names, folder)
    return names


@contextmanager
def opened_text(path: str | os.PathLike[str], newline: str | None = None) -> Iterator[TextIO]:
    """Open a plain file of UTF-8 text for reading; a byte-order mark is skipped.

    Args:
        newline: as for :func:`open`; ``""`` for the csv module.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no plain file, or its text is in another encoding.
    """
    with plain_file(path).open("rb") as opened:
        head = opened.read(4)
    if (mark := next((mark for mark in MARKS if head.startswith(mark)), None)) is not None or b"\0" in head:
        kind = "not text, or UTF-16" if mark is None else MARKS[mark]
        raise InputError(f"{path} is {kind}; save it as UTF-8")
    try:
        with open(path, encoding="utf-8-sig", newline=newline) as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise InputError(f"{path}{bad_byte(path)} is not UTF-8 but perhaps Latin-1; save it as UTF-8") from error


def bad_byte(path: str | os.PathLike[str]) -> str:
    """Where a file stops being UTF-8."""
    data = Path(path).read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f", line {data.count(10, 0, error.start) + 1}: the byte 0x{data[error.start]:02x}"
    return ""


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a plain file of UTF-8 text; errors as for :func:`opened_text`."""
    with opened_text(path) as lines:
        return lines.read()


def plain_yaml(text: str, name: str | os.PathLike[str] = "the text", *, as_text: bool = False) -> Any:
    """Read YAML as plain data, by libyaml where PyYAML was built with it, which takes a tenth of the time.

    Args:
        name: of the file, for errors.
        as_text: keep every value as it is written. YAML would make booleans of ``Yes`` and ``on``, and numbers and
            dates of ``20_29``, ``010`` and ``2024-05-01``, which may be names. A null is refused.

    Raises:
        InputError: no YAML, more than plain data, a repeated key, or values nested or repeated by aliases
            further than people write them; file and line are named.

    >>> plain_yaml("names: [Bald, 20_29]"), plain_yaml("names: [Bald, 20_29]", as_text=True)
    ({'names': ['Bald', 2029]}, {'names': ['Bald', '20_29']})
    """
    loader = (_TextLoader if as_text else _PlainLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        check_tree(node, name)
        if as_text:
            check_text(node, name)
        return loader.construct_document(node)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise InputError(f"{name} is not a whole YAML file: {place}{error.problem}") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{name} is not a whole YAML file: {error}") from error
    finally:
        loader.dispose()


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as plain data."""


class _TextLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML whose values are all text; a null that is written as one is still known as such."""


_TextLoader.yaml_implicit_resolvers = {
    start: kept
    for start, resolvers in _PlainLoader.yaml_implicit_resolvers.items()
    if start and (kept := [(tag, pattern) for tag, pattern in resolvers if tag in (NULL, MERGE)])
}


def line_of(node: yaml.Node) -> str:
    """Return the line where a node begins."""
    return f"line {node.start_mark.line + 1}"


def nodes_below(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes right below a node."""
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def check_tree(root: yaml.Node, name: str | os.PathLike[str]) -> None:
    """Refuse repeated keys, deep nesting, and aliases that contain themselves or grow without measure."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            inside.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(each)] for each in nodes_below(node))
            continue
        if id(node) in sizes:
            continue
        if id(node) in inside:
            raise InputError(f"{name}, {line_of(node)}: an alias stands for something that contains it")
        if len(inside) >= MAX_DEPTH:
            raise InputError(f"{name}, {line_of(node)}: values are nested more than {MAX_DEPTH} deep")
        check_keys(node, name)
        inside.add(id(node))
        waiting.append((node, True))
        waiting += [(each, False) for each in nodes_below(node)]
    if sizes[id(root)] > MAX_GROWTH + MAX_TIMES * len(sizes):
        raise InputError(f"{name}: its aliases stand for {sizes[id(root)]:,} values; write out what is needed")


def check_keys(node: yaml.Node, name: str | os.PathLike[str]) -> None:
    """Refuse a repeated key in one mapping."""
    if not isinstance(node, yaml.MappingNode):
        return
    met: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
            first = met.setdefault((key.tag, key.value), key)
            if first is not key:
                place = f"{name}, {line_of(key)}"
                raise InputError(f"{place}: {key.value!r} stands a second time (first in {line_of(first)}); remove one")


def check_text(root: yaml.Node, name: str | os.PathLike[str]) -> None:
    """Refuse values that are not text: nulls, and whatever has a tag."""
    met: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.tag == NULL:
            raise InputError(f"{name}, {line_of(node)}: {node.value!r} is nothing in YAML; quote it, or leave it empty")
        if node.tag not in TAGS:
            raise InputError(f"{name}, {line_of(node)}: the tag {node.tag} is not taken; leave it out")
        if id(node) not in met:
            met.add(id(node))
            waiting += nodes_below(node)
