"""The plots of the page, each drawn into an empty figure."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mmext.analysis.browse.samples import Boxes
from mmext.report.svg import BLUE, GREY, ORANGE

MOST_POINTS = 1500  # of a plot; more make the page large and nothing clearer


def box_sizes(figure: Figure, boxes: Boxes) -> None:
    """Width and height of each box, and those of the anchors."""
    axes = figure.add_subplot()
    sizes = boxes.sizes.clip(min=0.5)
    if boxes.shapes is not None:
        axes.plot(*boxes.shapes.T, '+', color=GREY, markersize=7, label='anchors')
    bad = np.zeros(len(sizes), bool) if boxes.best is None else boxes.best < (boxes.least_iou or 0)
    step = -(-len(sizes) // MOST_POINTS) or 1
    for chosen, colour, label in ((~bad, BLUE, 'boxes'), (bad, ORANGE, f'best IoU below {boxes.least_iou}')):
        if chosen.any():
            axes.plot(*sizes[chosen][::step].T, '.', color=colour, markersize=4, alpha=0.6, label=label)
    axes.set(xscale='log', yscale='log', xlabel='width, pixels', ylabel='height, pixels')
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f'{value:g}')
        axis.set_minor_formatter(NullFormatter())
    figure.legend(loc='outside upper left', ncols=3, fontsize=9, handletextpad=0.2, columnspacing=1)


def iou_histogram(figure: Figure, boxes: Boxes) -> None:
    """How many boxes have a best IoU in each twentieth of the range from 0 to 1."""
    assert boxes.best is not None and boxes.least_iou is not None  # the page has this plot only with anchors
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, 21)
    counts, _ = np.histogram(boxes.best, edges)
    colours = [ORANGE if right <= boxes.least_iou + 1e-9 else BLUE for right in edges[1:]]
    axes.bar(edges[:-1], counts, 0.046, align='edge', color=colours)
    axes.axvline(boxes.least_iou, color=GREY, linestyle='--', linewidth=1)
    axes.set(xlim=(0, 1), xlabel='IoU with the best anchor', ylabel='boxes')
