"""Metrics as tables on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from mmext.detection.metric import NAMES


def split_metrics(metrics: dict[str, float], prefix: str = 'coco/') -> tuple[dict, dict[str, dict]]:
    """The runner's metrics -> the twelve by name (all there are, if they are another metric's), those of each class."""
    plain = {name.removeprefix(prefix): value for name, value in metrics.items()}
    overall = {name: plain[name] for name in NAMES if name in plain} or plain
    classes: dict[str, dict] = {}
    for name, value in plain.items():
        if name not in overall:
            cls, _, metric = name.rpartition('/')
            classes.setdefault(cls, {})[metric] = value
    return overall, classes


def print_tables(overall: dict[str, float], classes: dict[str, dict], title: str) -> None:
    """Prints percentages; '-' where the data set has no object of that size."""
    console = Console(width=max(100, Console().width))
    table = Table(title=title, title_justify='left')
    for name in overall:
        table.add_column(name, justify='right')
    table.add_row(*map(percent, overall.values()))
    console.print(table)
    if classes:
        table = Table(title='per class', title_justify='left')
        for column in ('class', 'images', 'objects', 'AP', 'AP50', 'AP75'):
            table.add_column(column, justify='left' if column == 'class' else 'right')
        for name, row in classes.items():
            table.add_row(name, str(row['images']), str(row['objects']), *(percent(row[m]) for m in NAMES[:3]))
        console.print(table)


def percent(value: float) -> str:
    return '-' if value < 0 else f'{100 * value:.2f}'
