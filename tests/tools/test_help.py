"""Every command answers --help without the seconds that torch takes to import; the list of commands is complete."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmext
from mmext.commands import SUMMARIES
from tests.conftest import ROOT, run

HELP = ('import runpy, sys; sys.argv = ["command", "--help"]\n'
        'try: runpy.run_path({!r}, run_name="__main__")\n'
        'except SystemExit as end: print("exit", end.code, "torch" in sys.modules)\n')
DOORS = sorted(path for path in (ROOT / 'tools').glob('*.py') if 'mmext.commands' in path.read_text())
OTHERS = sorted(path for path in (ROOT / 'tools').rglob('*.py') if 'cli.run(main)' in path.read_text())


@pytest.mark.parametrize('path', [*DOORS, *OTHERS], ids=lambda path: path.stem)
def test_help_imports_no_torch(path: Path):
    done = run('-c', HELP.format(str(path)))
    assert done.stdout.splitlines()[-1] == 'exit 0 False', done.stdout + done.stderr
    assert done.stdout.startswith('usage: ')


def test_the_list_of_commands():
    modules = {path.stem for path in (ROOT / 'mmext' / 'commands').glob('*.py')} - {'__init__'}
    assert modules == {name.replace('-', '_') for name in SUMMARIES}
    listed = run('-m', 'mmext', '--help')
    assert listed.returncode == 0
    assert all(f'\n  {name} ' in listed.stdout and summary in listed.stdout for name, summary in SUMMARIES.items())


@pytest.mark.parametrize('name', ['convert-weights', 'prepare-video'])
def test_a_command_by_its_name(name: str):
    done = run('-m', 'mmext', name, '--help')
    assert done.returncode == 0 and done.stdout.startswith(f'usage: mmext {name} ')


def test_the_console_command():
    command = [str(Path(sys.executable).with_name('mmext')), '--version']
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.stdout == f'mmext {mmext.__version__}\n'


def test_a_command_that_does_not_exist():
    done = run('-m', 'mmext', 'tran')
    assert done.returncode == 2 and "invalid choice: 'tran'" in done.stderr


@pytest.mark.parametrize('path', DOORS, ids=lambda path: path.stem)
def test_tools_are_thin_doors(path: Path):
    assert os.access(path, os.X_OK) and len(ast.parse(path.read_text()).body) == 3
