"""Many jobs in many processes, of which some may crash, and many short waits for a file system in threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

from mmext.errors import DiskFull, UserError
from mmext.files import is_disk_full

Job = TypeVar('Job')
Result = TypeVar('Result')
AHEAD = 2  # jobs handed out for each worker, so that none waits for the next
STOPPED = 128 + signal.SIGTERM  # exit code
in_job = False  # of this process, whether ``attempt`` is calling a function
THREADS, PORTION = 32, 64  # threads that ask a file system, and how many files one of them is given at a time


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
        if running or lost:  # a pool that breaks waits for a worker that was just being started, and does not stop it
            end(set(multiprocessing.active_children()) - others)
        executor.shutdown(cancel_futures=True)


def start_fork_server(module: str) -> BaseContext:
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


def end(processes: Iterable[BaseProcess]) -> None:
    """Stops worker processes and waits for them.

    SIGTERM is repeated, as a process does not notice one that comes just before it begins to wait for a lock.
    """
    while alive := [process for process in processes if process.is_alive()]:
        for process in alive:
            process.terminate()
        alive[0].join(1)


def set_signal_handlers() -> None:
    """Has a worker process leave Ctrl-C to its parent, and stop on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)


def stop(*_: object) -> None:
    """Ends a worker process; a job that is under way gets the chance to remove its temporary files.

    Between jobs there is nothing to remove, and the pool would catch an exception and go on, perhaps without the lock
    of its queue.
    """
    if in_job:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(STOPPED)
    os._exit(STOPPED)


def attempt(function: Callable[[Job], Result], job: Job) -> Result | Crash:
    """The job's result, or what went wrong."""
    global in_job
    try:
        in_job = True
        try:
            return function(job)
        finally:
            in_job = False
    except UserError:
        raise
    except SystemExit:  # the job was stopped, and has removed its temporary files
        os._exit(STOPPED)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(getattr(error, 'filename', None) or 'an output file') from None
        return Crash(f'{type(error).__name__}: {" ".join(str(error).split())}')


def in_threads(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Calls a function that waits for a file system, such as ``os.stat``, with every job; 32 wait at the same time.

    Args:
        function: is called from several threads at once.
        jobs: its arguments; they are handed out in portions, as handing out takes longer than to ask a local disk.

    Returns:
        The results in the order of the jobs.
    """
    def call(portion: Sequence[Job]) -> list[Result]:
        return [function(job) for job in portion]

    portions = [jobs[first:first + PORTION] for first in range(0, len(jobs), PORTION)]
    with ThreadPoolExecutor(max(1, min(THREADS, len(portions)))) as executor:
        return [result for results in executor.map(call, portions) for result in results]
