"""Clocks, alternating measurements, and statistics of them: percentiles and ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from mmext.benchmark.setup import Setup

T = TypeVar('T')
Clock = Callable[[], float]
FUSION_REPEATS = 7


def clock_of(setup: Setup) -> Clock:
    """A clock that returns seconds, after the device has finished its work."""
    def now() -> float:
        setup.synchronize()
        return time.perf_counter()

    return time.perf_counter if setup.device == 'cpu' else now


class Stopwatch:
    """Measures the parts of some work: marks are set between them, and ``laps`` are the seconds from mark to mark.

    On a GPU the marks are CUDA events, so that nothing waits for the GPU before ``laps`` is called.
    """

    def __init__(self, device: str = 'cpu', clock: Clock = time.perf_counter) -> None:
        self.device = device
        self.clock = clock
        self.marks: list = []

    def mark(self) -> None:
        """Notes the time."""
        if self.device == 'cpu':
            self.marks.append(self.clock())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self.marks.append(event)

    def laps(self) -> list[float]:
        """Seconds between each two successive marks."""
        pairs = zip(self.marks, self.marks[1:])
        if self.device == 'cpu':
            return [after - before for before, after in pairs]
        self.marks[-1].synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairs]


def seconds_each(call: Callable[[], object], clock: Clock, calls: int) -> list[float]:
    """The seconds of each of several calls, each of which is waited for: latency."""
    found = []
    for _ in range(calls):
        started = clock()
        call()
        found.append(clock() - started)
    return found


def seconds_mean(call: Callable[[], object], clock: Clock, calls: int) -> float:
    """The mean seconds of a call, when only the last of several calls is waited for: throughput."""
    started = clock()
    for _ in range(calls):
        call()
    return (clock() - started) / calls


def in_turn(works: Sequence[Callable[[], T]], repeats: int, tick: Callable[[], object] = lambda: None) -> list[list[T]]:
    """Does some works alternately, A B A B ..., so that a machine that slows down affects all of them.

    Args:
        works: functions.
        repeats: how often each is called.
        tick: is called after each call.

    Returns:
        The results of each work, in order.
    """
    found: list[list[T]] = [[] for _ in works]
    for _ in range(repeats):
        for results, work in zip(found, works):
            results.append(work())
            tick()
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 90th and 99th percentile, interpolated linearly."""
    median, p90, p99 = np.percentile(seconds, (50, 90, 99))
    return dict(median=float(median), p90=float(p90), p99=float(p99))


def ratio(values: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Median, min and max of the ratios of values to the reference of the same repeat."""
    ratios = np.divide(values, reference)
    return dict(median=float(np.median(ratios)), min=float(ratios.min()), max=float(ratios.max()))


def fusion_speed_up(plain: Callable[[], object], fused: Callable[[], object],
                    repeats: int = FUSION_REPEATS) -> dict[str, float]:
    """How many times as fast a model is once its batch norms are folded into its convolutions.

    Args:
        plain: one call of the model as it is.
        fused: one call of the fused model on the same input.
        repeats: how often each is timed, alternately, after one call each to warm up.

    Returns:
        Median, min and max of the time of ``plain`` over that of ``fused``.
    """
    clock = clock_of(Setup(device='cuda' if torch.cuda.is_available() else 'cpu'))
    works = [partial(seconds_mean, call, clock, 1) for call in (plain, fused)]
    plain_seconds, fused_seconds = (seconds[1:] for seconds in in_turn(works, repeats + 1))
    return ratio(plain_seconds, fused_seconds)
