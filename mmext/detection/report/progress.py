"""A bar for what takes long, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqdm import tqdm


def bar(title: str, unit: str, items: Sequence | None = None, total: int | None = None) -> tqdm:
    """Goes over the items, or has its ``update`` called ``total`` times."""
    return tqdm(items, desc=f'report: {title}', unit=unit, total=total, leave=False, dynamic_ncols=True,
                disable=not sys.stderr.isatty())
