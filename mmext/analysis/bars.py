"""Bars of several quantities beside each other: results with errors over seeds, and costs of networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmext.analysis.runs import mean_and_deviation
from mmext.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 3
FILLS = COLOURS[:6]  # without black, on which no error bar is seen
NEAR = 0.8  # bars whose least value is above this share of the greatest are drawn from a later start of the axis


@dataclass(frozen=True)
class Panel:
    """One quantity of each name.

    Attributes:
        title: above the bars.
        values: a number for each name, None where there is none.
        errors: of each value, as a standard deviation; None where there is none.
        digits: decimals of the numbers beside the bars.
        from_zero: start the axis at zero, as costs need it; otherwise where the values begin to differ, which is said.
    """

    title: str
    values: Sequence[float | None]
    errors: Sequence[float | None] = ()
    digits: int = 2
    from_zero: bool = True

    def drawn(self) -> list[tuple[int, float, float | None]]:
        """(position, value, error) of each bar that there is."""
        errors = self.errors or [None] * len(self.values)
        return [(i, value, error) for i, (value, error) in enumerate(zip(self.values, errors)) if value is not None]


def result_panels(cells: Mapping[tuple[str, str], Sequence[float]],
                  factor: float = 100) -> tuple[list[str], list[Panel]]:
    """The methods, and a panel for each data set: mean and sample deviation of the values of each cell.

    Args:
        cells: (data set, method) -> values.
        factor: what values are multiplied by; 100 for percent.
    """
    methods = list(dict.fromkeys(method for _, method in cells))
    panels = []
    for data in dict.fromkeys(data for data, _ in cells):
        found = [mean_and_deviation([factor * value for value in cells[data, method]]) if (data, method) in cells
                 else (None, None) for method in methods]
        panels.append(Panel(data or 'results', [mean for mean, _ in found], [std for _, std in found],
                            from_zero=False))
    return methods, panels


def make_figure(names: Sequence[str], panels: Sequence[Panel], caption: str = '') -> Figure:
    """Draws horizontal bars: a row for each name, a panel for each quantity.

    Args:
        names: of the rows, from the top.
        panels: with a value for each name.
        caption: stands above the panels.

    Returns:
        A matplotlib figure that pyplot does not know of.
    """
    from matplotlib.figure import Figure

    columns = min(MAX_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    label = 0.075 * max(map(len, names))  # inches
    figure = Figure(figsize=(label + 0.3 + 2.9 * columns, 0.45 + rows * (0.75 + 0.3 * len(names))),
                    layout='constrained')
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels):
        draw_panel(axes, panel)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        axes.set_ylim(len(names) - 0.45, -0.55)
    for axes in grid.flat[len(panels):]:
        axes.remove()
    if caption:
        figure.suptitle(caption, x=0.01, ha='left', fontsize=9, color='0.35')
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draws the bars of a panel, with their numbers. Ticks end with the bars: there are none of 101 %."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(panel.title, loc='left', fontsize=10, fontweight='bold', color='0.2')
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.spines['bottom'].set_color('0.6')
    axes.grid(axis='x', color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(color='0.6', labelcolor='0.3', labelsize=9)
    axes.tick_params(axis='y', length=0, labelcolor='0.1')
    bars = panel.drawn()
    if not bars:
        axes.text(0.5, 0.5, 'no values', transform=axes.transAxes, ha='center', va='center', color='0.5')
        axes.set_xticks([])
        return
    start, end = limits(panel)
    for row, value, error in bars:
        axes.barh(row, value - start, left=start, height=0.62, color=FILLS[row % len(FILLS)], alpha=0.75)
        if error is not None:
            axes.errorbar(value, row, xerr=error, color='0.15', linewidth=1.2, capsize=3)
        spread = '' if error is None else f' \N{PLUS-MINUS SIGN} {error:.{panel.digits}f}'
        axes.annotate(f'{value:.{panel.digits}f}{spread}', (value + (error or 0), row), xytext=(4, 0),
                      textcoords='offset points', va='center', fontsize=8, color='0.2')
    axes.set_xlim(start, end)
    reached = max(value + (error or 0) for _, value, error in bars)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(start, reached)
    axes.set_xticks([tick for tick in ticks if start - 1e-9 <= tick <= reached])
    if start:
        axes.set_xlabel(f'from {start:g}, not from 0', fontsize=8, color='0.4')


def limits(panel: Panel) -> tuple[float, float]:
    """Where the axis of a panel begins and ends; there is room for the numbers at its end."""
    bars = panel.drawn()
    least = min(value - (error or 0) for _, value, error in bars)
    most = max(value + (error or 0) for _, value, error in bars)
    start = 0.0
    if not panel.from_zero and least > NEAR * most > 0 and most > least:
        step = 10 ** math.floor(math.log10(most - least))
        start = max(0.0, step * math.floor((least - 0.3 * (most - least)) / step))
    room = 0.75 if any(error is not None for _, _, error in bars) else 0.45
    return start, start + (most - start or 1.0) * (1 + room)
