"""The loss of the validation set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.engine.hooks.reproducible import seed_everything
from mmext.engine.resume.generators import generator_states, restore_generators, seed_for
from mmext.engine.wrapper import unwrap_model
from mmext.registry import HOOKS
from mmext.task import task_of

PREFIX = 'val_'  # of the names in the log, which are those of the training too


@HOOKS.register_module()
class ValLossHook(Hook):
    """Adds the losses of the validation set to the metrics of a validation: ``val_loss`` and its parts.

    The loss is that of ``Task.val_loss``, with the model in eval mode and without gradients, as a mean over samples of
    all processes. Neither the weights nor the batch norm statistics nor the random numbers of the training change. A
    loss that draws random numbers, such as that of Faster R-CNN, draws the same ones in each validation.
    """

    priority = 'HIGHEST'  # before the hooks that log the metrics

    def before_train(self, runner: Runner) -> None:
        self.losses_of = task_of(runner.cfg).val_loss(runner.cfg)

    def before_val_epoch(self, runner: Runner) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.samples = 0

    @torch.no_grad()
    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence | None = None) -> None:
        if data_batch is None or outputs is None or not hasattr(self, 'losses_of'):  # a validation without a training
            return
        states = generator_states()
        seed_everything(seed_for(0, batch_idx))
        try:
            losses = self.losses_of(unwrap_model(runner.model), data_batch, outputs)
        finally:
            restore_generators(states)
        self.samples += len(outputs)
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0) + value.double() * len(outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        if not self.sums or metrics is None:
            return
        first = next(iter(self.sums.values()))
        totals = torch.stack([*self.sums.values(), torch.tensor(self.samples).to(first)])
        all_reduce(totals)
        means = (totals[:-1] / totals[-1]).tolist()
        found = {PREFIX + name: mean for name, mean in zip(self.sums, means)}
        metrics.update(found)
        log_as_it_is(runner, found)


def log_as_it_is(runner: Runner, names: Iterable[str]) -> None:
    """Has the log processor log the last value: mmengine averages what is called loss, here over all validations."""
    entries = runner.log_processor.custom_cfg
    known = {entry['data_src'] for entry in entries}
    entries += [dict(data_src=name, method_name='current') for name in names if name not in known]
