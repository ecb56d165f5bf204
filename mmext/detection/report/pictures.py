"""Images with boxes: the objects of an image beside its detections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw

from mmext.data.decoding import NoImage, read_picture
from mmext.data.sizes import picture_of_size
from mmext.detection.drawing import plate
from mmext.detection.report.analysis import Box, ImageResult
from mmext.font import font
from mmext.report.pictures import data_uri, shrunk
from mmext.report.svg import BLUE, GREY, ORANGE
from mmext.text import cut, printable

FONT_SIZE = 15
COLORS = {True: BLUE, False: ORANGE, None: GREY}
MARKS = {True: '', False: '✗ ', None: '– '}


@dataclass(frozen=True)
class Pair:
    """An image with its objects and the same image with its detections, as data URIs; or why it can't be shown."""

    result: ImageResult
    truth: str = ''
    found: str = ''
    truth_alt: str = ''
    found_alt: str = ''
    problem: str = ''


def choose(results: Sequence[ImageResult], count: int) -> tuple[list[ImageResult], list[ImageResult]]:
    """The best and the worst images by F1, no image in both. Ties go to more hits, or more errors."""
    best = sorted((result for result in results if result.tp),
                  key=lambda result: (-result.f1, -result.tp, result.image_id))[:count]
    worst = sorted((result for result in results if result.f1 < 1 and result not in best),
                   key=lambda result: (result.f1, -result.fp - result.fn, result.image_id))[:count]
    return best, worst


def draw_pair(image_root: Path, result: ImageResult) -> Pair:
    """Draws one image; if its file is missing or broken, ``problem`` says so."""
    name = printable(result.file_name)
    try:
        path = image_root / result.file_name
        image = picture_of_size(path, result.size) if result.size else read_picture(path)
    except NoImage as error:
        return Pair(result, problem=f'{name}: {error}')
    picture = Image.fromarray(image[..., ::-1])
    small, scale = shrunk(picture)
    return Pair(result, data_uri(draw_results(small, result.objects, scale)),
                data_uri(draw_results(small, result.detections, scale)),
                f'{name} with its objects: {describe_boxes(result.objects, "missed")}',
                f'{name} with its detections: {describe_boxes(result.detections, "wrong")}')


def describe_boxes(boxes: Sequence[Box], bad: str) -> str:
    """How many boxes of each class there are, and how many of them are ``bad``: '3 person, 1 dog; missed: 1 dog'."""
    def counts(chosen: list[Box]) -> str:
        return ', '.join(f'{count} {name}' for name, count in Counter(box.name for box in chosen).items())
    wrong = counts([box for box in boxes if box.good is False])
    return (counts(list(boxes)) or 'none') + (f'; {bad}: {wrong}' if wrong else '')


def draw_results(image: Image.Image, boxes: Sequence[Box], scale: float) -> Image.Image:
    """A copy of an image with boxes and labels; those of errors are drawn on top.

    Args:
        image: RGB, already scaled.
        boxes: in pixels of the image before scaling.
        scale: by which the image was scaled.
    """
    image = image.copy()
    draw = ImageDraw.Draw(image)
    boxes = sorted(boxes, key=lambda box: box.good is False)
    for box in boxes:
        x, y, width, height = (number * scale for number in box.box)
        draw.rectangle((x, y, x + max(width, 1), y + max(height, 1)), outline=COLORS[box.good], width=2)
    draw_labels(draw, image.size, boxes, scale)
    return image


def draw_labels(draw: ImageDraw.ImageDraw, size: tuple[int, int], boxes: Sequence[Box], scale: float) -> None:
    """Draws a label above each box, inside the image, or further down if another label is in its place."""
    height = round(1.25 * FONT_SIZE)
    taken: list[tuple[float, float, float]] = []  # left, right, top of each label so far
    for box in boxes:
        text = MARKS[box.good] + cut(box.name) + ('' if box.score is None else f' {box.score:.2f}')
        width = font(FONT_SIZE).getlength(text) + FONT_SIZE // 2
        left = max(0, min(box.box[0] * scale, size[0] - width))
        above = max(0, min(box.box[1] * scale - height, size[1] - height))
        tops = [above + step * height for step in range(4) if above + step * height <= size[1] - height]
        top = next((top for top in tops if not any(left < other[1] and left + width > other[0]
                                                   and abs(top - other[2]) < height for other in taken)), above)
        taken.append((left, left + width, top))
        plate(draw, size, text, (left, top + height), ImageColor.getrgb(COLORS[box.good])[:3], FONT_SIZE)
