"""Finding the newest usable checkpoint in a folder."""

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
    """Writes the path of a checkpoint, relative to the work dir, into the file ``last_checkpoint``.

    The file only informs users; nothing in mmext reads it.
    """
    text = os.path.relpath(os.path.realpath(path), os.path.realpath(work_dir))
    write_text(Path(work_dir, HINT), text)


def numbered(folder: str | Path) -> list[list[Path]]:
    """The numbered checkpoints of a folder, newest first; one list for epochs and one for iterations."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in Path(folder).glob('*.pth'):
        if match := NUMBERED.fullmatch(path.name):
            found.setdefault(path.name[:match.start(1)], []).append((int(match[1]), path))
    return [[path for _, path in sorted(paths, reverse=True)] for paths in found.values()]


def newest_checkpoint(folder: str | Path) -> tuple[Path | None, list[str]]:
    """Finds the newest checkpoint of a folder from which a training can resume.

    Checkpoints of epochs and of iterations are compared by the iteration stored in them; for the same iteration, the
    one that has finished its epoch is newer.

    Returns:
        The checkpoint, or None if the folder has none, and the reasons why newer ones were skipped.

    Raises:
        UserError: There are checkpoints, but none can be used.
    """
    best, best_progress, skipped = None, (-1, -1), []
    for paths in numbered(folder):
        for path in paths:
            try:
                content = read_checkpoint(path)
                require_resumable(content, path)
            except UserError as error:
                skipped.append(str(error))
                continue
            progress = content['meta']['iter'], content['meta']['epoch']
            if progress > best_progress:
                best, best_progress = path, progress
            break
    if skipped and best is None:
        raise UserError(f'{folder}: none of its {len(skipped)} checkpoints can be resumed from: {shorten(skipped)}')
    return best, skipped
