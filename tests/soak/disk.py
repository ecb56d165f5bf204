"""Every command that writes, on a disk that is full: exit code 3, one line, and what was there stays.

As root the disk is a small one in memory (tmpfs), which is really full. Otherwise a limit on file sizes stands for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmext.checkpoints.last import newest_checkpoint
from mmext.files import PART
from tests.conftest import ROOT
from tests.soak.ledger import Ledger, fewest
from tests.soak.trainings import LIMIT, Place
from tests.warm import run_warm

PROMISE = 'On a full disk every command ends with code 3 and one line, and the file before is intact'
CASES = 'commands on a full disk'
NAME = 'disk'
SIZE = 256  # MiB of the disk
Command = tuple[str, ...]


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Args:
        command: from the place, the folder that it writes into and how often it was called there, to a script of tools/
            and its arguments.
        lines: what else than an error of code 3 is right: a part of a line of the log, for what is documented so.
    """

    command: Callable[[Place, Path, int], list[object]]
    lines: str = ''


def trained(place: Place, task: str) -> tuple[Path, Path]:
    """The config and a checkpoint of a tiny training, run once."""
    work_dir = place.folder / 'trained' / task
    if not (work_dir / 'epoch_1.pth').exists():
        shutil.rmtree(work_dir, ignore_errors=True)
        done = run_warm(ROOT / 'tools' / 'train.py', *place.arguments(task, work_dir, options={
            'train_cfg.max_epochs': 1}), timeout=LIMIT)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
    return place.config(task), work_dir / 'epoch_1.pth'


def train(place: Place, target: Path, turn: int) -> list[object]:
    return ['train.py', *place.arguments('classification', target / 'run', '--resume', options={
        'train_cfg.max_epochs': turn + 1})]


def test(task: str, *flags: str) -> Callable[[Place, Path, int], list[object]]:
    """tools/test.py; a flag's value that begins with / is a name in the folder that is written into."""
    def command(place: Place, target: Path, turn: int) -> list[object]:
        config, checkpoint = trained(place, task)
        classes = ['--classes', 'auto'] if task != 'classification' else ['--backbone', 'rir_cnn32']
        return ['test.py', config, checkpoint, '--data-root', place.data(task), '--work-dir', place.folder / 'tested',
                *classes, *(str(target) + flag if flag.startswith('/') else flag for flag in flags)]
    return command


def predict(place: Place, target: Path, turn: int) -> list[object]:
    config, checkpoint = trained(place, 'detection')
    return ['predict.py', config, checkpoint, place.data('detection') / 'val2017', '--out', target / 'predicted',
            '--score', 0]


def recognize(place: Place, target: Path, turn: int) -> list[object]:
    config, checkpoint = trained(place, 'video')
    return ['recognize.py', config, checkpoint, place.data('video') / 'videos_val' / 'left', '--out',
            target / 'scores.json', '--show-dir', target / 'shown']


def prepare(*words: str) -> Callable[[Place, Path, int], list[object]]:
    """tools/prepare_video.py with a new folder at each turn, for it goes on in an old one."""
    def command(place: Place, target: Path, turn: int) -> list[object]:
        return ['prepare_video.py', words[0], place.data('video') / 'videos_train', '--workers', 0, *(
            str(target) + word.format(turn) if word.startswith('/') else word for word in words[1:])]
    return command


def export(place: Place, target: Path, turn: int) -> list[object]:
    return ['export.py', 'backbone', 'rir_cnn32', '--out', target / 'net.onnx']


WRITERS = {
    'checkpoint and log': Writer(train),
    '--out': Writer(test('classification', '--out', '/metrics.json', '/table.md')),
    'detections': Writer(test('detection', '--save-detections', '/detections.json'), 'no space left'),
    'report': Writer(test('detection', '--report', '/report')),
    'pictures of detections': Writer(test('detection', '--show-dir', '/pictures')),
    'pictures of videos': Writer(test('video', '--show-dir', '/pictures')),
    'predictions': Writer(predict),
    'recognized videos': Writer(recognize),
    'safetensors': Writer(lambda place, target, turn: ['convert_weights.py', trained(place, 'classification')[1],
                                                       target / 'weights.safetensors']),
    'export': Writer(export),
    'prepared videos': Writer(prepare('resize', '--out', '/small{}', '--short-side', '32')),
    'frames': Writer(prepare('frames', '--out', '/frames{}')),
    'report of a check': Writer(prepare('check', '--report', '/check{}.jsonl')),
    'curves': Writer(lambda place, target, turn: ['plot.py', trained(place, 'classification')[1].parent, '--out',
                                                  target / 'curves.png']),
    'gathered runs': Writer(lambda place, target, turn: ['gather_runs.py', trained(place, 'classification')[1].parent,
                                                         '--out', target / 'runs.json']),
    'made images': Writer(lambda place, target, turn: ['make_shapes.py', target / 'shapes', '--train', 2, '--val', 1]),
    'made videos': Writer(lambda place, target, turn: ['make_motion.py', target / 'motion', '--train', 1, '--val', 1]),
}
WANTED = dict.fromkeys(WRITERS, 2)  # a disk with nothing left, and one that fills up in the middle


def run(ledger: Ledger, place: Place, deadline: float) -> None:
    with disk_of(place.folder / 'disk') as disk:
        ledger.note(NAME, 'the disk', 'a tmpfs' if disk.real else 'a limit on file sizes')
        for kind in fewest(ledger, NAME, WANTED):
            if time.monotonic() > deadline:
                return
            case(ledger, place, disk, kind)


def case(ledger: Ledger, place: Place, disk: Disk, kind: str) -> None:
    """The command writes with room, without, and with room again."""
    disk.clear()
    turn = ledger.done(NAME, kind)
    writer = WRITERS[kind]
    wrong = []

    def call(number: int, limit: int | None = None) -> subprocess.CompletedProcess:
        script, *arguments = map(str, writer.command(place, disk.folder, number))
        command = (ROOT / 'tools' / script, *arguments)
        if limit is not None:
            command = (ROOT / 'tests' / 'soak' / 'limited.py', str(limit), *map(str, command))
        return run_warm(*command, timeout=LIMIT, env=dict(PYTHONPATH=str(ROOT)))

    first = call(0)
    if first.returncode:
        wrong.append(f'with room it ended with {first.returncode}: {first.stderr[-500:]}')
    before = disk.digests()
    largest = max((path.stat().st_size for path in disk.files()), default=0)
    with disk.full(largest // 2 if turn % 2 else 0) as limit:
        done = call(1, limit)
        wrong += what_is_wrong(done, writer, disk, before)
    again = call(1)
    if again.returncode:
        wrong.append(f'with room again it ended with {again.returncode}: {again.stderr[-500:]}')
    ledger.add(NAME, kind)
    for what in wrong:
        ledger.fail(NAME, kind, what, left=largest // 2 if turn % 2 else 0)


def what_is_wrong(done: subprocess.CompletedProcess, writer: Writer, disk: Disk, before: dict[str, str]) -> list[str]:
    wrong = []
    printed = done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    documented = writer.lines and done.returncode == 0 and writer.lines in printed
    if not documented and (done.returncode != 3 or len(lines) != 1 or 'no space left' not in lines[0]):
        wrong.append(f'it ended with {done.returncode}: {(lines or [done.stderr[-800:]])[0]}')
    elif not documented and disk.real and str(disk.folder) not in lines[0]:
        wrong.append(f'the line names another file: {lines[0]}')
    if 'Traceback' in printed:
        wrong.append(f'a traceback: {printed[printed.index("Traceback"):][-800:]}')
    after = disk.digests()
    for name, digest in before.items():
        if name.endswith(('.log', '.jsonl')) or 'vis_data' in name or Path(name).name in ('.lock', 'classes.txt'):
            continue
        if name not in after:
            if not name.endswith('.pth'):
                wrong.append(f'{name} is gone')
        elif after[name] != digest and after[name] == hashlib.sha256(b'').hexdigest():
            wrong.append(f'{name} is empty')
    leftover = [name for name in after if name.endswith(PART)]
    if leftover:
        wrong.append(f'left over: {leftover}')
    if (disk.folder / 'run').is_dir():
        newest, passed = newest_checkpoint(disk.folder / 'run')
        if newest is None or passed:
            wrong.append(f'nothing to resume from: {passed}')
    return wrong


class Disk:
    """A folder that can be made full.

    Args:
        folder: where it is.
        real: whether it is a disk of its own.
    """

    def __init__(self, folder: Path, real: bool) -> None:
        self.folder, self.real = folder, real

    def files(self) -> list[Path]:
        return [path for path in sorted(self.folder.rglob('*')) if path.is_file() and path.name != 'ballast']

    def digests(self) -> dict[str, str]:
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in self.files()}

    def clear(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def full(self, left: int) -> Iterator[int | None]:
        """Has no more than so many bytes left; gives the limit on file sizes that stands for it, or None."""
        if not self.real:
            yield max(left, 4096)
            return
        ballast = self.folder / 'ballast'
        with ballast.open('wb') as file, contextlib.suppress(OSError):
            free = shutil.disk_usage(self.folder).free
            file.write(bytes(max(free - left, 0)))
        try:
            yield None
        finally:
            ballast.unlink()


@contextlib.contextmanager
def disk_of(folder: Path) -> Iterator[Disk]:
    """A small disk in memory where this process may make one, else a plain folder."""
    subprocess.run(['umount', folder], capture_output=True)  # of a soak that was killed
    folder.mkdir(parents=True, exist_ok=True)
    try:
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SIZE}m', 'none', folder], capture_output=True)
        real = mounted.returncode == 0
    except FileNotFoundError:
        real = False
    try:
        yield Disk(folder, real)
    finally:
        if real:
            subprocess.run(['umount', '--lazy', folder], capture_output=True)
