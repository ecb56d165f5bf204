"""Reads the log of a run, which mmengine's LocalVisBackend writes to ``<work dir>/<time>/vis_data/scalars.json``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmext.errors import UserError
from mmext.files import parse_json

SCALARS = 'vis_data/scalars.json'


def read_scalars(work_dir: str | Path) -> list[dict]:
    """The records of the newest run in a work dir, in order, including the parts that resumed it.

    Each record has the values that were logged (``loss``, ``lr``, ``time`` ...; ``coco/AP`` ..., ``step``) and

    * ``mode``: 'train', or 'val' for the metrics of a validation.
    * ``iter``: the number of finished iterations, from 1. mmengine counts the ``step`` of a validation in epochs or in
      iterations; ``iter`` is set for both kinds of record, and is exact if at least two epochs were logged.
    * ``epoch``: the current epoch of a training record, or the number of finished epochs of a validation, from 1; and
      ``epochs_done``: ``iter`` as a fractional number of epochs. Both are absent if the run does not count epochs.

    Records that a resumed part has replaced are omitted, and so is a last line that was truncated by a crash.

    Raises:
        UserError: there is no log, or a line of it is not a valid record.
    """
    joined: list[dict] = []
    for folder in folders_of(Path(work_dir)):
        part = add_positions(read_lines(folder / SCALARS))
        joined = [record for record in joined if not part or precedes(record, part[0])] + part
    return joined


def scalars_if_any(work_dir: str | Path) -> list[dict]:
    """``read_scalars``, or an empty list if there is no readable log."""
    try:
        return read_scalars(work_dir)
    except UserError:
        return []


def folders_of(work_dir: Path) -> list[Path]:
    """The log folders of the newest run in a work dir: the last one that was not resumed, and those that resumed it."""
    folders = sorted(path.parent.parent for path in work_dir.glob(f'*/{SCALARS}'))
    if not folders:
        raise UserError(f'{work_dir}: no log of a run (<time>/{SCALARS}); give work dirs of mmext train')
    starts = [i for i, folder in enumerate(folders) if not re.search(r'^resume = True', config_of(folder), re.M)]
    return folders[starts[-1]:] if starts else folders


def require_once(work_dirs: Sequence[str | Path]) -> None:
    """Raises a UserError if a work dir is named twice, by whatever path."""
    folders = [Path(work_dir).resolve() for work_dir in work_dirs]
    for work_dir, folder in zip(work_dirs, folders):
        if folders.count(folder) > 1:
            raise UserError(f'{work_dir}: given twice; name each run once')


def config_of(folder: Path) -> str:
    """The text of the config in a log folder; '' if there is none."""
    path = folder / 'vis_data' / 'config.py'
    return path.read_text() if path.is_file() else ''


def read_lines(path: Path) -> list[dict]:
    """The records of one file, without a truncated last line."""
    try:
        lines = path.read_text(errors='replace').splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
        except ValueError:
            if number == len(lines) and not line.endswith('\n'):
                break
            raise UserError(f'{path}, line {number}: not JSON; remove the line') from None
        if not isinstance(record, dict) or not isinstance(record.get('step'), int):
            raise UserError(f"{path}, line {number}: not a log record, which would have a 'step'; remove the line")
        records.append(record)
    return records


def add_positions(records: list[dict]) -> list[dict]:
    """Adds ``mode``, ``iter``, ``epoch`` and ``epochs_done`` to the records of one file, see ``read_scalars``."""
    length = epoch_length(records)
    placed = []
    done = dict(iter=0, **(dict(epoch=0) if length else {}))  # the last training record
    for record in records:
        step = record['step']
        if 'iter' in record:
            done = record
            where = dict(mode='train')
        elif 'epoch' not in done:
            where = dict(mode='val', iter=max(step, done['iter']))
        elif step <= done['epoch'] or not done['iter']:
            where = dict(mode='val', iter=step * length, epoch=step)
        else:
            where = dict(mode='val', iter=step, epoch=done['epoch'])
        placed.append({**record, **where})
        if length:
            placed[-1]['epochs_done'] = placed[-1]['iter'] / length
    return placed


def epoch_length(records: list[dict]) -> int:
    """The number of iterations of an epoch; 0 if epochs are not counted. For a single epoch, the number logged.

    The last iterations of an epoch may not have been logged. The first record of each epoch, however, is always of the
    same iteration within it, so the distance between first records is a whole number of epochs.
    """
    trained = [record for record in records if 'iter' in record and 'epoch' in record]
    if not trained:
        return 0
    first, last = trained[0], trained[-1]
    first_of_last = next(record for record in trained if record['epoch'] == last['epoch'])
    if first_of_last['epoch'] == first['epoch']:
        return max(1, round(last['iter'] / last['epoch']))
    return max(1, (first_of_last['iter'] - first['iter']) // (first_of_last['epoch'] - first['epoch']))


def precedes(record: dict, start: dict) -> bool:
    """Whether a record was logged before the position of ``start``, the first record of a resumed part."""
    if 'epoch' in record and 'epoch' in start and record['epoch'] >= start['epoch']:
        return False
    return record['iter'] < start['iter']
