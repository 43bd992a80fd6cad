"""What an error says to the person who can mend it."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "named", "plain_cause", "raised_in"]


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


def raised_in(error: BaseException) -> str:
    """The module whose code raised an error; empty where it was not raised yet."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals["__name__"]) if frames else ""


def plain_cause(error: BaseException) -> BaseException:
    """What a class said of its settings, without the dump that jsonargparse wraps round it; else the error itself."""
    while error.__cause__ is not None and raised_in(error).startswith("jsonargparse."):
        error = error.__cause__
    return error
