"""Graceful stopping of a training on signals, and the schedule of its intermediate checkpoints."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Union

import torch
from mmengine.dist import get_rank, get_world_size
from torch import distributed

from mmext.errors import Interrupted, UserError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # Slurm warns with SIGUSR1 (--signal=USR1@120)
REPEAT_WINDOW = 2.0  # seconds in which torchrun forwards a signal that the terminal has already sent to its processes
SAVE, STOP = 1, 2
UNITS = {'': 1, 'it': 1, 'iter': 1, 'iters': 1, 'iterations': 1, 's': 1, 'sec': 1, 'min': 60, 'h': 3600}
TIMES = ('s', 'sec', 'min', 'h')

Handler = Union[Callable[[int, Union[FrameType, None]], Any], int, signal.Handlers, None]


class Signals:
    """A context in which the first SIGTERM, SIGINT or SIGUSR1 is only recorded; a second one ends the process.

    The training loop reads ``received`` after each iteration. Before the training has begun there is nothing to save,
    so the first signal raises ``Interrupted`` at once.

    Args:
        several: whether this is one of several processes, to which the launcher may forward a signal a second time.

    Attributes:
        training: whether the training loop has started and checks ``received``.
        received: the name of the first signal; None if there was none.
    """

    def __init__(self, several: bool = False) -> None:
        self.several = several
        self.training = False
        self.received: str | None = None
        self.process = os.getpid()
        self.before: dict[int, Handler] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # no other thread may
            self.before = {number: signal.signal(number, self.handle) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. Raises ``Interrupted`` before the training has started."""
        first = self.received is None
        if os.getpid() != self.process or not first and not (
                self.several and time.monotonic() - self.since < REPEAT_WINDOW):
            signal.signal(number, self.before.get(number) or signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif first:
            self.received, self.since = signal.Signals(number).name, time.monotonic()
            if not self.training:
                raise Interrupted(f'stopped by {self.received} before the first iteration; nothing was trained, '
                                  'nothing is lost')

    def ignore(self) -> None:
        """Ignores further signals, which must not change the exit code of a process that is already stopping."""
        for number in self.before:
            signal.signal(number, signal.SIG_IGN)


class Timetable:
    """Decides, identically in all processes, when a training saves an intermediate checkpoint and when it stops.

    Args:
        every: the interval between checkpoints: '500' or '500it' iterations; '90s', '10min' or '2h'. None: never.
        signals: the signals that stop the training, or None.
    """

    def __init__(self, every: str | int | None, signals: Signals | None = None) -> None:
        self.count, self.seconds = parse_interval(every) if every is not None else (None, None)
        self.signals = signals
        self.last = time.monotonic()
        self.due = 0
        self.group = None
        if get_world_size() > 1 and distributed.get_backend() != 'gloo':
            self.group = distributed.new_group(backend='gloo')  # so that the GPU does not wait for this exchange

    def agree(self, iteration: int) -> int:
        """Returns 0, ``SAVE`` or ``STOP``, the same in all processes; all of them must call it after each iteration."""
        if self.signals is not None and self.signals.received:
            self.due = STOP
        elif self.count and iteration % self.count == 0 or self.late():
            self.due = max(self.due, SAVE)
        if get_world_size() > 1:
            agreed = torch.tensor(self.due)
            distributed.all_reduce(agreed, distributed.ReduceOp.MAX, self.group)
            self.due = int(agreed)
        return self.due

    def late(self) -> bool:
        """Whether the time interval has elapsed, by the clock of the first process."""
        return bool(self.seconds) and get_rank() == 0 and time.monotonic() - self.last >= self.seconds

    def saved(self) -> None:
        """Starts a new interval after a checkpoint was written."""
        self.due, self.last = 0, time.monotonic()


def parse_interval(text: str | int) -> tuple[int | None, float | None]:
    """Parses ``--save-every`` into (iterations, None) or (None, seconds).

    Raises:
        UserError: the text is neither a number of iterations nor a time.
    """
    found = re.fullmatch(r'(\d+)\s*([a-z]*)', str(text).strip().lower())
    if not found or found[2] not in UNITS or int(found[1]) < 1:
        raise UserError(f'--save-every {text}: need a number of iterations (500 or 500it), or a time (90s, 10min, 2h)')
    number = int(found[1]) * UNITS[found[2]]
    return (None, float(number)) if found[2] in TIMES else (number, None)
