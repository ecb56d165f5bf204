"""The flags of training that decide what is logged, and where."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmext.compat import installed
from mmext.config_tree import add_hook, kind_of
from mmext.engine.flags.flag import flag
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

@flag('--val-loss', action='store_true',
      help='also log the loss of the validation set, as val_loss',
      docs='also logs the loss of the validation set, as `val_loss` and its parts. It is free for a classifier or '
      'recognizer (the cross entropy of its predictions), and takes a detector one more forward pass of each '
      'validation batch. The weights are the same as without the flag, bit for bit')
def val_loss(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Adds ``mmext.ValLossHook``. Raises a UserError if the config has no validation, or one without annotations."""
    from mmext.task import task_of

    if not config.get('val_cfg'):
        raise UserError('--val-loss: the config has no validation (val_cfg)')
    task_of(config).val_loss(config)
    add_hook(config, dict(type='mmext.ValLossHook'))


@flag('--tensorboard', action='store_true', help='also write the logs for TensorBoard',
      docs='also writes the logs as TensorBoard event files: `tensorboard --logdir work_dirs`')
def tensorboard(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Writes every logged scalar to a TensorBoard event file in addition to ``scalars.json``.

    Raises:
        UserError: tensorboard is not installed.
    """
    if not installed('tensorboard'):
        raise UserError('--tensorboard: tensorboard is not installed; pip install tensorboard')
    add_backend(config, dict(type='TensorboardVisBackend'))


@flag('--wandb', nargs='?', const='mmext', metavar='PROJECT', shown='--wandb [PROJECT]',
      help='also send the logs and the config to Weights & Biases, to this project (default %(const)s); without a '
      'network with WANDB_MODE=offline in the environment',
      docs='also sends the logs and the config to Weights & Biases, to a project that is called `mmext` by default. '
      '`WANDB_MODE=offline` in the environment writes them to the work dir instead, for `wandb sync`. A resumed '
      'training goes on with its run')
def wandb(config: Config, project: str, given: argparse.Namespace) -> None:
    """Sends every logged scalar to Weights & Biases, see ``visualization.WandbVisBackend``.

    Raises:
        UserError: wandb is not installed.
    """
    if not installed('wandb'):
        raise UserError('--wandb: wandb is not installed; pip install wandb')
    add_backend(config, dict(type='mmext.WandbVisBackend', init_kwargs=dict(project=project)))


def add_backend(config: Config, backend: dict) -> None:
    """Adds a place where the visualizer writes what is logged, unless the config has it."""
    if not config.get('visualizer'):
        config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    backends = list(config.visualizer.get('vis_backends') or [])
    if not any(kind_of(one) == kind_of(backend) for one in backends):
        config.visualizer.vis_backends = [*backends, backend]
