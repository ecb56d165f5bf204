"""Signals that end a training politely, and the times at which it saves on its way."""

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

POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # the last one is what Slurm warns with (--signal=USR1@120)
ONE_SIGNAL = 2.0  # seconds in which torchrun hands on to its processes what the terminal has sent to them already
SAVE, STOP = 1, 2
UNITS = {'': 1, 'it': 1, 'iter': 1, 'iters': 1, 'iterations': 1, 's': 1, 'sec': 1, 'min': 60, 'h': 3600}
TIMES = ('s', 'sec', 'min', 'h')

Handler = Union[Callable[[int, Union[FrameType, None]], Any], int, signal.Handlers, None]


class Signals:
    """While it is entered, the first SIGTERM, SIGINT or SIGUSR1 waits for ``training`` to heed it; the second ends all.

    Before the training has begun the first one ends all too, as ``Interrupted``: nothing is lost by that.

    Args:
        several: whether this is one of several processes, to which a launcher may hand on a signal that they have got.
    """

    def __init__(self, several: bool = False) -> None:
        self.several = several
        self.training = False
        self.received: str | None = None
        self.process = os.getpid()
        self.before: dict[int, Handler] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # no other thread may
            self.before = {number: signal.signal(number, self.heed) for number in POLITE}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def heed(self, number: int, frame: FrameType | None) -> None:
        first = self.received is None
        if os.getpid() != self.process or not first and not (
                self.several and time.monotonic() - self.since < ONE_SIGNAL):
            signal.signal(number, self.before.get(number) or signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif first:
            self.received, self.since = signal.Signals(number).name, time.monotonic()
            if not self.training:
                raise Interrupted(f'stopped by {self.received} before the first iteration; nothing was trained, '
                                  'nothing is lost')

    def ignore(self) -> None:
        """What was asked for is done: signals that come now must not change how the process ends."""
        for number in self.before:
            signal.signal(number, signal.SIG_IGN)


class Timetable:
    """When a training saves on its way, and whether it is to end, on which all processes agree.

    Args:
        every: '500' or '500it' iterations; '90s', '10min' or '2h' of time. None: never.
        signals: what to heed, or None.
    """

    def __init__(self, every: str | int | None, signals: Signals | None = None) -> None:
        self.count, self.seconds = parse_interval(every) if every is not None else (None, None)
        self.signals = signals
        self.last = time.monotonic()
        self.due = 0
        self.group = None
        if get_world_size() > 1 and distributed.get_backend() != 'gloo':
            self.group = distributed.new_group(backend='gloo')  # a GPU is not held up by what is agreed on there

    def agree(self, iteration: int) -> int:
        """0, ``SAVE`` or ``STOP``, the same in all processes, each of which has to ask after every iteration."""
        if self.signals is not None and self.signals.received:
            self.due = STOP
        elif self.count and iteration % self.count == 0 or self.late():
            self.due = max(self.due, SAVE)
        if get_world_size() > 1:
            told = torch.tensor(self.due)
            distributed.all_reduce(told, distributed.ReduceOp.MAX, self.group)
            self.due = int(told)
        return self.due

    def late(self) -> bool:
        """Whether the time is over; the first process's clock counts."""
        return bool(self.seconds) and get_rank() == 0 and time.monotonic() - self.last >= self.seconds

    def saved(self) -> None:
        self.due, self.last = 0, time.monotonic()


def parse_interval(text: str | int) -> tuple[int | None, float | None]:
    """(iterations, None) or (None, seconds) of ``--save-every``. UserError where it is neither."""
    found = re.fullmatch(r'(\d+)\s*([a-z]*)', str(text).strip().lower())
    if not found or found[2] not in UNITS or int(found[1]) < 1:
        raise UserError(f'--save-every {text}: need a number of iterations (500 or 500it), or a time (90s, 10min, 2h)')
    number = int(found[1]) * UNITS[found[2]]
    return (None, float(number)) if found[2] in TIMES else (number, None)
