"""Training and testing of a config: what is checked before, the run itself, what is told after."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmext.backbones.trained import AS_IN_TRAINING
from mmext.backbones.weights import fitting_weights, require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.checkpoints.resume import require_resumable, require_same_groups
from mmext.components import arguments, find_component
from mmext.config_tree import datasets_of
from mmext.engine.agreement import sample_count
from mmext.engine.batch import scale_for_accumulation, tell_batch
from mmext.engine.build import build_runner, build_testing, build_training, telling_mistakes
from mmext.engine.data_checks import require_test_data, require_training_data
from mmext.engine.flags.training import require_average
from mmext.engine.hooks.unreadable import TEST_LOG, TRAIN_LOG
from mmext.engine.launch import prepare_processes
from mmext.engine.resume.changes import finished, tell_changed_data, tell_changes
from mmext.engine.resume.interrupts import Signals
from mmext.engine.resume.position import ResumableLoop
from mmext.engine.resume.state import read_state
from mmext.engine.work_dir import checkpoint_folder, checkpoint_to_resume, clear, folder_taken, require_unused, tidy
from mmext.engine.wrapper import bare
from mmext.errors import DiskFull, UserError
from mmext.files import disk_full_told, is_disk_full, require_writable


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
    for dataset in datasets_of(config, loader):
        for part in (dataset, *dataset['pipeline']):
            if takes(part, 'log_file', scope):
                part['log_file'] = os.path.join(config.work_dir, log_name)
                if on_error:
                    part['on_error'] = on_error


def takes(part: dict, argument: str, scope: str | None) -> bool:
    """Whether a component of ours has an argument."""
    return part['type'].startswith('mmext.') and argument in arguments(find_component(part['type'], scope))


def train(config: Config, *, resume: str | None = None, overwrite: bool = False,
          resume_anyway: bool = False) -> Runner | None:
    """Trains a config that ``set_up`` prepared.

    SIGTERM, SIGINT and SIGUSR1 end it after the iteration, with a checkpoint.

    Args:
        config: the whole config.
        resume: None, a checkpoint, or 'auto' for the newest one in the work dir, if there is one.
        overwrite: delete the checkpoints of an earlier training in the work dir.
        resume_anyway: also from a checkpoint of other settings, which stay what they are there.

    Returns:
        The runner; None where the training that was to be resumed is finished.

    Raises:
        UserError: another training runs or ran in the work dir, the checkpoint can't be resumed from or is of other
            settings, the data can't be used, or a loss or weight turns NaN.
        Interrupted: a signal has ended it.
    """
    with Signals(config.get('launcher', 'none') != 'none') as signals, disk_full_told(config.work_dir), \
            ending_where_logs_fail(), folder_taken(config.work_dir) if is_first(config) else nullcontext():
        folder = checkpoint_folder(config)
        if is_first(config):
            for place in {config.work_dir, folder}:
                tidy(place)
        choose_start(config, folder, resume, overwrite)
        saved = None
        if config.get('resume'):
            saved = Saved(config, resume_anyway)
            if saved.finished and not resume_anyway:
                if is_first(config):
                    print_log(f'{config.load_from}: {saved.finished}; nothing is trained', 'current')
                return None
        return run_training(config, folder, saved, overwrite and not config.resume, signals)


def is_first(config: Config) -> bool:
    """Whether this is the only process of a run, or the one that writes; known before they meet."""
    return config.get('launcher', 'none') == 'none' or os.environ['RANK'] == '0'


def choose_start(config: Config, folder: str, resume: str | None, overwrite: bool) -> None:
    """Writes into the config which checkpoint a training begins with, of ``--resume`` or of its own ``resume``."""
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


class Saved:
    """The checkpoint that a config names to go on from, looked at before anything is built.

    Args:
        config: gets the checkpoint's seed where it has none.
        anyway: see ``train``.

    Raises:
        UserError: it is none of a training, or of one with other settings.
    """

    def __init__(self, config: Config, anyway: bool) -> None:
        self.path, self.anyway = config.load_from, anyway
        content = read_checkpoint(self.path)
        require_resumable(content, self.path)
        require_average(config, content, self.path)
        self.content: dict | None = content
        meta = content['meta']
        self.state = read_state(meta, self.path)
        self.finished = finished(config, meta, self.state)
        if anyway or not self.finished:
            tell_changes(config, meta, self.state, self.path, anyway)

    def hand_over(self, runner: Runner) -> None:
        """Tells a built runner to go on from here. UserError where it is of another model, optimiser or data set."""
        assert self.content is not None, 'handed over before'
        require_match(bare(runner.model), weights_of(self.content), self.path)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            require_same_groups(self.content['optimizer'], runner.optim_wrapper.optimizer, self.path)
        tell_failed_resume(runner)
        loader = runner.train_dataloader
        tell_changed_data(self.state, sample_count(loader.dataset), len(loader), self.path, self.anyway)
        if isinstance(runner.train_loop, ResumableLoop):
            runner.train_loop.go_on_from(self.state, self.path)
        self.content = None


def run_training(config: Config, folder: str, saved: Saved | None, start_anew: bool, signals: Signals) -> Runner:
    """Trains, in a work dir that is this run's, with a start that is chosen."""
    if saved is None and is_first(config):
        Path(config.work_dir, TRAIN_LOG).unlink(missing_ok=True)
    note_unreadable(config, 'train_dataloader', TRAIN_LOG)
    note_unreadable(config, 'val_dataloader', TRAIN_LOG, 'blank')  # one such file does not end a training
    runner = build_runner(config)
    require_same_start(config)
    with telling_mistakes(config):
        require_training_data(runner, bare(runner.model))
    build_training(runner)
    if saved:
        saved.hand_over(runner)
    elif config.get('load_from'):
        require_some(bare(runner.model), config.load_from)
    tell_batch(runner)
    if start_anew and is_first(config):
        clear(folder, config.work_dir)
    scale_for_accumulation(runner)
    if isinstance(runner.train_loop, ResumableLoop):
        runner.train_loop.signals = signals
    runner.train()
    return runner


def require_same_start(config: Config) -> None:
    """Raises a UserError where the processes of a run have chosen different checkpoints, each from its own disk."""
    own = os.path.basename(str(config.load_from)) if config.get('resume') else None
    for rank, other in enumerate(all_gather_object(own)):
        if other != own:
            raise UserError(f'{config.work_dir}: this process begins with {own or "no checkpoint"}, and process {rank} '
                            f'with {other or "none"}; the work dir must be on a disk that all processes share')


def tell_failed_resume(runner: Runner) -> None:
    """Has the runner say in a line which file it can't resume from, whatever is malformed in it."""
    original = runner.resume

    def resume(filename: str, *args, **kwargs) -> None:
        try:
            original(filename, *args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, RuntimeError) as error:
            raise UserError(f'{filename}: can not be resumed from ({type(error).__name__}: '
                            f'{" ".join(str(error).split())[:200]}); is it of the same config?') from None

    runner.resume = resume


@contextmanager
def ending_where_logs_fail() -> Iterator[None]:
    """A log file that can't be written ends the run; Python's logging prints a traceback at each line and goes on."""
    logging.FileHandler.handleError = raise_log_error
    try:
        yield
    finally:
        del logging.FileHandler.handleError  # it was its base class's


def raise_log_error(self: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exc_info()[1]
    if is_disk_full(error):
        raise DiskFull(self.baseFilename) from None
    logging.Handler.handleError(self, record)


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
    with disk_full_told(config.work_dir), ending_where_logs_fail():
        return run_test(config, checkpoint, skip_unreadable, hooks)


def run_test(config: Config, checkpoint: str, skip_unreadable: bool, hooks: Sequence[Hook]) -> dict[str, float]:
    """See ``test``."""
    weights = weights_of(read_checkpoint(checkpoint))
    config.load_from, config.resume = checkpoint, False
    Path(config.work_dir, TEST_LOG).unlink(missing_ok=True)
    note_unreadable(config, 'test_dataloader', TEST_LOG, 'blank' if skip_unreadable else 'raise')
    for dataset in datasets_of(config, 'test_dataloader') if skip_unreadable else []:
        if takes(dataset, 'on_missing', config.get('default_scope')):
            dataset['on_missing'] = 'blank'
    runner = build_runner(config)
    require_match(bare(runner.model), weights, checkpoint, AS_IN_TRAINING)
    with telling_mistakes(config):
        require_test_data(runner, bare(runner.model))
    build_testing(runner)
    for hook in hooks:
        runner.register_hook(hook)
    return runner.test()
