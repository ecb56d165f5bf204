"""Boxes with labels on a picture, quickly enough for videos."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from mmext.font import font

GOLDEN = 0.618034  # steps of this share of the circle never come close to an earlier hue
TEXT_SHARE, SMALLEST_TEXT = 40, 11  # the text's height is so small a part of the picture's shorter side; pixels
LINE_SHARE = 240


@lru_cache
def colour_of(label: int) -> tuple[int, int, int]:
    """A class's colour, RGB, the same in every picture; those of neighbours are far apart."""
    value = 0.95 if label % 2 else 0.75  # hues that look alike differ in brightness
    red, green, blue = colorsys.hsv_to_rgb((0.58 + label * GOLDEN) % 1, 0.85, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(colour: tuple[int, int, int]) -> str:
    """Black or white, whichever is read more easily on a colour (WCAG 2's relative luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 'black' if luminance > 0.179 else 'white'


def draw_boxes(image: np.ndarray, boxes: Sequence[Sequence[float]], labels: Sequence[int],
               texts: Sequence[str]) -> np.ndarray:
    """A picture with boxes, and above each its text on a plate of its class's colour.

    Args:
        image: RGB, uint8, (height, width, 3); stays as it is.
        boxes: (x1, y1, x2, y2) in pixels, the least important last; they are drawn below the others.
        labels: of classes, which choose the colours.
        texts: one for each box.

    Returns:
        As ``image``.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    side = min(picture.size)
    line, size = max(2, round(side / LINE_SHARE)), max(SMALLEST_TEXT, round(side / TEXT_SHARE))
    rows = list(zip(boxes, labels, texts))[::-1]
    for (left, top, right, bottom), label, _ in rows:
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour_of(label), width=line)
    for (left, top, *_), label, text in rows:
        plate(draw, picture.size, text, (left, top), colour_of(label), size)
    return np.asarray(picture)


def plate(draw: ImageDraw.ImageDraw, canvas: tuple[int, int], text: str, corner: tuple[float, float],
          colour: tuple[int, int, int], size: int) -> None:
    """Text on a plate that stands on a box's upper left corner, moved as far as it takes to be within the picture."""
    width, height = font(size).getlength(text) + size // 2, round(1.25 * size)
    left = max(0, min(corner[0], canvas[0] - width))
    top = max(0, min(corner[1] - height, canvas[1] - height))
    draw.rectangle((left, top, left + width, top + height), fill=colour)
    draw.text((left + size // 4, top + height / 2), text, ink_on(colour), font(size), anchor='lm')
