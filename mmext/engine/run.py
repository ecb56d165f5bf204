"""Training and testing of a config: what is checked before, the run itself, what is told after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from mmext.backbones.weights import fitting_weights, require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.engine.batch import tell_batch
from mmext.engine.config import datasets_of
from mmext.engine.data_checks import require_test_data, require_training_data
from mmext.engine.hooks.unreadable import TEST_LOG, TRAIN_LOG
from mmext.engine.launch import prepare_processes
from mmext.engine.options import arguments, find_component
from mmext.engine.training import require_average, scale_for_accumulation
from mmext.engine.wrapper import bare
from mmext.errors import UserError
from mmext.files import require_writable


def set_up(config: Config, work_dir: str | None, default_name: str, launcher: str = 'none') -> None:
    """What training and testing have in common: work dir and launcher.

    Args:
        config: changed in place.
        work_dir: made if it is not there; ``work_dirs/<default_name>`` if None and the config names none.
        default_name: see ``work_dir``.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm'; see ``launch.prepare_processes``.

    Raises:
        UserError: the work dir can't be written, or the process was not started by that launcher.
    """
    config.work_dir = work_dir or config.get('work_dir') or os.path.join('work_dirs', default_name)
    prepare_processes(config, launcher)
    require_writable(config.work_dir)


def note_unreadable(config: Config, loader: str, log_name: str, on_error: str | None = None) -> None:
    """Has a loader note its unreadable files in the work dir and, if that is given, deal with them as ``on_error``."""
    scope = config.get('default_scope')
    for step in (step for dataset in datasets_of(config, loader) for step in dataset['pipeline']):
        if takes(step, 'log_file', scope):
            step['on_error'] = on_error or step.get('on_error', 'raise')
            step['log_file'] = os.path.join(config.work_dir, log_name)


def takes(part: dict, argument: str, scope: str | None) -> bool:
    """Whether a component of ours has an argument."""
    return part['type'].startswith('mmext.') and argument in arguments(find_component(part['type'], scope))


def train(config: Config, *, resume: str | None = None) -> Runner:
    """Trains a config that ``set_up`` prepared.

    Args:
        config: the whole config.
        resume: None, a checkpoint, or 'auto' for the last one in the work dir.

    Raises:
        UserError: the checkpoint can't be resumed from, the data can't be used, or the loss turns NaN.
    """
    if resume:
        config.resume = True
        config.load_from = latest_checkpoint(config.work_dir) if resume == 'auto' else resume
        checkpoint = read_checkpoint(config.load_from)
        absent = [key for key in ('meta', 'state_dict', 'message_hub', 'optimizer') if key not in checkpoint]
        if absent:
            raise UserError(f'{config.load_from}: no checkpoint of a training ({absent[0]!r} is missing); to start '
                            'from its weights use --cfg-options load_from=FILE')
        require_average(config, checkpoint, config.load_from)
    else:
        Path(config.work_dir, TRAIN_LOG).unlink(missing_ok=True)
    note_unreadable(config, 'train_dataloader', TRAIN_LOG)
    note_unreadable(config, 'val_dataloader', TRAIN_LOG, 'blank')  # one such file does not end a training
    runner = Runner.from_cfg(config)
    require_training_data(runner, bare(runner.model))
    if resume:
        require_match(bare(runner.model), weights_of(checkpoint), config.load_from)
        del checkpoint
    elif config.get('load_from'):
        require_some(bare(runner.model), config.load_from)
    tell_batch(runner)
    scale_for_accumulation(runner)
    runner.train()
    return runner


def require_some(model: torch.nn.Module, path: str) -> None:
    """Raises a UserError where a checkpoint to start from has nothing of the model; its head may be another's."""
    weights = weights_of(read_checkpoint(path))
    if not fitting_weights(model.state_dict(), weights):
        require_match(model, weights, path, ' (for a backbone alone: model.backbone.init_cfg)')


def test(config: Config, checkpoint: str, *, skip_unreadable: bool = False,
         hooks: Sequence[Hook] = ()) -> dict[str, float]:
    """Evaluates a checkpoint on the test set of a config that ``set_up`` prepared; returns the metrics.

    Args:
        config: the whole config.
        checkpoint: must hold exactly the model's weights.
        skip_unreadable: put black images or videos in place of unreadable ones instead of failing.
        hooks: beside those of the config.

    Raises:
        UserError: the checkpoint is not this model's, or the data can't be used.
    """
    weights = weights_of(read_checkpoint(checkpoint))
    config.load_from, config.resume = checkpoint, False
    Path(config.work_dir, TEST_LOG).unlink(missing_ok=True)
    note_unreadable(config, 'test_dataloader', TEST_LOG, 'blank' if skip_unreadable else 'raise')
    for dataset in datasets_of(config, 'test_dataloader') if skip_unreadable else []:
        if takes(dataset, 'on_missing', config.get('default_scope')):
            dataset['on_missing'] = 'blank'
    runner = Runner.from_cfg(config)
    require_match(bare(runner.model), weights, checkpoint)
    require_test_data(runner, bare(runner.model))
    for hook in hooks:
        runner.register_hook(hook)
    return runner.test()


def latest_checkpoint(work_dir: str) -> str:
    """The last checkpoint of a work dir. UserError where there is none."""
    found = find_latest_checkpoint(work_dir) if os.path.isfile(os.path.join(work_dir, 'last_checkpoint')) else None
    if not found:
        raise UserError(f'{work_dir}: no checkpoint to resume from; give its path to --resume, or train without it')
    return found
