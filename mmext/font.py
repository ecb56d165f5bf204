"""The font for the pictures that mmext draws itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import ImageFont


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans in a size in pixels. It is part of matplotlib, and has Latin, Greek and Cyrillic letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), size)
