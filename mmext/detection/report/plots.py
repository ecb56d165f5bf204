"""The plots of a detector's page alone, each drawn into an empty figure.

``hotcoco.plot`` has plots of most of these quantities. They are not used because they show less on this page: IoUs in
colours without an order, no counts in the confusion matrix and the reliability diagram, shares of less than 1 % left
out, numbers on top of each other with 80 classes, and titles that repeat the page's headings.
"""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from mmext.detection.report.analysis import IOUS
from mmext.report.svg import BLUE

ERRORS = {'Cls': 'classification', 'Loc': 'localisation', 'Both': 'both', 'Dupe': 'duplicate', 'Bkg': 'background',
          'Miss': 'missed'}
IOU_COLORS = [colormaps['viridis'](x) for x in np.linspace(0, 0.88, len(IOUS))]


def unit_axes(axes, xlabel: str = '', ylabel: str = '') -> None:
    """Sets both axes to the range from 0 to 1."""
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=xlabel, ylabel=ylabel)
    ticks = (0, 0.5, 1) if not xlabel else (0, 0.2, 0.4, 0.6, 0.8, 1)
    axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
    axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks])


def mean_curves(figure: Figure, precision: np.ndarray, recalls: np.ndarray) -> None:
    """Precision (IoUs, recalls), the mean over classes, against recall; one line for each IoU."""
    axes = figure.add_subplot()
    for iou, color, curve in zip(IOUS, IOU_COLORS, precision):
        axes.plot(recalls, curve, color=color, lw=1.6, label=f'{iou:.2f}', clip_on=False)
    unit_axes(axes, 'recall', 'precision')
    figure.legend(title='IoU', loc='outside lower center', ncols=5, fontsize=9, title_fontsize=9, handlelength=1.4,
                  columnspacing=1.2)


def class_curves(figure: Figure, precision: np.ndarray, recalls: np.ndarray) -> None:
    """As ``mean_curves``, of one class, small and without a legend."""
    figure.set_layout_engine('none')  # it is slow, and would place the axes of each class differently
    axes = figure.add_axes((0.15, 0.15, 0.81, 0.8))
    for color, curve in zip(IOU_COLORS, precision):
        axes.plot(recalls, curve, color=color, lw=1.1)
    unit_axes(axes)


def error_bars(figure: Figure, delta_ap: dict[str, float]) -> None:
    """By how many percentage points each type of error lowers AP50."""
    axes = figure.add_subplot()
    values = [100 * delta_ap[kind] for kind in ERRORS]
    bars = axes.barh(list(ERRORS.values()), values, color=BLUE, height=0.62)
    axes.bar_label(bars, [f'{value:.2f}' for value in values], padding=4)
    axes.invert_yaxis()
    axes.set(xlabel='AP50 lost, points', xlim=(0, max(1, *values) * 1.18))
    axes.grid(axis='y', visible=False)
    axes.tick_params(axis='y', length=0)
