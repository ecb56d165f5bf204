"""What became of the images that could not be read."""

from __future__ import annotations

import os

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.data.loading import read_log
from mmext.errors import shorten
from mmext.registry import HOOKS

TRAIN_LOG = 'unreadable_images.txt'
TEST_LOG = 'unreadable_test_images.txt'


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Says at the end how many images were left out, and which, and lists them in the work dir.

    ``LoadImage`` notes the files it can't read there, from every process; the data set knows the missing ones.
    """

    def after_train(self, runner: Runner) -> None:
        missing = getattr(runner.train_dataloader.dataset, 'missing', [])
        self.tell(runner, TRAIN_LOG, missing, 'trained without (and validated with black images in place of)')

    def after_test(self, runner: Runner) -> None:
        self.tell(runner, TEST_LOG, [], 'tested with black images in place of')

    @staticmethod
    def tell(runner: Runner, log_name: str, missing: list[str], verb: str) -> None:
        if not is_main_process():
            return
        path = os.path.join(runner.work_dir, log_name)
        noted = read_log(path)
        unreadable = {**dict.fromkeys(missing, 'missing'), **noted}
        if not unreadable:
            return
        with open(path, 'w') as log:
            log.writelines(f'{name}\t{reason}\n' for name, reason in sorted(unreadable.items()))
        named = [f'{os.path.basename(name)}: {reason}' for name, reason in sorted(unreadable.items())]
        runner.logger.warning(f'{verb} {len(unreadable)} unreadable image(s): {shorten(named, 5)}; all in {path}')
