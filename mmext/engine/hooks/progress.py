"""Progress bars, on a terminal only."""

from __future__ import annotations

import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from tqdm import tqdm

from mmext.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a bar for each training epoch, validation and test, with rate and remaining time. Logs are unchanged."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def open(self, title: str, total: int, done: int = 0, unit: str = 'batch') -> None:
        """Opens a bar; it is hidden in other processes and without a terminal."""
        quiet = not (is_main_process() and sys.stderr.isatty())
        self.bar = tqdm(total=total, initial=done, desc=title, unit=unit, disable=quiet, leave=False,
                        dynamic_ncols=True)

    def close(self) -> None:
        """Closes the current bar, if there is one."""
        if self.bar is not None:
            self.bar.close()

    def before_train_epoch(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            self.open('training', runner.max_iters, runner.iter, 'iteration')
        else:
            done = getattr(runner.train_loop, 'batch', 0)
            self.open(f'epoch {runner.epoch + 1}/{runner.max_epochs}', len(runner.train_dataloader), done)

    def before_val_epoch(self, runner: Runner) -> None:
        self.open('validation', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self.open('test', len(runner.test_dataloader))

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs=None,
                    mode: str = 'train') -> None:
        if self.bar is not None:
            self.bar.update()

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self.close()
