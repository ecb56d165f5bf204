"""``docs/networks.md``: its tables and pictures are made from the code, and checked against it.

The text of the page is written by hand. Its tables are made: each is between ``<!-- table NAME -->`` and
``<!-- end of table -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Size, nn

from mmext.analysis import complexity, published, subjects
from mmext.analysis.complexity import COUNTERS, Call, Complexity
from mmext.backbones.meta import on_meta
from mmext.backbones.names import PAPERS, catalogue, find_backbone, list_backbones
from mmext.backbones.plan import STEMS
from mmext.errors import UserError
from mmext.files import write_text
from mmext.text import markdown_row
from network_docs import contents as pictures
from network_docs.svg import describe, description_in, svg_text

PAGE, FOLDER = 'docs/networks.md', 'networks'  # the page below the checkout, the pictures beside it
TASKS = ('classifier', 'recognizer3d')
COLUMNS = ('name', 'config', 'stem', 'classes', 'input', 'params, M', 'printed', 'MACs, G', 'FLOPs, G', 'printed',
           'counted as', 'Table')
MARKED = re.compile(r'(<!-- table (\w+) -->\n).*?(<!-- end of table -->)', re.DOTALL)


@dataclass(frozen=True)
class Row:
    """A row of a table: a network with a classifier, and what its paper prints about it, if anything."""

    name: str
    stem: str
    num_classes: int
    input: tuple[int, ...]
    convention: str | None = None
    params_M: float | None = None
    gflops: float | None = None
    table: str = ''

    @property
    def network(self) -> tuple[str, str, tuple[int, ...]]:
        """What decides how the network is built: name, stem and shape of the input."""
        return self.name, self.stem, self.input


@cache
def rows_of(paper: str) -> tuple[Row, ...]:
    """The networks whose figures a paper prints, in its order, then our other networks of that paper.

    The latter are counted in the same way as the first printed row whose stem is for the same resolution.
    """
    printed = [Row(row['name'], row['stem'], row['num_classes'], tuple(row['input']), row['flops'], row['params_M'],
                   row['gflops'], row['table'])
               for row in published.rows() if row['paper'] == paper and row['task'] in TASKS]
    known = {row.name for row in printed}
    rows = list(printed)
    for name in list_backbones(by_paper=True)[paper]:
        cls, _ = catalogue()[name]
        if name not in known and cls.__module__.startswith('mmext.'):
            stem = default_stem(name)
            like = next(row for row in printed if STEMS[row.stem].pool == STEMS[stem].pool)
            rows.append(Row(name, stem, like.num_classes, like.input, like.convention))
    return tuple(rows)


@cache
def default_stem(name: str) -> str:
    """The stem of a network unless another one is asked for."""
    cls, arguments = find_backbone(name)
    with on_meta():
        return cls(**arguments, num_stages=1).stem


def count(rows: Iterable[Row]) -> Iterator[tuple[Row, Complexity]]:
    """Counts classifiers. A network of several rows is built once, and its linear layer is exchanged."""
    rows = list(rows)
    for network in dict.fromkeys(row.network for row in rows):
        same = [row for row in rows if row.network == network]
        name, stem, shape = network
        subject = subjects.classifier(name, same[0].num_classes, shape, stem)
        *calls, last = complexity.layer_calls(subject.model.eval(), shape, subject.forward)
        for row in same:
            subject.model.fc = nn.Linear(last.given[1], row.num_classes, device='meta')
            params = sum(parameter.numel() for parameter in subject.model.parameters())
            called = [*calls, Call(subject.model.fc, last.given, Size((1, row.num_classes)))]
            yield row, Complexity(params, complexity.macs(called), COUNTERS[row.convention or 'macs'](called))


def line(row: Row, counted: Complexity) -> str:
    """A row of a table, as Markdown."""
    params, macs, flops = (number / unit for number, unit in
                           ((counted.params, 1e6), (counted.macs, 1e9), (counted.flops, 1e9)))
    return markdown_row((
        f'`{row.name}`', f'`{config(row)}`', row.stem, row.num_classes, '×'.join(map(str, row.input[1:])),
        f'{params:.3f}', compared(row.params_M, params), f'{macs:.3f}', f'{flops:.3f}' if row.convention else '',
        compared(row.gflops, flops), row.convention or '', row.table))


def config(row: Row) -> str:
    """The backbone of a config: dict(type='mmext.ResNet', depth=18, stem='conv3x3')."""
    cls, arguments = find_backbone(row.name)
    arguments = dict(arguments)
    if row.stem != default_stem(row.name):
        arguments['stem'] = row.stem
    if len(row.input) == 4:
        arguments['dims'] = 3
    words = [f'{key}={value!r}' for key, value in dict(type=f'mmext.{cls.__name__}', **arguments).items()]
    return f'dict({", ".join(words)})'


def compared(printed: float | None, counted: float) -> str:
    """A printed figure, with a star if the counted one is neither rounded nor truncated to it."""
    if printed is None:
        return ''
    text = f'{printed:g}'
    decimals = len(text.partition('.')[2]) or -(len(text) - len(text.rstrip('0')))
    agrees = -.5 <= (counted - printed) * 10**decimals < 1
    return text if agrees else rf'{text} \*'


def table(paper: str) -> str:
    """A whole table, its rows in the order of ``rows_of``."""
    counted = dict(count(rows_of(paper)))
    return '\n'.join([markdown_row(COLUMNS), '|' + '---|' * len(COLUMNS),
                      *(line(row, counted[row]) for row in rows_of(paper))]) + '\n'


def with_tables(page: str, make: Callable[[str], str]) -> str:
    """The page with new tables; ``make`` returns the table of a paper."""
    return MARKED.sub(lambda match: match[1] + make(match[2]) + match[3], page)


def read_page(root: Path) -> str:
    """Reads the page.

    Raises:
        UserError: it can't be read, or does not have a place for each table and picture.
    """
    path = root / PAGE
    try:
        page = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: can\'t be read ({error}); its text is written by hand, restore it') from None
    marked = [match[2] for match in MARKED.finditer(page)]
    if sorted(marked) != sorted(PAPERS):
        raise UserError(f'{path}: tables {marked}; need one <!-- table NAME --> ... <!-- end of table --> for each of '
                        f'{", ".join(PAPERS)}')
    missing = [name for name in pictures.PICTURES if f'({FOLDER}/{name}.svg)' not in page]
    if missing:
        raise UserError(f'{path}: does not show {FOLDER}/{missing[0]}.svg')
    return page


def make(root: Path) -> Iterator[Path]:
    """Writes the pictures and the tables of the page, and yields each file when it is written.

    Raises:
        UserError: the page lacks the place of a table or a picture.
    """
    page = read_page(root)
    for name, (title, _) in pictures.PICTURES.items():
        path = picture_path(root, name)
        write_text(path, svg_text(title, pictures.panels(name)))
        yield path
    write_text(root / PAGE, with_tables(page, table))
    yield root / PAGE


def picture_path(root: Path, name: str) -> Path:
    """Where a picture of the page is."""
    return (root / PAGE).parent / FOLDER / f'{name}.svg'


def stale(root: Path) -> list[str]:
    """What differs from the code, in words. The tables take long to count: they are checked if no picture differs.

    Raises:
        UserError: the page lacks the place of a table or a picture.
    """
    read_page(root)
    return list(stale_pictures(root)) or list(stale_tables(root))


def stale_pictures(root: Path) -> Iterator[str]:
    """Which pictures are missing, show what the code no longer computes, or are not made by this tool."""
    for name in pictures.PICTURES:
        path = picture_path(root, name)
        if not path.is_file():
            yield f'{path}: missing'
        elif description_in(path.read_text(encoding='utf-8')) != describe(pictures.panels(name)):
            yield f'{path}: not what the code computes'
    for path in sorted(picture_path(root, '').parent.glob('*')):
        if path.suffix != '.svg' or path.stem not in pictures.PICTURES:
            yield f'{path}: no picture of the page, delete it'


def stale_tables(root: Path, chosen: Callable[[Row], bool] = lambda row: True) -> Iterator[str]:
    """Which tables lack a network, list one that does not exist, or give other figures than the code counts.

    Args:
        root: the checkout.
        chosen: the rows whose figures are counted.
    """
    for paper, lines in lines_in(read_page(root)).items():
        rows = rows_of(paper)
        if [found.split('`')[1] for found in lines] != [row.name for row in rows]:
            yield f'{root / PAGE}: table {paper} has other rows than the code'
            continue
        found = dict(zip(rows, lines))
        for row, counted in count(filter(chosen, rows)):
            if found[row] != line(row, counted):
                yield f'{root / PAGE}: {row.name} in table {paper}'


def lines_in(page: str) -> dict[str, list[str]]:
    """The lines of the table of each paper."""
    return {match[2]: [text for text in match[0].splitlines() if text.startswith('| `')]
            for match in MARKED.finditer(page)}
