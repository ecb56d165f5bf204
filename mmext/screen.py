"""What a command shows: a bar while it works, and a table of what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from mmext.workers import Crash, each

Job, Result = TypeVar('Job'), TypeVar('Result')
NAMED = 5  # of each kind


def progress(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, title: str,
             trouble_of: Callable[[Result | Crash], str | None],
             unit: str = 'video') -> Iterator[tuple[Job, Result | Crash]]:
    """As ``workers.each``, with a bar where there is a terminal.

    Args:
        trouble_of: from a result to the kind of trouble that the bar counts, or None.
        unit: what a job is.
    """
    troubles: Counter[str] = Counter()
    with closing(each(function, jobs, min(workers, len(jobs)))) as results, \
            tqdm(total=len(jobs), desc=title, unit=unit, disable=None, dynamic_ncols=True, smoothing=0.1) as bar:
        for job, result in results:
            trouble = trouble_of(result)
            if trouble:
                troubles[trouble] += 1
                bar.set_postfix(troubles, refresh=False)
            bar.update()
            yield job, result


def print_kinds(title: str, kinds: dict[str, list[str]], unnamed: Sequence[str] = (), unit: str = 'videos') -> None:
    """A table of how many files are of each kind, with the first ones' names but for the kinds ``unnamed``."""
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
