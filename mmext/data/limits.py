"""How many pixels an image or a video may have, looked at before anything is decoded."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache

from PIL import Image

from mmext.errors import UserError

VARIABLE = 'MMEXT_MAX_PIXELS'
MOST_PIXELS = 100_000_000
# Pixels that a byte of a file can hold at most: deflate (PNG) makes at most 1032 bytes of one; a block of 8 x 8 pixels
# takes at least a bit (JPEG); a code of 12 bits stands for at most 4096 pixels (GIF); and nothing is packed (raw).
DENSEST = dict(PNG=1032 * 8, JPEG=64 * 8, MPO=64 * 8, GIF=4096 * 8 / 12, raw=8)
# Pillow would run Ghostscript for EPS; the others are no pictures of their own.
NO_PICTURES = ('EPS', 'WMF', 'BUFR', 'GRIB', 'HDF5', 'MPEG')

# The limit below says it, with what to do.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)


@lru_cache
def most_pixels() -> int:
    """The limit: ``MMEXT_MAX_PIXELS`` of the environment, or 100 million."""
    given = os.environ.get(VARIABLE, '').strip() or str(MOST_PIXELS)
    if not given.isascii() or not given.isdigit() or not int(given):
        raise UserError(f'{VARIABLE}={given}: need a number of pixels, such as {MOST_PIXELS}')
    Image.MAX_IMAGE_PIXELS = max(int(given), Image.MAX_IMAGE_PIXELS or 0)  # Pillow has a limit of its own
    return int(given)


@lru_cache
def picture_formats() -> list[str]:
    """Pillow's names of the formats that are read."""
    Image.init()
    return [name for name in Image.ID if name not in NO_PICTURES]


def why_too_large(width: int, height: int) -> str | None:
    """Why a picture of this size is not decoded; None where it may be."""
    if width * height <= most_pixels():
        return None
    return (f'{width:,} x {height:,} pixels, or its header is damaged; more than {most_pixels():,} are not decoded '
            f'({VARIABLE} in the environment is the limit)')


def why_impossible(header: Image.Image, length: int) -> str | None:
    """Why an opened image, of a file of so many bytes, can't have the size that its header says; None if it can."""
    width, height = header.size
    raw = bool(header.tile) and header.tile[0][0] == 'raw'
    densest = DENSEST.get('raw' if raw and header.format != 'TIFF' else header.format)  # a TIFF may be of parts
    if densest is None or width * height <= densest * length:
        return None
    return f'its header says {width:,} x {height:,} pixels, which {length:,} bytes can not hold: damaged or cut short'
