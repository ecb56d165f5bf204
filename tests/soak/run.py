"""Runs the soak: hours of kills, faults and made-up inputs, which say whether docs/reliability.md is true.

    python -m tests.soak.run --budget 60
    python -m tests.soak.run --only kills disk
    python -m tests.soak.run --docs

Results are kept in work_dirs/soak/results.json after each case: stopped at any time, the same command goes on, until
every part has as many cases as are wanted. --fresh begins anew. A table is printed after each part; --docs writes that
of the results that are there into docs/reliability.md. The exit code is 1 where anything has failed.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from types import ModuleType

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.engine.work_dir import locked_folder
from mmext.files import read_text, write_text
from tests.conftest import ROOT
from tests.soak import disk, flat, inputs, kills, ranks
from tests.soak.ledger import Ledger
from tests.soak.trainings import Place

PARTS = {part.NAME: part for part in (kills, inputs, flat, ranks, disk)}
SHARES = dict(kills=45, inputs=25, flat=12, ranks=12, disk=6)  # of the time
DOCS = ROOT / 'docs' / 'reliability.md'
BEGIN, END = '<!-- the soak: python -m tests.soak.run --docs -->\n', '<!-- end of the soak -->\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--budget', type=float, metavar='MINUTES', help='stop after them (default: when all is done)')
    parser.add_argument('--only', nargs='+', choices=PARTS, metavar='PART', help=', '.join(PARTS))
    parser.add_argument('--folder', type=Path, default=ROOT / 'work_dirs' / 'soak', help='(default: %(default)s)')
    parser.add_argument('--fresh', action='store_true', help='forget the results that are there')
    parser.add_argument('--docs', action='store_true', help='write the table into docs/reliability.md, and run nothing')
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(str(args.folder)):  # two soaks would spoil each other's runs
        return work(args)


def work(args: argparse.Namespace) -> int:
    results = args.folder / 'results.json'
    if args.fresh:
        results.unlink(missing_ok=True)
    ledger = Ledger(results)
    if args.docs:
        write_docs(ledger)
        return 0
    soak(ledger, Place(args.folder), args.only or list(PARTS), 60 * args.budget if args.budget else float('inf'))
    print(table(ledger))
    print(f'results: {results}')
    return int(any(ledger.part(name)['failed'] for name in PARTS))


def soak(ledger: Ledger, place: Place, names: list[str], budget: float) -> None:
    """Goes through the parts; each has its share of the time that is left."""
    end = time.monotonic() + budget
    for number, name in enumerate(names):
        rest = end - time.monotonic()
        share = SHARES[name] / sum(SHARES[other] for other in names[number:])
        print(f'== {name}: {PARTS[name].CASES}', flush=True)
        with ledger.timed(name):
            PARTS[name].run(ledger, place, time.monotonic() + rest * share)
        print(table(ledger, [name]), flush=True)


def table(ledger: Ledger, names: list[str] | None = None) -> str:
    """A line of Markdown for each part."""
    lines = ['| promise | tried | failed | command |', '|---|---|---|---|']
    for name in names or PARTS:
        part: ModuleType = PARTS[name]
        entry = ledger.part(name)
        lines.append(f'| {part.PROMISE} | {tried(part, ledger)} | {entry["failed"]} | '
                     f'`make soak PARTS={name}` |')
    return '\n'.join(lines)


def tried(part: ModuleType, ledger: Ledger) -> str:
    """'120 of 204 kills (SIGKILL) in 20 minutes; what was measured'."""
    done, wanted = ledger.done(part.NAME), sum(part.WANTED.values())
    entry = ledger.part(part.NAME)
    amount = f'{done:,}' if done >= wanted else f'{done:,} of {wanted:,}'
    notes = '; '.join(f'{name}: {value}' for name, value in entry['notes'].items()
                      if not name.startswith('trainings of'))
    return f'{amount} {part.CASES} in {entry["seconds"] / 60:.0f} minutes{f"; {notes}" if notes else ""}'


def write_docs(ledger: Ledger) -> None:
    """Puts the table between the two marks of docs/reliability.md."""
    text = read_text(DOCS)
    pattern = re.compile(re.escape(BEGIN) + '.*?' + re.escape(END), re.DOTALL)
    new = pattern.sub(lambda _: f'{BEGIN}{table(ledger)}\n{END}', text)
    write_text(DOCS, new)
    print(f'{DOCS}: {"written" if new != text else "as it was, or without the marks of the table"}')


if __name__ == '__main__':
    cli.run(main)
