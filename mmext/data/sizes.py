"""The size that annotations give an image, and that of its file: whether they agree, and why they may not."""

from __future__ import annotations

from mmext.data.decoding import sizes

TOLERANCE = 1  # pixels: some tools round a size up, others down
RATIO_TOLERANCE = 0.02

Size = tuple[float, float]  # height, width


def agree(one: Size, other: Size) -> bool:
    """Whether two sizes are the same, but for a rounded pixel."""
    return all(abs(a - b) <= TOLERANCE for a, b in zip(one, other))


def disagreement(annotated: Size, loaded: Size, content: bytes) -> str:
    """How the sizes differ and what is probably the cause, in one line.

    Args:
        annotated: (height, width) of the annotations.
        loaded: (height, width) of the decoded image.
        content: of the file.
    """
    return f'{told(annotated)} in the annotations, {told(loaded)} in the file: {cause(annotated, loaded, content)}'


def told(size: Size) -> str:
    return f'{size[1]:g} x {size[0]:g}'


def cause(annotated: Size, loaded: Size, content: bytes) -> str:
    stored, upright = sizes(content)
    if stored != upright and agree(annotated, stored):
        return ("EXIF's orientation turns it, and the annotations are of the picture as it is stored; "
                'give ignore_orientation=True to mmext.LoadImage in every pipeline')
    if stored != upright and agree(annotated, upright):
        return ("the annotations are of the picture as EXIF's orientation turns it; leave ignore_orientation out of "
                'mmext.LoadImage')
    if agree(annotated, loaded[::-1]):
        return 'width and height are swapped in the annotations'
    across, down = loaded[1] / annotated[1], loaded[0] / annotated[0]
    if abs(across / down - 1) < RATIO_TOLERANCE:
        return f'the file was resized to {across:.3g} times the size that was annotated; so must the boxes be'
    return 'are they of another image, or was it cropped or stretched?'
