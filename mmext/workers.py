"""Runs many jobs in several processes, of which some may crash."""

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
from typing import TypeVar

from mmext.errors import DiskFull, UserError
from mmext.files import is_disk_full

Job, Result = TypeVar('Job'), TypeVar('Result')
AHEAD = 2  # jobs in the queue for each worker, so that none has to wait


@dataclass(frozen=True)
class Crash:
    """The result of a job that raised an unexpected error or crashed its process."""

    reason: str


def run_jobs(function: Callable[[Job], Result], jobs: Iterable[Job],
         workers: int) -> Generator[tuple[Job, Result | Crash], None, None]:
    """Runs every job once, and yields each job and its result when it is done, in any order.

    When a process crashes, all jobs that were running are run again, one by one, to find the one that crashes. When the
    generator is closed early, as by Ctrl-C, the workers are stopped and remove their temporary files.

    Args:
        function: runs a job; it must be importable from a module.
        jobs: the arguments of the function.
        workers: the number of processes; with 0 the jobs run in this process, which a crash ends.

    Raises:
        UserError: a job raised it, or the disk is full; no more jobs are run then.
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
    """As ``run_jobs``, until a process crashes; returns the jobs that were running then."""
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, start_server(function.__module__), prepare_worker)
    running: dict[Future, Job] = {}
    lost: list[Job] = []

    def submit(count: int) -> None:
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


def start_server(module: str) -> multiprocessing.context.BaseContext:
    """Starts the process, without threads, that workers are forked from, and waits until it has imported a module."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # before the signal is blocked, because this unblocks it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # only this process handles Ctrl-C
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    first = context.Process(target=os.getpid)
    first.start()
    first.join()
    return context


def prepare_worker() -> None:
    """Leaves Ctrl-C to the parent process, and ends in order on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def attempt(function: Callable[[Job], Result], job: Job) -> Result | Crash:
    """The result of a job, or a ``Crash`` that says what went wrong."""
    try:
        return function(job)
    except UserError:
        raise
    except SystemExit:  # it was stopped and has removed its temporary files; the pool would start the next job
        os._exit(128 + signal.SIGTERM)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(getattr(error, 'filename', None) or 'an output file') from None
        return Crash(f'{type(error).__name__}: {" ".join(str(error).split())}')
