"""``--epochs``: another number of epochs, with a schedule that is scaled to it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mmengine.config import Config

from mmext.config_tree import kind_of
from mmext.engine.resume.loops import is_resumable
from mmext.errors import UserError

# Schedules that raise the learning rate at the start of a training, if they end before the training does.
WARM_UPS = ('ConstantLR', 'LinearLR', 'FirstEpochWarmUp', 'QuadraticWarmupLR', 'ConstantMomentum', 'LinearMomentum',
            'QuadraticWarmupMomentum')
POINTS = ('begin', 'end', 'step_size', 'total_steps')  # arguments of schedulers that are numbers of epochs
LISTS = ('milestones', 'periods')
OF_HOOKS = ('begin_epoch', 'switch_epoch', 'num_last_epochs')  # numbers of epochs in custom hooks


class Scaling:
    """Changes the number of epochs of a config, and all numbers of epochs in it in proportion.

    Args:
        config: changed in place.
        epochs: the new number of epochs.
        kept: dotted keys that ``--cfg-options`` has set, which are not changed.

    Raises:
        UserError: ``epochs`` is not positive, or the config does not count epochs.

    Attributes:
        old: the number of epochs before.
        changed: a description of each change.
    """

    def __init__(self, config: Config, epochs: int, kept: Collection[str] = ()) -> None:
        self.config, self.epochs, self.kept = config, epochs, kept
        self.old = epochs_of(config, epochs)
        self.factor = epochs / self.old
        self.changed: list[str] = []

    def apply(self) -> None:
        """Changes the config."""
        loop = self.config.train_cfg
        loop.max_epochs = self.epochs
        schedulers = self.config.get('param_scheduler') or []
        for i, scheduler in enumerate([schedulers] if isinstance(schedulers, dict) else schedulers):
            self.scale_schedule(scheduler, f'param_scheduler.{i}')
        for i, hook in enumerate(self.config.get('custom_hooks') or []):
            for key in OF_HOOKS:
                self.change(hook, key, f'custom_hooks.{i}', self.scaled)
        self.scale_intervals(loop)

    def scaled(self, epochs: int) -> int:
        """A number of epochs in the new training; at least 1, unless it is 0."""
        return max(1, int(epochs * self.factor + 0.5)) if epochs > 0 else epochs

    def shortened(self, interval: int) -> int:
        """An interval in the new training, which is never longer than before."""
        return min(interval, self.scaled(interval))

    def scale_intervals(self, loop: dict) -> None:
        """Scales when validations take place and checkpoints are written."""
        self.change(loop, 'val_interval', 'train_cfg', self.shortened)
        self.change(loop, 'val_begin', 'train_cfg', self.scaled)
        if loop.get('dynamic_intervals'):
            loop['dynamic_intervals'] = [(self.scaled(epoch), self.shortened(interval))
                                         for epoch, interval in loop['dynamic_intervals']]
        hook = (self.config.get('default_hooks') or {}).get('checkpoint')
        if hook and hook.get('by_epoch', True):
            self.change(hook, 'interval', 'default_hooks.checkpoint', self.shortened)
            self.change(hook, 'save_begin', 'default_hooks.checkpoint', self.scaled)

    def scale_schedule(self, scheduler: dict, place: str) -> None:
        """Scales a scheduler in epochs, and one in iterations unless it is a warm-up."""
        by_epoch = scheduler.get('by_epoch', True)
        if kind_of(scheduler) == 'ReduceOnPlateauLR' or not by_epoch and kind_of(scheduler) in WARM_UPS:
            return
        length = scheduler.get('end', self.old) - scheduler.get('begin', 0)
        whole = scheduler.get('T_max') == length
        for key in POINTS:
            if by_epoch or key != 'begin':  # a schedule in iterations begins at the end of its warm-up
                self.change(scheduler, key, place, self.scaled)
        for key in LISTS:
            self.change(scheduler, key, place, lambda values: [self.scaled(value) for value in values])
        self.change(scheduler, 'T_max', place, lambda value: scheduler.get('end', self.epochs) - scheduler.get(
            'begin', 0) if whole else self.scaled(value))
        if kind_of(scheduler).startswith('Exponential'):
            self.change(scheduler, 'gamma', place, lambda gamma: gamma ** (1 / self.factor))

    def change(self, part: dict, key: str, place: str, new: Any) -> None:
        """Replaces a value by ``new(value)``, if it is set and not by ``--cfg-options``."""
        dotted = f'{place}.{key}'
        if part.get(key) is None or any(dotted == one or dotted.startswith(f'{one}.') for one in self.kept):
            return
        before, part[key] = part[key], new(part[key])
        if list_or_number(before) != list_or_number(part[key]):
            self.changed.append(f'{dotted} {shown(before)} -> {shown(part[key])}')


def epochs_of(config: Config, epochs: int) -> int:
    """The number of epochs in a config. Raises a UserError unless it can be replaced by ``epochs``."""
    if epochs < 1:
        raise UserError(f'--epochs {epochs}: need at least 1')
    loop = config.get('train_cfg') or {}
    old = loop.get('max_epochs')
    if isinstance(old, int) and old > 0:
        return old
    if is_resumable(config) and loop.get('max_iters'):
        raise UserError(f'--epochs: this config counts iterations; give --cfg-options train_cfg.max_iters=N, which is '
                        f'{loop["max_iters"]}, and its schedule with it')
    raise UserError(f'--epochs: the config has no number of epochs to scale from (train_cfg.max_epochs={old!r})')


def list_or_number(value: Any) -> Any:
    """A list for a list or tuple, for comparisons."""
    return list(value) if isinstance(value, (list, tuple)) else value


def shown(value: Any) -> str:
    """A number or list of numbers as text."""
    return '[' + ', '.join(map(str, value)) + ']' if isinstance(value, (list, tuple)) else f'{value:g}'
