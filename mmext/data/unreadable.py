"""Files that can't be read: what a pipeline's step does with them, and the log that names them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mmcv.transforms import BaseTransform

from mmext.errors import UserError

WAYS = ('skip', 'raise', 'blank')


class Reader(BaseTransform):
    """A step that reads files of which some can't be read.

    Args:
        on_error: 'skip' (the step gives None, and the data set draws another file, as in training), 'raise', or 'blank'
            (black pictures in its place, so that a test goes on).
        log_file: where skipped and blank files are noted, a line each: path, tab, reason. Safe for many processes.

    Raises:
        UserError: another ``on_error``; with 'raise', a file that can't be read.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None) -> None:
        if on_error not in WAYS:
            raise UserError(f'{type(self).__name__}: on_error={on_error!r} is none of {", ".join(map(repr, WAYS))}')
        self.on_error = on_error
        self.log_file = log_file

    def refuse(self, message: str, path: str, reason: str) -> None:
        """Raises, or notes the file."""
        if self.on_error == 'raise':
            raise UserError(f'{message}; mend or remove it, or give --skip-unreadable to tools/test.py') from None
        if self.log_file:
            with open(self.log_file, 'a') as log:
                log.write(f'{path}\t{" ".join(reason.split())}\n')


def read_log(path: str | os.PathLike) -> dict[str, str]:
    """The noted files and their reasons; empty where nothing was noted."""
    if not os.path.exists(path):
        return {}
    with open(path) as log:
        return dict(line.rstrip('\n').split('\t', 1) for line in log if '\t' in line)


def cause_of_missing(paths: Iterable[str]) -> str:
    """Ends a message about files that are not there with the cause, where their names show one; else ''."""
    if os.sep == '/' and any('\\' in path for path in paths):
        return "; their names have backslashes, as Windows writes paths: replace them by '/'"
    return ''
