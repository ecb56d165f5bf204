"""Accumulated gradients whose counting ends with the epoch."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmext.engine.optimizer_checks import optim_wrapper_of
from mmext.registry import HOOKS


@HOOKS.register_module()
class AccumulationHook(Hook):
    """The last batches of an epoch make an update of their own, though they be fewer than ``accumulative_counts``.

    mmengine counts through, so that gradients of an epoch's end wait for the next epoch: the checkpoint between them
    lacks these, and a training resumed there would not be the uninterrupted one.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            batches, done = len(runner.train_dataloader), getattr(runner.train_loop, 'batch', 0)
            # The model is only searched for batch norms, to warn of them, which was done when the training started.
            optim_wrapper_of(runner).initialize_count_status(nn.Identity(), done, batches)
