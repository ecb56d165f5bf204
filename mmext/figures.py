"""What all matplotlib figures share: colours, curves of a training log, panels, and writing to a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmext.errors import UserError
from mmext.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

SUFFIXES = ('.png', '.pdf', '.svg')
DPI = 160
# Distinct with all common forms of colour blindness, and as greys: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
# Curves on top of each other all remain visible.
DASHES: tuple[LineStyleType, ...] = ('-', (0, (5, 1.5)), (0, (1.2, 1)), (0, (6, 1.5, 1.2, 1.5)))
LOG_SPAN = 30  # a panel whose values span a larger factor has a logarithmic axis

LineStyle = tuple[str, 'LineStyleType']  # colour, dash pattern
Curve = tuple[list[float], list[float]]  # positions (iterations or epochs), values


def line_styles(count: int) -> list[LineStyle]:
    """(colour, dash pattern) of each of several lines; 28 of them differ."""
    return [(COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i in range(count)]


def require_suffix(path: str | Path, option: str) -> None:
    """Raises a UserError unless the file name ends in one of ``SUFFIXES``."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(f'{option} {path}: need a file name that ends in {", ".join(SUFFIXES)}')


def write_figure(path: str | Path, figure: Figure) -> None:
    """Writes a figure atomically, in the format that the suffix of the file name stands for."""
    suffix = Path(path).suffix.lower()[1:]
    write_whole(path, lambda temporary: figure.savefig(temporary, format=suffix, dpi=DPI))


def is_number(value: object) -> bool:
    """Whether a value of a log is an int or a float, NaN included, and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def curve_of(records: Sequence[dict], key: str, mode: str, position: str = 'iter', finite: bool = False) -> Curve:
    """The curve of one quantity in a log: (positions, values).

    Args:
        records: as ``engine.log.read_scalars`` returns them.
        key: the name of the quantity.
        mode: 'train', or 'val'. A negative metric of a validation means that there was nothing to measure, as in
            pycocotools, and is left out.
        position: 'iter' or 'epochs_done'.
        finite: leave out values that are infinite or NaN.
    """
    least = 0 if mode == 'val' else -math.inf
    points = [(record[position], record[key]) for record in records
              if record['mode'] == mode and is_number(record.get(key)) and not record[key] < least]
    points = [(x, y) for x, y in points if math.isfinite(y) or not finite]
    return [x for x, _ in points], [y for _, y in points]


def smoothed(values: Sequence[float], width: float) -> np.ndarray:
    """A centred moving average with Gaussian weights; it does not lag behind as an average over the past does.

    Args:
        values: those that are not finite are kept as they are, and do not count in the average of others.
        width: the standard deviation of the weights, in records.
    """
    numbers = np.asarray(values, float)
    finite = np.isfinite(numbers)
    reach = math.ceil(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)

    def weighted_sum(x: np.ndarray) -> np.ndarray:
        return np.convolve(x, kernel)[reach:len(x) + reach]

    weights = weighted_sum(finite.astype(float))
    means = weighted_sum(np.where(finite, numbers, 0.0)) / np.where(weights > 0, weights, 1)
    return np.where(finite, means, numbers)


def draw_curve(axes: Axes, xs: Sequence[float], ys: Sequence[float], style: LineStyle, *, smooth: float = 0.0,
               markers: bool = False, label: str | None = None) -> None:
    """Draws one curve into a panel.

    Args:
        axes: the panel.
        xs, ys: the curve; it may be empty.
        style: of ``line_styles``.
        smooth: draw the curve ``smoothed`` over this many records, above the faint unsmoothed one; 0: as it is.
        markers: mark each point if there are few.
        label: for a legend.
    """
    colour, dash = style
    marker = 'o' if (markers and len(xs) <= 50) or len(xs) == 1 else None
    shown: Sequence[float] | np.ndarray = ys
    if smooth and xs:
        axes.plot(xs, ys, color=colour, alpha=0.25, linewidth=0.8)
        shown = smoothed(ys, smooth)
    axes.plot(xs, shown, color=colour, linestyle=dash, linewidth=1.6, marker=marker, markersize=3.5, label=label)


def finish_panel(axes: Axes, values: Sequence[float], *, share: bool, title: str = '') -> None:
    """Gives a panel of curves its title, grid and scale.

    Args:
        axes: the panel, with its curves.
        values: all finite values in it; where there are none, the panel says so.
        share: the values are metrics: those from 0 to 1 are labelled as percentages.
        title: stands above the panel, to the left.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_title(title, loc='left', fontsize=10, fontweight='bold', color='0.2')
    axes.grid(color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlim(left=0)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('0.6')
    if not values:
        axes.text(0.5, 0.5, 'nothing to measure', transform=axes.transAxes, ha='center', va='center', color='0.5')
        axes.set_yticks([])
    elif share and min(values) >= 0 and max(values) <= 1:
        axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:g} %')
    elif min(values) > 0 and max(values) > LOG_SPAN * min(values):
        axes.set_yscale('log')
        if max(values) < 1000 * min(values):
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda y, _: f'{y:g}')
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which='both', color='0.6', labelcolor='0.3', labelsize=9)
