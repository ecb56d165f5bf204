"""Which checkpoint of a folder is the newest that can be used."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mmext.checkpoints.read import read_checkpoint
from mmext.checkpoints.resume import require_resumable
from mmext.errors import UserError, shorten
from mmext.files import write_text

HINT = 'last_checkpoint'
NUMBERED = re.compile(r'(?!best_)[^.]*?(\d+)\.pth')


def note_last(work_dir: str | Path, path: str | Path) -> None:
    """Writes ``last_checkpoint``: the path relative to the work dir. A hint for people; nothing here depends on it."""
    text = os.path.relpath(os.path.realpath(path), os.path.realpath(work_dir))
    write_text(Path(work_dir, HINT), text)


def numbered(folder: str | Path) -> list[list[Path]]:
    """The checkpoints of a training in a folder, those of epochs and of iterations apart, the newest first in each."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in Path(folder).glob('*.pth'):
        if match := NUMBERED.fullmatch(path.name):
            found.setdefault(path.name[:match.start(1)], []).append((int(match[1]), path))
    return [[path for _, path in sorted(paths, reverse=True)] for paths in found.values()]


def newest_checkpoint(folder: str | Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a folder that a training can go on from, and why newer ones are passed over.

    Checkpoints of epochs and of iterations are compared by the iteration that stands inside, and of one iteration
    the one whose epoch is over is the newer.

    Raises:
        UserError: there are some, and none can be used.
    """
    best, done, passed = None, (-1, -1), []
    for paths in numbered(folder):
        for path in paths:
            try:
                content = read_checkpoint(path)
                require_resumable(content, path)
            except UserError as error:
                passed.append(str(error))
                continue
            place = content['meta']['iter'], content['meta']['epoch']
            if place > done:
                best, done = path, place
            break
    if passed and best is None:
        raise UserError(f'{folder}: none of its {len(passed)} checkpoints can be resumed from: {shorten(passed)}')
    return best, passed
