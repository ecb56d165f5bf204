"""The matrix of Pythons: its rows, what it repeats and what it keeps, with interpreters and tools that only pretend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Sets up an environment whose Python knows only what the matrix asks it; BROKEN in the environment makes a step fail.
FAKE_SETUP = '''
import os, pathlib, sys
assert 'PYTHONPATH' not in os.environ and os.environ.get('TORCH', 'none') == {torch!r}, os.environ
python = pathlib.Path('.venv/bin/python')
python.parent.mkdir(parents=True, exist_ok=True)
python.write_text("""#!/bin/sh
case "$*" in
*mmext.doctor*) test "$BROKEN" != doctor;;
*smoke*) echo '3 passed, 90 deselected in 21.5s'; test "$BROKEN" != smoke;;
*pytest*) echo '= 90 passed, 3 skipped in 900.1s (0:15:00) ='; test "$BROKEN" != suite;;
*) echo '{{"torch": "2.99.0+cpu", "mmcv": "2.1.0, CPU ops"}}';;
esac
""")
python.chmod(0o755)
sys.exit(os.environ.get('BROKEN') == 'set-up')
'''


class Place:
    """A repository with the matrix and a pretended set-up, and a folder of interpreters."""

    def __init__(self, folder: Path, torch: str = 'none') -> None:
        self.folder, self.repository, self.path = folder, folder / 'repository', folder / 'bin'
        tools = self.repository / 'tools'
        tools.mkdir(parents=True)
        (tools / 'matrix.py').write_text((ROOT / 'tools' / 'matrix.py').read_text())
        (tools / 'setup_env.py').write_text(FAKE_SETUP.format(torch=torch))
        self.git('init', '--quiet')
        self.commit()
        self.path.mkdir()

    def git(self, *words: str) -> str:
        names = ('-c', 'user.name=n', '-c', 'user.email=e')
        return subprocess.run(['git', '-C', self.repository, *names, *words], check=True, capture_output=True,
                              text=True).stdout.strip()

    def commit(self) -> None:
        self.git('add', '.')
        self.git('commit', '--quiet', '--allow-empty', '--message', 'm')

    def interpreter(self, version: str, folder: Path | None = None, name: str = '') -> None:
        """One that says it is another version than it is."""
        path = (folder or self.path) / (name or f'python{version.rpartition(".")[0]}')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then echo {version}; else exec {sys.executable} "$@"; fi\n')
        path.chmod(0o755)

    def run(self, *arguments: str, broken: str = '') -> tuple[int, str]:
        env = dict(os.environ, PATH=f'{self.path}:/usr/bin:/bin', PYENV_ROOT=str(self.folder / 'pyenv'), BROKEN=broken,
                   PYTHONPATH=str(ROOT), TORCH='torch==1.0')
        done = subprocess.run([sys.executable, 'tools/matrix.py', *arguments], cwd=self.repository, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def results(self) -> dict:
        return json.loads((self.repository / 'work_dirs' / 'matrix' / 'matrix.json').read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_ends_run_the_suite_and_absent_pythons_are_left_out(place: Place):
    for version in ('3.30.1', '3.31.0'):
        place.interpreter(version)
    place.interpreter('3.32.9', place.folder / 'pyenv' / 'versions' / '3.32.9' / 'bin', 'python')
    place.interpreter('3.32.10', place.folder / 'pyenv' / 'versions' / '3.32.10' / 'bin', 'python')
    place.interpreter('3.33.1', place.path, 'python3.34')  # another version than its name says
    code, printed = place.run('3.30', '3.31', '3.32', '3.34', '--suite', 'ends')
    assert code == 0, printed
    assert 'python3.34: there is no python3.34 on this machine; left out' in printed
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if line.startswith('| 3')]
    assert [row[0] for row in rows] == ['3.30.1', '3.31.0', '3.32.10'], 'the newest of pyenv, in the order of versions'
    assert rows[0][1:3] == ['2.99.0+cpu', '2.1.0, CPU ops']
    assert [row[6].startswith('90 passed, 3 skipped') for row in rows] == [True, False, True]
    assert rows[1][5].startswith('3 passed, ') and rows[1][6] == '-'
    assert rows[0][7].startswith(place.git('rev-parse', '--short', 'HEAD'))
    table = (place.repository / 'work_dirs' / 'matrix' / 'matrix.md').read_text()
    assert printed.endswith(table) and str(place.folder) not in table


def test_what_has_passed_is_kept(place: Place):
    place.interpreter('3.30.1')
    code, printed = place.run('3.30', broken='smoke')
    log = place.repository / 'work_dirs' / 'matrix' / 'python3.30' / 'smoke.log'
    assert code == 1 and f'smoke 3 passed, FAILED, 0 s, see {log}' in printed
    before = place.results()['python3.30']['steps']
    assert [step['passed'] for step in before.values()] == [True, True, False]

    place.commit()  # the repair
    code, printed = place.run('3.30')
    after = place.results()['python3.30']['steps']
    assert code == 0 and 'python3.30: smoke' in printed and 'doctor ...' not in printed
    assert 'set-up ...' in printed, 'the repair may need other packages'
    assert after['doctor'] == before['doctor'] and after['smoke']['commit'] != before['smoke']['commit']
    assert 'python3.30: has passed before' in place.run('3.30', '--discard')[1]
    assert not (place.repository / 'work_dirs' / 'matrix' / 'python3.30' / 'source').exists()

    code, printed = place.run('3.30', '--suite', 'all')
    assert code == 0 and 'set-up ...' in printed and 'smoke ...' not in printed, 'the suite needs an environment again'
    assert 'smoke ...' in place.run('3.30', '--fresh')[1]


def test_a_row_names_a_torch(tmp_path: Path):
    place = Place(tmp_path, torch='torch==2.6.0')
    place.interpreter('3.30.1')
    code, printed = place.run('3.30:2.6.0')
    assert code == 0 and list(place.results()) == ['python3.30-torch-2.6.0'], printed


@pytest.mark.parametrize(('arguments', 'told'), [
    (('2.7', ), "'2.7' is no row: write 3.12, 3.12:2.6.0 or 3.12:newest"),
    (('--work-dir', 'tools/matrix.py'), "tools/matrix.py'\n"),
    (('--work-dir', 'broken'), 'broken/matrix.json: '),
])
def test_mistakes(place: Place, arguments: tuple[str, ...], told: str):
    (place.repository / 'broken').mkdir()
    (place.repository / 'broken' / 'matrix.json').write_text('{')
    code, printed = place.run(*arguments)
    assert code == 2 and told in printed and 'Traceback' not in printed, printed
