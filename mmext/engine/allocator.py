"""Memory of large tensors is kept for the next ones, and not given back to the system after each use.

glibc gets memory above some size from the system and returns it when it is freed. Each step of a training then touches
fresh pages, which the system has to find and to clear. Kept memory gives the same results bit for bit.
``benchmarks/processor.py`` prints what it brings, and what it costs in memory.
"""

from __future__ import annotations

import ctypes
import os

VARIABLE = 'MMEXT_KEEP_MEMORY'
# glibc's malloc.h: parameters of mallopt.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Sets glibc's allocator for the whole process; other systems, and ``MMEXT_KEEP_MEMORY=0``, leave it as it is.

    Returns:
        Whether memory is kept from now on.
    """
    if os.environ.get(VARIABLE) == '0':
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no glibc: macOS, musl, Windows
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: NEVER, TOP_PAD: 64 * 2**20}
    return all(mallopt(parameter, value) for parameter, value in settings.items())
