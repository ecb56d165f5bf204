"""The tables of flags in the docs are what the flags say."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded


def test_the_tables_are_up_to_date():
    succeeded(here('make_flag_docs.py', '--check'))


def test_a_stale_table_is_told_and_written_anew(tmp_path: Path):
    for page in ('training.md', 'evaluation.md'):
        shutil.copy(ROOT / 'docs' / page, tmp_path)
    page = tmp_path / 'training.md'
    fresh = page.read_text()
    page.write_text(fresh.replace('| `--tensorboard` |', '| `--old` |'))
    done = here('make_flag_docs.py', '--check', '--docs', tmp_path)
    assert done.returncode == 1 and done.stderr == f'stale: {page}; run tools/make_flag_docs.py\n'
    succeeded(here('make_flag_docs.py', '--docs', tmp_path))
    assert page.read_text() == fresh
    page.write_text('no table')
    assert 'training.md: need one table between' in error_line(here('make_flag_docs.py', '--docs', tmp_path))
