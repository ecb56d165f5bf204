"""Handling of files that can't be read by the steps of a pipeline, and the log that names them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mmcv.transforms import BaseTransform

from mmext.errors import UserError

WAYS = ('skip', 'raise', 'blank')


class Reader(BaseTransform):
    """Base of the steps that read files, some of which can't be read.

    Args:
        on_error: what happens with such a file: 'skip' (the step returns None, and the data set draws another file, for
            training), 'raise', or 'blank' (black pictures take its place, so that a test can continue).
        log_file: where skipped and blank files are recorded, one per line: path, tab, reason. Several processes may
            write to it.

    Raises:
        UserError: ``on_error`` is something else; later, with 'raise', a file can't be read.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None) -> None:
        if on_error not in WAYS:
            raise UserError(f'{type(self).__name__}: on_error={on_error!r} is none of {", ".join(map(repr, WAYS))}')
        self.on_error = on_error
        self.log_file = log_file

    def reject(self, message: str, path: str, reason: str) -> None:
        """Raises a UserError with a message, or records a file and the reason why it can't be read in the log."""
        if self.on_error == 'raise':
            raise UserError(f'{message}; mend or remove it, or give --skip-unreadable to mmext test') from None
        if self.log_file:
            with open(self.log_file, 'a') as log:
                log.write(f'{path}\t{" ".join(reason.split())}\n')


def read_log(path: str | os.PathLike) -> dict[str, str]:
    """The reasons in a log by the paths of the files; empty where there is no log."""
    if not os.path.exists(path):
        return {}
    with open(path) as log:
        return dict(line.rstrip('\n').split('\t', 1) for line in log if '\t' in line)


def cause_of_missing(paths: Iterable[str]) -> str:
    """Why files are missing, as the end of a message, where their names show it; else ''."""
    if os.sep == '/' and any('\\' in path for path in paths):
        return "; their names have backslashes, as Windows writes paths: replace them by '/'"
    return ''
