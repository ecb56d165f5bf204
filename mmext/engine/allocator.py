"""Keeps freed memory of large tensors for reuse instead of returning it to the operating system.

By default, glibc requests large blocks from the system and returns them when they are freed. Each training step then
touches new pages, which the system has to allocate and clear. Keeping the memory does not change any result.
``benchmarks/processor.py`` prints the gain in speed and the cost in memory.
"""

from __future__ import annotations

import ctypes
import os

VARIABLE = 'MMEXT_KEEP_MEMORY'
# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Configures glibc's allocator for the whole process, except with ``MMEXT_KEEP_MEMORY=0`` or another C library.

    Returns:
        Whether the allocator was configured.
    """
    if os.environ.get(VARIABLE) == '0':
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no glibc: macOS, musl, Windows
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: NEVER, TOP_PAD: 64 * 2**20}
    return all(mallopt(parameter, value) for parameter, value in settings.items())
