"""Files that can't be read: what happens with them in a run, and the report of them."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmext.components import accepts
from mmext.config_tree import datasets_of
from mmext.data.unreadable import Reader, read_log
from mmext.engine.agreement import leaves
from mmext.errors import shorten
from mmext.registry import HOOKS

TRAIN_LOG = 'unreadable_files.txt'
TEST_LOG = 'unreadable_test_files.txt'


@HOOKS.register_module()
class UnreadableFilesHook(Hook):
    """Logs after each epoch which images or videos were left out, and lists them in a file in the work dir.

    The transforms that read files append unreadable ones to that file, in every process; missing files are known to the
    data set. Nothing is logged after an epoch without new unreadable files. The end of a training lists all of them.
    """

    def __init__(self) -> None:
        self.reported: set[str] = set()

    def after_train_epoch(self, runner: Runner) -> None:
        noted = read_log(os.path.join(runner.work_dir, TRAIN_LOG))
        new = {name: reason for name, reason in noted.items() if name not in self.reported}
        if new and is_main_process():
            runner.logger.warning(f'epoch {runner.epoch + 1}: {len(new)} file(s) turned out unreadable, {len(noted)} '
                                  f'so far: {listed(new)}; all in {os.path.join(runner.work_dir, TRAIN_LOG)}')
        self.reported |= set(new)

    def after_train(self, runner: Runner) -> None:
        missing = [path for dataset in leaves(runner.train_dataloader.dataset)
                   for path in getattr(dataset, 'missing', [])]
        self.print_summary(runner, TRAIN_LOG, missing, 'trained without (and validated with black ones in place of)')

    def after_test(self, runner: Runner) -> None:
        self.print_summary(runner, TEST_LOG, [], 'tested with black ones in place of')

    @staticmethod
    def print_summary(runner: Runner, log_name: str, missing: list[str], verb: str) -> None:
        """Writes the complete list of unreadable files, and logs how many there are."""
        if not is_main_process():
            return
        path = os.path.join(runner.work_dir, log_name)
        unreadable = {**dict.fromkeys(missing, 'missing'), **read_log(path)}
        if not unreadable:
            return
        with open(path, 'w') as log:
            log.writelines(f'{name}\t{reason}\n' for name, reason in sorted(unreadable.items()))
        runner.logger.warning(f'{verb} {len(unreadable)} unreadable file(s): {listed(unreadable)}; all in {path}')


def set_on_error(config: Config, loader: str, on_error: str) -> None:
    """Sets what happens with the unreadable files of a loader: 'raise' or 'blank'."""
    for dataset in datasets_of(config, loader):
        for part in (dataset, *dataset['pipeline']):
            if accepts(part, 'log_file', config.get('default_scope')):
                part['on_error'] = on_error


def log_unreadable(loader: DataLoader, path: str | Path) -> None:
    """Has the data sets of a loader, which has not been iterated over yet, record their unreadable files in a log."""
    for dataset in leaves(loader.dataset):
        for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
            if isinstance(step, Reader):
                step.log_file = str(path)


def listed(files: dict[str, str]) -> str:
    """The first few files with the reasons why they are unreadable."""
    return shorten([f'{os.path.basename(name)}: {reason}' for name, reason in sorted(files.items())], 5)
