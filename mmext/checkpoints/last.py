"""Which checkpoint of a folder is the newest that can be used."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mmext.checkpoints.read import read_checkpoint
from mmext.checkpoints.resume import require_resumable
from mmext.errors import UserError, shorten
from mmext.files import write_whole

HINT = 'last_checkpoint'
NUMBERED = re.compile(r'(?!best_)[^.].*?(\d+)\.pth')


def note_last(work_dir: str | Path, path: str | Path) -> None:
    """Writes ``last_checkpoint``: the path relative to the work dir. A hint for people; nothing here depends on it."""
    text = os.path.relpath(os.path.realpath(path), os.path.realpath(work_dir))
    write_whole(Path(work_dir, HINT), lambda temporary: temporary.write_text(text), durable=True)


def candidates(folder: str | Path) -> list[Path]:
    """The checkpoints of a training in a folder, the newest first: by the number in the name, then by their age."""
    found = [(path, match) for path in Path(folder).glob('*.pth') if (match := NUMBERED.fullmatch(path.name))]
    return [path for path, match in sorted(found, reverse=True, key=lambda item: (
        int(item[1][1]) if item[1][0].startswith('epoch_') else -1, item[0].stat().st_mtime))]


def newest_checkpoint(folder: str | Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a folder that a training can go on from, and why newer ones are passed over.

    Epochs' checkpoints and those of iterations (``iter_N.pth``) are compared by the iteration that stands inside.

    Raises:
        UserError: there are some, and none can be used.
    """
    best, done, passed = None, -1, []
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path in Path(folder).glob('*.pth'):
        if match := NUMBERED.fullmatch(path.name):
            groups.setdefault(path.name[:match.start(1)], []).append((int(match[1]), path))
    for paths in groups.values():
        for _, path in sorted(paths, reverse=True):
            try:
                content = read_checkpoint(path)
                require_resumable(content, path)
            except UserError as error:
                passed.append(str(error))
                continue
            if content['meta']['iter'] > done:
                best, done = path, content['meta']['iter']
            break
    if passed and best is None:
        raise UserError(f'{folder}: none of its {len(passed)} checkpoints can be resumed from: '
                        f'{shorten(passed)}')
    return best, passed
