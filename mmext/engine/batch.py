"""The batch size of an update compared with the one that the recipe's learning rate is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmext.engine.agreement import sample_count


def log_batch_size(runner: Runner) -> None:
    """Logs the batch size; as a warning if it differs from the recipe's and the learning rate is not scaled.

    Args:
        runner: the built runner, before mmengine scales its learning rate at the start of the training.
    """
    config, loader = runner.cfg, runner.train_dataloader
    line, fits = batch_line(
        batch_size_of(loader), get_world_size(), config.get('optim_wrapper', {}).get('accumulative_counts', 1),
        learning_rate(config), config.get('auto_scale_lr') or {}, sample_count(loader.dataset))
    (runner.logger.info if fits else runner.logger.warning)(line)


def batch_size_of(loader: DataLoader) -> int:
    """The number of samples in a batch of one process."""
    batch_sampler: Any = loader.batch_sampler  # all have a batch_size, which torch does not declare
    return loader.batch_size or batch_sampler.batch_size


def learning_rate(config: Config | Mapping) -> float | None:
    """The learning rate in the config; None if there is no optimiser or it uses its default."""
    return (config.get('optim_wrapper', {}).get('optimizer') or {}).get('lr')


def batch_line(batch: int, processes: int, accumulated: int, rate: float | None, scaling: Mapping,
               samples: int | None = None) -> tuple[str, bool]:
    """The log line, and whether the learning rate fits the batch size.

    Args:
        batch: samples per batch and process.
        processes: the number of processes.
        accumulated: batches per update.
        rate: the learning rate in the config.
        scaling: the config's ``auto_scale_lr``.
        samples: the size of the training set, if it is known.
    """
    total, base = batch * processes * accumulated, scaling.get('base_batch_size')
    parts = [f'{count} {name}' for count, name in ((processes, 'processes'), (accumulated, 'batches')) if count > 1]
    line = f'batch: {total} samples per update' + (f' ({" x ".join([*parts, str(batch)])})' if parts else '')
    if samples is not None and samples < total:
        line += f', of which the training set has {samples}'
    if not base:
        return f'{line}; the config does not state the batch size of its learning rate (auto_scale_lr)', True
    line += f', the recipe has {base}'
    if rate is None:
        return f'{line}; the learning rate is the optimizer\'s own', total == base
    if scaling.get('enable'):
        return f'{line}; learning rate {rate:g} x {total} / {base} = {rate * total / base:g}', True
    if total == base:
        return f'{line}; learning rate {rate:g}', True
    return (f'{line}; the learning rate stays {rate:g}, scaled linearly it would be {rate * total / base:g}: give '
            '--auto-scale-lr, or use the batch size of the recipe'), False


def scale_for_accumulation(runner: Runner) -> None:
    """Makes mmengine's scaling of the learning rate, which considers processes only, count accumulated batches too."""
    count = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    scaling = runner.auto_scale_lr or {}
    if count > 1 and scaling.get('enable'):
        base = scaling['base_batch_size']
        runner.logger.info(f'The learning rate is meant for {base} samples per update, so for {base / count:g} in each '
                           f'of its {count} batches.')
        runner.auto_scale_lr = dict(scaling, base_batch_size=base / count)
