"""What both loops of training have in common: a position that goes into checkpoints, and stops on the way."""

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
from mmext.engine.resume.state import averages, collect, restore, restore_own_generators
from mmext.engine.resume.workers import make_polite
from mmext.errors import Interrupted

if TYPE_CHECKING:
    from mmext.engine.hooks.checkpoint import CheckpointHook


class ResumableLoop:
    """What both loops have in common: a position, which goes into checkpoints, and stops on the way.

    Args:
        args, kwargs: of mmengine's loop, which the other base class is.
        save_every: also write a checkpoint every so often, see ``interrupts.Timetable``.

    Attributes:
        batch: how many batches of this pass over the data are done.
        passes: which pass it is, from 0: the epoch, where there are epochs.
        validated: whether the validation that is due at this position is done.
        signals: what ends the training politely; None where signals do what they do to any program.
    """

    # Of mmengine's loop.
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
        self.saved_in = ''
        self.order: dict | None = None
        super().__init__(*args, **kwargs)

    def go_on_from(self, state: dict | None, path: str) -> None:
        """Has the run begin where a checkpoint ended.

        Args:
            state: of ``state.read_state``; None for a checkpoint of another program.
            path: the checkpoint's.
        """
        self.saved, self.saved_in = state, path

    def take_up(self) -> None:
        """Begins: at the start, or where the checkpoint ended that the runner has loaded by now."""
        self.timetable = Timetable(self.save_every, self.signals)
        self.batches = Batches(self.dataloader, self.runner.seed, get_rank())
        self.runner.register_hook(StopInValidation())
        if self.signals is not None:
            self.signals.training = True
            if self.runner.val_loop is not None:
                make_polite(self.runner.val_dataloader)
        if self.saved is not None:
            state = self.saved
            self.passes, self.batch, self.validated = state['pass'], state['batch'], state['validated']
            self.order = state['order']
            restore(self.runner, state, self.saved_in)
        elif self._iter:
            self.passes, self.batch = self.place_of(self._iter)

    def place_of(self, iteration: int) -> tuple[int, int]:
        """The pass and its batch of an iteration, for a checkpoint that does not say it."""
        raise NotImplementedError

    def restore_generators(self) -> None:
        """Once, when nothing that is drawn before the next iteration is drawn anew."""
        if self.saved is not None:
            restore_own_generators(self.saved, self.saved_in)
            self.saved = None

    def position(self, passes: int, batch: int, validated: bool = False) -> dict:
        return {'pass': passes, 'batch': batch, 'order': self.batches.state if batch else None,
                'validated': validated, 'stopped': bool(self.stop_training)}

    def state(self, meta: dict, validated: bool = False) -> dict:
        """What a checkpoint holds of this training; all processes have to ask.

        Args:
            meta: the checkpoint's. A hook saves before the iteration or epoch is counted, and says here what it counts.
            validated: whether the validation that is due here is done.
        """
        within = meta['iter'] > self._iter
        next_epoch = meta['epoch'] > self._epoch and not isinstance(self, IterBasedTrainLoop)
        place = (self.passes + 1, 0) if next_epoch else (self.passes, self.batch + within)
        return collect(self.runner, self.position(*place, validated))

    def after_iteration(self) -> None:
        """Saves where it is time to, and ends the training where a signal has asked for it."""
        asked = self.timetable.agree(self._iter)
        if not asked or not between_updates(self.runner):
            return
        path = self.save()
        if asked == STOP:
            self.stop(path)

    def save(self, generators: dict | None = None) -> str | None:
        """Writes a checkpoint of this position; returns its path, None where the config wants no checkpoints."""
        hook = checkpoint_hook(self.runner)
        path = None
        if hook is not None:
            meta = dict(epoch=self._epoch, iter=self._iter)
            state = collect(self.runner, self.position(self.passes, self.batch), generators)
            path = hook.save_on_the_way(self.runner, meta, state)
            barrier()
        self.timetable.saved()
        return path

    def stop(self, path: str | None) -> None:
        assert self.signals is not None  # without them nothing asks a training to stop
        self.signals.ignore()
        done = f'stopped by {self.signals.received or "a signal to another process"} after iteration {self._iter}'
        kept = f'{path} is written; go on with --resume' if path else 'the config writes no checkpoints'
        raise Interrupted(f'{done}: {kept}' if is_main_process() else '')

    def validation_due(self) -> bool:
        done, end = self.validated_by()
        return self.runner.val_loop is not None and done >= self.val_begin and (
            done % self.val_interval == 0 or done == end)

    def validated_by(self) -> tuple[int, int]:
        """What validations are counted by, and how many there are: epochs or iterations."""
        raise NotImplementedError

    def validate(self) -> None:
        """Validates where it is due; a checkpoint of this place is written again, with what came out of it."""
        self._decide_current_val_interval()
        if self.validated or not self.validation_due():
            return
        before = generator_states()
        val_loop = self.runner.val_loop
        assert val_loop is not None  # a validation is due
        try:
            val_loop.run()
        except Cut:
            self.undo_validation()
            hook = checkpoint_hook(self.runner)
            self.stop((hook and hook.path_of_this_place(self.runner)) or self.save(before))
        self.validated = True
        hook = checkpoint_hook(self.runner)
        if hook is not None:
            hook.save_validated(self.runner)

    def undo_validation(self) -> None:
        """As before a validation that has begun."""
        for hook in averages(self.runner):
            hook._swap_ema_parameters()
        self.runner.message_hub.update_info('loop_stage', 'train')


class Cut(Exception):
    """A validation ends in the middle, for the training is to stop."""


class StopInValidation(Hook):
    """Ends a validation when a signal came. With several processes it goes on to its end: they would not agree."""

    priority = 'LOWEST'

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: object = None) -> None:
        signals = getattr(runner.train_loop, 'signals', None)
        if signals is not None and signals.received and runner.world_size == 1:
            raise Cut


def checkpoint_hook(runner: Runner) -> CheckpointHook | None:
    """``mmext.CheckpointHook``, if a run has it."""
    hooks = (hook for hook in runner.hooks if hasattr(hook, 'save_on_the_way'))
    return cast('CheckpointHook | None', next(hooks, None))


def between_updates(runner: Runner) -> bool:
    """Whether the last update of the weights had all gradients that were accumulated."""
    return all(wrapper.should_update() for wrapper in optim_wrappers(runner))
