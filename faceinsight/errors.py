"""What an error says to the person who can mend it."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["InputError", "did_you_mean", "message_of", "named"]


class InputError(ValueError):
    """A mistake that the user can mend: in a file, a setting, a label, a picture or an argument.

    The message says what came, what was wanted and how to mend it. The command line prints it, without a traceback,
    and ends with exit code 2. Raise it at every door where something comes in from outside; a plain ``ValueError``
    stays for what only a fault in this library's own code can cause.

    >>> raise InputError("threshold is 1.5; it must be from 0 to 1")
    Traceback (most recent call last):
        ...
    faceinsight.errors.InputError: threshold is 1.5; it must be from 0 to 1
    """


@contextmanager
def named(place: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file, or another place, in front of the message of an :class:`InputError` that does not name it.

    >>> with named("mine.yaml"):
    ...     raise InputError("no attributes")
    Traceback (most recent call last):
        ...
    faceinsight.errors.InputError: mine.yaml: no attributes
    """
    try:
        yield
    except InputError as error:
        if error.args and str(place) not in str(error):
            error.args = (f"{place}: {error}", *error.args[1:])
        raise


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the hint for a misspelt name; empty where nothing is near.

    >>> did_you_mean("hed", ["encoder", "head"]), did_you_mean("x", ["encoder", "head"])
    (", did you mean 'head'?", '')
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def message_of(error: BaseException) -> str:
    """Return the message of an error, with its notes; of the system's errors the file and the reason."""
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    return "\n".join([text, *getattr(error, "__notes__", [])])
