"""Checks that the hyperparameters of an optimiser are usable numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.optim import Optimizer

from mmext.errors import UserError

FACTORS = ('momentum', 'dampening', 'betas', 'alpha', 'rho')  # of moving averages, which diverge above 1
LARGEST = 1e30  # below the maximum of float32, 3.4e38, because torch multiplies and divides values first
ABOVE_0 = ('eps', 'weight_decay', 'lr_decay', 'initial_accumulator_value')


def optim_wrapper_of(runner: Runner) -> OptimWrapper:
    """The optimiser wrapper of a runner, after ``build_training`` has built it."""
    return cast(OptimWrapper, runner.optim_wrapper)


def optim_wrappers(runner: Runner) -> list[OptimWrapper]:
    """The optimiser wrappers of a runner; usually one."""
    wrapper = optim_wrapper_of(runner)
    return [part for _, part in wrapper.items()] if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def require_numbers(config: object) -> None:
    """Raises a UserError if a hyperparameter in an optimiser's config is not a number.

    Args:
        config: the config of an ``optim_wrapper``. Configs of several optimisers are not checked.
    """
    optimizer = config.get('optimizer') if isinstance(config, Mapping) else None
    for key, value in optimizer.items() if isinstance(optimizer, Mapping) else ():
        pair = key == 'betas'
        numbers = value if pair and isinstance(value, (list, tuple)) else (value, )
        if key in (*FACTORS, *ABOVE_0, 'lr') and not (
                len(numbers) == (2 if pair else 1) and all(type(number) in (int, float) for number in numbers)):
            raise UserError(f'optim_wrapper.optimizer.{key}={value!r}: need {"two numbers" if pair else "a number"}')


def require_usable_groups(optimizer: Optimizer, begin: str = '') -> None:
    """Raises a UserError if a hyperparameter is not finite, too large for the parameters' dtype, or out of its range.

    With such a number, torch fails in the middle of a step or continues with weights that are not finite.

    Args:
        optimizer: the optimiser; a schedule may have changed its learning rates.
        begin: the beginning of the message.
    """
    for group in optimizer.param_groups:
        largest = min([LARGEST, *(torch.finfo(value.dtype).max for value in group['params'])])
        for key, value in group.items():
            if key == 'params':
                continue
            for number in value if isinstance(value, (list, tuple)) else (value, ):
                if type(number) not in (int, float):
                    continue
                if not abs(number) <= largest:  # NaN too
                    raise UserError(f'{begin}{name_of(key)} is {number:g}, which {fault(number, largest)}; check '
                                    f'{setting_of(key)}')
                if key in FACTORS and not 0 <= number <= 1:
                    raise UserError(f'{begin}optim_wrapper.optimizer.{key} is {value}; need numbers from 0 to 1')
                if key in ABOVE_0 and number < 0:
                    raise UserError(f'{begin}optim_wrapper.optimizer.{key} is {value}; need a number from 0')


def name_of(key: str) -> str:
    """The name of a hyperparameter in messages."""
    return {'lr': 'the learning rate', 'initial_lr': 'the learning rate'}.get(key, f'optim_wrapper.optimizer.{key}')


def fault(number: float, largest: float) -> str:
    """What is wrong with a number that is not finite or larger than ``largest``."""
    if not math.isfinite(number):
        return 'is not finite'
    return f"is too large for the weights' type, whose limit is {largest:.4g}"


def setting_of(key: str) -> str:
    """The config keys that determine a hyperparameter."""
    if key not in ('lr', 'initial_lr'):
        return 'optim_wrapper.optimizer'
    return 'optim_wrapper.optimizer.lr, auto_scale_lr and the param_scheduler'
