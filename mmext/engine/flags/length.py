"""The flags of training that decide how long it lasts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmext.config_tree import add_hook, kind_of
from mmext.engine.flags.flag import flag
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

LEAST_GAIN = 1e-9  # an equal value is no improvement


@flag('--epochs', type=int, metavar='N',
      help='train for N epochs; milestones and other epochs of the schedule are scaled with it, a warm-up in '
      'iterations is not',
      docs='trains for N epochs. Milestones, ends and other epochs of the schedule are scaled with it, and validations '
      'and checkpoints come more often in a shorter training; a warm-up in iterations stays as it is. What '
      '`--cfg-options` sets is taken as given')
def epochs(config: Config, count: int, given: argparse.Namespace) -> None:
    """Scales the schedule to another number of epochs, see ``epochs.Scaling``.

    ``config.epochs`` keeps what was changed, for the summary at the start of the training.

    Raises:
        UserError: the number is not positive, ``--cfg-options`` sets another one, or the config counts iterations.
    """
    from mmext.engine.epochs import Scaling

    options = given.cfg_options or {}
    if 'train_cfg.max_epochs' in options:
        raise UserError('--epochs: --cfg-options train_cfg.max_epochs sets the number of epochs too; remove one of the '
                        'two')
    scaling = Scaling(config, count, options)
    scaling.apply()
    config.epochs = dict(given=count, recipe=scaling.old, changed=scaling.changed)


@flag('--early-stop', type=int, metavar='PATIENCE',
      help='end the training after PATIENCE validations in a row without a new best value of the metric that the best '
      'checkpoint is chosen by',
      docs='ends the training after this number of validations in a row without a new best value of the metric that '
      'chooses the best checkpoint (`coco/AP`, `accuracy/top1`). The count survives an interruption')
def early_stop(config: Config, patience: int, given: argparse.Namespace) -> None:
    """Adds mmengine's ``EarlyStoppingHook`` for the metric of ``default_hooks.checkpoint.save_best``.

    Raises:
        UserError: the patience is not positive, or the config does not validate, names no such metric, or has an
            ``EarlyStoppingHook`` already.
    """
    if patience < 1:
        raise UserError(f'--early-stop {patience}: need at least 1 validation')
    if not config.get('val_cfg'):
        raise UserError('--early-stop: the config has no validation (val_cfg)')
    if any(kind_of(hook) == 'EarlyStoppingHook' for hook in config.get('custom_hooks') or []):
        raise UserError('--early-stop: the config has an EarlyStoppingHook already; change that with --cfg-options')
    checkpoint = (config.get('default_hooks') or {}).get('checkpoint') or {}
    metrics, rules = (list(value) if isinstance(value, (list, tuple)) else [value]
                      for value in (checkpoint.get('save_best'), checkpoint.get('rule')))
    if not metrics or metrics[0] in (None, 'auto'):
        raise UserError('--early-stop: the config names no metric to watch; give --cfg-options '
                        'default_hooks.checkpoint.save_best=METRIC, such as coco/bbox_mAP')
    rule = rules[0] if rules and rules[0] else 'less' if 'loss' in metrics[0] else 'greater'
    add_hook(config, dict(type='EarlyStoppingHook', monitor=metrics[0], rule=rule, patience=patience,
                          min_delta=LEAST_GAIN))
