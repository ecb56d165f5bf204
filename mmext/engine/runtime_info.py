"""Losses of a training stay on the GPU until the log needs them."""

from __future__ import annotations

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from mmext.registry import HOOKS

LONGEST = 100  # iterations that wait at most


@HOOKS.register_module()
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, which does not wait for a GPU at every iteration.

    mmengine copies each loss to the host after each iteration, and the GPU is idle until the next one has been queued.
    Here the losses of several iterations are copied at once: before a line of the log, at the end of an epoch, and for
    a checkpoint. Each gets the value, and the place in the history, that it has with mmengine's hook. Losses on a CPU
    are recorded at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[dict] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.waiting.append({name: value.detach() if isinstance(value, Tensor) else value
                             for name, value in (outputs or {}).items()})
        can_wait = any(map(is_on_gpu, self.waiting[-1].values())) and len(self.waiting) < LONGEST
        if not can_wait or self.is_logged(runner, batch_idx):
            self.record(runner)

    def is_logged(self, runner: Runner, batch_idx: int) -> bool:
        """Whether a hook may write a line of the log after this iteration."""
        return self.is_last_train_iter(runner) or self.end_of_epoch(runner.train_dataloader, batch_idx) or any(
            self.every_n_inner_iters(batch_idx, hook.interval) for hook in runner.hooks
            if isinstance(hook, LoggerHook))

    def record(self, runner: Runner) -> None:
        """Copies the losses that wait to the host, all at once, and enters them in the history in their order."""
        tensors = [value for outputs in self.waiting for value in outputs.values() if isinstance(value, Tensor)]
        numbers = iter(torch.stack([value.reshape(()).double() for value in tensors]).tolist() if tensors else [])
        for outputs in self.waiting:
            for name, value in outputs.items():
                runner.message_hub.update_scalar(f'train/{name}', next(numbers) if isinstance(value, Tensor) else value)
        self.waiting.clear()

    def after_train_epoch(self, runner: Runner) -> None:
        self.record(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Enters the losses that wait also in the history of a checkpoint that is being written."""
        if self.waiting:
            self.record(runner)
            checkpoint['message_hub'] = runner.message_hub.state_dict()


def is_on_gpu(value: object) -> bool:
    """Whether a value of a training step can only be read by waiting for a GPU."""
    return isinstance(value, Tensor) and value.is_cuda


def record_losses(runner: Runner) -> None:
    """Enters the losses that wait on a GPU in the history, before something reads it."""
    for hook in runner.hooks:
        if isinstance(hook, RuntimeInfoHook):
            hook.record(runner)
