"""Writes the tables of flags in the docs from the definitions of the flags.

    tools/make_flag_docs.py            # writes them
    tools/make_flag_docs.py --check    # exits with 1 if they are outdated
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.engine.flags import testing, training
from mmext.engine.flags.flag import table
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError, shorten
from mmext.files import read_text, write_whole

END = '<!-- end of the flags -->\n'
# A command -> the page of its table, and its flags in the order of the table.
TABLES = {
    'tools/train.py': ('training.md', (*SHARED, *training.TRAINING)),
    'tools/test.py': ('evaluation.md', testing.TESTING),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 if a table is outdated')
    parser.add_argument('--docs', type=Path, default=Path(__file__).resolve().parent.parent / 'docs',
                        help='the folder of the pages (default: docs)')
    args = parser.parse_args()
    stale = []
    for command, (page, flags) in TABLES.items():
        path = args.docs / page
        old = read_text(path)
        new = with_table(old, command, table(flags), path)
        if new != old:
            stale.append(path)
            if not args.check:
                write_whole(path, lambda temporary, new=new: temporary.write_text(new, encoding='utf-8'))
    if args.check and stale:
        print(f'stale: {shorten(map(str, stale))}; run tools/make_flag_docs.py', file=sys.stderr)
        return 1
    return 0


def with_table(text: str, command: str, rows: str, path: Path) -> str:
    """Replaces the table between the markers of a command. Raises a UserError if the page has no such markers."""
    begin = f'<!-- the flags of {command}, written by tools/make_flag_docs.py -->\n'
    parts = re.split(f'({re.escape(begin)}).*?({re.escape(END)})', text, flags=re.DOTALL)
    if len(parts) != 4:
        raise UserError(f'{path}: need one table between {begin.strip()} and {END.strip()}')
    return f'{parts[0]}{parts[1]}\n{rows}\n{parts[2]}{parts[3]}'


if __name__ == '__main__':
    cli.run(main)
