"""Draws labelled boxes on pictures, fast enough for videos."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from mmext.font import font

GOLDEN = 0.618034  # the golden ratio as a step between hues keeps them apart from all earlier ones
TEXT_SHARE, SMALLEST_TEXT = 40, 11  # text height: the picture's shorter side / TEXT_SHARE, at least 11 pixels
LINE_SHARE = 240  # line width: the picture's shorter side / LINE_SHARE


@lru_cache
def colour_of(label: int) -> tuple[int, int, int]:
    """The RGB colour of a class, the same in every picture. Consecutive labels have very different colours."""
    value = 0.95 if label % 2 else 0.75  # similar hues differ in brightness
    red, green, blue = colorsys.hsv_to_rgb((0.58 + label * GOLDEN) % 1, 0.85, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def ink_on(colour: tuple[int, int, int]) -> str:
    """'black' or 'white', whichever is more legible on a colour (WCAG 2's relative luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 'black' if luminance > 0.179 else 'white'


def draw_boxes(image: np.ndarray, boxes: Sequence[Sequence[float]], labels: Sequence[int],
               texts: Sequence[str]) -> np.ndarray:
    """Draws boxes, each with a caption above it on a background of its class's colour.

    Args:
        image: RGB, uint8, (height, width, 3); not modified.
        boxes: (x1, y1, x2, y2) in pixels, the most important first; later ones are drawn below earlier ones.
        labels: the class labels, which determine the colours.
        texts: the captions, one for each box.

    Returns:
        A new image of the same form.
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
    """Draws a caption above the upper left corner of a box, moved so that it stays within the picture."""
    width, height = font(size).getlength(text) + size // 2, round(1.25 * size)
    left = max(0, min(corner[0], canvas[0] - width))
    top = max(0, min(corner[1] - height, canvas[1] - height))
    draw.rectangle((left, top, left + width, top + height), fill=colour)
    draw.text((left + size // 4, top + height / 2), text, ink_on(colour), font(size), anchor='lm')
