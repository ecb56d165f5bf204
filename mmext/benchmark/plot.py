"""A picture: accuracy, or multiply-accumulates, against throughput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmext.errors import UserError, nearest, shorten
from mmext.files import write_whole

SUFFIXES = ('.png', '.pdf', '.svg')


def check_target(path: str) -> None:
    """Raises a UserError where the name is of no kind of picture."""
    if not path.lower().endswith(SUFFIXES):
        raise UserError(f'--plot {path}: need a file name that ends in {", ".join(SUFFIXES)}')


def check_accuracy(accuracy: Mapping[str, float], names: Sequence[str]) -> None:
    """Every subject has one, and nobody else.

    Raises:
        UserError: otherwise, or one is no number.
    """
    for name, value in accuracy.items():
        if name not in names:
            raise UserError(f'--accuracy {name}: no such model in this run, which has {shorten(names, 8)}'
                            f'{nearest(name, names)}')
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f'--accuracy {name}={value}: not a number')
    absent = [name for name in names if name not in accuracy]
    if accuracy and absent:
        raise UserError(f'--accuracy: none for {shorten(absent)}; give {absent[0]}=VALUE too')


def points(records: Sequence[dict], accuracy: Mapping[str, float]) -> dict[str, tuple[float, float, int]]:
    """Name -> (samples a second at the best batch size, accuracy or GMACs, that batch size)."""
    found = {}
    for record in records:
        rows = [row for row in record['throughput'] if 'samples_per_s' in row]
        if rows:
            best = max(rows, key=lambda row: row['samples_per_s'])
            value = accuracy[record['name']] if accuracy else record['macs'] / 1e9
            found[record['name']] = best['samples_per_s'], value, best['batch']
    return found


def draw(path: str | Path, records: Sequence[dict], accuracy: Mapping[str, float], caption: str) -> None:
    """Writes the picture, whole or not at all; its kind is that of the file name.

    Args:
        path: ends in one of ``SUFFIXES``.
        records: with throughput.
        accuracy: name -> value; where it is empty, MACs take its place.
        caption: below the title, what it was measured on.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout='constrained')
    axes = figure.add_subplot()
    for i, (name, (speed, value, batch)) in enumerate(points(records, accuracy).items()):
        axes.scatter([speed], [value], color=f'C{i % 10}', zorder=3)
        axes.annotate(f'{name}\nbatch {batch}', (speed, value), xytext=(7, 0), textcoords='offset points',
                      va='center', fontsize=8)
    axes.set_xlabel('samples/s, at the best batch size')
    axes.set_ylabel('accuracy' if accuracy else 'multiply-accumulates of a sample, G')
    axes.set_title(caption, fontsize=8, color='0.35')
    axes.margins(x=0.35, y=0.2)
    axes.grid(alpha=0.3)
    suffix = Path(path).suffix.lower()[1:]
    write_whole(path, lambda temporary: figure.savefig(temporary, format=suffix, dpi=160))
