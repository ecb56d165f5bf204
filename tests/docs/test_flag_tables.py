"""The tables of flags in the docs are what the flags say."""

from __future__ import annotations

import shutil
from pathlib import Path

import flag_tables
import pytest

from mmext.errors import UserError
from tests.conftest import ROOT


def test_the_tables_are_up_to_date():
    assert flag_tables.stale(ROOT) == []


def test_a_stale_table_is_written_anew(tmp_path: Path):
    shutil.copytree(ROOT / 'docs', tmp_path / 'docs')
    page = tmp_path / 'docs' / 'training.md'
    fresh = page.read_text()
    page.write_text(fresh.replace('| `--tensorboard` |', '| `--old` |'))
    assert flag_tables.stale(tmp_path) == [str(page)]
    assert len(list(flag_tables.make(tmp_path))) == 2 and page.read_text() == fresh
    page.write_text('no table')
    with pytest.raises(UserError, match='training.md: need one table between'):
        flag_tables.stale(tmp_path)
