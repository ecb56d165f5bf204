"""What several runs of one recipe reached: best, last and mean of the last epochs, and their mean and deviation."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmext.engine.log import config_of, folders_of, read_scalars
from mmext.errors import UserError, nearest, shorten

LOWER_IS_BETTER = ('error', 'loss')


@dataclass(frozen=True)
class Summary:
    """A metric over one run: at its best epoch, at its last, and its mean over the last ``averaged`` validations."""

    name: str
    seed: str
    epochs: int
    best: float
    best_epoch: int
    last: float
    averaged: int
    mean_of_last: float

    @property
    def recipe(self) -> str:
        """The run's name without its seed: runs that share it are repetitions."""
        return re.sub(r'_seed\d+$', '', self.name)


def summarise(work_dir: str | Path, metric: str, averaged: int = 1) -> Summary:
    """Reads a run's log.

    Args:
        work_dir: of the run.
        metric: as it is logged, such as 'accuracy/top1'.
        averaged: how many of the last validations ``mean_of_last`` is over.

    Raises:
        UserError: there is no log, no such metric in it, or fewer validations than are to be averaged.
    """
    values = read_metric(Path(work_dir), metric)
    if len(values) < averaged:
        raise UserError(f'{work_dir}: {len(values)} validations, {averaged} are to be averaged; is the run complete?')
    choose = min if any(word in metric for word in LOWER_IS_BETTER) else max
    best_epoch = choose(values, key=values.get)
    scores = list(values.values())
    return Summary(Path(work_dir).resolve().name, seed_of(folders_of(Path(work_dir))), max(values),
                   values[best_epoch], best_epoch, scores[-1], averaged, statistics.fmean(scores[-averaged:]))


def read_metric(work_dir: Path, metric: str) -> dict[int, float]:
    """Epoch -> value, in order, of a run and of what it was resumed with, which counts from where it set in."""
    values: dict[int, float] = {}
    known: set[str] = set()
    for record in read_scalars(work_dir):
        measured = {name: value for name, value in record.items() if '/' in name}  # a validation's, not a loss
        known.update(measured)
        if metric in measured:
            values[record['step']] = measured[metric]
    if not values:
        raise UserError(f'{work_dir}: no {metric!r} in its log, which has {shorten(sorted(known), 8) or "no metrics"}'
                        f'{nearest(metric, known)}')
    return values


def seed_of(folders: Sequence[Path]) -> str:
    """The seed that a run was given; it is not said again where the run was resumed."""
    for folder in folders:
        match = re.search(r'^randomness = dict\([^)]*\bseed=(\d+)', config_of(folder), re.M)
        if match:
            return match[1]
    return '-'


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the sample standard deviation (n - 1), which one run alone does not have."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
