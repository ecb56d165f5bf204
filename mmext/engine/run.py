"""Training and testing of a config: the checks before a run, and the run itself."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmext.backbones.trained import AS_IN_TRAINING
from mmext.backbones.weights import fitting_weights, require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.components import accepts
from mmext.config_tree import datasets_of
from mmext.data.once import forget
from mmext.engine.batch import log_batch_size, scale_for_accumulation
from mmext.engine.build import build_runner, build_testing, build_training, explained_build_errors
from mmext.engine.data_checks import require_test_data, require_training_data
from mmext.engine.gpu import prepare_gpu
from mmext.engine.hooks.history import HistoryHook
from mmext.engine.hooks.unreadable import TEST_LOG, TRAIN_LOG, log_unreadable, set_on_error
from mmext.engine.kept_config import keep_config
from mmext.engine.launch import prepare_processes
from mmext.engine.resume.interrupts import Signals
from mmext.engine.resume.position import ResumableLoop
from mmext.engine.resume_point import ResumePoint
from mmext.engine.summary import log_summary
from mmext.engine.visualization import continue_wandb_run
from mmext.engine.work_dir import (
    checkpoint_folder,
    checkpoint_to_resume,
    delete_checkpoints,
    locked_folder,
    remove_unfinished_files,
    require_unused,
)
from mmext.engine.wrapper import unwrap_model
from mmext.errors import DiskFull, UserError
from mmext.files import disk_full_told, is_disk_full, require_writable


def set_up(config: Config, work_dir: str | None, default_name: str, launcher: str = 'none') -> None:
    """Sets up the work dir, the launcher and the GPU, for training or testing.

    Args:
        config: changed in place.
        work_dir: created if it does not exist; if None, the config's or else ``work_dirs/<default_name>``.
        default_name: see ``work_dir``.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm'; see ``launch.prepare_processes``.

    Raises:
        UserError: the work dir is not writable, or the process was not started by that launcher.
    """
    config.work_dir = work_dir or config.get('work_dir') or os.path.join('work_dirs', default_name)
    prepare_processes(config, launcher)
    prepare_gpu(config)
    require_writable(config.work_dir)


def train(config: Config, *, resume: str | None = None, overwrite: bool = False,
          resume_anyway: bool = False) -> Runner | None:
    """Trains a config that ``set_up`` has prepared.

    SIGTERM, SIGINT and SIGUSR1 stop the training after the current iteration, with a checkpoint.

    Args:
        config: the whole config.
        resume: None, a checkpoint, or 'auto' for the newest one in the work dir, if there is one.
        overwrite: delete the checkpoints of an earlier training in the work dir.
        resume_anyway: also resume from a checkpoint with other settings, and use the checkpoint's.

    Returns:
        The runner; None if the training to resume is already finished.

    Raises:
        UserError: another training uses or has used the work dir, the checkpoint can't be resumed from or has other
            settings, the data can't be used, or a loss or weight is not finite.
        Interrupted: the training was stopped by a signal.
    """
    with Signals(config.get('launcher', 'none') != 'none') as signals, disk_full_told(config.work_dir), \
            failing_on_log_errors(), locked_folder(config.work_dir) if is_first(config) else nullcontext():
        folder = checkpoint_folder(config)
        if is_first(config):
            for place in {config.work_dir, folder}:
                remove_unfinished_files(place)
        load_from = initial_checkpoint(config)
        choose_checkpoint(config, folder, resume, overwrite)
        saved = None
        if config.get('resume'):
            saved = ResumePoint(config, resume_anyway)
            if saved.finished and not resume_anyway:
                if is_first(config):
                    print_log(f'{config.load_from}: {saved.finished}; nothing is trained', 'current')
                return None
        return run_training(config, folder, saved, overwrite and not config.resume, signals, load_from)


def is_first(config: Config) -> bool:
    """Whether this is the main process of a run; works before the process group is initialised."""
    return config.get('launcher', 'none') == 'none' or os.environ['RANK'] == '0'


def choose_checkpoint(config: Config, folder: str, resume: str | None, overwrite: bool) -> None:
    """Sets ``load_from`` and ``resume`` in the config from ``--resume`` or from the config's own ``resume``."""
    if not resume and config.get('resume'):
        resume = config.get('load_from') or 'auto'
    if resume == 'auto':
        config.resume = False
        found = checkpoint_to_resume(folder)
        if found:
            config.resume, config.load_from = True, found
    elif resume:
        config.resume, config.load_from = True, str(resume)
    elif not overwrite:
        require_unused(folder)


def initial_checkpoint(config: Config) -> str | None:
    """The checkpoint of initial weights that a config names; None if it names none, or one to resume from."""
    return None if config.get('resume') else config.get('load_from')


def run_training(config: Config, folder: str, saved: ResumePoint | None, start_anew: bool, signals: Signals,
                 load_from: str | None) -> Runner:
    """Trains in a work dir that this run has locked; see ``train``."""
    if saved is None and is_first(config):
        Path(config.work_dir, TRAIN_LOG).unlink(missing_ok=True)
    set_on_error(config, 'val_dataloader', 'blank')  # one such file does not stop a training
    continue_wandb_run(config)
    runner = build_runner(config)
    keep_config(config, load_from)
    require_same_start(config)
    with explained_build_errors(config):
        require_training_data(runner, unwrap_model(runner.model))
    build_training(runner)
    for loader in (runner.train_dataloader, *([runner.val_dataloader] if runner._val_loop is not None else [])):
        log_unreadable(loader, Path(config.work_dir, TRAIN_LOG))
    if saved:
        saved.apply_to(runner)
    elif config.get('load_from'):
        require_any_weights(unwrap_model(runner.model), config.load_from)
    runner.register_hook(HistoryHook())
    log_summary(runner)
    log_batch_size(runner)
    if start_anew and is_first(config):
        delete_checkpoints(folder, config.work_dir)
    scale_for_accumulation(runner)
    if isinstance(runner.train_loop, ResumableLoop):
        runner.train_loop.signals = signals
    forget()
    runner.train()
    return runner


def require_same_start(config: Config) -> None:
    """Raises a UserError if the processes of a run start from different checkpoints, each on its own disk."""
    own = os.path.basename(str(config.load_from)) if config.get('resume') else None
    for rank, other in enumerate(all_gather_object(own)):
        if other != own:
            raise UserError(f'{config.work_dir}: this process starts from {own or "no checkpoint"}, and process {rank} '
                            f'from {other or "none"}; the work dir must be on a disk that all processes share')


@contextmanager
def failing_on_log_errors() -> Iterator[None]:
    """Makes a full disk under a log file stop the run; by default, logging prints a traceback for each line."""
    logging.FileHandler.handleError = handle_log_error
    try:
        yield
    finally:
        del logging.FileHandler.handleError  # the inherited method becomes visible again


def handle_log_error(self: logging.FileHandler, record: logging.LogRecord) -> None:
    """Replaces ``FileHandler.handleError``; raises ``DiskFull`` if the disk is full."""
    error = sys.exc_info()[1]
    if is_disk_full(error):
        raise DiskFull(self.baseFilename) from None
    logging.Handler.handleError(self, record)


def require_any_weights(model: torch.nn.Module, path: str) -> None:
    """Raises a UserError if an initial checkpoint has no weight that fits the model; its head may differ."""
    weights = weights_of(read_checkpoint(path))
    if not fitting_weights(model.state_dict(), weights):
        require_match(model, weights, path, ' (for a backbone alone: model.backbone.init_cfg)')


def test(config: Config, checkpoint: str, *, skip_unreadable: bool = False,
         hooks: Sequence[Hook | dict] = (), results_file: str | None = None) -> dict[str, float]:
    """Evaluates a checkpoint on the test set of a config that ``set_up`` has prepared.

    Args:
        config: the whole config.
        checkpoint: a file with exactly the weights of the model.
        skip_unreadable: replace unreadable images or videos by black ones instead of failing.
        hooks: hooks, or their configs, in addition to those of the config.
        results_file: the file for detections or scores, see ``Task.results_file``; None for none.

    Returns:
        The metrics by name.

    Raises:
        UserError: the checkpoint does not fit the model, or the data can't be used.
    """
    with disk_full_told(config.work_dir), failing_on_log_errors():
        return run_test(config, checkpoint, skip_unreadable, hooks, results_file)


def run_test(config: Config, checkpoint: str, skip_unreadable: bool, hooks: Sequence[Hook | dict],
             results_file: str | None) -> dict[str, float]:
    """See ``test``."""
    runner = prepare_test(config, checkpoint, skip_unreadable)
    for hook in hooks:
        runner.register_hook(hook)
    if results_file:
        loop: Any = runner.test_loop
        next(metric for metric in loop.evaluator.metrics if hasattr(metric, 'results_file')).results_file = results_file
    forget()
    return runner.test()


def prepare_test(config: Config, checkpoint: str, skip_unreadable: bool = False) -> Runner:
    """Builds the runner of a test with its test loop, and checks that model, weights and data fit; see ``test``."""
    weights = weights_of(read_checkpoint(checkpoint))
    load_from = initial_checkpoint(config)
    config.load_from, config.resume = checkpoint, False
    Path(config.work_dir, TEST_LOG).unlink(missing_ok=True)
    set_on_error(config, 'test_dataloader', 'blank' if skip_unreadable else 'raise')
    for dataset in datasets_of(config, 'test_dataloader') if skip_unreadable else []:
        if accepts(dataset, 'on_missing', config.get('default_scope')):
            dataset['on_missing'] = 'blank'
    runner = build_runner(config)
    keep_config(config, load_from)
    require_match(unwrap_model(runner.model), weights, checkpoint, AS_IN_TRAINING)
    with explained_build_errors(config):
        require_test_data(runner, unwrap_model(runner.model))
    build_testing(runner)
    log_unreadable(runner.test_dataloader, Path(config.work_dir, TEST_LOG))
    return runner
