"""What commands show on a terminal: progress bars, and tables of their findings."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from mmext.workers import Crash, run_jobs

Job = TypeVar('Job')
Result = TypeVar('Result')
NAMED = 5  # of each kind


def progress(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, title: str,
             trouble_of: Callable[[Result | Crash], str | None],
             unit: str = 'video') -> Iterator[tuple[Job, Result | Crash]]:
    """Runs jobs in processes, see ``workers.run_jobs``, with a progress bar on terminals.

    Args:
        function, jobs: as for ``run_jobs``.
        workers: the greatest number of processes.
        title: of the bar.
        trouble_of: returns the kind of trouble of a result, which the bar counts, or None.
        unit: what a job is, in the singular.
    """
    troubles: Counter[str] = Counter()
    with closing(run_jobs(function, jobs, min(workers, len(jobs)))) as results, \
            tqdm(total=len(jobs), desc=title, unit=unit, disable=None, dynamic_ncols=True, smoothing=0.1) as bar:
        for job, result in results:
            trouble = trouble_of(result)
            if trouble:
                troubles[trouble] += 1
                bar.set_postfix(troubles, refresh=False)
            bar.update()
            yield job, result


def print_kinds(title: str, kinds: dict[str, list[str]], unnamed: Sequence[str] = (), unit: str = 'videos') -> None:
    """Prints a table of the number of files of each kind, with the first names of each.

    Args:
        title: printed above the table.
        kinds: kind -> names of the files.
        unnamed: kinds whose names are not printed.
        unit: what the files are, in the plural.
    """
    print(title)
    table = Table()
    table.add_column('')
    table.add_column(unit, justify='right')
    named = [kind for kind, videos in kinds.items() if videos and kind not in unnamed]
    if named:
        table.add_column('which', overflow='fold')
    for kind, videos in kinds.items():
        lines = videos[:NAMED] + ([f'and {len(videos) - NAMED} more'] if len(videos) > NAMED else [])
        table.add_row(kind, str(len(videos)), *([escape('\n'.join(lines)) if kind in named else ''] if named else []))
    Console(width=max(120, Console().width), highlight=False).print(table)


def bar(title: str, unit: str, items: Sequence | None = None, total: int | None = None) -> tqdm:
    """A progress bar, shown only on a terminal, that is left out again when it is done.

    Args:
        title: what is done.
        unit: what the items are.
        items: to iterate over; without them, call the bar's ``update`` for each of ``total``.
    """
    return tqdm(items, desc=title, unit=unit, total=total, leave=False, dynamic_ncols=True,
                disable=not sys.stderr.isatty())
