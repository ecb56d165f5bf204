"""Curves of one or many runs in one figure: losses, learning rates, metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine.log import read_scalars, require_once
from mmext.errors import UserError, nearest, shorten
from mmext.figures import Curve, LineStyle, curve_of, draw_curve, finish_panel, is_number, line_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALIDATED = 'val_'  # the prefix of the losses of a validation, mmext.ValLossHook
POSITIONS = ('iter', 'step', 'epoch', 'epochs_done', 'mode')


@dataclass(frozen=True)
class Run:
    """A run: its name in the legend, and its records as ``engine.log.read_scalars`` returns them."""

    name: str
    records: list[dict]

    @property
    def keys(self) -> list[str]:
        """The names of everything that was logged as a number: first of the training, then of validations."""
        found: dict[str, None] = {}
        for mode in ('train', 'val'):
            for record in self.records:
                if record['mode'] == mode:
                    found.update(dict.fromkeys(key for key in record
                                               if key not in POSITIONS and is_number(record[key])))
        return list(found)

    @property
    def metrics(self) -> list[str]:
        """The names of what only validations log."""
        trained = {key for record in self.records if record['mode'] == 'train' for key in record}
        return [key for key in self.keys if key not in trained]

    @property
    def main_metrics(self) -> list[str]:
        """The first metric of each evaluator: coco/AP, accuracy/top1."""
        first = {key.partition('/')[0]: key for key in reversed(self.metrics) if not key.startswith(VALIDATED)}
        return [key for key in self.metrics if key in first.values()]

    def curve(self, key: str, position: str) -> Curve:
        """The curve of a quantity, see ``figures.curve_of``; of one that training logs too, that of the training."""
        return curve_of(self.records, key, 'val' if key in self.metrics else 'train', position)


def read_runs(work_dirs: Sequence[str | Path]) -> list[Run]:
    """Reads the runs of some work dirs. Runs are named by their folders, or by their paths where folders of one name
    occur.

    Raises:
        UserError: a work dir is given twice or has no log, or the log is empty.
    """
    require_once(work_dirs)
    names = [Path(work_dir).resolve().name for work_dir in work_dirs]
    runs = []
    for name, given in zip(names, work_dirs):
        runs.append(Run(name if names.count(name) == 1 else str(given), read_scalars(given)))
        if not runs[-1].keys:
            raise UserError(f'{given}: nothing was logged yet')
    return runs


def choose_keys(runs: Sequence[Run], keys: Sequence[str] | None = None) -> list[str]:
    """The quantities to draw: ``keys``, or by default loss, learning rate and the first metric of each evaluator.

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


def make_figure(runs: Sequence[Run], keys: Sequence[str], smooth: float = 0.0) -> Figure:
    """Draws a panel for each key with a line for each run, over epochs if all runs count them, else over iterations.

    The panel of a loss also has that of the validations, as dots, where it was logged and is not itself a key.

    Args:
        runs: the runs.
        keys: of ``choose_keys``.
        smooth: over how many records the curves of the training are smoothed; 0: not at all. The unsmoothed curves
            remain visible, faintly.

    Returns:
        A matplotlib figure that pyplot does not know of.
    """
    from matplotlib.figure import Figure

    position = 'epochs_done' if all('epochs_done' in record for run in runs for record in run.records) else 'iter'
    columns = 1 if len(keys) <= 3 else 2
    rows = math.ceil(len(keys) / columns)
    figure = Figure(figsize=(7.2 if columns == 1 else 11, 0.7 + 2.3 * rows), layout='constrained')
    styles = line_styles(len(runs))
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, key in zip(grid.flat, keys):
        values: list[float] = []
        for run, style in zip(runs, styles):
            xs, ys = run.curve(key, position)
            metric = key in run.metrics
            draw_curve(axes, xs, ys, style, smooth=0.0 if metric or key.endswith('lr') else smooth, markers=metric)
            values += [y for y in ys if math.isfinite(y)]
        beside = validated_loss(key, keys, runs)
        for run, style in zip(runs, styles) if beside else ():
            xs, ys = run.curve(beside, position)
            axes.plot(xs, ys, color=style[0], linestyle=':', linewidth=1, marker='o', markersize=3.5)
            values += [y for y in ys if math.isfinite(y)]
        share = any(key in run.metrics for run in runs) and not key.startswith(VALIDATED)
        finish_panel(axes, values, share=share, title=f'{key}, and {beside} (dots)' if beside else key)
    for axes in grid.flat[len(keys):]:
        axes.remove()
    for axes in (column[(len(keys) - 1 - i) // columns] for i, column in enumerate(grid.T)):
        axes.set_xlabel('epoch' if position == 'epochs_done' else 'iteration', color='0.3')
        axes.tick_params(labelbottom=True)
    add_legend(figure, [run.name for run in runs], styles, columns)
    return figure


def validated_loss(key: str, keys: Sequence[str], runs: Sequence[Run]) -> str:
    """The loss of the validations that is drawn beside that of the training; '' if there is none."""
    name = VALIDATED + key
    return name if name not in keys and any(name in run.metrics for run in runs) else ''


def add_legend(figure: Figure, names: Sequence[str], styles: Sequence[LineStyle], columns: int) -> None:
    """Adds a legend above the panels, in as many columns as the lengths of the names permit."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linestyle=dash, linewidth=2) for colour, dash in styles]
    room = 90 if columns == 1 else 140  # letters
    figure.legend(lines, names, loc='outside upper left', frameon=False, fontsize=9,
                  ncols=max(1, min(len(names), room // (max(map(len, names)) + 8))))
