"""Decoding of image files to the pixels that an image viewer shows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from mmext.data.limits import VARIABLE, most_pixels, picture_formats, why_impossible, why_too_large
from mmext.errors import UserError

FASTER_IN_OPENCV = ('JPEG', 'MPO')  # Pillow's names of the formats
JPEG_END, JPEG_TAIL = b'\xff\xd9', 4096
DEPTHS = (8, 10, 12, 14, 16)  # bits per sample of cameras and scanners, stored in 16
PNG_DEPTH, BITS_PER_SAMPLE = 24, 258  # byte of a PNG's header, tag of a TIFF
UPRIGHT, ORIENTATION = 1, 274  # value and tag of EXIF
WHITE = 255


class NoImage(ValueError):
    """Bytes that are not an image, or an incomplete one, or one without defined colours; the message says why."""


def read_picture(path: str | os.PathLike, *, ignore_orientation: bool = False) -> np.ndarray:
    """Reads and decodes an image file; see ``decode``.

    Args:
        path: of the file.
        ignore_orientation: leave the pixels as they are stored.

    Returns:
        BGR, uint8, (height, width, 3).

    Raises:
        NoImage: the file is missing or can't be read or decoded.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise NoImage(error.strerror or str(error)) from None
    return decode(content, ignore_orientation=ignore_orientation)


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Reads and decodes an image file as RGB, uint8, (height, width, 3). Raises a UserError if it can't be read."""
    try:
        return np.ascontiguousarray(read_picture(path)[..., ::-1])
    except NoImage as error:
        raise UserError(f'{path}: {error}') from None


def decode(content: bytes, *, ignore_orientation: bool = False, bits: int | None = None) -> np.ndarray:
    """Decodes an image as a viewer shows it.

    EXIF's orientation is applied. Transparent pixels are blended with white; grey, one-bit and palette images become
    colour images; CMYK is converted by its ICC profile, or without one by the usual formula; an animation is
    represented by its first frame. Of 16-bit pixels the upper eight bits are kept, counted from the highest bit in use.

    Args:
        content: of the file.
        ignore_orientation: leave the pixels as they are stored.
        bits: the number of bits in use of a 16-bit image, from 8 to 16; by default the smallest of 8, 10, 12, 14 and 16
            that holds its brightest pixel.

    Returns:
        BGR, uint8, (height, width, 3).

    Raises:
        NoImage: the content can't be decoded; the message is the reason in one line. An image with more pixels than
            ``limits.most_pixels``, or than its bytes can hold, is refused before it is decoded.
    """
    if not content:
        raise NoImage('empty file')
    try:
        with opened(content) as header:
            orientation = orientation_of(header)
            pixels = decode_by(header, content, bits)
            # Pillow and OpenCV apply the orientation of TIFF, and of nothing else in the way they are called here.
            applied = header.format == 'TIFF'
    except Image.UnidentifiedImageError:
        raise NoImage('not an image') from None
    except NoImage:
        raise
    except Exception as error:  # for damaged files, decoders raise anything: struct.error, SyntaxError, cv2.error ...
        raise NoImage(one_line(error)) from None
    if applied == ignore_orientation:
        inverse = {6: 8, 8: 6}.get(orientation, orientation)
        pixels = apply_orientation(pixels, inverse if applied else orientation)
    return np.ascontiguousarray(pixels)


@contextmanager
def opened(source: bytes | str | os.PathLike) -> Iterator[Image.Image]:
    """Opens an image and reads its header; a context manager.

    Args:
        source: content of the file, or its path.

    Raises:
        NoImage: its size is over the limit, or more than its bytes can hold.
    """
    content = isinstance(source, bytes)
    most_pixels()  # sets Pillow's limit
    try:
        header = Image.open(io.BytesIO(source) if content else source, formats=picture_formats())
    except Image.DecompressionBombError:
        raise NoImage(f'more than {most_pixels():,} pixels, or its header is damaged; that many are not decoded '
                      f'({VARIABLE} in the environment is the limit)') from None
    with header:
        wrong = why_too_large(*header.size) or why_impossible(header, len(source) if content else
                                                              os.path.getsize(source))
        if wrong:
            raise NoImage(wrong)
        yield header


def one_line(error: Exception) -> str:
    """An exception's message on one line; its type where it has none."""
    return ' '.join(str(error).split()) or type(error).__name__


def orientation_of(header: Image.Image) -> int:
    """EXIF's orientation of an opened image, 1 to 8; 1, which is upright, where there is none or an invalid one."""
    if header.format == 'PNG' and 'exif' not in header.info:
        header.load()  # it may come after the pixels
    try:
        value = header.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # damaged EXIF hurts no pixel
        return UPRIGHT
    return value if value in range(1, 9) else UPRIGHT


def sizes(source: bytes | str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size of an image, of which only the header is read.

    Args:
        source: content of the file, or its path.

    Returns:
        (height, width) as stored, and (height, width) after EXIF's orientation has been applied.

    Raises:
        NoImage: the header can't be read.
    """
    try:
        with opened(source) as header:
            width, height = header.size
            across = orientation_of(header) >= 5
            if header.format == 'TIFF' and across:  # Pillow has turned its size
                width, height = height, width
    except Exception as error:
        raise NoImage(one_line(error)) from None
    return (height, width), ((width, height) if across else (height, width))


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels (height, width, 3) upright, given EXIF's orientation from 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def decode_by(header: Image.Image, content: bytes, bits: int | None) -> np.ndarray:
    """Decodes with OpenCV where that is faster or keeps more bits, with Pillow otherwise; returns BGR, uint8."""
    if header.format in FASTER_IN_OPENCV and header.mode in ('RGB', 'L'):
        if JPEG_END not in content[-JPEG_TAIL:]:
            header.load()  # Pillow refuses truncated files, OpenCV fills them up with grey
        pixels = decoded_by_opencv(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        return decoded_by_pillow(header) if pixels is None else pixels
    if header.mode == 'F':
        raise NoImage('its pixels are floating-point numbers, whose range of brightness is not defined; convert it to '
                      '8 or 16 bits')
    if header.mode == 'I':  # 32 bits, or 16 in a format that Pillow converts to 32
        return eight_bits(np.asarray(header)[..., None], bits)
    if is_deep(header, content):
        pixels = decoded_by_opencv(content, cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.dtype == np.uint16:
            return eight_bits(pixels.reshape(*pixels.shape[:2], -1), bits)
    return decoded_by_pillow(header)


def decoded_by_opencv(content: bytes, flags: int) -> np.ndarray | None:
    """Decodes with ``cv2.imdecode`` and these flags; None where OpenCV can't."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def is_deep(header: Image.Image, content: bytes) -> bool:
    """Whether an image may have 16 bits per sample, which Pillow keeps for grey images only."""
    if header.format == 'PNG':
        return content[PNG_DEPTH] == 16
    if isinstance(header, TiffImageFile):
        return max(header.tag_v2.get(BITS_PER_SAMPLE, (8, ))) > 8
    return header.format in ('PPM', 'JPEG2000')


def eight_bits(pixels: np.ndarray, bits: int | None) -> np.ndarray:
    """Reduces integers (height, width, 1, 3 or 4), grey, BGR or BGRA, to BGR, uint8; alpha always has 16 bits."""
    if pixels.min() < 0 or pixels.max() > 0xffff:
        raise NoImage(f'its pixels are from {pixels.min()} to {pixels.max()}; convert it to 8 or 16 bits')
    colour = upper_bits(pixels[..., :3], bits)
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if pixels.shape[2] < 4:
        return colour
    alpha = upper_bits(pixels[..., 3:], 16).astype(np.uint16)
    return ((colour * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def upper_bits(pixels: np.ndarray, bits: int | None) -> np.ndarray:
    """The upper eight of the bits in use, uint8; ``bits`` as for ``decode``."""
    bits = bits or next(depth for depth in DEPTHS if pixels.max() < 1 << depth)
    return np.minimum(pixels >> (bits - 8), 255).astype(np.uint8)


def decoded_by_pillow(image: Image.Image) -> np.ndarray:
    """Converts an image with at most 8 bits per sample to BGR, uint8."""
    if image.has_transparency_data:
        above = image.convert('RGBA')
        image = Image.new('RGBA', above.size, 'white')
        image.alpha_composite(above)
    elif image.mode == 'CMYK' and image.info.get('icc_profile'):
        image = cmyk_to_rgb(image)
    return cv2.cvtColor(np.asarray(image.convert('RGB')), cv2.COLOR_RGB2BGR)


def cmyk_to_rgb(image: Image.Image) -> Image.Image:
    """Converts CMYK to RGB by the image's own ICC profile; returns the image unchanged where that is invalid."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info['icc_profile']))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile('sRGB'), outputMode='RGB')
        assert converted is not None  # it is None only where the image is converted in place
        return converted
    except (ImageCms.PyCMSError, OSError):
        return image
