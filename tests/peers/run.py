"""Runs the test suites of mmaction2, mmengine and mmdet on this stack, with mmext's repairs in place.

    git clone --branch v1.2.0 --depth 1 https://github.com/open-mmlab/mmaction2
    git clone --branch v0.10.7 --depth 1 https://github.com/open-mmlab/mmengine
    pip install parameterized lmdb
    python tests/peers/run.py --mmaction mmaction2 --mmengine mmengine

A checkout supplies the tests alone; the packages that they test are the installed ones, whose version it should have.
Each test file runs in a process of its own, which imports mmext first, and is stopped after ``--timeout`` seconds.

What is known to fail is in known_failures.json, by its reason; an entry is a file (``tests/a.py``), a class or a test,
and ``*`` stands for any text. The exit code is 1 where anything else fails, 0 otherwise. A known failure that passes
is told, too: its entry is to be deleted.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name('known_failures.json')
# What runs without network and GPU, and is about the parts that mmext repairs or builds on.
PARTS = {
    'mmaction': [f'tests/{part}' for part in (
        'datasets', 'engine', 'evaluation', 'models/data_preprocessors', 'models/heads', 'models/losses', 'structures',
        'utils', 'visualization')],
    'mmengine': [f'tests/test_{part}' for part in (
        'config', 'data', 'dataset', 'evaluator', 'fileio', 'hooks', 'infer', 'logging', 'model', 'optim', 'registry',
        'structures', 'utils')],
    'mmdet': [f'tests/test_{part}' for part in ('datasets', 'evaluation', 'models', 'structures')],
}
# The checkout's packages must not hide the installed ones, so the current folder leaves the path.
START = "import sys; sys.path.remove(''); import mmext, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@dataclass(frozen=True)
class Outcome:
    """A test, or a whole file that could not be collected; ``failure`` is None where it passed or was skipped."""

    test: str
    failure: str | None
    skipped: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    for name in PARTS:
        parser.add_argument(f'--{name}', metavar='PATH', type=Path, help=f'a checkout of {name}')
    parser.add_argument('--only', nargs='+', metavar='PATH', help='other files or folders of the checkout')
    parser.add_argument('--timeout', type=float, default=300, help='seconds a test file has (default: %(default)s)')
    args = parser.parse_args()
    given = {name: getattr(args, name) for name in PARTS if getattr(args, name)}
    if not given:
        parser.error(f'name a checkout: {" or ".join(f"--{name} PATH" for name in PARTS)}')
    for name, checkout in given.items():
        if not (checkout / 'tests').is_dir():
            parser.error(f'--{name} {checkout}: no checkout, it has no folder tests')
    known = json.loads(KNOWN.read_text())
    return max(run_suite(name, checkout.resolve(), args.only or PARTS[name], known.get(name, {}), args.timeout)
               for name, checkout in given.items())


def run_suite(name: str, checkout: Path, parts: Sequence[str], known: dict[str, list[str]], timeout: float) -> int:
    """Runs some files of a checkout and prints what came out; 1 where something failed that is not known to."""
    outcomes = []
    for file in test_files(checkout, parts):
        found = run_file(checkout, file, timeout)
        outcomes += found
        failed = sum(outcome.failure is not None for outcome in found)
        print(f'{name}: {file}: {len(found) - failed} of {len(found)}', flush=True)
    return tell(name, outcomes, known)


def test_files(checkout: Path, parts: Sequence[str]) -> Iterator[str]:
    """The test files below some folders, relative to the checkout."""
    for part in parts:
        place = checkout / part
        for path in [place] if place.is_file() else sorted(place.rglob('test_*.py')):
            yield path.relative_to(checkout).as_posix()


def run_file(checkout: Path, file: str, timeout: float) -> list[Outcome]:
    """The outcome of each test of a file; of the file alone, where it can't be collected or takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        command = [sys.executable, '-c', START, file, '-q', '-p', 'no:cacheprovider', f'--junitxml={report}']
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH'))))
        try:
            done = subprocess.run(command, cwd=checkout, env={**os.environ, 'PYTHONPATH': path}, capture_output=True,
                                  text=True, errors='replace', timeout=timeout)
        except subprocess.TimeoutExpired:
            return [Outcome(file, f'not done after {timeout:g} s')]
        if not report.is_file():  # it was killed
            return [Outcome(file, f'exit code {done.returncode}: {" ".join(done.stderr.split())[-200:]}')]
        return [outcome_of(file, case) for case in ElementTree.parse(report).iter('testcase')]


def outcome_of(file: str, case: ElementTree.Element) -> Outcome:
    """A test as pytest's XML report has it. One that can't be collected has no class, and the module as its name."""
    module = file.removesuffix('.py').replace('/', '.')
    owner = case.get('classname', '')
    parts = [file, *owner.removeprefix(module).strip('.').split('.'), case.get('name')] if owner else [file]
    wrong = [part for part in case if part.tag in ('failure', 'error')]
    failure = ' '.join((wrong[0].get('message') or wrong[0].text or '').split())[:300] if wrong else None
    if failure == 'collection failure':
        failure = ' '.join((wrong[0].text or '').split())[-300:]
    return Outcome('::'.join(filter(None, parts)), failure, any(part.tag == 'skipped' for part in case))


def covers(entry: str, test: str) -> bool:
    """Whether an entry of the known failures is this test, or its class, its file, or all of its parameters."""
    pattern = entry.replace('[', '[[]')
    return any(fnmatch.fnmatchcase(test, pattern + more) for more in ('', '::*', '[[]*'))


def tell(name: str, outcomes: list[Outcome], known: dict[str, list[str]]) -> int:
    """Prints the numbers, the known failures by reason, and every other one; 1 where there is another one."""
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    entries = [entry for listed in known.values() for entry in listed]
    unexpected = [outcome for outcome in failed if not any(covers(entry, outcome.test) for entry in entries)]
    skipped = sum(outcome.skipped for outcome in outcomes)
    print(f'{name}: {len(outcomes) - len(failed) - skipped} passed, {skipped} skipped, '
          f'{len(failed) - len(unexpected)} known failures, {len(unexpected)} unexpected')
    for reason, listed in known.items():
        for entry in listed:
            tried = [outcome for outcome in outcomes if covers(entry, outcome.test) and not outcome.skipped]
            count = sum(outcome.failure is not None for outcome in tried)
            if count:
                print(f'  known, {count}: {entry}: {reason}')
            elif tried:
                print(f'  passes now, delete its entry: {entry}')
    for outcome in unexpected:
        print(f'  unexpected: {outcome.test}: {outcome.failure}')
    return 1 if unexpected else 0


if __name__ == '__main__':
    sys.exit(main())
