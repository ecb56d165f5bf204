"""A training's folder: one run at a time, and never two runs' checkpoints mixed."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmext.checkpoints.last import HINT, newest_checkpoint, numbered
from mmext.engine.hooks.unreadable import TRAIN_LOG
from mmext.errors import UserError, shorten
from mmext.files import remove_leftovers

LOCK = '.lock'


def checkpoint_folder(config: Config) -> str:
    """Where a training's checkpoints go: the work dir, or the hook's ``out_dir`` with the work dir's name."""
    out_dir = ((config.get('default_hooks') or {}).get('checkpoint') or {}).get('out_dir')
    return os.path.join(out_dir, os.path.basename(config.work_dir.rstrip(os.sep))) if out_dir else config.work_dir


@contextmanager
def folder_taken(folder: str) -> Iterator[None]:
    """Makes this process the only one that trains in a folder.

    The lock is the system's (``fcntl``): a killed process leaves none behind, its data workers hold none, and it is
    seen from other machines on a shared disk that has locks.

    Raises:
        UserError: another process trains there; it says which.
    """
    with open(os.path.join(folder, LOCK), 'a+') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read(300).strip() or 'another process'
            raise UserError(f'{folder}: a training is running there ({holder}); give another one with --work-dir, or '
                            'end it') from None
        except OSError:
            print_log(f'{folder}: its disk has no locks; see to it that no other training runs there', 'current',
                      logging.WARNING)
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}, since {time.strftime("%Y-%m-%d %H:%M:%S")}')
        file.flush()
        yield


def tidy(folder: str) -> None:
    """Removes what killed runs have left half-written in a folder."""
    count, size = remove_leftovers(folder)
    if count:
        print_log(f'{folder}: removed {count} unfinished file(s), {size / 1e6:.1f} MB, of a run that was killed',
                  'current')


def checkpoints_in(folder: str) -> list[Path]:
    """All checkpoints of a training in a folder, the best ones too."""
    return sorted({*(path for paths in numbered(folder) for path in paths), *Path(folder).glob('best_*.pth')})


def require_unused(folder: str) -> None:
    """Raises a UserError where a folder holds another run's checkpoints."""
    found = checkpoints_in(folder)
    if found:
        raise UserError(f'{folder}: holds the checkpoints of a training ({shorten(path.name for path in found)}); go '
                        'on with it (--resume), give another --work-dir, or have them deleted (--overwrite)')


def clear(folder: str, work_dir: str) -> None:
    """Deletes a training's checkpoints; its logs, each in a folder of its own, stay."""
    for path in (*checkpoints_in(folder), Path(work_dir, HINT), Path(work_dir, TRAIN_LOG)):
        path.unlink(missing_ok=True)


def checkpoint_to_resume(folder: str) -> str | None:
    """The newest usable checkpoint of a folder, with a line on each that is passed over; None where there is none.

    Raises:
        UserError: there are some, and none can be used.
    """
    path, passed = newest_checkpoint(folder)
    for reason in passed:
        print_log(f'passed over: {reason}', 'current', logging.WARNING)
    if path is None:
        print_log(f'{folder}: no checkpoint there yet, the training starts from the beginning', 'current',
                  logging.WARNING)
    return str(path) if path else None
