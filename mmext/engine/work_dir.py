"""The folder of a training: only one run at a time, and checkpoints of only one run."""

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
    """The folder of a training's checkpoints: the work dir, or its name below the hook's ``out_dir``."""
    out_dir = ((config.get('default_hooks') or {}).get('checkpoint') or {}).get('out_dir')
    return os.path.join(out_dir, os.path.basename(config.work_dir.rstrip(os.sep))) if out_dir else config.work_dir


@contextmanager
def locked_folder(folder: str) -> Iterator[None]:
    """A context in which this process is the only one that trains in a folder.

    It holds a lock of the operating system (``fcntl``), which is released when the process is killed, is not inherited
    by data workers, and is visible from other machines on a shared disk that supports locks.

    Raises:
        UserError: another process trains there; the message names it.
    """
    with open(os.path.join(folder, LOCK), 'a+') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read(300).strip() or 'another process'
            raise UserError(f'{folder}: a training is running there ({holder}); stop it, or give another '
                            'folder with --work-dir') from None
        except OSError:
            print_log(f'{folder}: its disk does not support locks; make sure that no other training runs there',
                      'current', logging.WARNING)
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}, since {time.strftime("%Y-%m-%d %H:%M:%S")}')
        file.flush()
        yield


def remove_unfinished_files(folder: str) -> None:
    """Removes unfinished files of killed runs from a folder."""
    count, size = remove_leftovers(folder)
    if count:
        print_log(f'{folder}: removed {count} unfinished file(s), {size / 1e6:.1f} MB, of a run that was killed',
                  'current')


def checkpoints_in(folder: str) -> list[Path]:
    """All checkpoints in a folder, including the best ones."""
    return sorted({*(path for paths in numbered(folder) for path in paths), *Path(folder).glob('best_*.pth')})


def require_unused(folder: str) -> None:
    """Raises a UserError if a folder contains checkpoints of another run."""
    found = checkpoints_in(folder)
    if found:
        raise UserError(f'{folder}: contains checkpoints of a training ({shorten(path.name for path in found)}); '
                        'continue it (--resume), give another --work-dir, or delete them (--overwrite)')


def delete_checkpoints(folder: str, work_dir: str) -> None:
    """Deletes the checkpoints of a training; its logs, in their own folders, are kept."""
    for path in (*checkpoints_in(folder), Path(work_dir, HINT), Path(work_dir, TRAIN_LOG)):
        path.unlink(missing_ok=True)


def checkpoint_to_resume(folder: str) -> str | None:
    """The newest usable checkpoint in a folder; None if there is none. Logs a warning for each unusable one.

    Raises:
        UserError: there are checkpoints, but none can be used.
    """
    path, passed = newest_checkpoint(folder)
    for reason in passed:
        print_log(f'skipped: {reason}', 'current', logging.WARNING)
    if path is None:
        print_log(f'{folder}: contains no checkpoint yet, the training starts from the beginning', 'current',
                  logging.WARNING)
    return str(path) if path else None
