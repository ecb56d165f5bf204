"""Results of repeated runs of a recipe: best, last, and mean of the last epochs, with mean and deviation over runs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from mmext.engine.log import config_of, folders_of, read_scalars
from mmext.errors import UserError, nearest, shorten

LOWER_IS_BETTER = ('error', 'loss')


@dataclass(frozen=True)
class Summary:
    """A metric of one run: at the best epoch, and at the last validations, of which as many as asked for are kept."""

    name: str
    seed: str
    epochs: int
    best: float
    best_epoch: int
    last: tuple[float, ...]

    @property
    def recipe(self) -> str:
        """The name of the run without its seed; runs of the same recipe are repetitions."""
        return recipe_of(self.name)


def recipe_of(name: str) -> str:
    """The name of a run without its seed."""
    return re.sub(r'_seed\d+$', '', name)


@dataclass(frozen=True)
class Log:
    """The log of a run.

    Attributes:
        work_dir: of the run.
        records: as ``engine.log.read_scalars`` returns them.
    """

    work_dir: Path
    records: list[dict]

    @cached_property
    def seed(self) -> str:
        """The seed of the run; the config of a part that was resumed may not name it."""
        for folder in folders_of(self.work_dir):
            match = re.search(r'^randomness = dict\([^)]*\bseed=(\d+)', config_of(folder), re.M)
            if match:
                return match[1]
        return '-'

    def values(self, metric: str) -> dict[int, float]:
        """Epoch -> value, in order. Where a run was resumed, the values of the resumed part replace earlier ones.

        Raises:
            UserError: the log has no such metric.
        """
        values = {record['step']: record[metric] for record in self.records if metric in measured(record)}
        if not values:
            raise self.without(metric)
        return values

    def matching(self, pattern: str) -> list[str]:
        """The metrics that match a shell pattern, in the order of the log. Raises a UserError if there are none."""
        names = dict.fromkeys(name for record in self.records for name in measured(record)
                              if fnmatchcase(name, pattern))
        if not names:
            raise self.without(pattern)
        return list(names)

    def without(self, metric: str) -> UserError:
        """The error for a metric that is not in the log."""
        known = {name for record in self.records for name in measured(record)}
        return UserError(f'{self.work_dir}: no {metric!r} in its log, which has '
                         f'{shorten(sorted(known), 8) or "no metrics"}{nearest(metric, known)}')


def read_log(work_dir: str | Path) -> Log:
    """Reads the log of a run. Raises a UserError if there is none, or a line of it is not a valid record."""
    return Log(Path(work_dir), read_scalars(work_dir))


def measured(record: Mapping[str, object]) -> list[str]:
    """The names of what a validation has measured, in a record of a log."""
    return [name for name in record if '/' in name or name.startswith('val_')]


def summarise(log: Log, metric: str, averaged: int = 1) -> Summary:
    """Sums up a metric of a run.

    Args:
        log: of the run.
        metric: the name in the log, such as 'accuracy/top1'.
        averaged: how many of the last validations are kept.

    Raises:
        UserError: the log has no such metric, or it has fewer validations than ``averaged``.
    """
    values = log.values(metric)
    if len(values) < averaged:
        raise UserError(f'{log.work_dir}: only {len(values)} validations, and {averaged} are to be averaged; is the '
                        'run complete?')
    best_epoch = chooser(metric)(values, key=values.__getitem__)
    scores = list(values.values())
    return Summary(log.work_dir.resolve().name, log.seed, max(values), values[best_epoch], best_epoch,
                   tuple(scores[-averaged:]))


def falls(metric: str) -> str:
    """The word in the name of a metric that says that lower values are better; '' if there is none."""
    return next((word for word in LOWER_IS_BETTER if word in metric.lower()), '')


def chooser(metric: str) -> Callable:
    """``min`` for an error or a loss, else ``max``."""
    return min if falls(metric) else max


def best_of(values: Sequence[float], metric: str) -> float:
    """The best of some values of a metric."""
    return chooser(metric)(values)


def unit_of(metric: str) -> tuple[int, str]:
    """What a metric is printed in, as a factor and a unit: losses as they are, all others in percent."""
    return (1, '') if 'loss' in metric else (100, '%')


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the sample standard deviation (n - 1); None for a single run."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
