"""The limit on the number of pixels of images and videos, which is checked before anything is decoded."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache

from PIL import Image
from PIL.ImageFile import ImageFile

from mmext.errors import UserError

VARIABLE = 'MMEXT_MAX_PIXELS'
MOST_PIXELS = 100_000_000
# The most pixels that one byte of a file can hold: deflate (PNG) expands a byte to at most 1032 bytes; a block of 8 x 8
# pixels takes at least one bit (JPEG); a code of 12 bits stands for at most 4096 pixels (GIF); raw data are not packed.
DENSEST = dict(PNG=1032 * 8, JPEG=64 * 8, MPO=64 * 8, GIF=4096 * 8 / 12, raw=8)
# Pillow would run Ghostscript for EPS; the others are containers or stubs that it can't decode.
NO_PICTURES = ('EPS', 'WMF', 'BUFR', 'GRIB', 'HDF5', 'MPEG')

# The messages below say the same, and what to do.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)


@lru_cache
def most_pixels() -> int:
    """The limit in pixels: the environment variable ``MMEXT_MAX_PIXELS``, or 100 million; Pillow's is raised to it.

    Raises:
        UserError: the variable is not a positive integer.
    """
    given = os.environ.get(VARIABLE, '').strip() or str(MOST_PIXELS)
    if not given.isascii() or not given.isdigit() or not int(given):
        raise UserError(f'{VARIABLE}={given}: need a number of pixels, such as {MOST_PIXELS}')
    Image.MAX_IMAGE_PIXELS = max(int(given), Image.MAX_IMAGE_PIXELS or 0)  # Pillow has a limit of its own
    return int(given)


@lru_cache
def picture_formats() -> list[str]:
    """Pillow's names of the image formats that are read."""
    Image.init()
    return [name for name in Image.ID if name not in NO_PICTURES]


def why_too_large(width: int, height: int) -> str | None:
    """Why a picture of this size, in pixels, is not decoded; None where it is."""
    if width * height <= most_pixels():
        return None
    return (f'{width:,} x {height:,} pixels, or its header is damaged; more than {most_pixels():,} are not decoded '
            f'({VARIABLE} in the environment is the limit)')


def why_impossible(header: ImageFile, length: int) -> str | None:
    """Why an image can't have the size that its header says; None where it can.

    Args:
        header: the opened image.
        length: of the file, in bytes.
    """
    width, height = header.size
    raw = bool(header.tile) and header.tile[0][0] == 'raw'
    densest = DENSEST.get('raw' if raw and header.format != 'TIFF' else header.format or '')  # a TIFF may be of parts
    if densest is None or width * height <= densest * length:
        return None
    return f'its header says {width:,} x {height:,} pixels, which {length:,} bytes can not hold: damaged or cut short'
