"""The training flags of the command line: each is one change of the config, checked before anything starts."""

from __future__ import annotations

import math

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmext.compat import installed
from mmext.engine.config import add_hook
from mmext.engine.precision import set_precision
from mmext.engine.resume.interrupts import parse_interval
from mmext.engine.resume.loops import is_resumable
from mmext.errors import UserError


def apply_training_flags(config: Config, *, launcher: str = 'none', amp: str | None = None, tensorboard: bool = False,
                         sync_bn: bool = False, compile_mode: str | None = None, accumulate: int | None = None,
                         clip_grad: float | None = None, ema: float | None = None, auto_scale_lr: bool = False,
                         seed: int | None = None, deterministic: bool = False,
                         save_every: str | None = None) -> None:
    """Writes the flags of ``tools/train.py`` into a config; what is None or False stays as the config has it.

    Args:
        config: changed in place.
        launcher: 'none', 'pytorch' or 'slurm'.
        amp: see ``set_precision``.
        tensorboard: see ``add_tensorboard``.
        sync_bn: see ``set_sync_bn``.
        compile_mode: see ``mmext.CompileHook``.
        accumulate: see ``set_accumulation``.
        clip_grad: see ``set_clipping``.
        ema: momentum, see ``add_ema``.
        auto_scale_lr: see ``set_auto_scale_lr``.
        seed: of everything random, 0 to 2**32 - 1.
        deterministic: only deterministic algorithms.
        save_every: see ``set_saving``.

    Raises:
        UserError: a flag that can't work with this machine, launcher or config, or a number out of its range.
    """
    if amp is not None:
        set_precision(config, amp)
    if tensorboard:
        add_tensorboard(config)
    if sync_bn:
        set_sync_bn(config, launcher)
    if compile_mode is not None:
        add_hook(config, dict(type='mmext.CompileHook', mode=compile_mode))
    if accumulate is not None:
        set_accumulation(config, accumulate)
    if clip_grad is not None:
        set_clipping(config, clip_grad)
    if ema is not None:
        add_ema(config, ema)
    if auto_scale_lr:
        set_auto_scale_lr(config)
    set_randomness(config, seed, deterministic)
    if save_every is not None:
        set_saving(config, save_every)


def add_tensorboard(config: Config) -> None:
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


def set_sync_bn(config: Config, launcher: str) -> None:
    """Batch norms of all processes share their statistics; in a single process they stay what they are.

    Raises:
        UserError: several processes without a GPU: torch's SyncBatchNorm trains on GPUs alone.
    """
    if launcher != 'none' and not torch.cuda.is_available():
        raise UserError("--sync-bn: torch's SyncBatchNorm trains on GPUs alone, and torch sees none; leave it out")
    config.sync_bn = 'torch'


def set_accumulation(config: Config, count: int) -> None:
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


def set_clipping(config: Config, max_norm: float) -> None:
    """Gradients, all in one vector, are scaled down to this norm if theirs is larger; ``grad_norm`` is logged.

    Raises:
        UserError: not a positive number.
    """
    if not (max_norm > 0 and math.isfinite(max_norm)):
        raise UserError(f'--clip-grad {max_norm}: need a norm above 0')
    config.optim_wrapper.clip_grad = dict(max_norm=max_norm)


def add_ema(config: Config, momentum: float) -> None:
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


def averages(config: Config) -> bool:
    """Whether a training of this config keeps an average of the weights."""
    hooks = [*(config.get('custom_hooks') or []), *(config.get('default_hooks') or {}).values()]
    return any(str(hook['type']).endswith('EMAHook') for hook in hooks if hook)


def set_auto_scale_lr(config: Config) -> None:
    """Scales the learning rate by the batch of an update over the one that the config's learning rate is for.

    The batch of an update is that of a process times processes times ``--accumulate`` (``scale_for_accumulation``).

    Raises:
        UserError: the config does not say which batch its learning rate is for.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size')
    config.auto_scale_lr.enable = True


def scale_for_accumulation(runner: Runner) -> None:
    """Has mmengine's scaling of the learning rate, which knows of processes alone, count accumulated batches too."""
    count = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if count > 1 and (runner.auto_scale_lr or {}).get('enable'):
        base = runner.auto_scale_lr['base_batch_size']
        runner.logger.info(f'The learning rate is for {base} samples an update, hence for {base / count:g} in each of '
                           f'its {count} batches.')
        runner.auto_scale_lr = dict(runner.auto_scale_lr, base_batch_size=base / count)


def set_saving(config: Config, every: str) -> None:
    """Writes a checkpoint every so many iterations, or so often, beside those that the config asks for.

    Args:
        config: changed in place.
        every: '500' or '500it'; '90s', '10min' or '2h'.

    Raises:
        UserError: it is none of these, or the config's loop can't be resumed in the middle, or writes no checkpoints.
    """
    parse_interval(every)
    if not is_resumable(config):
        raise UserError(f'--save-every: the loop {(config.get("train_cfg") or {}).get("type")} is not one that can go '
                        'on in the middle; need EpochBasedTrainLoop or IterBasedTrainLoop')
    if not (config.get('default_hooks') or {}).get('checkpoint'):
        raise UserError('--save-every: the config writes no checkpoints (default_hooks.checkpoint)')
    config.train_cfg.save_every = every


def require_average(config: Config, checkpoint: dict, path: str) -> None:
    """Raises a UserError where a training with EMA is to go on without it, from weights that it never had."""
    if 'ema_state_dict' in checkpoint and not averages(config):
        raise UserError(f'{path}: comes from a training with --ema, and holds averaged weights; give --ema again')


def set_randomness(config: Config, seed: int | None, deterministic: bool) -> None:
    """``--seed`` and ``--deterministic``. UserError for a seed that numpy's generator does not take."""
    config.setdefault('randomness', dict(seed=None))
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise UserError(f'--seed {seed}: need a number from 0 to {2**32 - 1}')
        config.randomness.seed = seed
    if deterministic:
        config.randomness.deterministic = True
