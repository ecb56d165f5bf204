"""A loss, a gradient or a weight that stops being finite ends the run, and it is said which was the first."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.engine.batch_file import BAD_BATCH, keep_batch, names_of
from mmext.engine.hooks.numbers import GRADIENT, LOSS, STATISTIC, WEIGHT, Gradients, Look, norms_of
from mmext.engine.optimizer_checks import optim_wrappers, require_usable_groups
from mmext.engine.wrapper import bare
from mmext.errors import UserError, shorten
from mmext.registry import HOOKS

HALF = 65504  # the largest number of fp16: learning rates below are right for any weights
MAX_SKIPPED = 30  # updates in a row; a scale of the loss that begins with 2 ** 16 is 2 ** -14 by then


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops where a loss, a batch norm's statistic, a gradient or a weight is not finite any more.

    The message names the iteration, which of them was the first, the parameter or the loss, and the images or videos of
    the batch; the batch is saved as ``bad_batch.pth`` in the work dir. No checkpoint is written after that.

    All numbers of an iteration are reduced on their device: a norm for each tensor, and of these the place of the first
    that is not finite. That one number travels to the host on its own while the next iteration is computed, and is read
    when that one is queued, so that a GPU is never waited for while it has nothing to do; the run stops one iteration
    after the first bad number. On a processor it stops at once. Before a checkpoint and before a validation all numbers
    are looked at. Gradients are looked at as the optimiser gets them, but before they are clipped: those that a scaler
    of fp16's loss skips are none. Several processes find out together, and each of them stops.

    Args:
        interval: has no effect; configs that earlier versions wrote beside their checkpoints name it.

    Raises:
        UserError: a number is not finite; a learning rate can't be computed with; fp16's scaler has skipped
            ``MAX_SKIPPED`` updates in a row.
    """

    priority = 'HIGH'

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()

    def before_train(self, runner: Runner) -> None:
        """Finds names for everything, and looks at the weights that the training starts from."""
        model = bare(runner.model)
        self.weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.statistics = {f'{name}.{key}'.lstrip('.'): value for name, module in model.named_modules()
                           if isinstance(module, _BatchNorm) for key, value in module.named_buffers(recurse=False)
                           if value.is_floating_point()}
        names = {id(value): name for name, value in self.weights.items()}
        self.wrappers = optim_wrappers(runner)
        for wrapper in self.wrappers:
            require_usable_groups(wrapper.optimizer)
        self.gradients = [Gradients(wrapper, names) for wrapper in self.wrappers]
        self.looks: deque[Look] = deque()
        self.skipped = 0
        self.add(runner, {WEIGHT: norms_of(dict(model.named_parameters()))}, None)
        self.look(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        rates = (group['lr'] for wrapper in self.wrappers for group in wrapper.optimizer.param_groups)
        if not all(abs(rate) <= HALF for rate in rates):
            for wrapper in self.wrappers:
                require_usable_groups(wrapper.optimizer, f'iteration {runner.iter + 1}: ')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        losses = {name: value.detach().float().sum() for name, value in sorted(
            (outputs or {}).items(), key=lambda item: item[0] == 'loss')  # the sum of the others comes last
            if 'loss' in name and isinstance(value, Tensor)}
        gradients = {name: value for part in self.gradients for name, value in part.take().items()}
        updated = any(part.updated for part in self.gradients)
        self.add(runner, {LOSS: losses, STATISTIC: norms_of(self.statistics), GRADIENT: gradients,
                          WEIGHT: norms_of(self.weights) if updated else {}}, data_batch)
        behind = 1 if self.looks[-1].on_gpu else 0
        while len(self.looks) > behind:
            self.read(runner, self.looks.popleft())
        self.count_skipped(runner, updated)

    def add(self, runner: Runner, numbers: dict[str, dict[str, Tensor]], data_batch: dict | None) -> None:
        self.looks.append(Look(runner.iter + (data_batch is not None), numbers, data_batch))

    def count_skipped(self, runner: Runner, updated: bool) -> None:
        due = any(scales(wrapper) and wrapper.should_update() for wrapper in self.wrappers)
        self.skipped = self.skipped + 1 if due and not updated else 0 if updated else self.skipped
        if self.skipped >= MAX_SKIPPED:
            raise UserError(f'iteration {runner.iter + 1}: the last {self.skipped} updates were all skipped, because '
                            f'gradients overflow in fp16 whatever the loss is scaled by; stopped{kept(runner)}; train '
                            'with --amp bf16, or in float32')

    def before_val_epoch(self, runner: Runner) -> None:
        self.look(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self.look(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.look(runner)

    def after_train(self, runner: Runner) -> None:
        for part in self.gradients:
            part.remove()

    def look(self, runner: Runner) -> None:
        """Reads what has not been read, for which a GPU may have to be waited for."""
        looks = getattr(self, 'looks', ())  # none before a training, as in a validation alone
        while looks:
            self.read(runner, looks.popleft())

    def read(self, runner: Runner, look: Look) -> None:
        rank = look.first_process()
        if rank is None:
            return
        begin = f'iteration {look.iteration}' if look.batch is not None else 'before the first iteration'
        if rank != look.rank:
            raise UserError(f'{begin}: process {rank} has found a number that is not finite, and says which; stopped'
                            f'{kept(runner)}')
        found = described(look)
        where = ''
        if look.batch is not None:
            names = names_of(look.batch)
            where = f', on the images or videos {shorten(names, 4)}' if names else ''
            where += keep_batch(Path(runner.work_dir, BAD_BATCH), look.iteration, found, look.batch)
        raise UserError(f'{begin}: {found}{where}; stopped{kept(runner)}; {advice(look, self.wrappers)}')


def scales(wrapper: OptimWrapper) -> bool:
    """Whether a wrapper scales the loss, as for fp16, and skips updates that overflow."""
    return isinstance(wrapper, AmpOptimWrapper) and wrapper.loss_scaler.is_enabled()


def described(look: Look) -> str:
    """What was the first that is not finite."""
    kind, bad = look.first_bad()
    if kind == LOSS:
        return f'{shorten(f"{name} is {value}" for name, value in bad.items())} (the weights are finite)'
    names = shorten(bad)
    if kind == STATISTIC:
        return f'the statistics {names} of the batch norms are not finite (the losses are)'
    if kind == GRADIENT:
        return f'the gradients of {names} are not finite (losses and weights are)'
    if look.batch is None:
        return f'the weights {names} are not finite'
    return f'the update has made the weights {names} infinite or NaN (losses and gradients are finite)'


def advice(look: Look, wrappers: list[OptimWrapper]) -> str:
    """What to try."""
    if look.batch is None:
        return 'give another init_cfg or load_from'
    narrow = ', or --amp bf16' if any(map(scales, wrappers)) else ''
    return f'try a lower learning rate or --clip-grad 10{narrow}'


def kept(runner: Runner) -> str:
    """Where this run's last checkpoint is, which holds weights from before; '' where it has none."""
    note = Path(runner.work_dir, 'last_checkpoint')
    if runner.message_hub.get_info('last_ckpt') is None or not note.is_file():  # the note may be an earlier run's
        return ''
    return f', the last checkpoint, {note.read_text().strip()}, is from before'
