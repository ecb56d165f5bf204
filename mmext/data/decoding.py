"""The bytes of an image file -> the pixels that a person sees in it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image, ImageCms

from mmext.data.limits import VARIABLE, most_pixels, picture_formats, why_impossible, why_too_large

QUICK = ('JPEG', 'MPO')  # Pillow's names of the formats that OpenCV decodes faster
JPEG_END, JPEG_TAIL = b'\xff\xd9', 4096
DEPTHS = (8, 10, 12, 14, 16)  # bits of cameras and scanners, kept in 16
PNG_DEPTH, BITS_PER_SAMPLE = 24, 258  # byte of a PNG's header, tag of a TIFF
UPRIGHT, ORIENTATION = 1, 274  # value and tag of EXIF
WHITE = 255


class NoImage(ValueError):
    """Bytes that are no image, or not a whole one, or one whose pixels have no agreed colour; the message is why."""


def read_picture(path: str | os.PathLike, *, ignore_orientation: bool = False) -> np.ndarray:
    """``decode`` of a file. NoImage says why it can't be read, a missing one included."""
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise NoImage(error.strerror or str(error)) from None
    return decode(content, ignore_orientation=ignore_orientation)


def decode(content: bytes, *, ignore_orientation: bool = False, bits: int | None = None) -> np.ndarray:
    """Decodes an image as a viewer shows it.

    EXIF's orientation is applied. Transparent pixels are seen on white; grey, one-bit and palette images become colour;
    CMYK is converted by its ICC profile, or without one by the plain formula; of an animation the first frame counts.
    Of 16-bit pixels the upper eight bits are kept, counted from the highest bit that is in use.

    Args:
        content: of the file.
        ignore_orientation: leave the pixels as they are stored.
        bits: how many bits of a 16-bit image are in use, from 8 to 16; by default the fewest of 8, 10, 12, 14 and 16
            that hold its brightest pixel.

    Returns:
        BGR, uint8, (height, width, 3).

    Raises:
        NoImage: for whatever a decoder does not like, with a reason in one line. An image of more pixels than
            ``limits.most_pixels``, or than its bytes can hold, is refused before it is decoded.
    """
    if not content:
        raise NoImage('empty file')
    try:
        with opened(content) as header:
            orientation = orientation_of(header)
            pixels = decode_by(header, content, bits)
            # Pillow and OpenCV turn TIFF by themselves, and nothing else in the way they are called here.
            turned = header.format == 'TIFF'
    except Image.UnidentifiedImageError:
        raise NoImage('not an image') from None
    except NoImage:
        raise
    except Exception as error:  # decoders of damaged files raise anything: struct.error, SyntaxError, cv2.error ...
        raise NoImage(one_line(error)) from None
    if turned == ignore_orientation:
        pixels = turn(pixels, {6: 8, 8: 6}.get(orientation, orientation) if turned else orientation)
    return np.ascontiguousarray(pixels)


@contextmanager
def opened(source: bytes | str | os.PathLike) -> Iterator[Image.Image]:
    """An image's content, or file, of which the header is read. NoImage where its size is too large or a lie."""
    content = isinstance(source, bytes)
    most_pixels()  # tells Pillow
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
    return ' '.join(str(error).split()) or type(error).__name__


def orientation_of(header: Image.Image) -> int:
    """EXIF's orientation of an opened image, 1 to 8; 1 is upright, and stands for none or nonsense, too."""
    if header.format == 'PNG' and 'exif' not in header.info:
        header.load()  # it may come after the pixels
    try:
        value = header.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # damaged EXIF hurts no pixel
        return UPRIGHT
    return value if value in range(1, 9) else UPRIGHT


def sizes(source: bytes | str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image's content, or file: as it is stored, and turned upright by EXIF's orientation.

    Raises:
        NoImage: it can't be read.
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


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels (height, width, 3) -> those that EXIF's orientation asks for."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def decode_by(header: Image.Image, content: bytes, bits: int | None) -> np.ndarray:
    """Decodes with OpenCV where that is quicker or keeps more bits, with Pillow otherwise -> BGR, uint8."""
    if header.format in QUICK and header.mode in ('RGB', 'L'):
        if JPEG_END not in content[-JPEG_TAIL:]:
            header.load()  # Pillow refuses what is cut short, OpenCV fills it with grey
        pixels = decoded_by_opencv(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        return decoded_by_pillow(header) if pixels is None else pixels
    if header.mode == 'F':
        raise NoImage('its pixels are floating-point numbers, for which no range of brightness is agreed on; convert '
                      'it to 8 or 16 bits')
    if header.mode == 'I':  # 32 bits, or 16 in a format that Pillow gives as 32
        return eight_bits(np.asarray(header)[..., None], bits)
    if is_deep(header, content):
        pixels = decoded_by_opencv(content, cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.dtype == np.uint16:
            return eight_bits(pixels.reshape(*pixels.shape[:2], -1), bits)
    return decoded_by_pillow(header)


def decoded_by_opencv(content: bytes, flags: int) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def is_deep(header: Image.Image, content: bytes) -> bool:
    """Whether an image may have 16 bits a sample, which Pillow keeps for grey alone."""
    if header.format == 'PNG':
        return content[PNG_DEPTH] == 16
    if header.format == 'TIFF':
        return max(header.tag_v2.get(BITS_PER_SAMPLE, (8, ))) > 8
    return header.format in ('PPM', 'JPEG2000')


def eight_bits(pixels: np.ndarray, bits: int | None) -> np.ndarray:
    """Integers (height, width, 1, 3 or 4), BGR and alpha -> BGR, uint8; alpha has a scale of its own."""
    if pixels.min() < 0 or pixels.max() > 0xffff:
        raise NoImage(f'its pixels are from {pixels.min()} to {pixels.max()}; convert it to 8 or 16 bits')
    colour = shifted(pixels[..., :3], bits)
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if pixels.shape[2] < 4:
        return colour
    alpha = shifted(pixels[..., 3:], 16).astype(np.uint16)
    return ((colour * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def shifted(pixels: np.ndarray, bits: int | None) -> np.ndarray:
    bits = bits or next(depth for depth in DEPTHS if pixels.max() < 1 << depth)
    return np.minimum(pixels >> (bits - 8), 255).astype(np.uint8)


def decoded_by_pillow(image: Image.Image) -> np.ndarray:
    """An image of 8 bits a sample or fewer -> BGR, uint8."""
    if image.has_transparency_data:
        above = image.convert('RGBA')
        image = Image.new('RGBA', above.size, 'white')
        image.alpha_composite(above)
    elif image.mode == 'CMYK' and image.info.get('icc_profile'):
        image = by_profile(image)
    return cv2.cvtColor(np.asarray(image.convert('RGB')), cv2.COLOR_RGB2BGR)


def by_profile(image: Image.Image) -> Image.Image:
    """CMYK -> RGB by the image's own profile; as it was, where that is broken."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info['icc_profile']))
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile('sRGB'), outputMode='RGB')
    except (ImageCms.PyCMSError, OSError):
        return image
