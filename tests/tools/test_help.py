"""Every command answers --help without the seconds that torch takes to import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT, run

COMMANDS = sorted(path for path in (ROOT / 'tools').rglob('*.py') if 'cli.run(main)' in path.read_text())


@pytest.mark.parametrize('path', COMMANDS, ids=lambda path: path.stem)
def test_help_imports_no_torch(path: Path):
    code = (f'import runpy, sys; sys.argv = ["command", "--help"]\n'
            f'try: runpy.run_path({str(path)!r}, run_name="__main__")\n'
            f'except SystemExit as end: print("exit", end.code, "torch" in sys.modules)\n')
    done = run('-c', code)
    assert done.stdout.splitlines()[-1] == 'exit 0 False', done.stdout + done.stderr
    assert done.stdout.startswith('usage: ')
