"""The size that annotations give an image, and that of its file: whether they agree, and why they may not."""

from __future__ import annotations

import os

import numpy as np

from mmext.data.decoding import NoImage, read_picture, sizes

TOLERANCE = 1  # pixels: some tools round a size up, others down
RATIO_TOLERANCE = 0.02

Size = tuple[float, float]  # height, width


def agree(one: Size, other: Size) -> bool:
    """Whether two sizes are the same, but for a rounded pixel."""
    return all(abs(a - b) <= TOLERANCE for a, b in zip(one, other))


def disagreement(annotated: Size, loaded: Size, source: bytes | str) -> str:
    """How the sizes differ and what is probably the cause, in one line.

    Args:
        annotated: (height, width) of the annotations.
        loaded: (height, width) of the decoded image.
        source: the file's content, or its path.
    """
    return f'{told(annotated)} in the annotations, {told(loaded)} in the file: {cause(annotated, loaded, source)}'


def differing(path: str, annotated: Size, ignore_orientation: bool = False) -> str | None:
    """``disagreement`` of a file of which the header is read alone; None where it agrees, or can't be read."""
    try:
        loaded = sizes(path)[0 if ignore_orientation else 1]
        return None if agree(annotated, loaded) else disagreement(annotated, loaded, path)
    except NoImage:
        return None


def picture_of_size(path: str | os.PathLike, size: Size) -> np.ndarray:
    """The pixels of a file as it was annotated: turned by EXIF's orientation, or, where that gives the size, not.

    Args:
        path: of the file.
        size: (height, width) of its annotations.

    Returns:
        BGR, uint8, (height, width, 3).

    Raises:
        NoImage: it can't be read, or is of another size either way.
    """
    for ignore_orientation in (False, True):
        pixels = read_picture(path, ignore_orientation=ignore_orientation)
        if agree(size, pixels.shape[:2]):
            return pixels
    raise NoImage(disagreement(size, pixels.shape[:2], os.fspath(path)))


def told(size: Size) -> str:
    return f'{size[1]:g} x {size[0]:g}'


def cause(annotated: Size, loaded: Size, source: bytes | str) -> str:
    stored, upright = sizes(source)
    if stored != upright and agree(annotated, stored):
        return ("EXIF's orientation turns it, and the annotated size is the one before; if the boxes are of that "
                'picture, give ignore_orientation=True to mmext.LoadImage in every pipeline; if they are of the turned '
                'one (as Label Studio exports them), swap width and height in the annotations')
    if stored != upright and agree(annotated, upright):
        return ("the annotations are of the picture as EXIF's orientation turns it; leave ignore_orientation out of "
                'mmext.LoadImage')
    if agree(annotated, loaded[::-1]):
        return 'width and height are swapped in the annotations'
    across, down = loaded[1] / annotated[1], loaded[0] / annotated[0]
    if abs(across / down - 1) < RATIO_TOLERANCE:
        return f'the file was resized to {across:.3g} times the size that was annotated; so must the boxes be'
    return 'are they of another image, or was it cropped or stretched?'
