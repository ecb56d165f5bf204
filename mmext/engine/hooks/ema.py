"""A moving average of the weights with one step per update."""

from __future__ import annotations

from mmengine import hooks
from mmengine.dist import all_reduce_params
from mmengine.runner import Runner

from mmext.engine.optimizer_checks import optim_wrapper_of
from mmext.registry import HOOKS


@HOOKS.register_module()
class EMAHook(hooks.EMAHook):
    """mmengine's ``EMAHook``, but the average changes only when the weights do, and is the same in all processes.

    With accumulated gradients, most iterations do not update the weights. mmengine's average changes in all of them,
    which would shorten its horizon of 1 / momentum updates. The averaged batch norm statistics, which differ between
    processes, are replaced by their mean after each epoch.

    Args:
        ema_type, strict_load, begin_iter, begin_epoch, momentum, update_buffers: see mmengine's.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if optim_wrapper_of(runner).should_update():  # also true after the update in this iteration
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train_epoch(self, runner: Runner) -> None:
        all_reduce_params(self.ema_model.module.buffers(), op='mean')
