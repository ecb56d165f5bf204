"""Metrics as tables on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def split_metrics(metrics: dict[str, float]) -> tuple[dict[str, float], dict[str, dict]]:
    """The runner's metrics, ``coco/AP`` or ``coco/<class>/AP`` -> those of the whole set, and those of each class."""
    overall: dict[str, float] = {}
    classes: dict[str, dict] = {}
    for name, value in metrics.items():
        cls, _, metric = name.partition('/')[2].rpartition('/')
        if cls:
            classes.setdefault(cls, {})[metric] = value
        else:
            overall[metric or name] = value
    return overall, classes


def print_tables(overall: dict[str, float], classes: dict[str, dict], title: str) -> None:
    """Prints shares as percentages, '-' where there is nothing to measure, and counts as they are."""
    console = Console(width=max(100, Console().width))
    table = Table(title=title, title_justify='left')
    for name in overall:
        table.add_column(name, justify='right')
    table.add_row(*map(cell, overall.values()))
    console.print(table)
    if classes:
        columns = sorted(next(iter(classes.values())).items(), key=lambda item: not isinstance(item[1], int))
        table = Table(title='per class', title_justify='left')
        table.add_column('class')
        for name, _ in columns:
            table.add_column(name, justify='right')
        for name, row in classes.items():
            table.add_row(name, *(cell(row[column]) for column, _ in columns))
        console.print(table)


def cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return '-' if value < 0 else f'{100 * value:.2f}'
