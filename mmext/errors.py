"""Errors for users: one line that says what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user, or an input that can't be used. Tools print its one-line message and exit with ``code``.
    """

    code = 2


class DiskFull(UserError):
    """There is no space left for a file: ``DiskFull(path)``."""

    code = 3

    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(f'{path}: no space left on that disk; no partial file is left, and existing files are '
                         'unchanged; free some space and start again')

    def __reduce__(self) -> tuple:
        return DiskFull, (self.path, )  # for pickling by a worker process


class Interrupted(BaseException):
    """A signal has stopped a training that can be resumed. The message is one line; empty if another process prints it.

    The exit code is EX_TEMPFAIL, the usual one for failures after which the same command can be run again.
    """

    code = 75


def nearest(word: str, choices: Iterable[str], count: int = 3) -> str:
    """Suggests the choices that are most similar to a mistyped word: "; did you mean 'a' or 'b'?", or '' if none is."""
    choices = list(choices)
    begun = [choice for choice in choices if word and choice.startswith(word)]
    similar = [choice for choice in difflib.get_close_matches(word, choices, n=count) if choice not in begun]
    matches = [*begun, *similar][:count]
    return f'; did you mean {" or ".join(repr(match) for match in matches)}?' if matches else ''


def reason(error: BaseException) -> str:
    """The type and message of an exception on one line; only the type if there is no message."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text[:300]}' if text else f'{type(error).__name__}'


def cause(error: Exception) -> str:
    """The operating system's description of an error if it has one, else the exception's message."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def shorten(items: Iterable[object], limit: int = 3) -> str:
    """Lists at most ``limit`` items on one line: 'a, b, c and 17 more'."""
    items = [str(item) for item in items]
    rest = len(items) - limit
    return ', '.join(items[:limit]) + (f' and {rest} more' if rest > 0 else '')
