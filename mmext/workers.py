"""Many jobs in many processes, of which some may crash."""

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
AHEAD = 2  # jobs handed out for each worker, so that none waits for the next


@dataclass(frozen=True)
class Crash:
    """What a job gives that ended in an error of no kind that is expected, or took its process with it."""

    reason: str


def each(function: Callable[[Job], Result], jobs: Iterable[Job],
         workers: int) -> Generator[tuple[Job, Result | Crash], None, None]:
    """Does every job once; gives jobs and results as they are done, in any order.

    A job that ends its process is found by doing anew, one by one, all that were under way; the others go on. When the
    generator is closed early, as by Ctrl-C, the workers are stopped, and clean up behind themselves.

    Args:
        function: of a module, so that another process can import it.
        jobs: their arguments.
        workers: how many processes; 0 does the jobs in this one, where a crash is the end.

    Raises:
        UserError: of a job's; or the disk is full, which ends them all.
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
    """As ``each``, until a process ends; returns the jobs that were under way then."""
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


def start_server(module: str) -> BaseContext:
    """Starts the process that workers are forked from, and waits for its imports, a module's; it has no threads."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # here, since it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # all of them leave Ctrl-C to this process
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    first = context.Process(target=os.getpid)
    first.start()
    first.join()
    return context


def prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def attempt(function: Callable[[Job], Result], job: Job) -> Result | Crash:
    """The job's result, or what went wrong."""
    try:
        return function(job)
    except UserError:
        raise
    except SystemExit:  # stopped, and its temporary files are gone; the pool would go on with the next job
        os._exit(128 + signal.SIGTERM)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(getattr(error, 'filename', None) or 'an output file') from None
        return Crash(f'{type(error).__name__}: {" ".join(str(error).split())}')
