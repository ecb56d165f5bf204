"""The figure of a benchmark: accuracy, or multiply-accumulates, against throughput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmext.errors import UserError, nearest, shorten
from mmext.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_accuracy(accuracy: Mapping[str, float], names: Sequence[str], option: str = '--accuracy') -> None:
    """Checks the accuracies that a user gives: one for each model, or none at all.

    Args:
        accuracy: model -> value.
        names: of the models.
        option: that gave them, for messages.

    Raises:
        UserError: a model has none, one is of a model that is not measured, or one is not a number.
    """
    for name, value in accuracy.items():
        if name not in names:
            raise UserError(f'{option} {name}: no such model in this run, which has {shorten(names, 8)}'
                            f'{nearest(name, names)}')
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f'{option} {name}={value}: not a number')
    absent = [name for name in names if name not in accuracy]
    if accuracy and absent:
        raise UserError(f'{option}: none for {shorten(absent)}; give {absent[0]}=VALUE too')


def points(records: Sequence[dict], accuracy: Mapping[str, float]) -> dict[str, tuple[float, float, int]]:
    """Model -> (samples per second at the best batch size, accuracy or GMACs of a sample, that batch size)."""
    found = {}
    for record in records:
        rows = [row for row in record['throughput'] if 'samples_per_s' in row]
        if rows:
            best = max(rows, key=lambda row: row['samples_per_s'])
            value = accuracy[record['name']] if accuracy else record['macs'] / 1e9
            found[record['name']] = best['samples_per_s'], value, best['batch']
    return found


def make_figure(records: Sequence[dict], accuracy: Mapping[str, float], caption: str) -> Figure:
    """Draws one point for each model.

    Args:
        records: of ``Comparison.measure``, with throughput.
        accuracy: model -> value; if it is empty, multiply-accumulates are drawn instead.
        caption: stands above the axes; says on which machine and how it was measured.

    Returns:
        A matplotlib figure that pyplot does not know of.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout='constrained')
    axes = figure.add_subplot()
    for i, (name, (speed, value, batch)) in enumerate(points(records, accuracy).items()):
        axes.scatter([speed], [value], color=COLOURS[i % len(COLOURS)], zorder=3)
        axes.annotate(f'{name}\nbatch {batch}', (speed, value), xytext=(7, 0), textcoords='offset points',
                      va='center', fontsize=8)
    axes.set_xlabel('samples/s, at the best batch size')
    axes.set_ylabel('accuracy' if accuracy else 'multiply-accumulates of a sample, G')
    axes.set_title(caption, fontsize=8, color='0.35')
    axes.margins(x=0.35, y=0.2)
    axes.grid(alpha=0.3)
    return figure
