"""Figures of a ranking: the ranking graph of the recursion paper, and Demsar's critical-difference diagram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmext.analysis.ranking import Ranking
from mmext.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEST, WORSE = COLOURS[:2]
SIZE = 9  # points, of names
ROW = 0.26  # inches between names


def ranking_graph(ranking: Ranking) -> Figure:
    """Draws the mean rank of each method with a segment of the critical difference, as the recursion paper's figure 4.

    Two methods differ significantly if their segments do not overlap. The band is the segment of the best method;
    methods in its colour do not differ from it.

    Returns:
        A matplotlib figure that pyplot does not know of.
    """
    from matplotlib.figure import Figure

    means, order, half = ranking.means, ranking.order, ranking.critical / 2
    names = [ranking.methods[i] for i in order]
    figure = Figure(figsize=(4.2 + text_width(names), 1.3 + ROW * len(names)), layout='constrained')
    axes = figure.add_subplot()
    best = means[order[0]]
    axes.axvspan(best - half, best + half, color=BEST, alpha=0.08, linewidth=0)
    for row, i in enumerate(order):
        colour = WORSE if ranking.differ(order[0], i) else BEST
        axes.errorbar(means[i], row, xerr=half, color=colour, marker='o', markersize=5, linewidth=1.8, capsize=3)
    axes.set_yticks(range(len(names)), names, fontsize=SIZE)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel('mean rank \N{PLUS-MINUS SIGN} CD / 2 (1 is best)', color='0.3')
    axes.set_title(caption(ranking), loc='left', fontsize=SIZE, color='0.35')
    axes.grid(axis='x', color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.spines['bottom'].set_color('0.6')
    axes.tick_params(color='0.6', labelsize=SIZE)
    axes.tick_params(axis='y', length=0)
    return figure


def difference_diagram(ranking: Ranking) -> Figure:
    """Draws Demsar's diagram: methods at their mean ranks on one axis, and a bar over each group without a difference.

    Returns:
        A matplotlib figure that pyplot does not know of.
    """
    from matplotlib.figure import Figure

    order, count = ranking.order, len(ranking.methods)
    means = [float(ranking.means[i]) for i in order]
    labels = [f'{ranking.methods[i]}  {mean:.2f}' for i, mean in zip(order, means)]
    left, groups = (count + 1) // 2, ranking.groups()
    margins = [text_width(labels[:left]) + 0.35, text_width(labels[left:]) + 0.35]
    body = max(3.6, min(9, 0.42 * count))  # inches of the axis
    inch = (count - 1) / body  # in ranks
    axis, bars = 0.72, 0.14 * len(groups) + 0.16
    width, height = body + sum(margins), axis + bars + ROW * left + 0.1
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((margins[0] / width, 0, body / width, 1))
    axes.set_xlim(1, count)
    axes.set_ylim(height, 0)  # inches from the top
    axes.axis('off')
    draw_axis(axes, count, axis, ranking)
    for level, (first, last) in enumerate(groups):
        y = axis + 0.16 + 0.14 * level
        axes.plot([means[first] - 0.04 * inch, means[last] + 0.04 * inch], [y, y], color=WORSE, linewidth=3.5,
                  solid_capstyle='butt', clip_on=False)
    for i, (mean, label) in enumerate(zip(means, labels)):
        on_left = i < left
        y = axis + bars + ROW * ((i if on_left else count - 1 - i) + 0.5)
        end = 1 - 0.1 * inch if on_left else count + 0.1 * inch
        axes.plot([mean, mean, end], [axis, y, y], color='0.35', linewidth=0.9, clip_on=False)
        axes.text(end, y, f'{label} ' if on_left else f' {label}', ha='right' if on_left else 'left', va='center',
                  fontsize=SIZE)
    return figure


def draw_axis(axes, count: int, y: float, ranking: Ranking) -> None:
    """Draws the axis of ranks from 1 to ``count``, and the critical difference to scale above it."""
    axes.plot([1, count], [y, y], color='0.2', linewidth=1.2, clip_on=False)
    step = math.ceil(count / 16)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [y - (0.08 if tick % step == 1 % step else 0.04), y], color='0.2', linewidth=1,
                  clip_on=False)
        if tick % step == 1 % step:
            axes.text(tick, y - 0.1, str(tick), ha='center', va='bottom', fontsize=SIZE, color='0.2')
    shown, top = min(ranking.critical, count - 1), 0.36
    axes.plot([1, 1 + shown], [top, top], color='0.2', linewidth=1.2, clip_on=False)
    for x in (1, 1 + shown) if shown == ranking.critical else (1, ):
        axes.plot([x, x], [top - 0.05, top + 0.05], color='0.2', linewidth=1.2, clip_on=False)
    wider = '' if shown == ranking.critical else ', more than the axis is long'
    axes.text(1, top - 0.08, caption(ranking) + wider, va='bottom', fontsize=SIZE, color='0.35')


def caption(ranking: Ranking) -> str:
    """How many data sets, and the critical difference, in words."""
    level = f'\N{GREEK SMALL LETTER ALPHA} = {ranking.alpha:g}'
    return f'{len(ranking.ranks)} data sets, CD {ranking.critical:.2f} (Nemenyi, {level})'


def text_width(texts: list[str]) -> float:
    """The width of the widest of some texts, in inches."""
    from matplotlib.textpath import TextPath

    return max((TextPath((0, 0), text, size=SIZE).get_extents().width for text in texts if text.strip()),
               default=0) / 72
