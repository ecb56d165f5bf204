"""The tables of the commands' flags in the pages of docs/, written from the flags themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmext.engine.flags import testing, training
from mmext.engine.flags.flag import table
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError
from mmext.files import read_text, write_text

BEGIN, END = '<!-- the flags of {}, written by tools/docs/make.py -->\n', '<!-- end of the flags -->\n'
# A command -> the page of its table below the checkout, and its flags in the order of the table.
TABLES = {
    'tools/train.py': ('docs/training.md', (*SHARED, *training.TRAINING)),
    'tools/test.py': ('docs/evaluation.md', testing.TESTING),
}


def make(root: Path) -> Iterator[Path]:
    """Writes the tables into the pages of a checkout; yields the pages."""
    for path, _, new in pages(root):
        write_text(path, new)
        yield path


def stale(root: Path) -> list[str]:
    """The pages of a checkout whose table is not what the flags say."""
    return [str(path) for path, old, new in pages(root) if old != new]


def pages(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Each page, its text, and its text with the table as it should be. UserError where a page has no place for it."""
    for command, (page, flags) in TABLES.items():
        path = root / page
        text = read_text(path)
        begin = BEGIN.format(command)
        parts = re.split(f'({re.escape(begin)}).*?({re.escape(END)})', text, flags=re.DOTALL)
        if len(parts) != 4:
            raise UserError(f'{path}: need one table between {begin.strip()} and {END.strip()}')
        yield path, text, f'{parts[0]}{parts[1]}\n{table(flags)}\n{parts[2]}{parts[3]}'
