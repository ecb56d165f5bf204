"""Real clips, where the machine has them."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmext  # noqa: F401  mmaction2 imports only after it
from tests.conftest import real_data


@pytest.fixture(scope='session')
def real_clips() -> list[Path]:
    """Five clips of mmaction2's own tests."""
    return sorted(path for path in real_data('video').iterdir() if path.suffix in ('.mp4', '.avi'))
