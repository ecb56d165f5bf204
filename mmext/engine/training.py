"""The training flags of the command line."""

from __future__ import annotations

import torch
from mmengine.config import Config

from mmext.errors import UserError


def apply_training_flags(config: Config, *, amp: bool, auto_scale_lr: bool, seed: int | None,
                         deterministic: bool) -> None:
    """Writes ``--amp --auto-scale-lr --seed --deterministic`` into a config.

    Raises:
        UserError: mixed precision without a GPU, a config that does not say which batch its learning rate is for, or a
            seed that numpy's generator does not take.
    """
    if amp:
        if not torch.cuda.is_available():
            raise UserError('--amp: mixed precision needs a GPU, and torch sees none')
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size')
        config.auto_scale_lr.enable = True
    config.setdefault('randomness', {})
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise UserError(f'--seed {seed}: need a number from 0 to {2**32 - 1}')
        config.randomness.seed = seed
    if deterministic:
        config.randomness.deterministic = True
