"""Running many jobs in several processes, some of which may crash."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import TypeVar

from mmext.errors import DiskFull, UserError
from mmext.files import is_disk_full

Job = TypeVar('Job')
Result = TypeVar('Result')
AHEAD = 2  # jobs submitted per worker, so that no worker waits for its next job


@dataclass(frozen=True)
class Crash:
    """The result of a job that has raised an unexpected error or crashed its process."""

    reason: str


def each(function: Callable[[Job], Result], jobs: Iterable[Job],
         workers: int) -> Generator[tuple[Job, Result | Crash], None, None]:
    """Runs every job, and yields (job, result) as jobs finish, in any order.

    If a process crashes, the jobs that were running are repeated one at a time to find the one that crashes; the others
    continue. If the generator is closed early, for example by Ctrl-C, the workers are stopped and clean up.

    Args:
        function: What to call with each job; defined in a module, so that another process can import it.
        jobs: The arguments of the calls.
        workers: Number of processes. 0 runs the jobs in this process, where a crash ends everything.

    Raises:
        UserError: A job has raised it.
        DiskFull: The disk is full; no further jobs are run.
    """
    if not workers:
        yield from ((job, attempt(function, job)) for job in jobs)
        return
    jobs = iter(jobs)
    while lost := (yield from until_broken(function, jobs, workers)):
        for job in lost:
            if (yield from until_broken(function, iter([job]), 1)):
                yield job, Crash('reading it crashes the process')


def until_broken(function: Callable[[Job], Result], jobs: Iterator[Job],
                 workers: int) -> Generator[tuple[Job, Result | Crash], None, list[Job]]:
    """Like ``each``, but stops when a process crashes, and returns the jobs that were running then."""
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, start_fork_server(function.__module__), set_signal_handlers)
    running: dict[Future, Job] = {}
    lost: list[Job] = []

    def submit(count: int) -> None:
        """Submits up to ``count`` jobs, unless a process has crashed."""
        for job in islice(jobs, 0 if lost else count):
            try:
                running[executor.submit(attempt, function, job)] = job
            except BrokenProcessPool:
                lost.append(job)
                break

    try:
        submit(AHEAD * workers)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost.append(job)
                    continue
                submit(1)
                yield job, result
        return lost
    finally:
        if running:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        executor.shutdown(cancel_futures=True)


def start_fork_server(module: str) -> BaseContext:
    """Starts the process, free of threads, that workers are forked from; waits until it has imported ``module``."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # before the signal is blocked, since it unblocks it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # only this process handles Ctrl-C
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    first = context.Process(target=os.getpid)
    first.start()
    first.join()
    return context


def set_signal_handlers() -> None:
    """Makes a worker ignore Ctrl-C, and exit cleanly on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def attempt(function: Callable[[Job], Result], job: Job) -> Result | Crash:
    """Runs a job. Returns its result, or a ``Crash`` for an unexpected error.

    Raises:
        UserError: The job has raised it.
        DiskFull: The disk is full.
    """
    try:
        return function(job)
    except UserError:
        raise
    except SystemExit:  # from SIGTERM, after temporary files are removed; the pool would continue with the next job
        os._exit(128 + signal.SIGTERM)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(getattr(error, 'filename', None) or 'an output file') from None
        return Crash(f'{type(error).__name__}: {" ".join(str(error).split())}')
