"""Sets mmext up and tests it with several versions of Python and torch: make matrix

Each row of the matrix has a folder with a clean clone of the last commit and its own .venv. Its steps are the set-up,
the doctor, a smoke run (a training and a test of each task on made-up data) and, with --suite, the whole test suite. A
second call repeats only what has not passed. Runs on a plain Python. Environment variables such as MMCV_OPS, MAX_JOBS,
MMEXT_DATA and PYTEST_ADDOPTS reach all steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = 'default'
NEWEST = 'newest'
STEPS = ('set-up', 'doctor', 'smoke', 'suite')
ROWS = ('3.10', '3.11', '3.12', '3.13', '3.14', '3.11:2.6.0', f'3.11:{NEWEST}')
SMOKE = ('-n', '0', '-m', 'smoke', 'tests/tools')
# What would lead a row's Python to another environment, or reach the pytest that a test starts.
FOREIGN = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'TORCH', 'PYTEST_ADDOPTS')
VERSIONS = """
import json, mmcv, torch
from mmcv.ops import get_compiling_cuda_version
ops = get_compiling_cuda_version()
print(json.dumps({'torch': torch.__version__, 'mmcv': f'{mmcv.__version__}, ' + (
    'CPU ops' if ops == 'not available' else f'CUDA {ops} ops')}))
"""


@dataclass(frozen=True)
class Row:
    """A Python (3.12) and a torch: a version, 'newest' or 'default', which is that of tools/setup_env.py."""

    python: str
    torch: str = DEFAULT

    @classmethod
    def parse(cls, text: str) -> Row:
        match = re.fullmatch(rf'(3\.\d+)(?::(\d[\w.+]*|{NEWEST}|{DEFAULT}))?', text)
        if not match:
            raise argparse.ArgumentTypeError(f'{text!r} is no row: write 3.12, 3.12:2.6.0 or 3.12:{NEWEST}')
        return cls(match[1], match[2] or DEFAULT)

    @property
    def name(self) -> str:
        return f'python{self.python}' + ('' if self.torch == DEFAULT else f'-torch-{self.torch}')

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(map(int, self.python.split('.')))

    def environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        if self.torch != DEFAULT:
            env['TORCH'] = 'torch' if self.torch == NEWEST else f'torch=={self.torch}'
        return env


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('rows', nargs='*', type=Row.parse, default=[Row.parse(text) for text in ROWS], metavar='ROW',
                        help=f'a Python, or PYTHON:TORCH (default: {" ".join(ROWS)})')
    parser.add_argument('--suite', choices=('none', 'ends', 'all'), default='none',
                        help='the rows that run the whole test suite; ends: those of the lowest and the highest Python '
                             'with the default torch (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'matrix', metavar='DIR',
                        help='the folder of the rows, of matrix.md and matrix.json (default: work_dirs/matrix)')
    parser.add_argument('--fresh', action='store_true', help='forget what has passed before')
    parser.add_argument('--discard', action='store_true',
                        help='delete the clone of a row when all its steps have passed; it takes 2 to 8 GB')
    args = parser.parse_args()
    try:
        return run(args)
    except (OSError, ValueError, subprocess.CalledProcessError) as failure:
        print(f'error: {failure}', file=sys.stderr)
        return 2


def run(args: argparse.Namespace) -> int:
    found = {row: interpreter for row in dict.fromkeys(args.rows) if (interpreter := find_interpreter(row.python))}
    with_suite = rows_with_suite(list(found), args.suite)
    matrix = Matrix(args.work_dir, args.fresh)
    for row in dict.fromkeys(args.rows):
        if row not in found:
            print(f'{row.name}: there is no python{row.python} on this machine; left out', flush=True)
            continue
        if matrix.run(row, found[row], STEPS if row in with_suite else STEPS[:-1]) and args.discard:
            shutil.rmtree(matrix.source(row), ignore_errors=True)
    print(matrix.table(), end='')
    return 0 if all(matrix.passed(row) for row in found) else 1


def find_interpreter(python: str) -> str | None:
    """A working interpreter of a Python such as 3.12: the one on PATH, or the newest of pyenv's."""
    versions = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv') / 'versions'
    of_pyenv = [(int(match[1]), str(path)) for path in versions.glob(f'{python}.*/bin/python')
                if (match := re.fullmatch(rf'{re.escape(python)}\.(\d+)', path.parts[-3]))]
    for candidate in [shutil.which(f'python{python}'), *(path for _, path in sorted(of_pyenv, reverse=True))]:
        if candidate and version_of(candidate).startswith(f'{python}.'):  # a shim of pyenv may have nothing behind it
            return candidate
    return None


def version_of(interpreter: str) -> str:
    done = subprocess.run([interpreter, '-c', 'import platform; print(platform.python_version())'],
                          capture_output=True, text=True)
    return done.stdout.strip()


def rows_with_suite(rows: list[Row], which: str) -> set[Row]:
    """Of the rows that have an interpreter, those whose whole suite runs."""
    if which == 'all':
        return set(rows)
    plain = sorted((row for row in rows if row.torch == DEFAULT), key=lambda row: row.number)
    return {plain[0], plain[-1]} if plain and which == 'ends' else set()


class Matrix:
    """The rows' folders and results, which are written after every step.

    Args:
        folder: created where it does not exist.
        fresh: results of earlier calls are forgotten.
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / 'matrix.json'
        self.results: dict[str, dict] = {}
        if self.file.exists() and not fresh:
            try:
                self.results = json.loads(self.file.read_text())
            except ValueError as error:
                raise ValueError(f'{self.file}: not written by this command ({error}); give --fresh') from None

    def source(self, row: Row) -> Path:
        return self.folder / row.name / 'source'

    def python(self, row: Row) -> str:
        return str(self.source(row) / '.venv' / 'bin' / 'python')

    def log(self, row: Row, step: str) -> Path:
        return self.folder / row.name / f'{step}.log'

    def passed(self, row: Row) -> bool:
        return all(step['passed'] for step in self.results[row.name]['steps'].values())

    def run(self, row: Row, interpreter: str, steps: Sequence[str]) -> bool:
        """Runs those steps of a row that have not passed, up to the first that fails; True if all have passed."""
        result = self.results.setdefault(row.name, dict(python=version_of(interpreter), steps={}))
        waiting = [step for step in steps if not result['steps'].get(step, {}).get('passed')]
        if not waiting:
            print(f'{row.name}: has passed before', flush=True)
            return True
        new = not self.source(row).exists()
        commit = clone(self.source(row))
        before = result['steps'].get('set-up', {})
        if 'set-up' not in waiting and (new or before['commit'] != commit):
            waiting.insert(0, 'set-up')  # which only adds what a later commit needs
        for step in waiting:
            print(f'{row.name}: {step} ...', flush=True)
            done = self.step(row, interpreter, step)
            if step == 'set-up' and not new:
                done['seconds'] += before.get('seconds', 0)
            result['steps'][step] = dict(done, commit=commit, date=datetime.date.today().isoformat())
            if step == 'set-up' and done['passed']:
                result.update(self.versions(row))
            self.write()
            log = '' if done['passed'] else f', see {self.log(row, step)}'
            print(f'{row.name}: {step} {cell(done)}{log}', flush=True)
            if not done['passed']:
                return False
        return True

    def step(self, row: Row, interpreter: str, step: str) -> dict:
        """Runs one step, with its output in a log: whether it passed, its seconds, and pytest's counts."""
        python = self.python(row)
        options = shlex.split(os.environ.get('PYTEST_ADDOPTS', ''))
        command = {'set-up': [interpreter, 'tools/setup_env.py'], 'doctor': [python, '-m', 'mmext.doctor'],
                   'smoke': [python, '-m', 'pytest', *SMOKE], 'suite': [python, '-m', 'pytest', *options]}[step]
        started = time.monotonic()
        with open(self.log(row, step), 'w') as log:
            code = subprocess.run(command, cwd=self.source(row), env=row.environment(), stdout=log,
                                  stderr=subprocess.STDOUT).returncode
        return dict(passed=code == 0, seconds=round(time.monotonic() - started),
                    tests=tests_told(self.log(row, step).read_text(errors='replace')))

    def versions(self, row: Row) -> dict[str, str]:
        """What the set-up has installed."""
        told = subprocess.run([self.python(row), '-c', VERSIONS], check=True, stdout=subprocess.PIPE, text=True,
                              cwd=self.source(row), env=row.environment()).stdout
        return json.loads(told.splitlines()[-1])

    def write(self) -> None:
        """Writes matrix.json and matrix.md, each at once or not at all."""
        for path, text in ((self.file, json.dumps(self.results, indent=2) + '\n'),
                           (self.file.with_suffix('.md'), self.table())):
            part = path.with_name(f'.{path.name}.part')
            part.write_text(text)
            os.replace(part, path)

    def table(self) -> str:
        """The results as a table in Markdown."""
        lines = [f'| Python | torch | mmcv | {" | ".join(STEPS)} | commit, date |', '|---' * 8 + '|']
        for result in sorted(self.results.values(), key=lambda result: order(result['python'])):
            steps = result['steps']
            last = max(steps.values(), key=lambda step: step['date'])
            lines.append('| ' + ' | '.join([
                result['python'], result.get('torch', '-'), result.get('mmcv', '-'),
                *(cell(steps.get(step)) for step in STEPS), f'{last["commit"]}, {last["date"]}']) + ' |')
        return '\n'.join(lines) + '\n'


def clone(source: Path) -> str:
    """Makes a folder a clean clone of this repository's last commit, whose .venv is kept; returns the commit."""
    if not source.exists():
        source.parent.mkdir(parents=True, exist_ok=True)
        git('clone', '--quiet', ROOT, source)
    git('-C', source, 'fetch', '--quiet', ROOT, 'HEAD')
    git('-C', source, 'reset', '--quiet', '--hard', 'FETCH_HEAD')
    return git('-C', source, 'rev-parse', '--short', 'HEAD')


def git(*arguments: object) -> str:
    return subprocess.run(['git', *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def tests_told(log: str) -> str:
    """The counts of pytest's last line: '3 passed, 1 skipped'; '' in a log without one."""
    found = re.findall(r'^(?:=+ )?(\d+ (?:passed|failed|skipped|error)[^=\n]*?) in [\d.]+s', log, re.MULTILINE)
    return re.sub(r', \d+ deselected', '', found[-1]) if found else ''


def cell(step: dict | None) -> str:
    if step is None:
        return '-'
    seconds = step['seconds']
    took = f'{seconds} s' if seconds < 100 else f'{seconds / 60:.0f} min'
    return ', '.join(filter(None, [step['tests'] or ('passed' if step['passed'] else ''),
                                   '' if step['passed'] else 'FAILED', took]))


def order(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r'\d+', version)))


if __name__ == '__main__':
    sys.exit(main())
