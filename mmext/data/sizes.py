"""Comparison of the size that annotations give an image with that of its file, and probable reasons for differences."""

from __future__ import annotations

import os

import numpy as np

from mmext.data.decoding import NoImage, read_picture, sizes

TOLERANCE = 1  # pixels: some tools round a size up, others down
RATIO_TOLERANCE = 0.02

Size = tuple[float, float]  # height, width


def agree(one: Size, other: Size) -> bool:
    """Whether two sizes are the same, within one pixel of rounding."""
    return all(abs(a - b) <= TOLERANCE for a, b in zip(one, other))


def disagreement(annotated: Size, loaded: Size, source: bytes | str) -> str:
    """Describes in one line how two sizes differ, and the probable cause.

    Args:
        annotated: (height, width) of the annotations.
        loaded: (height, width) of the decoded image.
        source: content of the file, or its path.
    """
    return (f'{size_text(annotated)} in the annotations, {size_text(loaded)} in the file: '
            f'{probable_cause(annotated, loaded, source)}')


def differing(path: str, annotated: Size, ignore_orientation: bool = False) -> str | None:
    """``disagreement`` of a file, of which only the header is read.

    Args:
        path: of the file.
        annotated: (height, width) of the annotations.
        ignore_orientation: whether EXIF's orientation is ignored when the file is loaded.

    Returns:
        None where the sizes agree, or the file can't be read.
    """
    try:
        loaded = sizes(path)[0 if ignore_orientation else 1]
        return None if agree(annotated, loaded) else disagreement(annotated, loaded, path)
    except NoImage:
        return None


def picture_of_size(path: str | os.PathLike, size: Size) -> np.ndarray:
    """Reads an image in the orientation that it was annotated in: EXIF's, or as stored if that has the right size.

    Args:
        path: of the file.
        size: (height, width) of the annotations.

    Returns:
        BGR, uint8, (height, width, 3).

    Raises:
        NoImage: the file can't be read, or has another size in both orientations.
    """
    for ignore_orientation in (False, True):
        pixels = read_picture(path, ignore_orientation=ignore_orientation)
        height, width = pixels.shape[:2]
        if agree(size, (height, width)):
            return pixels
    raise NoImage(disagreement(size, (height, width), os.fspath(path)))


def size_text(size: Size) -> str:
    """A size (height, width) as 'width x height'."""
    return f'{size[1]:g} x {size[0]:g}'


def probable_cause(annotated: Size, loaded: Size, source: bytes | str) -> str:
    """Why two sizes may differ, and what to do about it; the arguments are those of ``disagreement``."""
    stored, upright = sizes(source)
    if stored != upright and agree(annotated, stored):
        return ("EXIF's orientation turns it, and the annotated size is the one before; if the boxes are of that "
                'picture, give ignore_orientation=True to mmext.LoadImage in every pipeline; if they are of the turned '
                'one (as Label Studio exports them), swap width and height in the annotations')
    if stored != upright and agree(annotated, upright):
        return ("the annotations are of the picture as EXIF's orientation turns it; leave ignore_orientation out of "
                'mmext.LoadImage')
    if agree(annotated, (loaded[1], loaded[0])):
        return 'width and height are swapped in the annotations'
    across, down = loaded[1] / annotated[1], loaded[0] / annotated[0]
    if abs(across / down - 1) < RATIO_TOLERANCE:
        return f'the file was resized to {across:.3g} times the size that was annotated; so must the boxes be'
    return 'are they of another image, or was it cropped or stretched?'
