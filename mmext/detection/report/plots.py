"""The report's plots, each drawn into an empty figure.

``hotcoco.plot`` has plots of most of these quantities. They are not used because they show less on this page: IoUs in
colours without an order, no counts in the confusion matrix and the reliability diagram, shares of less than 1 % left
out, numbers on top of each other with 80 classes, and titles that repeat the page's headings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from mmext.detection.report.analysis import IOUS, cut
from mmext.detection.report.svg import BLUE, GREY, ORANGE
from mmext.figures import Curve, draw_curve, finish_panel, line_styles

ERRORS = {'Cls': 'classification', 'Loc': 'localisation', 'Both': 'both', 'Dupe': 'duplicate', 'Bkg': 'background',
          'Miss': 'missed'}
SHADES = ListedColormap(colormaps['Blues'](np.linspace(0.12, 1, 256)))
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


def reliability(figure: Figure, bins: Sequence[dict]) -> None:
    """The share of correct detections against the score, and the number of detections with that score."""
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    filled = [entry for entry in bins if entry['count']]
    middle = [(entry['bin_lower'] + entry['bin_upper']) / 2 for entry in filled]
    width = 0.9 / len(bins)
    above.bar(middle, [entry['avg_accuracy'] for entry in filled], width, color=BLUE, label='share that is right')
    above.plot([0, 1], [0, 1], color=GREY, lw=1, ls='--')
    above.plot([entry['avg_confidence'] for entry in filled], [entry['avg_confidence'] for entry in filled], ls='',
               marker='D', ms=4.5, color=ORANGE, label='mean score')
    above.set(ylim=(0, 1.02), ylabel='share')
    above.legend(loc='upper left', fontsize=9)
    below.bar(middle, [entry['count'] for entry in filled], width, color=GREY)
    below.set(xlim=(0, 1), xlabel='score', ylabel='detections', yscale='log',
              ylim=(0.5, 2 * max([1, *(entry['count'] for entry in bins)])))
    below.yaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))
    below.yaxis.set_minor_formatter(NullFormatter())


def heat_map(figure: Figure, counts: np.ndarray, names: Sequence[str]) -> None:
    """The confusion matrix: colours are shares of a row; counts are written where there is room for them."""
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few = len(names) <= 12
    image = axes.imshow(np.where(counts > 0, np.maximum(shares, 0.01), np.nan), cmap=SHADES, aspect='auto',
                        norm=None if few else LogNorm(0.01, 1), vmin=0 if few else None, vmax=1 if few else None,
                        interpolation='nearest')
    labels = [cut(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(length=0, labelsize=10 if few else 8)
    axes.set(xlabel='detected as', ylabel='truth')
    axes.grid(visible=False)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, str(count), ha='center', va='center',
                      color='white' if shares[row, column] > 0.55 else '#1f2937')
    else:
        bar = figure.colorbar(image, ax=axes, location='top', shrink=0.4, pad=0.01)
        bar.set_label('share of the row, logarithmic')
        bar.set_ticks((0.01, 0.1, 1), labels=('1 %', '10 %', '100 %'))


def training_curves(figure: Figure, curves: dict[str, Curve], ylabel: str, share: bool) -> None:
    """One or a few quantities of a training against the iteration.

    Args:
        figure: empty.
        curves: name -> (iterations, values).
        ylabel: of the axis.
        share: the values are fractions of 1, shown as percentages.
    """
    axes = figure.add_subplot()
    for (name, (x, y)), style in zip(curves.items(), line_styles(len(curves))):
        draw_curve(axes, x, y, style, markers=share, label=name)
    finish_panel(axes, [value for _, y in curves.values() for value in y if math.isfinite(value)], share=share)
    axes.set(xlabel='iterations', ylabel=ylabel)
    if len(curves) > 1:
        axes.legend(fontsize=9)
