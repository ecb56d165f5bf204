"""How a user's mistake is told: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake or an unusable input of the user's. The message is one line; tools print it and exit with its code."""

    code = 2


class DiskFull(UserError):
    """There is no space left for a file: ``DiskFull(path)``."""

    code = 3

    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(f'{path}: no space left on that disk; nothing half-written is left, and what was there before '
                         'is as it was; make room, and start again')

    def __reduce__(self) -> tuple:
        return DiskFull, (self.path, )  # from a worker process


class Interrupted(BaseException):
    """A signal has ended a training that can be gone on with. The message is one line, empty where others tell it.

    The code is the one that systems have for a failure which goes away when the command is given again (EX_TEMPFAIL).
    """

    code = 75


def nearest(word: str, choices: Iterable[str], count: int = 3) -> str:
    """Names the choices most like a mistyped word: "; did you mean 'a' or 'b'?", or '' where none is alike."""
    choices = list(choices)
    begun = [choice for choice in choices if word and choice.startswith(word)]
    similar = [choice for choice in difflib.get_close_matches(word, choices, n=count) if choice not in begun]
    matches = [*begun, *similar][:count]
    return f'; did you mean {" or ".join(repr(match) for match in matches)}?' if matches else ''


def reason(error: BaseException) -> str:
    """What an exception of another library says, on one line; its type where it says nothing."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text[:300]}' if text else f'{type(error).__name__}'


def cause(error: Exception) -> str:
    """Why something can't be read: what the system says, or else the exception's text."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def shorten(items: Iterable[object], limit: int = 3) -> str:
    """The first items of a long list on one line: 'a, b, c and 17 more'."""
    items = [str(item) for item in items]
    rest = len(items) - limit
    return ', '.join(items[:limit]) + (f' and {rest} more' if rest > 0 else '')
