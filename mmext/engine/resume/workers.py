"""Data loader workers that leave the handling of stop signals to the training process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType

from torch.utils.data import DataLoader

from mmext.engine.resume.interrupts import STOP_SIGNALS

GRACE_PERIOD = 60  # seconds between the first SIGTERM and the end of a worker


class SignalSafeLoader(DataLoader):
    """A loader that blocks stop signals in its workers until its ``worker_init_fn``, a ``WorkerInit``, has run."""

    def __iter__(self) -> Iterator:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS if self.num_workers else ())
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make_signal_safe(loader: DataLoader) -> None:
    """Turns an existing loader into a ``SignalSafeLoader``, in place. A loader of another class is left unchanged."""
    if type(loader) is DataLoader:
        loader.worker_init_fn = WorkerInit(loader.worker_init_fn)
        loader.__class__ = SignalSafeLoader


class WorkerInit:
    """A ``worker_init_fn`` that makes a worker process ignore the signals which ask a training to stop.

    A terminal sends Ctrl-C, and Slurm its signals, to all processes of a run. A worker that stopped at once would take
    away the batch that the training process is waiting for, and with it the iteration after which it saves. Therefore
    a worker keeps running for ``GRACE_PERIOD`` after a SIGTERM; a second SIGTERM ends it.

    Args:
        own: the loader's original ``worker_init_fn``, called at the end.
    """

    def __init__(self, own: Callable | None) -> None:
        self.own = own

    def __call__(self, worker_id: int) -> None:
        for number in (signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, terminate_later)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self.own is not None:
            self.own(worker_id)


def terminate_later(number: int, frame: FrameType | None) -> None:
    """Handles the first SIGTERM of a worker: schedules its end, and lets the next one end it at once."""
    signal.signal(number, signal.SIG_DFL)
    signal.alarm(GRACE_PERIOD)
