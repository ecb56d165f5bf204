"""The flags of training."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from mmext.compat import installed
from mmext.config_tree import add_hook
from mmext.engine.flags.flag import Flag, apply_flags, flag, with_defaults
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

PRECISIONS = ('auto', 'fp16', 'bf16')
COMPILE_MODES = ('default', 'reduce-overhead', 'max-autotune')  # of torch.compile

RESUME = Flag(
    '--resume', dict(nargs='?', const='auto', metavar='CKPT',
                     help='go on from a checkpoint; without a path, from the newest one in the work dir that can be '
                     'read, or from the beginning where there is none'),
    shown='--resume [CKPT]',
    docs='goes on from a checkpoint, by default the newest one in the work dir that can be read; bit for bit as if '
    'never interrupted, in the middle of an epoch too. In a work dir without checkpoints it starts from the beginning. '
    'Refused where the learning rate, the schedule, the batch, the seed or the number of processes is not what it was')
RESUME_ANYWAY = Flag(
    '--resume-anyway', dict(
        action='store_true', help='go on though the learning rate, the schedule, the optimizer, the batch, the seed or '
        'the number of processes is not what it was; the first three stay what they were'),
    docs='goes on all the same, see [reliability.md](reliability.md)')
OVERWRITE = Flag(
    '--overwrite', dict(action='store_true', help='delete the checkpoints of an earlier training in the work dir, and '
                        'start anew'),
    docs='a work dir that holds checkpoints is refused without `--resume`; this deletes them, and starts anew')


@flag('--save-every', metavar='WHEN',
      help='also write a checkpoint every so many iterations (500 or 500it), or so often (10min, 2h, 90s); the newest '
      'of these is kept',
      docs='also writes a checkpoint every `500it` (iterations), `10min` or `2h`; the newest of these is kept')
def save_every(config: Config, every: str, given: argparse.Namespace) -> None:
    """Writes a checkpoint every so many iterations, or so often, beside those that the config asks for.

    Raises:
        UserError: it is none of these, or the config's loop can't be resumed in the middle, or writes no checkpoints.
    """
    from mmext.engine.resume.interrupts import parse_interval
    from mmext.engine.resume.loops import is_resumable

    parse_interval(every)
    if not is_resumable(config):
        raise UserError(f'--save-every: the loop {(config.get("train_cfg") or {}).get("type")} is not one that can go '
                        'on in the middle; need EpochBasedTrainLoop or IterBasedTrainLoop')
    if not (config.get('default_hooks') or {}).get('checkpoint'):
        raise UserError('--save-every: the config writes no checkpoints (default_hooks.checkpoint)')
    config.train_cfg.save_every = every


@flag('--seed', type=int, metavar='N', help='of everything random; drawn and logged if not given',
      docs='the same run again; outputs go to `..._seed<N>`')
def seed(config: Config, value: int, given: argparse.Namespace) -> None:
    """Of everything random. UserError for a seed that numpy's generator does not take."""
    if not 0 <= value < 2**32:
        raise UserError(f'--seed {value}: need a number from 0 to {2**32 - 1}')
    config.setdefault('randomness', dict(seed=None))
    config.randomness.seed = value


@flag('--deterministic', action='store_true', help='only deterministic algorithms; slower on a GPU',
      docs='with `--seed`, the same bits again: only deterministic algorithms')
def deterministic(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Only deterministic algorithms."""
    config.setdefault('randomness', dict(seed=None))
    config.randomness.deterministic = True


@flag('--auto-scale-lr', action='store_true',
      help="scale the learning rate, which is for the paper's batch, to the batch that's used: of a process, times "
      'processes, times N of --accumulate',
      docs="the learning rate is for the paper's batch (SSD300's: 256 images an update); scale it to what is really "
      'used: batch x processes x `--accumulate`')
def auto_scale_lr(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Scales the learning rate by the batch of an update over the one that the config's learning rate is for.

    The batch of an update is that of a process times processes times ``--accumulate`` (``run.scale_for_accumulation``).

    Raises:
        UserError: the config does not say which batch its learning rate is for.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size')
    config.auto_scale_lr.enable = True


@flag('--compile', nargs='?', const='default', choices=COMPILE_MODES, metavar='MODE', shown='--compile [MODE]',
      help='torch.compile of backbone, neck and dense head: ' + ', '.join(COMPILE_MODES),
      docs="`torch.compile` of backbone, neck and dense head, once before the first step and once before the first "
      "validation. mmengine's own `compile=True` takes the losses too, and compiles anew where an image has another "
      'number of objects')
def compile_mode(config: Config, mode: str, given: argparse.Namespace) -> None:
    """See ``mmext.CompileHook``."""
    add_hook(config, dict(type='mmext.CompileHook', mode=mode))


@flag('--accumulate', type=int, metavar='N',
      help='one update from the gradients of N batches, as if they were one batch',
      docs='one update from the mean gradient of N batches')
def accumulate(config: Config, count: int, given: argparse.Namespace) -> None:
    """One update from the mean gradient of ``count`` batches.

    Equal to a batch ``count`` times as large where a loss is a mean over samples and no layer has batch statistics.
    ``mmext.AccumulationHook`` ends the counting with each epoch. What a schedule counts in iterations (a warm-up's 500)
    still counts batches, so that it takes ``count`` times fewer updates; ``FiniteLossHook`` looks at each batch's loss.

    Raises:
        UserError: not a positive number.
    """
    if count < 1:
        raise UserError(f'--accumulate {count}: need 1 batch an update or more')
    config.optim_wrapper.accumulative_counts = count
    add_hook(config, dict(type='mmext.AccumulationHook'))


@flag('--clip-grad', type=float, metavar='NORM', help='scale gradients down to this norm',
      docs='scale gradients down to this norm; it is logged as `grad_norm`')
def clip_grad(config: Config, max_norm: float, given: argparse.Namespace) -> None:
    """Gradients, all in one vector, are scaled down to this norm if theirs is larger; ``grad_norm`` is logged.

    Raises:
        UserError: not a positive number.
    """
    if not (max_norm > 0 and math.isfinite(max_norm)):
        raise UserError(f'--clip-grad {max_norm}: need a norm above 0')
    config.optim_wrapper.clip_grad = dict(max_norm=max_norm)


@flag('--amp', nargs='?', const='auto', choices=PRECISIONS, shown='--amp [auto|fp16|bf16]',
      help="mixed precision: fp16 with a scaled loss (needs a GPU), bf16 without (on a GPU or a processor), or 'auto', "
      'the default: fp16 on a GPU, bf16 on a processor that is fast in it',
      docs='mixed precision: fp16 with a scaled loss (needs a GPU), or bf16 without, on a GPU or a processor; `auto`, '
      'the default, is fp16 on a GPU, bf16 on a processor with instructions for it, and fp32 on others')
def amp(config: Config, precision: str, given: argparse.Namespace) -> None:
    """See ``precision.set_precision``."""
    from mmext.engine.precision import set_precision

    set_precision(config, precision)


@flag('--ema', nargs='?', type=float, const=2e-4, metavar='MOMENTUM', shown='--ema [MOMENTUM]',
      help='validate, and keep for testing, the moving average of the weights; MOMENTUM is the weight of the newest '
      '(default %(const)s, an average over about 5000 updates)',
      docs='validate, and keep for testing, the moving average of the weights (momentum 2e-4 by default)')
def ema(config: Config, momentum: float, given: argparse.Namespace) -> None:
    """Keeps an exponential moving average of weights and buffers, which is what is validated, and tested afterwards.

    average = (1 - momentum) * average + momentum * weights, at each update, see ``mmext.EMAHook``. A checkpoint's
    ``state_dict`` holds the average, its ``ema_state_dict`` the weights that the optimiser works on. mmengine's default
    momentum is 2e-4, as is timm's (a decay of 0.9998); buffers are averaged as timm and mmdet's RTMDet do.

    Raises:
        UserError: a momentum outside of 0 to 1, or a config that averages already.
    """
    if not 0 < momentum < 1:
        raise UserError(f'--ema {momentum}: need a momentum between 0 and 1, the weight of the newest values')
    if averages(config):
        raise UserError('--ema: the config has an EMAHook already; change that with --cfg-options')
    add_hook(config, dict(type='mmext.EMAHook', momentum=momentum, update_buffers=True))


@flag('--sync-bn', action='store_true', help='batch norms share statistics over all processes',
      docs='batch norms share statistics over all processes (needs GPUs)')
def sync_bn(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Batch norms of all processes share their statistics; in a single process they stay what they are.

    Raises:
        UserError: several processes without a GPU: torch's SyncBatchNorm trains on GPUs alone.
    """
    import torch

    if given.launcher != 'none' and not torch.cuda.is_available():
        raise UserError("--sync-bn: torch's SyncBatchNorm trains on GPUs alone, and torch sees none; leave it out")
    config.sync_bn = 'torch'


@flag('--tensorboard', action='store_true', help='write what is logged to TensorBoard too',
      docs="TensorBoard's event files beside the logs: `tensorboard --logdir work_dirs`")
def tensorboard(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Writes every logged scalar to TensorBoard's event file too, beside ``scalars.json``.

    Raises:
        UserError: tensorboard is not installed.
    """
    if not installed('tensorboard'):
        raise UserError('--tensorboard: tensorboard is not installed; pip install tensorboard')
    if not config.get('visualizer'):
        config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    backends = list(config.visualizer.get('vis_backends') or [])
    if not any(backend['type'].endswith('TensorboardVisBackend') for backend in backends):
        config.visualizer.vis_backends = [*backends, dict(type='TensorboardVisBackend')]


TRAINING = (RESUME, RESUME_ANYWAY, save_every, OVERWRITE, seed, deterministic, auto_scale_lr, amp, compile_mode,
            accumulate, clip_grad, ema, sync_bn, tensorboard)
FLAGS = (*SHARED, *TRAINING)


def apply_training_flags(config: Config, **values: object) -> None:
    """Applies flags of training to a config, without a command line.

    Args:
        config: changed in place.
        values: of flags, as ``--save-every 10min`` gives ``save_every='10min'``; ``--compile`` gives ``compile``.

    Raises:
        UserError: a flag that can't work with this machine, launcher or config, or a number out of its range.
    """
    apply_flags(TRAINING, config, with_defaults(FLAGS, values))


def averages(config: Config) -> bool:
    """Whether a training of this config keeps an average of the weights."""
    hooks = [*(config.get('custom_hooks') or []), *(config.get('default_hooks') or {}).values()]
    return any(str(hook['type']).endswith('EMAHook') for hook in hooks if hook)


def require_average(config: Config, checkpoint: dict, path: str) -> None:
    """Raises a UserError where a training with EMA is to go on without it, from weights that it never had."""
    if 'ema_state_dict' in checkpoint and not averages(config):
        raise UserError(f'{path}: comes from a training with --ema, and holds averaged weights; give --ema again')
