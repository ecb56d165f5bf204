"""The run of other projects' suites tells what passes, what is known to fail and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, run

SUITE = """
import sys
import pytest

def test_passes():
    assert 'mmext' in sys.modules and __import__('json').__file__ and '' not in sys.path

@pytest.mark.skip
def test_skipped():
    pass

class TestNumbers:
    @pytest.mark.parametrize('number', [1, 2])
    def test_fails(self, number):
        raise ValueError(f'because of {number}')
"""
FAILS = 'tests/test_a.py::TestNumbers::test_fails'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Three files: one with failures, one that can't be collected, one that never ends."""
    folder = tmp_path / 'theirs' / 'tests'
    folder.mkdir(parents=True)
    (folder / 'test_a.py').write_text(SUITE)
    (folder / 'test_b.py').write_text('import there_is_no_such_module\n')
    (folder / 'test_c.py').write_text('import time\n\ndef test_hangs():\n    time.sleep(60)\n')
    (tmp_path / 'theirs' / 'json.py').write_text('raise RuntimeError("a package of the checkout")\n')
    return tmp_path / 'theirs'


def peers(checkout: Path, known: dict, *arguments: str) -> tuple[int, str]:
    """Exit code and text of a run with these known failures."""
    (checkout.parent / 'known.json').write_text(json.dumps(dict(mmengine=known)))
    code = (f'import sys, pathlib; sys.path.insert(0, {str(ROOT)!r}); from tests.peers import run; '
            f'run.KNOWN = pathlib.Path({str(checkout.parent / "known.json")!r}); '
            f'sys.argv[1:] = {["--mmengine", str(checkout), "--only", *arguments]!r}; sys.exit(run.main())')
    done = run('-c', code)
    return done.returncode, done.stdout + done.stderr


def test_what_is_not_known_is_an_error(checkout: Path):
    code, told = peers(checkout, {'numbers are hard': [f'{FAILS}[1]']}, 'tests/test_a.py',
                       'tests/test_b.py')
    assert code == 1
    assert 'mmengine: 1 passed, 1 skipped, 1 known failures, 2 unexpected' in told
    assert f'known, 1: {FAILS}[1]: numbers are hard' in told
    assert f'unexpected: {FAILS}[2]: ValueError: because of 2' in told
    assert 'unexpected: tests/test_b.py:' in told and "No module named 'there_is_no_such_module'" in told


def test_a_file_that_never_ends_is_stopped(checkout: Path):
    code, told = peers(checkout, {}, 'tests/test_c.py', '--timeout', '2')
    assert code == 1 and 'unexpected: tests/test_c.py: not done after 2 s' in told


def test_what_is_known_is_none(checkout: Path):
    code, told = peers(checkout, {'hard': [FAILS, 'tests/test_b.py'], 'old': ['tests/test_a.py::test_passes']},
                       'tests/test_a.py', 'tests/test_b.py')
    assert code == 0
    assert f'known, 2: {FAILS}: hard' in told and 'known, 1: tests/test_b.py: hard' in told
    assert 'passes now, delete its entry: tests/test_a.py::test_passes' in told


def test_entries_are_of_the_known_projects():
    from tests.peers.run import KNOWN, PARTS
    known = json.loads(KNOWN.read_text())
    assert set(known) == set(PARTS)
    for reasons in known.values():
        for listed in reasons.values():
            assert listed and all(entry.startswith('tests/') for entry in listed)


@pytest.mark.parametrize('arguments, says', [((), 'name a checkout: --mmaction PATH or'),
                                             (('--mmdet', 'nowhere'), '--mmdet nowhere: no checkout')])
def test_no_checkout(arguments: tuple, says: str):
    done = run(str(ROOT / 'tests' / 'peers' / 'run.py'), *arguments)
    assert done.returncode == 2 and says in done.stderr
