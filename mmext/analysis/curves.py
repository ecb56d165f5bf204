"""Curves of one or many runs in one picture: losses, learning rates, metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmext.engine.log import read_scalars
from mmext.errors import UserError, nearest, shorten
from mmext.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIONS = ('iter', 'step', 'epoch', 'epochs_done', 'mode')
# Distinct to all common forms of colour blindness, and as greys: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
DASHES = ('-', (0, (5, 1.5)), (0, (1.2, 1)), (0, (6, 1.5, 1.2, 1.5)))  # where curves lie on each other, both show
LOG_SPAN = 30  # values that lie further apart are drawn on a logarithmic axis


@dataclass(frozen=True)
class Run:
    """A run's name in the legend, and its records as ``engine.log.read_scalars`` gives them."""

    name: str
    records: list[dict]

    @property
    def keys(self) -> list[str]:
        """What was logged as a number: of training, then of validations."""
        found: dict[str, None] = {}
        for mode in ('train', 'val'):
            for record in self.records:
                if record['mode'] == mode:
                    found.update(dict.fromkeys(key for key in record if key not in POSITIONS and number(record[key])))
        return list(found)

    @property
    def metrics(self) -> list[str]:
        """What validations alone have."""
        trained = {key for record in self.records if record['mode'] == 'train' for key in record}
        return [key for key in self.keys if key not in trained]

    @property
    def main_metrics(self) -> list[str]:
        """The first metric of each evaluator: coco/AP, accuracy/top1."""
        first = {key.partition('/')[0]: key for key in reversed(self.metrics)}
        return [key for key in self.metrics if key in first.values()]

    def curve(self, key: str, position: str) -> tuple[list[float], list[float]]:
        """Where ('epochs_done' or 'iter') and what; of a key of both, training's alone.

        A negative metric says that there was nothing to measure, as in pycocotools, and is left out.
        """
        mode, least = ('val', 0) if key in self.metrics else ('train', -math.inf)
        pairs = [(record[position], record[key]) for record in self.records
                 if record['mode'] == mode and number(record.get(key)) and not record[key] < least]
        return [x for x, _ in pairs], [y for _, y in pairs]


def number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_runs(work_dirs: Sequence[str | Path]) -> list[Run]:
    """The runs of work dirs, each once. They are called as their folders, or by path where folders' names are equal.

    Raises:
        UserError: one has no log, or nothing in it.
    """
    folders = list({Path(work_dir).resolve(): Path(work_dir) for work_dir in work_dirs}.items())
    names = [resolved.name for resolved, _ in folders]
    runs = []
    for resolved, given in folders:
        runs.append(Run(resolved.name if names.count(resolved.name) == 1 else str(given), read_scalars(given)))
        if not runs[-1].keys:
            raise UserError(f'{given}: nothing was logged yet')
    return runs


def choose_keys(runs: Sequence[Run], keys: Sequence[str] | None = None) -> list[str]:
    """What is drawn: ``keys``, or by default loss, learning rate, and each evaluator's first metric.

    Raises:
        UserError: no run has one of the keys.
    """
    known = list(dict.fromkeys(key for run in runs for key in run.keys))
    for key in keys or ():
        if key not in known:
            raise UserError(f'--keys {key}: not in the log of {shorten([run.name for run in runs])}, which has '
                            f'{shorten(known, 12)}{nearest(key, known)}')
    if keys:
        return list(dict.fromkeys(keys))
    chosen = [key for key in ('loss', 'lr') if key in known]
    return list(dict.fromkeys([*chosen, *(key for run in runs for key in run.main_metrics)])) or known[:1]


def smoothed(values: Sequence[float], width: float) -> np.ndarray:
    """The mean of what stands around each value, weighted by a Gaussian of ``width`` records (a standard deviation).

    It does not lag behind, as an average over the past does. What is not finite stays, and counts for nothing.
    """
    values = np.asarray(values, float)
    finite = np.isfinite(values)
    reach = math.ceil(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)

    def around(x: np.ndarray) -> np.ndarray:
        return np.convolve(x, kernel)[reach:len(x) + reach]

    weights = around(finite.astype(float))
    means = around(np.where(finite, values, 0.0)) / np.where(weights > 0, weights, 1)
    return np.where(finite, means, values)


def make_figure(runs: Sequence[Run], keys: Sequence[str], smooth: float = 0.0) -> Figure:
    """Draws one panel a key and one colour a run, over epochs where all runs count them, else over iterations.

    Args:
        runs: their curves.
        keys: of ``choose_keys``.
        smooth: 0, or over how many records training's curves are smoothed; the values themselves stay, faintly.

    Returns:
        A matplotlib figure of its own, which no global state holds.
    """
    from matplotlib.figure import Figure

    position = 'epochs_done' if all('epochs_done' in record for run in runs for record in run.records) else 'iter'
    columns = 1 if len(keys) <= 3 else 2
    rows = math.ceil(len(keys) / columns)
    figure = Figure(figsize=(7.2 if columns == 1 else 11, 0.7 + 2.3 * rows), layout='constrained')
    styles = list(islice(zip(cycle(COLOURS), cycle(DASHES)), len(runs)))
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, key in zip(grid.flat, keys):
        values: list[float] = []
        for run, style in zip(runs, styles):
            xs, ys = run.curve(key, position)
            metric = key in run.metrics
            draw_curve(axes, xs, ys, style, 0.0 if metric or key.endswith('lr') else smooth, points=metric)
            values += [y for y in ys if math.isfinite(y)]
        dress(axes, key, values, any(key in run.metrics for run in runs))
    for axes in grid.flat[len(keys):]:
        axes.remove()
    for axes in (column[(len(keys) - 1 - i) // columns] for i, column in enumerate(grid.T)):
        axes.set_xlabel('epoch' if position == 'epochs_done' else 'iteration', color='0.3')
        axes.tick_params(labelbottom=True)
    add_legend(figure, [run.name for run in runs], styles, columns)
    return figure


def draw_curve(axes: Axes, xs: Sequence[float], ys: Sequence[float], style: tuple[str, object], smooth: float, *,
               points: bool) -> None:
    """One run's line; with points where there are few values, each of which was waited for."""
    colour, dash = style
    marker = 'o' if (points and len(xs) <= 50) or len(xs) == 1 else None
    if smooth and xs:
        axes.plot(xs, ys, color=colour, alpha=0.25, linewidth=0.8)
        ys = smoothed(ys, smooth)
    axes.plot(xs, ys, color=colour, linestyle=dash, linewidth=1.6, marker=marker, markersize=3.5)


def dress(axes: Axes, key: str, values: Sequence[float], metric: bool) -> None:
    """Title, grid and scale of a panel; shares of one as percentages, as the tables print them."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_title(key, loc='left', fontsize=10, fontweight='bold', color='0.2')
    axes.grid(color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlim(left=0)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('0.6')
    if not values:
        axes.text(0.5, 0.5, 'nothing to measure', transform=axes.transAxes, ha='center', va='center', color='0.5')
        axes.set_yticks([])
    elif metric and min(values) >= 0 and max(values) <= 1:
        axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:g} %')
    elif min(values) > 0 and max(values) > LOG_SPAN * min(values):
        axes.set_yscale('log')
        if max(values) < 1000 * min(values):
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda y, _: f'{y:g}')
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which='both', color='0.6', labelcolor='0.3', labelsize=9)


def add_legend(figure: Figure, names: Sequence[str], styles: Sequence[tuple[str, object]], columns: int) -> None:
    """Above the panels, in as many columns as the names leave room for."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linestyle=dash, linewidth=2) for colour, dash in styles]
    room = 90 if columns == 1 else 140  # letters
    figure.legend(lines, names, loc='outside upper left', frameon=False, fontsize=9,
                  ncols=max(1, min(len(names), room // (max(map(len, names)) + 8))))


def draw(path: str | Path, runs: Sequence[Run], keys: Sequence[str], smooth: float = 0.0) -> None:
    """Writes the picture, whole or not at all; its kind is that of the file name, one that matplotlib writes."""
    figure = make_figure(runs, keys, smooth)
    suffix = Path(path).suffix.lower()[1:]
    write_whole(path, lambda temporary: figure.savefig(temporary, format=suffix, dpi=160))
