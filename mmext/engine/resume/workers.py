"""Worker processes that leave it to their training to heed a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType

from torch.utils.data import DataLoader

from mmext.engine.resume.interrupts import POLITE

PATIENCE = 60  # seconds


class PoliteLoader(DataLoader):
    """A loader whose workers get no signal before ``Worker`` has readied them; its ``worker_init_fn`` is one."""

    def __iter__(self) -> Iterator:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, POLITE if self.num_workers else ())
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make_polite(loader: DataLoader) -> None:
    """Makes a ``PoliteLoader`` of a loader that is there; one of another class stays what it is."""
    if type(loader) is DataLoader:
        loader.worker_init_fn = Worker(loader.worker_init_fn)
        loader.__class__ = PoliteLoader


class Worker:
    """Readies a worker process: what ends a training politely is for the training to heed, not for its workers.

    A terminal sends Ctrl-C, and Slurm its signals, to all processes of a run. A worker that obeyed would take away the
    batch that the training waits for, and with it the iteration after which it saves. So a worker outlives a SIGTERM by
    ``PATIENCE``; the second one ends it.

    Args:
        own: the loader's ``worker_init_fn``.
    """

    def __init__(self, own: Callable | None) -> None:
        self.own = own

    def __call__(self, worker_id: int) -> None:
        for number in (signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, end_later)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, POLITE)
        if self.own is not None:
            self.own(worker_id)


def end_later(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.alarm(PATIENCE)
