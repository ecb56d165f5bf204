"""A table of results, methods by data sets: read from a CSV file, or made of runs."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from mmext.errors import UserError, shorten
from mmext.files import read_text

DELIMITERS = ',;\t'
METHOD, DATA = ('method', 'network', 'model'), ('dataset', 'data set', 'data_set', 'data')
VALUES = ('value', 'score')  # the other columns of the long form, such as the seed, say nothing about the result

Cells = Mapping[tuple[str, str], Sequence[float]]  # (data set, method) -> values of all repetitions


@dataclass(frozen=True)
class ResultTable:
    """One value of each method on each data set.

    Attributes:
        methods: names of the columns.
        data_sets: names of the rows.
        values: (data sets, methods), finite.
        metric: what the values are, as far as it is known; '' if it is not.
        repetitions: the smallest and the largest number of values of which one is the mean.
    """

    methods: tuple[str, ...]
    data_sets: tuple[str, ...]
    values: np.ndarray
    metric: str = ''
    repetitions: tuple[int, int] = (1, 1)

    def as_csv(self) -> str:
        """The table as a CSV file that ``read_csv`` reads."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow([self.metric or 'dataset', *self.methods])
        writer.writerows([name, *(f'{value:.10g}' for value in row)] for name, row in zip(self.data_sets, self.values))
        return text.getvalue()


def table_of(cells: Cells, source: str, metric: str = '') -> ResultTable:
    """The table of the means of all repetitions, in the order in which names first occur.

    Args:
        cells: the values of each method on each data set.
        source: the file or what else the cells come from, for messages.
        metric: what the values are.

    Raises:
        UserError: a method has no value on a data set.
    """
    data_sets = tuple(dict.fromkeys(data for data, _ in cells))
    methods = tuple(dict.fromkeys(method for _, method in cells))
    absent = [f'{method} on {data}' for data in data_sets for method in methods if (data, method) not in cells]
    if absent:
        raise UserError(f'{source}: no value of {shorten(absent)}; ranks need every method on every data set')
    counts = [len(values) for values in cells.values()]
    values = np.array([[fmean(cells[data, method]) for method in methods] for data in data_sets])
    return ResultTable(methods, data_sets, values, metric, (min(counts), max(counts)))


def read_csv(path: str | Path) -> ResultTable:
    """Reads a table of results.

    The wide form has a row for each data set: ``dataset,resnet18,cresnet18_a`` and ``cifar10,4.52,4.36``. The long form
    has a row for each value: ``method,dataset,value``; several values of a method on a data set, such as those of
    several seeds, are averaged, and columns with other names are ignored. The name of the value's column, or the first
    one of the wide form, names the metric if it is not one of the usual words. Commas, semicolons or tabs separate.

    Raises:
        UserError: the file can't be read, has no such form, or a value is missing or not a number.
    """
    lines = csv_lines(path)
    header = [cell.lower() for cell in lines[0][1]]
    if any(word in METHOD for word in header) and any(word in DATA for word in header):
        return table_of(long_cells(path, lines, header), str(path), value_column(path, lines[0][1])[1])
    metric = '' if header[0] in ('', *DATA) else lines[0][1][0]
    return table_of(wide_cells(path, lines), str(path), metric)


def csv_lines(path: str | Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty; all have as many cells as the first."""
    text = read_text(path, 'table of results')
    first = next((line for line in text.splitlines() if line.strip()), '')
    reader = csv.reader(io.StringIO(text), delimiter=max(DELIMITERS, key=first.count), strict=True)
    lines = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f'{path}, line {reader.line_num}: not CSV ({error})') from None
    if len(lines) < 2 or len(lines[0][1]) < 2:
        raise UserError(f"{path}: no table of results; need a header 'dataset,METHOD,METHOD ...' and a row for each "
                        "data set, or 'method,dataset,value'")
    for number, cells in lines:
        if len(cells) != len(lines[0][1]):
            raise UserError(f'{path}, line {number}: {len(cells)} cells, and the header has {len(lines[0][1])}')
    return lines


def wide_cells(path: str | Path, lines: Sequence[tuple[int, list[str]]]) -> Cells:
    """The cells of the wide form. UserError if a name is missing or occurs twice, or a value is no number."""
    methods = lines[0][1][1:]
    require_names(path, [(lines[0][0], name) for name in methods], 'method')
    require_names(path, [(number, cells[0]) for number, cells in lines[1:]], 'data set')
    return {(cells[0], method): [number_of(path, line, f'{method} on {cells[0]}', cell)]
            for line, cells in lines[1:] for method, cell in zip(methods, cells[1:])}


def require_names(path: str | Path, names: Iterable[tuple[int, str]], kind: str) -> None:
    """Raises a UserError if a name is empty, or occurs twice."""
    seen: set[str] = set()
    for line, name in names:
        if not name or name in seen:
            raise UserError(f'{path}, line {line}: ' + (f'the {kind} {name} occurs twice; for repetitions use the form '
                                                        'method,dataset,value' if name else f'a {kind} has no name'))
        seen.add(name)


def long_cells(path: str | Path, lines: Sequence[tuple[int, list[str]]], header: Sequence[str]) -> Cells:
    """The cells of the long form. UserError if a name is missing, or a value is no number."""
    method, data = (next(i for i, word in enumerate(header) if word in words) for words in (METHOD, DATA))
    value, _ = value_column(path, lines[0][1])
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line, cells in lines[1:]:
        for place, kind in ((method, 'method'), (data, 'data set')):
            require_names(path, [(line, cells[place])], kind)
        what = f'{cells[method]} on {cells[data]}'
        found[cells[data], cells[method]].append(number_of(path, line, what, cells[value]))
    return found


def value_column(path: str | Path, header: Sequence[str]) -> tuple[int, str]:
    """The column of the values in the long form, and the name of the metric that it gives.

    It is called 'value' or 'score', or is the only one beside method, data set and seed.
    """
    lower = [cell.lower() for cell in header]
    named = [i for i, word in enumerate(lower) if word in VALUES]
    others = [i for i, word in enumerate(lower) if word not in (*METHOD, *DATA, 'seed', 'run')]
    if len(named or others) != 1:
        raise UserError(f'{path}: columns {", ".join(header)}; name that of the results value')
    place = (named or others)[0]
    return place, '' if named else header[place]


def number_of(path: str | Path, line: int, what: str, cell: str) -> float:
    """The finite number in a cell; a percent sign is ignored."""
    if not cell:
        raise UserError(f'{path}, line {line}: no value of {what}; ranks need every method on every data set')
    try:
        value = float(cell.removesuffix('%'))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{path}, line {line}: {what} is {cell!r}, which is not a number')
    return value
