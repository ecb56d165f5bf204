"""Tables of metrics: on the screen, as JSON, and as Markdown for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmext import files
from mmext.errors import UserError
from mmext.text import markdown_row, markdown_text, printable


def split_metrics(metrics: dict[str, float]) -> tuple[dict[str, float], dict[str, dict]]:
    """Splits the runner's metrics (``coco/AP``, ``coco/<class>/AP``) into overall metrics and metrics per class."""
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
    """Prints fractions as percentages, '-' for metrics that are undefined, and counts unchanged."""
    console = Console(width=max(100, Console().width))
    table = Table(title=escape(printable(title)), title_justify='left')
    for name in overall:
        table.add_column(name, justify='right')
    table.add_row(*map(cell, overall.values()))
    console.print(table)
    if classes:
        table = Table(title='per class', title_justify='left')
        table.add_column('class')
        for name in class_columns(classes):
            table.add_column(name, justify='right')
        for row in class_rows(classes):
            table.add_row(escape(row[0]), *row[1:])
        console.print(table)


def class_columns(classes: dict[str, dict]) -> list[str]:
    """The columns of the per-class table: counts first, then fractions."""
    first = next(iter(classes.values()))
    return sorted(first, key=lambda name: not isinstance(first[name], int))


def class_rows(classes: dict[str, dict]) -> list[list[str]]:
    """The rows of the per-class table: the name, then ``class_columns``."""
    return [[name, *(cell(row[column]) for column in class_columns(classes))] for name, row in classes.items()]


def cell(value: float) -> str:
    """A value as text: a count, a percentage with two digits, or '-' for a negative, undefined metric."""
    if isinstance(value, int):
        return str(value)
    return '-' if value < 0 else f'{100 * value:.2f}'


def require_targets(paths: Iterable[str]) -> None:
    """Raises a UserError if a file of ``--out`` can't be written or has an unknown suffix."""
    for path in paths:
        if Path(path).suffix not in FORMS and not Path(path).is_dir():
            raise UserError(f'{path}: --out writes {" and ".join(FORMS)}, chosen by the suffix')
        files.require_target(path)


def write(path: str, overall: dict[str, float], classes: dict[str, dict], title: str,
          names: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes the metrics atomically, in the format of the suffix: ``.json`` or ``.md``.

    Args:
        path: the file.
        overall: metric -> value over the whole data set.
        classes: class -> metric -> value.
        title: the title of the table.
        names: metric -> its name in papers, in Markdown.
    """
    FORMS[Path(path).suffix](path, overall, classes, title, names)


def write_json(path: str, overall: dict[str, float], classes: dict[str, dict], title: str,
               names: Mapping[str, str]) -> None:
    """Writes unrounded fractions of 1, -1 for undefined metrics; the classes are under ``per_class``."""
    files.write_json(path, dict(overall, per_class=classes) if classes else overall)


def write_markdown(path: str, overall: dict[str, float], classes: dict[str, dict], title: str,
                   names: Mapping[str, str]) -> None:
    """Writes the same tables as on the screen, with the names of the metrics in papers."""
    rows = [list(map(cell, overall.values()))]
    text = f'{markdown_text(title)}\n\n' + markdown_table([names.get(name, name) for name in overall], rows)
    if classes:
        heads = ['class', *(names.get(name, name) for name in class_columns(classes))]
        rows = [[markdown_text(name), *cells] for name, *cells in class_rows(classes)]
        text += '\n' + markdown_table(heads, rows, names=True)
    files.write_text(path, text)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], names: bool = False) -> str:
    """A GitHub Markdown table with right-aligned columns; the first one is left-aligned if it holds names."""
    escaped = r'\|'
    rules = [':---' if names and not i else '---:' for i in range(len(heads))]
    return ''.join(f'{markdown_row(text.replace("|", escaped) for text in row)}\n' for row in (heads, rules, *rows))


FORMS: dict[str, Callable] = {'.json': write_json, '.md': write_markdown}
