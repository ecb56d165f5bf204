"""Stops a run when a loss, gradient or weight is not finite any more, and reports which one was the first."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.engine.batch_file import BAD_BATCH, names_of, save_batch
from mmext.engine.hooks.numbers import GRADIENT, LOSS, STATISTIC, WEIGHT, FiniteCheck, Gradients, norms_of
from mmext.engine.optimizer_checks import optim_wrappers, require_usable_groups
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError, shorten
from mmext.registry import HOOKS

HALF = 65504  # the largest fp16 number; a learning rate below it is valid for weights of any dtype
MAX_SKIPPED = 30  # consecutive updates; a loss scale that starts at 2 ** 16 has then fallen to 2 ** -14


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a training when a loss, batch norm statistic, gradient or weight is not finite any more.

    The message names the iteration, the loss or parameter that was not finite first, and the images or videos of the
    batch, which is saved as ``bad_batch.pth`` in the work dir. No checkpoint is written after that.

    The numbers of an iteration are reduced on their device to the index of the first tensor that is not finite. This
    one number is copied to the host asynchronously, and is read after the next iteration has been queued, so that a GPU
    is never idle because of the check. A run on a GPU therefore stops one iteration after the first bad number; on a
    CPU it stops at once. All pending checks are read before a checkpoint is written and before a validation. Gradients
    are checked before clipping, and only if the optimiser uses them: updates that the fp16 loss scaler skips do not
    count. With several processes, all of them get the same result and stop.

    Args:
        interval: unused; accepted because configs saved by earlier versions contain it.

    Raises:
        UserError: a number is not finite, a learning rate is unusable, or the fp16 loss scaler has skipped
            ``MAX_SKIPPED`` consecutive updates.
    """

    priority = 'HIGH'

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()

    def before_train(self, runner: Runner) -> None:
        """Collects the tensors to check and their names, and checks the initial weights."""
        model = unwrap_model(runner.model)
        self.weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.statistics = {f'{name}.{key}'.lstrip('.'): value for name, module in model.named_modules()
                           if isinstance(module, _BatchNorm) for key, value in module.named_buffers(recurse=False)
                           if value.is_floating_point()}
        names = {id(value): name for name, value in self.weights.items()}
        self.wrappers = optim_wrappers(runner)
        for wrapper in self.wrappers:
            require_usable_groups(wrapper.optimizer)
        self.gradients = [Gradients(wrapper, names) for wrapper in self.wrappers]
        self.pending: deque[FiniteCheck] = deque()
        self.skipped = 0
        self.add(runner, {WEIGHT: norms_of(dict(model.named_parameters()))}, None)
        self.check_all(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        rates = (group['lr'] for wrapper in self.wrappers for group in wrapper.optimizer.param_groups)
        if not all(abs(rate) <= HALF for rate in rates):
            for wrapper in self.wrappers:
                require_usable_groups(wrapper.optimizer, f'iteration {runner.iter + 1}: ')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        losses = {name: value.detach().float().sum() for name, value in sorted(
            (outputs or {}).items(), key=lambda item: item[0] == 'loss')  # the sum of the others goes last
            if 'loss' in name and isinstance(value, Tensor)}
        gradients = {name: value for part in self.gradients for name, value in part.collect().items()}
        updated = any(part.updated for part in self.gradients)
        self.add(runner, {LOSS: losses, STATISTIC: norms_of(self.statistics), GRADIENT: gradients,
                          WEIGHT: norms_of(self.weights) if updated else {}}, data_batch)
        behind = 1 if self.pending[-1].on_gpu else 0
        while len(self.pending) > behind:
            self.check(runner, self.pending.popleft())
        self.count_skipped(runner, updated)

    def add(self, runner: Runner, numbers: dict[str, dict[str, Tensor]], data_batch: dict | None) -> None:
        """Starts a check of numbers (kind -> name -> value); ``data_batch`` is None outside of an iteration."""
        self.pending.append(FiniteCheck(runner.iter + (data_batch is not None), numbers, data_batch))

    def count_skipped(self, runner: Runner, updated: bool) -> None:
        """Counts consecutive updates that the loss scaler skipped. Raises a UserError if there are too many."""
        due = any(scales(wrapper) and wrapper.should_update() for wrapper in self.wrappers)
        self.skipped = self.skipped + 1 if due and not updated else 0 if updated else self.skipped
        if self.skipped >= MAX_SKIPPED:
            raise UserError(f'iteration {runner.iter + 1}: the last {self.skipped} updates were all skipped, because '
                            f'gradients overflow in fp16 with any loss scale; stopped{last_checkpoint_note(runner)}; '
                            'train with --amp bf16, or in float32')

    def before_val_epoch(self, runner: Runner) -> None:
        self.check_all(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self.check_all(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.check_all(runner)

    def after_train(self, runner: Runner) -> None:
        for part in self.gradients:
            part.remove()

    def check_all(self, runner: Runner) -> None:
        """Reads the results of all pending checks; this may have to wait for the GPU."""
        pending = getattr(self, 'pending', ())  # absent if there is no training, only a validation
        while pending:
            self.check(runner, pending.popleft())

    def check(self, runner: Runner, check: FiniteCheck) -> None:
        """Raises a UserError if a check found a number that is not finite."""
        rank = check.first_process()
        if rank is None:
            return
        begin = f'iteration {check.iteration}' if check.batch is not None else 'before the first iteration'
        if rank != check.rank:
            raise UserError(f'{begin}: process {rank} has found a number that is not finite, see its message; stopped'
                            f'{last_checkpoint_note(runner)}')
        found = describe_failure(check)
        where = ''
        if check.batch is not None:
            names = names_of(check.batch)
            where = f', on the images or videos {shorten(names, 4)}' if names else ''
            where += save_batch(Path(runner.work_dir, BAD_BATCH), check.iteration, found, check.batch)
        raise UserError(f'{begin}: {found}{where}; stopped{last_checkpoint_note(runner)}; '
                        f'{remedy(check, self.wrappers)}')


def scales(wrapper: OptimWrapper) -> bool:
    """Whether a wrapper scales the loss, as for fp16, and skips updates whose gradients overflow."""
    return isinstance(wrapper, AmpOptimWrapper) and wrapper.loss_scaler.is_enabled()


def describe_failure(check: FiniteCheck) -> str:
    """Describes the first number that is not finite, for a message."""
    kind, bad = check.first_bad()
    if kind == LOSS:
        return f'{shorten(f"{name} is {value}" for name, value in bad.items())} (the weights are finite)'
    names = shorten(bad)
    if kind == STATISTIC:
        return f'the statistics {names} of the batch norms are not finite (the losses are)'
    if kind == GRADIENT:
        return f'the gradients of {names} are not finite (losses and weights are)'
    if check.batch is None:
        return f'the weights {names} are not finite'
    return f'the update has made the weights {names} infinite or NaN (losses and gradients are finite)'


def remedy(check: FiniteCheck, wrappers: list[OptimWrapper]) -> str:
    """The remedy that a message suggests."""
    if check.batch is None:
        return 'give another init_cfg or load_from'
    narrow = ', or --amp bf16' if any(map(scales, wrappers)) else ''
    return f'try a lower learning rate or --clip-grad 10{narrow}'


def last_checkpoint_note(runner: Runner) -> str:
    """The part of a message that names the last checkpoint of this run; '' if there is none."""
    note = Path(runner.work_dir, 'last_checkpoint')
    if runner.message_hub.get_info('last_ckpt') is None or not note.is_file():  # may be from an earlier run
        return ''
    return f', the last checkpoint, {note.read_text().strip()}, is from before'
