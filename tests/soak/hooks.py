"""What a soak puts into a training: faults of one process, and a look at memory and open files."""

from __future__ import annotations

import json
import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

PAGE = os.sysconf('SC_PAGE_SIZE')


@HOOKS.register_module()
class SoakFaultHook(Hook):
    """Kills one process of a training, or has it raise an exception, after an iteration.

    Args:
        kind: 'kill' or 'exception'.
        rank: of the process.
        at: the iteration, counted from 1 where the process starts: a resumed training is further already.
    """

    def __init__(self, kind: str, rank: int, at: int) -> None:
        self.kind, self.rank, self.at = kind, rank, at
        self.done = 0

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        self.done += 1
        if get_rank() != self.rank or self.done != self.at:
            return
        if self.kind == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError('an exception of one process')


@HOOKS.register_module()
class SoakMemoryHook(Hook):
    """Notes the process's resident memory and its open descriptors, a line of JSON each time.

    Args:
        path: of the file.
        interval: iterations between two lines.
    """

    priority = 'VERY_LOW'

    def __init__(self, path: str, interval: int = 25) -> None:
        self.path, self.interval = path, interval

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        with open('/proc/self/statm') as file:
            resident = int(file.read().split()[1]) * PAGE
        line = dict(iteration=runner.iter + 1, bytes=resident, descriptors=len(os.listdir('/proc/self/fd')) - 1)
        with open(self.path, 'a') as file:
            file.write(json.dumps(line) + '\n')
