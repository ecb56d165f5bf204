"""The flags of training."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from mmext.config_tree import add_hook
from mmext.engine.flags.flag import Flag, apply_flags, flag, with_defaults
from mmext.engine.flags.length import early_stop, epochs
from mmext.engine.flags.logs import tensorboard, val_loss, wandb
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

PRECISIONS = ('auto', 'fp16', 'bf16')
COMPILE_MODES = ('default', 'reduce-overhead', 'max-autotune')  # of torch.compile

RESUME = Flag(
    '--resume', dict(nargs='?', const='auto', metavar='CKPT',
                     help='resume from a checkpoint; without a path, from the newest readable one in the work dir, '
                     'or from the beginning if there is none'),
    shown='--resume [CKPT]',
    docs='resumes from a checkpoint, by default the newest readable one in the work dir; the result is bit-identical '
    'to an uninterrupted run, also within an epoch. In a work dir without checkpoints the training starts from the '
    'beginning. Refused if the learning rate, schedule, batch size, seed or number of processes has changed')
RESUME_ANYWAY = Flag(
    '--resume-anyway', dict(
        action='store_true', help='resume even if the learning rate, schedule, optimizer, batch size, seed or number '
        'of processes has changed; the first three keep the values of the checkpoint'),
    docs='resumes in spite of such changes, see [reliability.md](reliability.md)')
OVERWRITE = Flag(
    '--overwrite', dict(action='store_true', help='delete the checkpoints of an earlier training in the work dir, and '
                        'start a new one'),
    docs='a work dir with checkpoints is refused without `--resume`; this flag deletes them and starts a new training')


@flag('--save-every', metavar='WHEN',
      help='also write a checkpoint at this interval: iterations (500 or 500it) or time (10min, 2h, 90s); only the '
      'newest of these is kept',
      docs='also writes a checkpoint every `500it` (iterations), `10min` or `2h`; only the newest of these is kept')
def save_every(config: Config, every: str, given: argparse.Namespace) -> None:
    """Writes checkpoints at an interval of iterations or time, in addition to those of the config.

    Raises:
        UserError: the interval is invalid, the config's loop can't resume within an epoch, or writes no checkpoints.
    """
    from mmext.engine.resume.interrupts import parse_interval
    from mmext.engine.resume.loops import is_resumable

    parse_interval(every)
    if not is_resumable(config):
        raise UserError(f'--save-every: the loop {(config.get("train_cfg") or {}).get("type")} cannot be '
                        'resumed within an epoch; use EpochBasedTrainLoop or IterBasedTrainLoop')
    if not (config.get('default_hooks') or {}).get('checkpoint'):
        raise UserError('--save-every: the config writes no checkpoints (default_hooks.checkpoint)')
    config.train_cfg.save_every = every


@flag('--seed', type=int, metavar='N', help='the seed of all random numbers; drawn and logged if not given',
      docs='the seed of all random numbers, to repeat a run; outputs go to `..._seed<N>`')
def seed(config: Config, value: int, given: argparse.Namespace) -> None:
    """Sets the seed of all random numbers. Raises a UserError for a seed that numpy does not accept."""
    if not 0 <= value < 2**32:
        raise UserError(f'--seed {value}: need a number from 0 to {2**32 - 1}')
    config.setdefault('randomness', dict(seed=None))
    config.randomness.seed = value


@flag('--deterministic', action='store_true', help='use only deterministic algorithms; slower on a GPU',
      docs='uses only deterministic algorithms; with `--seed`, results are bit-identical')
def deterministic(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Makes torch use only deterministic algorithms."""
    config.setdefault('randomness', dict(seed=None))
    config.randomness.deterministic = True


@flag('--auto-scale-lr', action='store_true',
      help="scale the learning rate, which is meant for the paper's batch size, to the actual one: the batch size of a "
      'process, times processes, times N of --accumulate',
      docs="scales the learning rate, which is meant for the paper's batch size (SSD300: 256 images per update), to "
      'the actual one: batch size x processes x `--accumulate`')
def auto_scale_lr(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Scales the learning rate by the batch size of an update divided by the config's ``base_batch_size``.

    The batch size of an update is that of a process times processes times ``--accumulate``, see
    ``batch.scale_for_accumulation``.

    Raises:
        UserError: the config does not state the batch size that its learning rate is meant for.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size')
    config.auto_scale_lr.enable = True


@flag('--compile', nargs='?', const='default', choices=COMPILE_MODES, metavar='MODE', shown='--compile [MODE]',
      help='torch.compile of backbone, neck and dense head: ' + ', '.join(COMPILE_MODES),
      docs="compiles backbone, neck and dense head with `torch.compile`, once before the first step and once before "
      "the first validation; with `reduce-overhead` and `max-autotune`, validations are not compiled. mmengine's own "
      "`compile=True` includes the losses, and recompiles for images with another number of objects")
def compile_mode(config: Config, mode: str, given: argparse.Namespace) -> None:
    """Adds ``mmext.CompileHook``."""
    add_hook(config, dict(type='mmext.CompileHook', mode=mode))


@flag('--accumulate', type=int, metavar='N',
      help='make one update from the mean gradient of N batches, as if they were one batch',
      docs='makes one update from the mean gradient of N batches')
def accumulate(config: Config, count: int, given: argparse.Namespace) -> None:
    """Makes one update from the mean gradient of ``count`` batches.

    This equals a batch ``count`` times as large if the loss is a mean over samples and no layer uses batch statistics.
    ``mmext.AccumulationHook`` keeps the accumulation within an epoch. Schedules in iterations, such as a warm-up of
    500, still count batches, so they take ``count`` times fewer updates. ``FiniteLossHook`` checks each batch's loss.

    Raises:
        UserError: ``count`` is not positive.
    """
    if count < 1:
        raise UserError(f'--accumulate {count}: need at least 1 batch per update')
    config.optim_wrapper.accumulative_counts = count
    add_hook(config, dict(type='mmext.AccumulationHook'))


@flag('--clip-grad', type=float, metavar='NORM', help='clip gradients to this norm',
      docs='clips gradients to this norm; their norm is logged as `grad_norm`')
def clip_grad(config: Config, max_norm: float, given: argparse.Namespace) -> None:
    """Clips the norm of all gradients together, and logs it as ``grad_norm``.

    Raises:
        UserError: ``max_norm`` is not a positive finite number.
    """
    if not (max_norm > 0 and math.isfinite(max_norm)):
        raise UserError(f'--clip-grad {max_norm}: need a norm above 0')
    config.optim_wrapper.clip_grad = dict(max_norm=max_norm)


@flag('--amp', nargs='?', const='auto', choices=PRECISIONS, shown='--amp [auto|fp16|bf16]',
      help="mixed precision: fp16 with loss scaling (needs a GPU), bf16 (on a GPU or a CPU), or 'auto', the default: "
      'fp16 on a GPU, bf16 on a CPU with bf16 instructions',
      docs='mixed precision: fp16 with loss scaling (needs a GPU), or bf16, on a GPU or a CPU; `auto`, the default, is '
      'fp16 on a GPU, bf16 on a CPU with bf16 instructions, and fp32 on other CPUs')
def amp(config: Config, precision: str, given: argparse.Namespace) -> None:
    """Sets up mixed precision, see ``precision.set_precision``."""
    from mmext.engine.precision import set_precision

    set_precision(config, precision)


@flag('--ema', nargs='?', type=float, const=2e-4, metavar='MOMENTUM', shown='--ema [MOMENTUM]',
      help='validate and test the moving average of the weights; MOMENTUM is the share of the newest weights '
      '(default %(const)s, an average over about 5000 updates)',
      docs='validates, and saves for testing, the moving average of the weights (default momentum: 2e-4)')
def ema(config: Config, momentum: float, given: argparse.Namespace) -> None:
    """Computes an exponential moving average of weights and buffers, which is used for validation and testing.

    At each update, average = (1 - momentum) * average + momentum * weights, see ``mmext.EMAHook``. In a checkpoint,
    ``state_dict`` holds the average, and ``ema_state_dict`` the weights that the optimiser updates. The default
    momentum of mmengine is 2e-4, as in timm (a decay of 0.9998); buffers are averaged as in timm and mmdet's RTMDet.

    Raises:
        UserError: a momentum outside of 0 to 1, or a config that uses_ema already.
    """
    if not 0 < momentum < 1:
        raise UserError(f'--ema {momentum}: need a momentum between 0 and 1, the weight of the newest values')
    if uses_ema(config):
        raise UserError('--ema: the config has an EMAHook already; change that with --cfg-options')
    add_hook(config, dict(type='mmext.EMAHook', momentum=momentum, update_buffers=True))


@flag('--sync-bn', action='store_true', help='synchronise batch norm statistics over all processes',
      docs='synchronises batch norm statistics over all processes (needs GPUs)')
def sync_bn(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Synchronises batch norm statistics over all processes; without effect in a single process.

    Raises:
        UserError: there are several processes without a GPU, which torch's SyncBatchNorm needs.
    """
    import torch

    if given.launcher != 'none' and not torch.cuda.is_available():
        raise UserError("--sync-bn: torch's SyncBatchNorm trains only on GPUs, and torch finds none; remove the flag")
    config.sync_bn = 'torch'


TRAINING = (RESUME, RESUME_ANYWAY, save_every, OVERWRITE, seed, deterministic, auto_scale_lr, amp, compile_mode,
            accumulate, clip_grad, ema, sync_bn, epochs, early_stop, val_loss, tensorboard, wandb)
FLAGS = (*SHARED, *TRAINING)


def apply_training_flags(config: Config, **values: object) -> None:
    """Applies flags of training to a config, without a command line.

    Args:
        config: changed in place.
        values: the values of flags; ``--save-every 10min`` is ``save_every='10min'``, ``--compile`` is ``compile``.

    Raises:
        UserError: a flag does not work with this machine, launcher or config, or a number is out of range.
    """
    apply_flags(TRAINING, config, with_defaults(FLAGS, values))


def uses_ema(config: Config) -> bool:
    """Whether a training of this config computes an average of the weights."""
    hooks = [*(config.get('custom_hooks') or []), *(config.get('default_hooks') or {}).values()]
    return any(str(hook['type']).endswith('EMAHook') for hook in hooks if hook)


def require_average(config: Config, checkpoint: dict, path: str) -> None:
    """Raises a UserError if a training with EMA would be resumed without it, from the averaged weights."""
    if 'ema_state_dict' in checkpoint and not uses_ema(config):
        raise UserError(f'{path}: was written by a training with --ema, and has averaged weights; give --ema again')
