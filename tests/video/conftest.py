"""Real clips, where the machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import mmext  # noqa: F401  mmaction2 imports only after it
from tests.conftest import ROOT


@pytest.fixture(scope='session')
def real_clips() -> list[Path]:
    """Five clips of mmaction2's own tests."""
    for folder in (os.environ.get('MMEXT_DATA'), ROOT.parent / 'shared' / 'data'):
        if folder and (Path(folder) / 'video').is_dir():
            return sorted(path for path in (Path(folder) / 'video').iterdir() if path.suffix in ('.mp4', '.avi'))
    pytest.skip('no video folder in MMEXT_DATA or ../shared/data')
