"""Makes the HTML page of ``mmext browse``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mmext.detection.drawing import draw_boxes
from mmext.report.page import render, write_page
from mmext.report.pictures import SIDE, data_uri
from mmext.report.svg import inline_svg
from mmext.samples import Shown
from mmext.text import printable

if TYPE_CHECKING:
    from mmext.analysis.browse.samples import Boxes, Browsed

TEMPLATES = Path(__file__).parent / 'template'
FRAMES = 8  # of a video that are shown
AREAS = (('below 32² pixels', 0, 32**2), ('32² to 96² pixels', 32**2, 96**2), ('above 96² pixels', 96**2, np.inf))


def write_browse_page(folder: str | Path, title: str, browsed: Browsed) -> Path:
    """Writes ``index.html`` into a folder; returns its path.

    Args:
        folder: is created if it does not exist.
        title: the heading.
        browsed: what the page shows. All text in it is escaped.
    """
    tiles = [tile_of(one, browsed.classes) for one in browsed.shown]
    return write_page(folder, render(TEMPLATES, title, browsed=browsed, tiles=tiles, training=[],
                                     classes=class_rows(browsed.members), **box_section(browsed.boxes)))


def tile_of(sample: Shown, classes: Sequence[str]) -> tuple[str, str, str]:
    """(data URI of the picture, file name, what is in it)."""
    names = [classes[label] if label < len(classes) else str(label) for label in sample.labels]
    text = ', '.join(f'{count} {name}' if sample.boxes is not None else name for name, count in Counter(names).items())
    if len(sample.ignored):
        text += f'{"; " if text else ""}{len(sample.ignored)} ignored'
    return data_uri(picture_of(sample, names)), Path(sample.name).name, text or 'no objects'


def picture_of(sample: Shown, names: Sequence[str]) -> Image.Image:
    """A sample as one picture: an image with its boxes, or frames of a video in two rows."""
    if sample.boxes is not None:
        frame, scale = fitted(sample.frames[0])
        boxes = np.concatenate([sample.boxes, sample.ignored]) * scale
        texts = [printable(name) for name in names] + ['ignored'] * len(sample.ignored)
        labels = [*sample.labels, *[-1] * len(sample.ignored)]
        order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(1))[::-1]  # small ones are drawn on top
        return Image.fromarray(draw_boxes(frame, boxes[order].tolist(), [labels[i] for i in order],
                                          [texts[i] for i in order]))
    chosen = np.unique(np.linspace(0, len(sample.frames) - 1, min(FRAMES, len(sample.frames))).astype(int))
    if len(chosen) == 1:
        return Image.fromarray(fitted(sample.frames[0])[0])
    frames = [fitted(sample.frames[i], SIDE // 2)[0] for i in chosen]
    columns = -(-len(frames) // 2)
    height, width = frames[0].shape[:2]
    sheet = Image.new('RGB', (columns * width, 2 * height), 'white')
    for i, frame in enumerate(frames):
        sheet.paste(Image.fromarray(frame), (i % columns * width, i // columns * height))
    return sheet


def fitted(frame: np.ndarray, side: int = SIDE) -> tuple[np.ndarray, float]:
    """A picture of at most ``side`` pixels, and the factor by which it was made smaller. Tiny ones are enlarged."""
    scale = side / max(frame.shape[:2])
    scale = min(1.0, scale) if scale < 4 else float(min(4, int(scale)))
    size = [max(1, round(length * scale)) for length in frame.shape[1::-1]]
    sampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize(size, sampling)), scale


def class_rows(members: dict[str, int] | None) -> list[tuple[str, int, float, float]]:
    """(name, count, share of all, share of the largest count) of each class."""
    counts = members or {}
    total, most = sum(counts.values()) or 1, max(counts.values(), default=0) or 1
    return [(name, count, count / total, count / most) for name, count in counts.items()]


def box_section(boxes: Boxes | None) -> dict:
    """The plots and the table of the boxes; empty values if there are none."""
    if boxes is None or not len(boxes.sizes):
        return dict(boxes=None, size_plot=None, iou_plot=None, size_rows=[], below=None)
    areas = boxes.sizes.prod(1)
    rows = []
    for name, low, high in AREAS:
        chosen = (areas >= low) & (areas < high)
        count = int(chosen.sum())
        rows.append((name, count, f'{100 * count / len(areas):.1f}', *best_of(boxes, chosen)))
    rows.append(('all', len(areas), '100.0', *best_of(boxes, np.ones(len(areas), bool))))
    alt = 'Width and height of boxes' + ('' if boxes.shapes is None else ' and anchors')
    plot = inline_svg('sizes', alt, (380, 360), lambda figure: paint('box_sizes', figure, boxes))
    if boxes.best is None:
        return dict(boxes=boxes, size_plot=plot, iou_plot=None, size_rows=rows, below=None)
    histogram = inline_svg('ious', 'Histogram of the IoU of boxes with their best anchor', (380, 260),
                           lambda figure: paint('iou_histogram', figure, boxes))
    below = f'{100 * float((boxes.best < (boxes.least_iou or 0)).mean()):.1f}'
    return dict(boxes=boxes, size_plot=plot, iou_plot=histogram, size_rows=rows, below=below)


def best_of(boxes: Boxes, chosen: np.ndarray) -> tuple[str, str]:
    """The mean of the best IoU of some boxes, and the share of them below the threshold in percent."""
    if boxes.best is None or not chosen.any():
        return '–', '–'
    best = boxes.best[chosen]
    return f'{best.mean():.2f}', f'{100 * (best < (boxes.least_iou or 0)).mean():.1f}'


def paint(name: str, figure: object, boxes: Boxes) -> None:
    """Draws a plot of ``plots``."""
    from mmext.analysis.browse import plots

    getattr(plots, name)(figure, boxes)
