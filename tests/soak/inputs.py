"""Thousands of inputs that hypothesis draws: each gives the right result or one line, in time.

They run in processes of their own, a chunk each, so that a crash or a hang of a library ends the chunk and is counted.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import multiprocessing
import pickle
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

from mmext.errors import UserError
from tests.soak.ledger import Ledger, fewest
from tests.soak.trainings import Place
from tests.warm import IMPORTED, ONE_THREAD

PROMISE = 'No input ends in a traceback, a hang or a silent wrong result'
CASES = 'inputs drawn by hypothesis'
NAME = 'inputs'
WANTED = dict(annotations=2000, lists=2000, constructors=1300, formulas=1500, images=1500, videos=500, checkpoints=1000,
              options=200)
CHUNKS = dict(options=10, videos=50)  # cases of a process; a new one needs two seconds
CHUNK = 250
LIMIT = 20.0  # seconds of a case
DEAD = 3 * LIMIT  # a case that does not come back from a library


def run(ledger: Ledger, place: Place, deadline: float) -> None:
    for kind in fewest(ledger, NAME, WANTED):
        if time.monotonic() > deadline:
            return
        count = min(CHUNKS.get(kind, CHUNK), WANTED[kind] - ledger.done(NAME, kind))
        draw_chunk(ledger, kind, count, place.folder / 'inputs')


def draw_chunk(ledger: Ledger, kind: str, count: int, folder: Path) -> None:
    """Has a process try so many cases, and takes what it found into the ledger."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = [failure['place'] for failure in ledger.part(NAME)['failures'] if failure['kind'] == kind]
    context = multiprocessing.get_context('forkserver')
    with mock.patch.dict('os.environ', ONE_THREAD):
        context.set_forkserver_preload(IMPORTED)
        process = context.Process(target=chunk, args=(kind, ledger.done(NAME, kind), count, known, folder))
        process.start()
    note = folder / 'case'
    begin = time.time()
    while process.exitcode is None:
        process.join(1)
        if process.exitcode is None and time.time() - max(begin, note.stat().st_mtime if note.exists() else 0) > DEAD:
            process.kill()
            process.join()
            break
    results = [json.loads(line) for line in (folder / 'results').read_text().splitlines()] if (
        folder / 'results').exists() else []
    done = sum(result['done'] for result in results)
    if process.exitcode:
        example = repr(pickle.loads(note.read_bytes())) if note.exists() else 'none yet'
        how = 'hangs' if process.exitcode == -signal.SIGKILL else f'ends its process with {process.exitcode}'
        ledger.fail(NAME, kind, f'a case {how}', place=how, example=example)
    ledger.add(NAME, kind, max(done, 1))
    for result in results:
        if 'failure' in result:
            ledger.fail(NAME, kind, **result['failure'])


class TooSlow(BaseException):
    """A case took longer than ``LIMIT``."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def chunk(kind: str, seed: int, count: int, known: list[str], folder: Path) -> None:
    """In a process: draws cases until there were so many, and writes each new failure with its least example."""
    multiprocessing.set_start_method(None, force=True)
    cases = importlib.import_module(f'tests.soak.cases.{kind}')
    logging.disable(logging.ERROR)
    warnings.simplefilter('ignore')
    trial = Trial(cases, set(known), folder)
    with open(folder / 'results', 'w', buffering=1) as results:
        while trial.left(count) > 0:
            before = trial.drawn
            failure = trial.draw(trial.left(count), seed + trial.drawn)
            result = dict(done=min(trial.drawn, count) - min(before, count))
            results.write(json.dumps(result | (dict(failure=failure) if failure else {})) + '\n')


class Trial:
    """Tries the cases of a kind; a failure at a place that is known is counted no more.

    Args:
        cases: a module of ``tests.soak.cases``.
        known: places of failures.
        folder: for the cases' files, and the note of the case that is tried.
    """

    def __init__(self, cases: ModuleType, known: set[str], folder: Path) -> None:
        self.cases = cases
        self.known = known
        self.folder = folder
        self.drawn = 0
        self.failure: dict | None = None

    def left(self, count: int) -> int:
        return count - self.drawn

    def draw(self, count: int, seed: int) -> dict | None:
        """Draws cases until one fails, which is made as small as it gets; returns that failure."""
        from hypothesis import HealthCheck, Phase, Verbosity, given, settings
        from hypothesis import seed as seeded

        self.failure = None
        quiet = settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                         verbosity=Verbosity.quiet, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False)
        before = self.drawn
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                quiet(seeded(seed)(given(self.cases.draw)(self.attempt)))()
            except Exception:
                if self.failure is None:
                    raise
        self.drawn = max(self.drawn, before + 1)
        if self.failure:
            self.known.add(self.failure['place'])
        return self.failure

    def attempt(self, example: object) -> None:
        self.drawn += 1
        (self.folder / 'case').write_bytes(pickle.dumps(example))
        failure = self.fault_of(example)
        if failure and failure['place'] not in self.known:
            self.failure = failure
            raise AssertionError(failure['place'])

    def fault_of(self, example: object) -> dict | None:
        """What is wrong with a case: what happened, where, and the example; None if nothing is."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            try:
                with limited(LIMIT):
                    self.cases.check(example, Path(folder))
                return None
            except TooSlow:
                return dict(what=f'takes more than {LIMIT:g} s', place='too slow', example=repr(example))
            except Exception as error:
                lines = str(error).strip().split('\n')
                if isinstance(error, (UserError, *self.cases.ALLOWED)) and len(lines) == 1:
                    return None
                notes = ''.join(f' [{note}]' for note in getattr(error, '__notes__', ()))
                return dict(what=f'{type(error).__name__}: {lines[0][:300]}{notes}', place=place_of(error),
                            example=repr(example)[:4000])


def place_of(error: BaseException) -> str:
    """The kind of an exception and the innermost function of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if '/mmext/' in frame.filename or '/soak/cases/' in frame.filename] or frames
    return f'{type(error).__name__} in {"/".join(Path(own[-1].filename).parts[-3:])}:{own[-1].name}:{own[-1].lineno}'
