"""Results of repeated runs of a recipe: best, last, and mean of the last epochs, with mean and deviation over runs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
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


def summarise(work_dir: str | Path, metric: str, averaged: int = 1) -> Summary:
    """Reads a run's log.

    Args:
        work_dir: of the run.
        metric: the name in the log, such as 'accuracy/top1'.
        averaged: how many of the last validations are kept.

    Raises:
        UserError: there is no log, the log has no such metric, or it has fewer validations than ``averaged``.
    """
    values = read_metric(Path(work_dir), metric)
    if len(values) < averaged:
        raise UserError(f'{work_dir}: only {len(values)} validations, and {averaged} are to be averaged; is the run '
                        'complete?')
    best_epoch = chooser(metric)(values, key=values.__getitem__)
    scores = list(values.values())
    return Summary(Path(work_dir).resolve().name, seed_of(folders_of(Path(work_dir))), max(values),
                   values[best_epoch], best_epoch, tuple(scores[-averaged:]))


def falls(metric: str) -> str:
    """The word in the name of a metric that says that lower values are better; '' if there is none."""
    return next((word for word in LOWER_IS_BETTER if word in metric.lower()), '')


def chooser(metric: str) -> Callable:
    """``min`` for an error or a loss, else ``max``."""
    return min if falls(metric) else max


def best_of(values: Sequence[float], metric: str) -> float:
    """The best of some values of a metric."""
    return chooser(metric)(values)


def read_metric(work_dir: Path, metric: str) -> dict[int, float]:
    """Epoch -> value, in order. Where a run was resumed, the values of the resumed part replace earlier ones."""
    values: dict[int, float] = {}
    records = read_scalars(work_dir)
    for record in records:
        if metric in measured(record):
            values[record['step']] = record[metric]
    if not values:
        raise not_in_log(work_dir, metric, records)
    return values


def matching_metrics(work_dir: str | Path, pattern: str) -> list[str]:
    """The metrics in a run's log that match a shell pattern, in the order of the log.

    Raises:
        UserError: there is no log, or no metric in it matches.
    """
    records = read_scalars(work_dir)
    names = dict.fromkeys(name for record in records for name in measured(record) if fnmatchcase(name, pattern))
    if not names:
        raise not_in_log(work_dir, pattern, records)
    return list(names)


def measured(record: Mapping[str, object]) -> list[str]:
    """The names of what a validation has measured, in a record of a log."""
    return [name for name in record if '/' in name or name.startswith('val_')]


def not_in_log(work_dir: str | Path, metric: str, records: Sequence[Mapping[str, object]]) -> UserError:
    """The error for a metric that is not in a log."""
    known = {name for record in records for name in measured(record)}
    return UserError(f'{work_dir}: no {metric!r} in its log, which has {shorten(sorted(known), 8) or "no metrics"}'
                     f'{nearest(metric, known)}')


def unit_of(metric: str) -> tuple[int, str]:
    """What a metric is printed in, as a factor and a unit: losses as they are, all others in percent."""
    return (1, '') if 'loss' in metric else (100, '%')


def seed_of(folders: Sequence[Path]) -> str:
    """The seed of a run; the config of a part that was resumed may not name it."""
    for folder in folders:
        match = re.search(r'^randomness = dict\([^)]*\bseed=(\d+)', config_of(folder), re.M)
        if match:
            return match[1]
    return '-'


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the sample standard deviation (n - 1); None for a single run."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
