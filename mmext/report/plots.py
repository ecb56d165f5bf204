"""The plots that several pages have, each drawn into an empty figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from mmext.figures import Curve, draw_curve, finish_panel, line_styles
from mmext.report.svg import BLUE, GREY, ORANGE
from mmext.text import cut

SHADES = ListedColormap(colormaps['Blues'](np.linspace(0.12, 1, 256)))
FEW = 12  # rows of a confusion matrix that has counts in its cells


def reliability(figure: Figure, bins: Sequence[dict], what: str) -> None:
    """The share of predictions that are correct against their score, and the number of predictions with that score.

    Args:
        figure: empty.
        bins: for each range of scores its ``bin_lower``, ``bin_upper`` and ``count``, and where that is not 0 the
            ``avg_confidence`` and ``avg_accuracy``.
        what: the predictions, in the plural.
    """
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
    below.set(xlim=(0, 1), xlabel='score', ylabel=what, yscale='log',
              ylim=(0.5, 2 * max([1, *(entry['count'] for entry in bins)])))
    below.yaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))
    below.yaxis.set_minor_formatter(NullFormatter())


def heat_map(figure: Figure, counts: np.ndarray, names: Sequence[str], xlabel: str) -> None:
    """The confusion matrix: colours are shares of a row; counts are written where there is room for them.

    Args:
        figure: empty.
        counts: rows truth, columns predictions.
        names: of rows and columns.
        xlabel: of the columns.
    """
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few = len(names) <= FEW
    image = axes.imshow(np.where(counts > 0, np.maximum(shares, 0.01), np.nan), cmap=SHADES, aspect='auto',
                        norm=None if few else LogNorm(0.01, 1), vmin=0 if few else None, vmax=1 if few else None,
                        interpolation='nearest')
    labels = [cut(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(length=0, labelsize=10 if few else 8)
    axes.set(xlabel=xlabel, ylabel='truth')
    axes.grid(visible=False)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, str(count), ha='center', va='center',
                      color='white' if shares[row, column] > 0.55 else '#1f2937')
    else:
        share_bar(figure, image, axes, 'share of the row, logarithmic', (0.01, 0.1, 1))


def condensed_map(figure: Figure, shares: np.ndarray, starts: Sequence[int], classes: int) -> None:
    """The confusions between groups of neighbouring classes, as ``confusion.condensed`` returns them.

    Args:
        figure: empty.
        shares: rows truth, columns predictions.
        starts: the number of the first class of each group.
        classes: the number of all classes.
    """
    axes = figure.add_subplot()
    edges = np.array([*starts, classes]) - 0.5
    image = axes.pcolormesh(edges, edges, np.where(shares > 0, np.maximum(shares, 0.001), np.nan), cmap=SHADES,
                            norm=LogNorm(0.001, 1), rasterized=True)
    axes.set(xlabel='number of the predicted class', ylabel='number of the true class', xlim=edges[[0, -1]],
             ylim=edges[[-1, 0]], aspect='equal')
    axes.grid(visible=False)
    share_bar(figure, image, axes, 'share of the samples of the row, logarithmic', (0.001, 0.01, 0.1, 1))


def share_bar(figure: Figure, image: ScalarMappable, axes: Axes, label: str, ticks: Sequence[float]) -> None:
    """The legend of a map whose colours are shares."""
    bar = figure.colorbar(image, ax=axes, location='top', shrink=0.5, pad=0.01)
    bar.set_label(label)
    bar.set_ticks(ticks, labels=[f'{100 * tick:g} %' for tick in ticks])


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
