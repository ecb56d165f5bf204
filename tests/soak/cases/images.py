"""Image files of many kinds, whole ones and damaged ones.

Oracle: Pillow. A whole file has its pixels; a damaged one that is accepted has its size, and its pixels where the
format loses nothing.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmext.data.decoding import NoImage, decode, sizes
from mmext.errors import UserError
from tests.soak.cases.junk import DAMAGE, damaged

ALLOWED = ()
FORMATS = {'PNG': ('RGB', 'L', 'P', '1', 'RGBA', 'LA'), 'JPEG': ('RGB', 'L', 'CMYK'), 'BMP': ('RGB', 'L', '1'),
           'GIF': ('P', 'L'), 'TIFF': ('RGB', 'L', '1', 'CMYK'), 'WEBP': ('RGB', 'RGBA'), 'PPM': ('RGB', 'L')}
LOSSY = ('JPEG', 'WEBP')
KINDS = [(name, mode) for name, modes in FORMATS.items() for mode in modes]
draw = st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(1, 24), st.integers(1, 24), st.integers(1, 8),
                 st.one_of(st.just([]), DAMAGE))


def check(example: tuple, folder: Path) -> None:
    (name, mode), seed, height, width, orientation, damage = example
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    image = Image.fromarray(noise[..., :3]).convert(mode) if mode not in ('RGBA', 'LA') else Image.fromarray(
        noise).convert(mode)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    image.save(buffer, name, **(dict(exif=exif) if name in ('PNG', 'JPEG', 'WEBP') else {}))
    content = damaged(buffer.getvalue(), damage)
    try:
        pixels = decode(content)
    except NoImage as error:
        assert damage, f'a whole file is refused: {error}'
        raise UserError(str(error)) from None
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.c_contiguous
    assert sizes(content)[1] == pixels.shape[:2], f'the header says {sizes(content)[1]}, the pixels {pixels.shape}'
    expected = by_pillow(content)
    if expected is None:
        assert damage
        return
    assert pixels.shape == expected.shape, f'{pixels.shape}, and Pillow has {expected.shape}'
    if not damage or name not in LOSSY:
        off = int(np.abs(pixels.astype(int) - expected).max())
        assert off <= (4 if name == 'JPEG' else 1), f'pixels differ from Pillow by up to {off}'


def by_pillow(content: bytes) -> np.ndarray | None:
    """BGR on white, turned upright; None where Pillow refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            if image.has_transparency_data:
                ground = Image.new('RGBA', image.size, 'white')
                image = Image.alpha_composite(ground, image.convert('RGBA'))
            return np.asarray(image.convert('RGB'))[..., ::-1]
        except Exception:
            return None
