"""Gradient accumulation that does not cross the end of an epoch."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmext.engine.optimizer_checks import optim_wrapper_of
from mmext.registry import HOOKS


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Makes an update from the last batches of an epoch, even if they are fewer than ``accumulative_counts``.

    mmengine carries the accumulated gradients at the end of an epoch over to the next one. They are not saved in the
    checkpoint between the epochs, so a resumed training would differ from an uninterrupted one.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            batches, done = len(runner.train_dataloader), getattr(runner.train_loop, 'batch', 0)
            # mmengine searches the model only to warn about batch norms, as it did when the training started.
            optim_wrapper_of(runner).initialize_count_status(nn.Identity(), done, batches)
