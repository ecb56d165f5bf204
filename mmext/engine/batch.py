"""How many samples an update has, how many the recipe's learning rate is for, and what follows from the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmext.engine.agreement import sample_count


def tell_batch(runner: Runner) -> None:
    """Logs one line before a training begins; a warning where the batch is not the recipe's and nothing was scaled.

    Args:
        runner: built, its learning rate not yet scaled (mmengine does that when training begins).
    """
    config, loader = runner.cfg, runner.train_dataloader
    batch_sampler: Any = loader.batch_sampler  # every one has a batch_size, which torch does not declare
    line, fits = batch_line(
        loader.batch_size or batch_sampler.batch_size,
        get_world_size(), config.get('optim_wrapper', {}).get('accumulative_counts', 1),
        learning_rate(config), config.get('auto_scale_lr') or {}, sample_count(loader.dataset))
    (runner.logger.info if fits else runner.logger.warning)(line)


def learning_rate(config: Config | Mapping) -> float | None:
    """The optimiser's, as the config has it; None where it has none or leaves it to the optimiser."""
    return (config.get('optim_wrapper', {}).get('optimizer') or {}).get('lr')


def batch_line(batch: int, processes: int, accumulated: int, rate: float | None, scaling: Mapping,
               samples: int | None = None) -> tuple[str, bool]:
    """The line, and whether the batch is the recipe's or the learning rate is scaled to it.

    Args:
        batch: samples of one process in one batch.
        processes: how many there are.
        accumulated: batches of an update.
        rate: the learning rate of the config.
        scaling: the config's ``auto_scale_lr``.
        samples: of the training set, if that is known.
    """
    total, base = batch * processes * accumulated, scaling.get('base_batch_size')
    parts = [f'{count} {name}' for count, name in ((processes, 'processes'), (accumulated, 'batches')) if count > 1]
    line = f'batch: {total} samples an update' + (f' ({" x ".join([*parts, str(batch)])})' if parts else '')
    if samples is not None and samples < total:
        line += f', of which the training set has {samples}'
    if not base:
        return f'{line}; the config does not say which batch its learning rate is for (auto_scale_lr)', True
    line += f', the recipe has {base}'
    if rate is None:
        return f'{line}; the learning rate is the optimizer\'s own', total == base
    if scaling.get('enable'):
        return f'{line}; learning rate {rate:g} x {total} / {base} = {rate * total / base:g}', True
    if total == base:
        return f'{line}; learning rate {rate:g}', True
    return (f'{line}; the learning rate stays {rate:g}, in proportion it would be {rate * total / base:g}: give '
            '--auto-scale-lr, or the batch of the recipe'), False


def scale_for_accumulation(runner: Runner) -> None:
    """Has mmengine's scaling of the learning rate, which knows of processes alone, count accumulated batches too."""
    count = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    scaling = runner.auto_scale_lr or {}
    if count > 1 and scaling.get('enable'):
        base = scaling['base_batch_size']
        runner.logger.info(f'The learning rate is for {base} samples an update, hence for {base / count:g} in each of '
                           f'its {count} batches.')
        runner.auto_scale_lr = dict(scaling, base_batch_size=base / count)
