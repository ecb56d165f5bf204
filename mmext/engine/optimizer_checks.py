"""Whether an optimiser can compute with its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.optim import Optimizer

from mmext.errors import UserError

FACTORS = ('momentum', 'dampening', 'betas', 'alpha', 'rho')  # of averages; above 1 these grow without end
LARGEST = 1e30  # torch multiplies and divides numbers before it gives them to float32, which ends at 3.4e38
ABOVE_0 = ('eps', 'weight_decay', 'lr_decay', 'initial_accumulator_value')


def optim_wrapper_of(runner: Runner) -> OptimWrapper:
    """A runner's optimiser, which its config describes until ``build_training`` builds it."""
    return cast(OptimWrapper, runner.optim_wrapper)


def optim_wrappers(runner: Runner) -> list[OptimWrapper]:
    """A runner's optimisers in their wrappers, of which it mostly has one."""
    wrapper = optim_wrapper_of(runner)
    return [part for _, part in wrapper.items()] if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def require_numbers(config: object) -> None:
    """Raises a UserError where a number of an optimiser's config is something else.

    Args:
        config: of an ``optim_wrapper``; one of several optimisers is left to mmengine.
    """
    optimizer = config.get('optimizer') if isinstance(config, Mapping) else None
    for key, value in optimizer.items() if isinstance(optimizer, Mapping) else ():
        pair = key == 'betas'
        numbers = value if pair and isinstance(value, (list, tuple)) else (value, )
        if key in (*FACTORS, *ABOVE_0, 'lr') and not (
                len(numbers) == (2 if pair else 1) and all(type(number) in (int, float) for number in numbers)):
            raise UserError(f'optim_wrapper.optimizer.{key}={value!r}: need {"two numbers" if pair else "a number"}')


def require_usable_groups(optimizer: Optimizer, begin: str = '') -> None:
    """Raises a UserError where a number of an optimiser is not finite, or more than its parameters' type can hold.

    torch fails at such a number in the middle of a step, or goes on with weights that are not finite.

    Args:
        optimizer: whose learning rates a schedule may have changed.
        begin: of the message.
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
                    raise UserError(f'{begin}{name_of(key)} is {number:g}, which {fault(number, largest)}; see '
                                    f'{place_of(key)}')
                if key in FACTORS and not 0 <= number <= 1:
                    raise UserError(f'{begin}optim_wrapper.optimizer.{key} is {value}; need numbers from 0 to 1')
                if key in ABOVE_0 and number < 0:
                    raise UserError(f'{begin}optim_wrapper.optimizer.{key} is {value}; need a number from 0')


def name_of(key: str) -> str:
    return {'lr': 'the learning rate', 'initial_lr': 'the learning rate'}.get(key, f'optim_wrapper.optimizer.{key}')


def fault(number: float, largest: float) -> str:
    if not math.isfinite(number):
        return 'is not finite'
    return f"is more than the weights' type can be multiplied with ({largest:.4g})"


def place_of(key: str) -> str:
    if key not in ('lr', 'initial_lr'):
        return 'optim_wrapper.optimizer'
    return 'optim_wrapper.optimizer.lr, auto_scale_lr and the param_scheduler'
