"""The common part of both training loops: a position that is saved in checkpoints, and graceful stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from mmengine.dist import barrier, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmext.engine.optimizer_checks import optim_wrappers
from mmext.engine.resume.batches import Batches
from mmext.engine.resume.generators import generator_states
from mmext.engine.resume.interrupts import STOP, Signals, Timetable
from mmext.engine.resume.state import collect_state, ema_hooks, restore_own_generators, restore_state
from mmext.engine.resume.workers import make_signal_safe
from mmext.errors import Interrupted

if TYPE_CHECKING:
    from mmext.engine.hooks.checkpoint import CheckpointHook


class ResumableLoop:
    """A mix-in for mmengine's training loops that saves and restores the position, and stops on signals.

    Args:
        args, kwargs: the arguments of mmengine's loop, the other base class.
        save_every: the interval between intermediate checkpoints, see ``interrupts.Timetable``.

    Attributes:
        batch: the number of batches done in this pass over the data.
        passes: the number of the pass, from 0; equal to the epoch where there are epochs.
        validated: whether the validation due at this position is done.
        signals: the signals that stop the training gracefully; None to leave them to Python.
    """

    # Attributes of mmengine's loops.
    runner: Runner
    dataloader: DataLoader
    stop_training: bool
    val_begin: int
    val_interval: int
    _epoch: int
    _iter: int
    _decide_current_val_interval: Callable[[], None]

    def __init__(self, *args, save_every: str | int | None = None, **kwargs) -> None:
        self.save_every = save_every
        self.batch = self.passes = 0
        self.validated = False
        self.signals: Signals | None = None
        self.saved: dict | None = None
        self.checkpoint_path = ''
        self.order: dict | None = None
        super().__init__(*args, **kwargs)

    def resume_from(self, state: dict | None, path: str) -> None:
        """Makes the training continue from a checkpoint.

        Args:
            state: what ``state.read_state`` returned; None for a checkpoint that another program wrote.
            path: the checkpoint's path.
        """
        self.saved, self.checkpoint_path = state, path

    def begin(self) -> None:
        """Prepares the first iteration: at the beginning, or at the position of the checkpoint that was loaded."""
        self.timetable = Timetable(self.save_every, self.signals)
        self.batches = Batches(self.dataloader, self.runner.seed, get_rank())
        self.runner.register_hook(StopValidationOnSignal())
        if self.signals is not None:
            self.signals.training = True
            if self.runner.val_loop is not None:
                make_signal_safe(self.runner.val_dataloader)
        if self.saved is not None:
            state = self.saved
            self.passes, self.batch, self.validated = state['pass'], state['batch'], state['validated']
            self.order = state['order']
            restore_state(self.runner, state, self.checkpoint_path)
        elif self._iter:
            self.passes, self.batch = self.position_of(self._iter)

    def position_of(self, iteration: int) -> tuple[int, int]:
        """The pass and the batch that an iteration belongs to, for a checkpoint that does not record them."""
        raise NotImplementedError

    def restore_generators(self) -> None:
        """Restores the random generators from the checkpoint, once, directly before the first resumed iteration."""
        if self.saved is not None:
            restore_own_generators(self.saved, self.checkpoint_path)
            self.saved = None

    def position(self, passes: int, batch: int, validated: bool = False) -> dict:
        """A position as it is saved in checkpoints, see ``state.read_state``."""
        return {'pass': passes, 'batch': batch, 'order': self.batches.state if batch else None,
                'validated': validated, 'stopped': bool(self.stop_training)}

    def state(self, meta: dict, validated: bool = False) -> dict:
        """The state of this training for a checkpoint. All processes must call this.

        Args:
            meta: the ``meta`` of the checkpoint. A hook saves before the loop counts the finished iteration or epoch,
                so the ``iter`` and ``epoch`` given here may be larger than the loop's.
            validated: whether the validation due at this position is done.
        """
        within = meta['iter'] > self._iter
        next_epoch = meta['epoch'] > self._epoch and not isinstance(self, IterBasedTrainLoop)
        place = (self.passes + 1, 0) if next_epoch else (self.passes, self.batch + within)
        return collect_state(self.runner, self.position(*place, validated))

    def after_iteration(self) -> None:
        """Saves a checkpoint when one is due, and stops the training if a signal was received."""
        asked = self.timetable.agree(self._iter)
        if not asked or not between_updates(self.runner):
            return
        path = self.save()
        if asked == STOP:
            self.stop(path)

    def save(self, generators: dict | None = None) -> str | None:
        """Writes a checkpoint of this position and returns its path; None if the config has no checkpoint hook."""
        hook = checkpoint_hook(self.runner)
        path = None
        if hook is not None:
            meta = dict(epoch=self._epoch, iter=self._iter)
            state = collect_state(self.runner, self.position(self.passes, self.batch), generators)
            path = hook.save_intermediate(self.runner, meta, state)
            barrier()
        self.timetable.saved()
        return path

    def stop(self, path: str | None) -> None:
        """Raises ``Interrupted``, whose message names the checkpoint ``path``."""
        assert self.signals is not None  # only a signal stops a training
        self.signals.ignore()
        done = f'stopped by {self.signals.received or "a signal to another process"} after iteration {self._iter}'
        kept = f'{path} is written; continue with --resume' if path else 'the config writes no checkpoints'
        raise Interrupted(f'{done}: {kept}' if is_main_process() else '')

    def validation_due(self) -> bool:
        """Whether the config asks for a validation at this position."""
        done, end = self.validation_progress()
        return self.runner.val_loop is not None and done >= self.val_begin and (
            done % self.val_interval == 0 or done == end)

    def validation_progress(self) -> tuple[int, int]:
        """(done, total) in the unit of the validation interval: epochs or iterations."""
        raise NotImplementedError

    def validate(self) -> None:
        """Validates when it is due, then rewrites the checkpoint of this position with the result of the validation."""
        self._decide_current_val_interval()
        if self.validated or not self.validation_due():
            return
        before = generator_states()
        val_loop = self.runner.val_loop
        assert val_loop is not None  # a validation is due
        try:
            val_loop.run()
        except ValidationStopped:
            self.undo_validation()
            hook = checkpoint_hook(self.runner)
            self.stop((hook and hook.current_checkpoint(self.runner)) or self.save(before))
        self.validated = True
        hook = checkpoint_hook(self.runner)
        if hook is not None:
            hook.save_again_after_validation(self.runner)

    def undo_validation(self) -> None:
        """Restores the state before a validation that was stopped: the weights that were swapped for averages."""
        for hook in ema_hooks(self.runner):
            hook._swap_ema_parameters()
        self.runner.message_hub.update_info('loop_stage', 'train')


class ValidationStopped(Exception):
    """A validation was stopped because of a signal."""


class StopValidationOnSignal(Hook):
    """Stops a validation after a signal, in single-process runs only: several processes would not stop together."""

    priority = 'LOWEST'

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: object = None) -> None:
        signals = getattr(runner.train_loop, 'signals', None)
        if signals is not None and signals.received and runner.world_size == 1:
            raise ValidationStopped


def checkpoint_hook(runner: Runner) -> CheckpointHook | None:
    """The runner's ``mmext.CheckpointHook``, if it has one."""
    hooks = (hook for hook in runner.hooks if hasattr(hook, 'save_intermediate'))
    return cast('CheckpointHook | None', next(hooks, None))


def between_updates(runner: Runner) -> bool:
    """Whether no accumulated gradients are waiting for the next update of the weights."""
    return all(wrapper.should_update() for wrapper in optim_wrappers(runner))
