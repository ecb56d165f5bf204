"""Jobs that crash do not take others with them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mmext.errors import UserError
from mmext.workers import PORTION, Crash, in_threads, run_jobs


def work(job: tuple[str, int]) -> int:
    kind, number = job
    if kind == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == 'raise':
        raise ValueError(f'no\n{number}')
    if kind == 'full':
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'out/a.mp4')
    return number ** 2


def hold(folder: str) -> None:
    """Makes a file, and removes it when it is stopped."""
    if not folder:
        raise ValueError
    path = Path(folder) / str(os.getpid())
    try:
        path.touch()
        time.sleep(600)
    finally:
        path.unlink()


def test_every_job_is_done_once_whatever_crashes():
    jobs = [('kill' if i in (3, 4, 17) else 'raise' if i == 9 else 'square', i) for i in range(20)]
    results = list(run_jobs(work, jobs, 2))
    assert sorted(job for job, _ in results) == sorted(jobs)
    for (kind, number), result in results:
        if kind == 'kill':
            assert isinstance(result, Crash) and 'crashes the process' in result.reason
        else:
            assert result == (Crash(f'ValueError: no {number}') if kind == 'raise' else number ** 2)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_full_disk_ends_all(workers: int):
    done = []
    with pytest.raises(UserError, match=r'^out/a.mp4: no space left on that disk'):
        for job, _ in run_jobs(work, [('square', 1), ('full', 2), *[('square', 3)] * 50], workers):
            done.append(job)
    assert len(done) < 10


def test_stopped_workers_clean_up(tmp_path: Path):
    """What Ctrl-C does: the generator is closed while jobs are under way."""
    jobs = run_jobs(hold, ['', *[str(tmp_path)] * 6], 2)
    job, result = next(jobs)
    assert job == '' and isinstance(result, Crash)
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    jobs.close()
    assert not list(tmp_path.iterdir()) and not multiprocessing.active_children()


@pytest.mark.parametrize('count', [0, 1, PORTION, 3 * PORTION + 1])
def test_threads_call_once_for_each_job_and_keep_the_order(count: int):
    called = []
    assert in_threads(lambda job: called.append(job) or -job, range(count)) == [-job for job in range(count)]
    assert sorted(called) == list(range(count))


def test_threads_wait_at_the_same_time():
    """Each portion's first job waits until as many others wait, too."""
    together = threading.Barrier(4, timeout=60)
    jobs = range(4 * PORTION)
    assert in_threads(lambda job: job % PORTION or together.wait() < 4, jobs) == [job % PORTION or 1 for job in jobs]
