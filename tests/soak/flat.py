"""Long trainings whose memory and open descriptors stay what they are."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np

from tests.soak.ledger import Ledger
from tests.soak.trainings import Place, ended

PROMISE = 'Memory and open descriptors of a training are flat'
CASES = 'iterations of training'
NAME = 'flat'
WANTED = dict(classification=5000, detection=1000, video=1000)
WORKERS = dict(classification=2, detection=0, video=0)  # they start anew with every epoch
BATCH = dict(classification=2, detection=1, video=1)  # many iterations an epoch
WARM = 0.2  # of the iterations, after which the slope counts
ENOUGH = 500  # iterations, before a slope says anything
PARTS = 8  # of the time
MEGABYTES = 2.0  # more of resident memory in 1,000 iterations is a leak
HOOK = """
custom_imports = dict(imports=['mmext', {more}'tests.soak.hooks'], allow_failed_imports=False)
default_hooks.update(soak=dict(type='SoakMemoryHook', path='{path}'), checkpoint=dict(interval=50))
"""


def run(ledger: Ledger, place: Place, deadline: float) -> None:
    left = [task for task in WANTED if ledger.done(NAME, task) < WANTED[task]]
    for number, task in enumerate(left):
        rest = deadline - time.monotonic()
        if rest > 0:
            train(ledger, place, task, WANTED[task], time.monotonic() + rest / (len(left) - number))


def train(ledger: Ledger, place: Place, task: str, iterations: int, deadline: float) -> None:
    """One long training; where the time is up before, what it has reached is looked at."""
    work_dir, path = place.folder / 'flat', place.folder / 'flat.jsonl'
    shutil.rmtree(work_dir, ignore_errors=True)
    path.unlink(missing_ok=True)
    hook = HOOK.format(path=path, more="'mmext.video', " if task == 'video' else '')
    config = place.config(task, f'{task}_flat', hook)
    # The first validation loads the evaluator; it must come before the slope counts.
    options = {'train_cfg.max_epochs': 10**5, 'train_cfg.val_interval': 5,
               'train_dataloader.batch_size': BATCH[task], 'default_hooks.logger.interval': 20}
    with ended(place.start(task, work_dir, '--overwrite', config=config, workers=WORKERS[task],
                           options=options)) as training:
        alive = training.wait(deadline - time.monotonic(), lambda: last(path) >= iterations)
        if not alive:
            ledger.fail(NAME, task, f'it ended with {training.process.exitcode}', printed=training.printed()[-2000:])
            return
    look(ledger, task, path)


def last(path: Path) -> int:
    """The iteration of the last line."""
    time.sleep(0.5)
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])['iteration'] if lines else 0


def growth_of(times: np.ndarray, sizes: np.ndarray) -> float:
    """How much a size grows in a unit of time: the median over parts of the time, from each to the next.

    The allocator takes memory from the system 64 MiB at a time. One such step, in one part, is no leak.
    """
    parts = [(np.mean(time), np.median(size)) for time, size in zip(np.array_split(times, PARTS),
                                                                   np.array_split(sizes, PARTS))]
    return float(np.median([(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(parts, parts[1:])]))


def look(ledger: Ledger, task: str, path: Path) -> None:
    if not path.exists():
        return
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    reached = lines[-1]['iteration']
    late = [line for line in lines if line['iteration'] >= WARM * reached]
    ledger.part(NAME)['done'][task] = max(reached, ledger.done(NAME, task))
    if reached < ENOUGH:
        return
    times = np.array([line['iteration'] for line in late])
    slope = growth_of(times, np.array([line['bytes'] / 2**20 for line in late])) * 1000
    counts = [line['descriptors'] for line in late]
    growth = float(np.polyfit(times, counts, 1)[0]) * (times[-1] - times[0])
    ledger.note(NAME, f'{task}: MiB in 1,000 iterations', round(slope, 2))
    ledger.note(NAME, f'{task}: descriptors', f'{min(counts)} to {max(counts)}')
    if slope > MEGABYTES:
        ledger.fail(NAME, task, f'memory grows by {slope:.2f} MiB in 1,000 iterations', iterations=reached)
    if growth >= 1:
        ledger.fail(NAME, task, f'descriptors grow from {counts[0]} to {counts[-1]}', iterations=reached)
