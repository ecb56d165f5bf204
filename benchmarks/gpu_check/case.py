"""A case of the check, what it may use, and what it can say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmext.text import markdown_row

ROOT = Path(__file__).resolve().parents[2]
Figures = Mapping[str, object]


class Failed(Exception):
    """What is wrong, in one line."""


class Skipped(Exception):
    """Why a case does not apply to this machine, in one line."""


class Unfinished(Exception):
    """What is left of a case that a second call of the check continues."""


@dataclass(frozen=True)
class Place:
    """Where a check runs.

    Attributes:
        folder: for made-up data, runs and results.
        device: 'cuda' or 'cpu'.
        quick: with the smallest networks and inputs that take the same path; figures mean nothing then.
        data_root: the folder of real data sets (``cifar-10-batches-py``); None for none.
        end: the time (of ``time.time``) at which the budget of this call is used up.
    """

    folder: Path
    device: str
    quick: bool = False
    data_root: Path | None = None
    end: float = float('inf')


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        part: 'correctness', 'speed' or 'results'.
        name: unique within its part.
        run: returns the figures of a case that has passed; raises ``Failed``, ``Skipped``, ``Unfinished``, or whatever
            goes wrong.
        seconds: what it takes on one H100, estimated; it is only begun with so much time left.
        limit: seconds after which it is stopped and has failed.
    """

    part: str
    name: str
    run: Callable[[Place], Figures]
    seconds: float = 10
    limit: float = 300

    @property
    def key(self) -> str:
        """Its name in the file of results."""
        return f'{self.part}: {self.name}'


def require(fact: bool, complaint: str) -> None:
    """Raises ``Failed`` with a complaint unless something is so."""
    if not fact:
        raise Failed(complaint)


def run_python(*arguments: object, env: Mapping[str, str] | None = None,
               timeout: float | None = None) -> subprocess.CompletedProcess:
    """Runs Python with this checkout on its path, in the checkout; output is captured as text."""
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          env={**environment(), **(env or {})}, timeout=timeout)


def environment() -> dict[str, str]:
    """The environment of a command, with this checkout on the path of Python."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': path}


def last_line(printed: str, code: int) -> str:
    """What a command that ended with this code said last: the one line of its error."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith('error: ')] or lines or [f'ended with code {code}']
    return told[-1][:300]


def one_line(error: BaseException) -> str:
    """An error in one line: its kind, unless it is one of ours, and its text."""
    text = ' '.join(str(error).split())[:300]
    return text if isinstance(error, (Failed, Skipped, Unfinished)) else f'{type(error).__name__}: {text}'.rstrip(': ')


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [headings, ['---'] * len(headings), *rows]
    return '\n'.join(markdown_row(str(cell).replace('|', r'\|') for cell in line) for line in lines)
