"""Faults of one of two processes: the other one ends, and nothing is damaged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

from mmext.checkpoints import read_checkpoint
from mmext.checkpoints.last import newest_checkpoint
from tests.conftest import ROOT
from tests.soak.ledger import Ledger, fewest
from tests.soak.trainings import Place
from tests.tools.test_processes import launched

PROMISE = 'A fault of one of two processes ends both in time, and the last checkpoint resumes'
CASES = 'faults at one of two ranks'
NAME = 'ranks'
KINDS = [f'{fault}, {task}, rank {rank}' for task, fault, rank in product(
    ('classification', 'detection', 'video'), ('kill', 'exception'), (0, 1))]
KINDS += [f'file, {task}, any rank' for task in ('folders', 'detection', 'video')]
WANTED = dict.fromkeys(KINDS, 2)
LIMIT = 240.0  # seconds of a whole training with its start
AFTER = 60.0  # seconds from the fault to the end of all processes
FAULT = """
custom_imports = dict(imports=['mmext', 'mmext.video', 'tests.soak.hooks'], allow_failed_imports=False)
default_hooks.update(soak=dict(type='SoakFaultHook', kind='{kind}', rank={rank}, at={at}))
"""


def run(ledger: Ledger, place: Place, deadline: float) -> None:
    for kind in fewest(ledger, NAME, WANTED):
        if time.monotonic() > deadline:
            return
        case(ledger, place, kind)


def case(ledger: Ledger, place: Place, kind: str) -> None:
    """An epoch that ends well, then two with a fault in the first of them; then it is resumed without."""
    fault, task, rank = kind.split(', ')
    number = ledger.done(NAME, kind)
    work_dir = place.folder / 'ranks'
    shutil.rmtree(work_dir, ignore_errors=True)
    plain = place.config(task)
    wrong: list[str] = []
    first = torchrun(place, task, work_dir, plain, 1)
    if first[0] != 0:
        wrong.append(f'without a fault it ended with {first[0]}: {told(first[2])}')
    spoiled = Spoiled(place.data(task), task, number) if fault == 'file' else None
    config = plain if spoiled else place.config(task, f'{task}_fault', FAULT.format(
        kind=fault, rank=rank.removeprefix('rank '), at=1 + number))
    try:
        code, seconds, printed = torchrun(place, task, work_dir, config, 3, 'raise' if spoiled else '')
    finally:
        if spoiled:
            spoiled.mend()
    if not code:
        wrong.append('it ended as if nothing had happened')
    if code is None or seconds > LIMIT:
        wrong.append(f'it had not ended after {seconds:.0f} s')
    if spoiled and printed.count('error: ') < 1:
        wrong.append(f'no line names the file: {told(printed)}')
    for path in work_dir.glob('*.pth'):
        read_checkpoint(path)
    newest, passed = newest_checkpoint(work_dir)
    if newest is None or passed:
        wrong.append(f'nothing to resume from: {passed}')
    code, _, printed = torchrun(place, task, work_dir, plain, 3)
    if code != 0:
        wrong.append(f'resumed, it ended with {code}: {told(printed)}')
    ledger.add(NAME, kind)
    ledger.note(NAME, 'longest, s', round(max(seconds, ledger.part(NAME)['notes'].get('longest, s', 0)), 1))
    for what in wrong:
        ledger.fail(NAME, kind, what)


def torchrun(place: Place, task: str, work_dir: Path, config: Path, epochs: int,
             on_error: str = '') -> tuple[int | None, float, str]:
    """Exit code, or None where it had to be killed; seconds; and all that was printed."""
    options = {'train_cfg.max_epochs': epochs, 'train_dataloader.batch_size': 2}
    if on_error:
        options['train_dataloader.dataset.pipeline.0.on_error'] = on_error
    command = [sys.executable, *launched(2), str(ROOT / 'tools' / 'train.py'), *place.arguments(
        task, work_dir, '--resume', '--launcher', 'pytorch', config=config, options=options)]
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors='replace', start_new_session=True,
                               env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    try:
        printed, _ = process.communicate(timeout=LIMIT)
        return process.returncode, time.monotonic() - begin, printed
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        return None, time.monotonic() - begin, printed


def told(printed: str) -> str:
    """The lines that say what went wrong; torchrun's own come after them."""
    lines = [line for line in printed.splitlines() if 'rror' in line and 'error_file' not in line]
    return ' / '.join(lines[-6:])[-1500:] or printed[-800:]


class Spoiled:
    """A training file that can't be read until it is mended.

    Args:
        data: of the data set.
        task: see ``trainings``.
        number: which of its files.
    """

    PLACES = dict(folders='train/*/*.jpg', detection='train2017/*', video='videos_train/*/*.mp4')

    def __init__(self, data: Path, task: str, number: int) -> None:
        paths = sorted(data.glob(self.PLACES[task]))
        self.path = paths[number % len(paths)]
        self.content = self.path.read_bytes()
        self.path.write_bytes(b'no such thing')

    def mend(self) -> None:
        self.path.write_bytes(self.content)
