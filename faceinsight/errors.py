"""What an error says to the person who can mend it."""

import traceback

__all__ = ["plain_cause", "raised_in"]


def raised_in(error: BaseException) -> str:
    """The module whose code raised an error; empty where it was not raised yet."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals["__name__"]) if frames else ""


def plain_cause(error: BaseException) -> BaseException:
    """What a class said of its settings, without the dump that jsonargparse wraps round it; else the error itself."""
    while error.__cause__ is not None and raised_in(error).startswith("jsonargparse."):
        error = error.__cause__
    return error
