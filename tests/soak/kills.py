"""Trainings that are killed at any time, again and again, and have to come out as if they never were."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from pathlib import Path

import torch

from mmext.checkpoints import read_checkpoint
from mmext.checkpoints.last import HINT, newest_checkpoint, numbered
from mmext.errors import UserError
from mmext.files import PART
from tests.soak.ledger import Ledger, fewest
from tests.soak.trainings import EPOCHS, LIMIT, TASKS, Place, Started, ended

PROMISE = 'A kill at any time leaves a checkpoint that resumes, the best one, and nothing half-written that counts; ' \
    'resumed, the weights come out bit for bit'
CASES = 'kills (SIGKILL)'
NAME = 'kills'
ALL = 200
KINDS = [f'{task}, {workers} workers, keeps {keep}' for task, workers, keep in
         itertools.product(TASKS, (0, 2), (1, 3))]
WANTED = {kind: -(-ALL // len(KINDS)) for kind in KINDS}
KILLS_OF_A_TRAINING = 8  # it is left alone after that, and has to come to its end


def run(ledger: Ledger, place: Place, deadline: float) -> None:
    for kind in fewest(ledger, NAME, WANTED):
        if time.monotonic() > deadline:
            return
        life(ledger, place, kind, deadline)


def parts_of(kind: str) -> tuple[str, int, int]:
    task, workers, keep = kind.split(', ')
    return task, int(workers.split()[0]), int(keep.split()[1])


def start(place: Place, kind: str, work_dir: Path) -> Started:
    task, workers, keep = parts_of(kind)
    return place.start(task, work_dir, '--resume', workers=workers,
                       options={'default_hooks.checkpoint.max_keep_ckpts': keep})


def reference(place: Place, kind: str) -> tuple[Path, float]:
    """The same training without a kill, run once: its folder, and how many seconds it took."""
    task, workers, _ = parts_of(kind)  # how many are kept changes no weight
    folder = place.folder / 'references' / f'{task}_{workers}'
    note = folder.with_name(f'{folder.name}.seconds')
    if not note.exists():
        shutil.rmtree(folder, ignore_errors=True)
        begin = time.monotonic()
        with ended(start(place, kind, folder)) as training:
            if training.end(LIMIT) != 0:
                raise RuntimeError(f'the training without a kill failed: {training.printed()[-3000:]}')
        note.write_text(str(time.monotonic() - begin))
    return folder, float(note.read_text())


def life(ledger: Ledger, place: Place, kind: str, deadline: float) -> None:
    """One training from its first start to its end, with kills."""
    whole, seconds = reference(place, kind)
    number = ledger.part(NAME)['notes'].get(f'trainings of {kind}', 0)
    ledger.note(NAME, f'trainings of {kind}', number + 1)
    draw = random.Random(f'{kind} {number}')
    work_dir = place.folder / 'kills'
    shutil.rmtree(work_dir, ignore_errors=True)
    moments, done = [], -1
    for _ in range(KILLS_OF_A_TRAINING):
        if time.monotonic() > deadline:
            return
        moment = draw_moment(draw, seconds)
        with ended(start(place, kind, work_dir)) as training:
            if not wait_for(training, work_dir, moment):
                break  # it came to its end before
            before = names_in(work_dir)
            training.process.kill()
            training.process.join()
        moments.append(moment)
        wrong, done = broken_promises(work_dir, before, done, parts_of(kind)[2])
        ledger.add(NAME, kind)
        for what in wrong:
            ledger.fail(NAME, kind, what, moments=moments, training=number)
    with ended(start(place, kind, work_dir)) as training:
        code = training.end(LIMIT)
    if code != 0:
        told = training.printed()[-1500:]
        ledger.fail(NAME, kind, f'resumed, it ended with {code}', moments=moments, training=number, printed=told)
        return
    ledger.note(NAME, 'trainings that came to their end', 1, add=True)
    for what in differences(work_dir, whole):
        ledger.fail(NAME, kind, what, moments=moments, training=number)


def draw_moment(draw: random.Random, seconds: float) -> tuple[str, float, float]:
    """When a kill comes: at any time, or within milliseconds of the n-th file that is begun to be written."""
    if draw.random() < 0.5:
        return 'after', draw.uniform(0, seconds), 0
    return 'writing', draw.randint(1, 2 * EPOCHS), draw.uniform(0, 0.02)


def wait_for(training: Started, work_dir: Path, moment: tuple[str, float, float]) -> bool:
    """Waits until it is time; False where the training has ended before."""
    way, first, second = moment
    if way == 'after':
        return training.wait(first)
    seen: set[str] = set()

    def begun() -> bool:
        seen.update(path.name for path in work_dir.glob(f'.*{PART}'))
        return len(seen) >= first

    return training.wait(LIMIT, begun) and training.wait(second)


def names_in(work_dir: Path) -> set[str]:
    return {path.name for path in work_dir.glob('*.pth')}


def is_best(name: str) -> bool:
    return name.startswith('best_')


def broken_promises(work_dir: Path, before: set[str], done: int, keep: int) -> tuple[list[str], int]:
    """What is wrong in a folder after a kill, and the iteration that a training would go on from (-1: from none).

    Args:
        work_dir: of the training.
        before: the checkpoints that were there just before.
        done: the iteration that it could go on from after the kill before.
        keep: ``max_keep_ckpts``.
    """
    wrong, found = [], sorted(names_in(work_dir))
    for name in found:
        try:
            read_checkpoint(work_dir / name)
        except UserError as error:
            wrong.append(f'half-written: {error}')
    for what, chosen in (('best one', is_best), ('one to resume from', lambda name: not is_best(name))):
        if any(map(chosen, before)) and not any(map(chosen, found)):
            wrong.append(f'lost: of {sorted(before)} there is no {what}')
    counts = max(map(len, numbered(work_dir)), default=0), sum(map(is_best, found))
    if counts[0] > keep + 1 or counts[1] > 2:
        wrong.append(f'old ones stay: {found}')
    hint = work_dir / HINT
    if hint.exists() and not (work_dir / hint.read_text()).is_file():
        wrong.append(f'{HINT} holds {hint.read_text()!r}, and there is {found}')
    try:
        newest, passed = newest_checkpoint(work_dir)
    except UserError as error:
        return [*wrong, str(error)], done
    reached = read_checkpoint(newest)['meta']['iter'] if newest else -1
    if passed or reached < done:
        wrong.append(f'would go on from iteration {reached}, and had {done} before; passed over: {passed}')
    return wrong, reached


def differences(work_dir: Path, whole: Path) -> list[str]:
    """How a training that was killed differs from one that was not, at its end."""
    wrong = []
    names = [sorted(filter(is_best, names_in(folder))) for folder in (work_dir, whole)]
    if names[0] != names[1]:
        wrong.append(f'the best is {names[0]}, and without kills {names[1]}')
    contents = [read_checkpoint(newest_checkpoint(folder)[0]) for folder in (work_dir, whole)]
    if contents[0]['meta']['iter'] != contents[1]['meta']['iter']:
        wrong.append(f"ended at iteration {contents[0]['meta']['iter']}, not {contents[1]['meta']['iter']}")
    tensors = [content['state_dict'] for content in contents]
    unequal = [name for name, value in tensors[0].items() if not torch.equal(value, tensors[1][name])]
    if unequal:
        wrong.append(f'{len(unequal)} of {len(tensors[0])} tensors differ from the training without kills')
    leftover = [path.name for path in work_dir.glob(f'.*{PART}')]
    if leftover:
        wrong.append(f'left over: {leftover}')
    return wrong
