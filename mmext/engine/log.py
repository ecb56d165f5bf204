"""A run's log, as mmengine's LocalVisBackend leaves it in ``<work dir>/<time>/vis_data/scalars.json``."""

from __future__ import annotations

import re
from pathlib import Path

from mmext.errors import UserError
from mmext.files import parse_json

SCALARS = 'vis_data/scalars.json'


def read_scalars(work_dir: str | Path) -> list[dict]:
    """The records of a work dir's newest run, in order, those of the parts that resumed it joined to it.

    Each is a record as it was logged (``loss``, ``lr``, ``time`` ...; ``coco/AP`` ..., ``step``), with

    * ``mode``: 'train', or 'val' for a validation's metrics.
    * ``iter``: the iterations done, from 1. mmengine counts a validation's ``step`` in epochs or in iterations; here
      ``iter`` is of both kinds of record, exact where at least two epochs were logged.
    * ``epoch``: the running epoch of a training record, the finished epochs of a validation, from 1; and
      ``epochs_done``: ``iter`` in epochs, with a fraction. Absent where the run does not count epochs.

    Where a part was resumed, what the part before it had logged from there on is left out. So is a last line that a
    crash cut off.

    Raises:
        UserError: there is no log, or a line of it is no record.
    """
    joined: list[dict] = []
    for folder in folders_of(Path(work_dir)):
        part = place(read_lines(folder / SCALARS))
        joined = [record for record in joined if not part or precedes(record, part[0])] + part
    return joined


def scalars_if_any(work_dir: str | Path) -> list[dict]:
    """``read_scalars`` of a folder that may hold no log: none then."""
    try:
        return read_scalars(work_dir)
    except UserError:
        return []


def folders_of(work_dir: Path) -> list[Path]:
    """The log folders of a work dir's newest run: the last one that started anew, and those that resumed it."""
    folders = sorted(path.parent.parent for path in work_dir.glob(f'*/{SCALARS}'))
    if not folders:
        raise UserError(f'{work_dir}: no log of a run (<time>/{SCALARS}); give work dirs of tools/train.py')
    starts = [i for i, folder in enumerate(folders) if not re.search(r'^resume = True', config_of(folder), re.M)]
    return folders[starts[-1]:] if starts else folders


def config_of(folder: Path) -> str:
    """The text of the config that a log folder's run had, '' where it left none."""
    path = folder / 'vis_data' / 'config.py'
    return path.read_text() if path.is_file() else ''


def read_lines(path: Path) -> list[dict]:
    """The records of one file, without a last line that a crash cut off."""
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
            raise UserError(f"{path}, line {number}: no record of a log, which has a 'step'; remove the line")
        records.append(record)
    return records


def place(records: list[dict]) -> list[dict]:
    """Says of each record of one file whose it is, and where in the training it stands."""
    length = epoch_length(records)
    placed = []
    done = dict(iter=0, **(dict(epoch=0) if length else {}))  # what the last record of training says
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
    """The iterations of an epoch, 0 where epochs are not counted; with one epoch alone, as many as were logged.

    The last iterations of an epoch may not be logged. Its first record is always the same one, so that first records
    are whole epochs apart.
    """
    trained = [record for record in records if 'iter' in record and 'epoch' in record]
    if not trained:
        return 0
    first, last = trained[0], trained[-1]
    begun = next(record for record in trained if record['epoch'] == last['epoch'])
    if begun['epoch'] == first['epoch']:
        return max(1, round(last['iter'] / last['epoch']))
    return max(1, (begun['iter'] - first['iter']) // (begun['epoch'] - first['epoch']))


def precedes(record: dict, start: dict) -> bool:
    """Whether a record is of the time before the part that begins with ``start``."""
    if 'epoch' in record and 'epoch' in start and record['epoch'] >= start['epoch']:
        return False
    return record['iter'] < start['iter']
