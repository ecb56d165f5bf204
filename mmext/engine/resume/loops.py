"""mmengine's two loops of training, able to stop and to go on at any iteration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from mmengine.config import Config
from mmengine.dist import barrier, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmext.engine.resume.batches import Batches
from mmext.engine.resume.generators import generator_states
from mmext.engine.resume.interrupts import STOP, Signals, Timetable
from mmext.engine.resume.order import is_endless
from mmext.engine.resume.state import averages, collect, restore, restore_own_generators
from mmext.engine.resume.workers import make_polite
from mmext.errors import Interrupted, UserError
from mmext.registry import LOOPS


class ResumableLoop:
    """What both loops have in common: a position, which goes into checkpoints, and stops on the way.

    Attributes:
        batch: how many batches of this pass over the data are done.
        passes: which pass it is, from 0: the epoch, where there are epochs.
        validated: whether the validation that is due at this position is done.
        signals: what ends the training politely; None where signals do what they do to any program.
    """

    save_every: str | int | None
    runner: Runner
    dataloader: DataLoader

    def begin(self, save_every: str | int | None) -> None:
        """Sets what a training has before its first iteration."""
        self.save_every = save_every
        self.batch = self.passes = 0
        self.validated = False
        self.signals: Signals | None = None
        self.saved: dict | None = None
        self.saved_in = ''
        self.order: dict | None = None

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
                make_polite(self.runner.val_loop.dataloader)
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
        try:
            self.runner.val_loop.run()
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


def checkpoint_hook(runner: Runner) -> Hook | None:
    """``mmext.CheckpointHook``, if a run has it."""
    return next((hook for hook in runner.hooks if hasattr(hook, 'save_on_the_way')), None)


def between_updates(runner: Runner) -> bool:
    """Whether the last update of the weights had all gradients that were accumulated."""
    wrappers = runner.optim_wrapper
    wrappers = list(wrappers.values()) if hasattr(wrappers, 'optim_wrappers') else [wrappers]
    return all(wrapper.should_update() for wrapper in wrappers)


@LOOPS.register_module(name='EpochBasedTrainLoop')
class EpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """mmengine's loop over epochs, which goes on in the middle of an epoch.

    Args:
        runner, dataloader, max_epochs, val_begin, val_interval, dynamic_intervals: see mmengine's.
        save_every: also write a checkpoint every so often, see ``interrupts.Timetable``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, max_epochs: int, val_begin: int = 1,
                 val_interval: int = 1, dynamic_intervals: list | None = None,
                 save_every: str | int | None = None) -> None:
        self.begin(save_every)
        super().__init__(runner, dataloader, max_epochs, val_begin, val_interval, dynamic_intervals)

    def place_of(self, iteration: int) -> tuple[int, int]:
        batch = iteration - self._epoch * len(self.dataloader)
        if not 0 <= batch <= len(self.dataloader):
            raise UserError(f'{self.saved_in}: iteration {iteration} does not lie in epoch {self._epoch + 1} of '
                            f'{len(self.dataloader)} batches; it is of another training set, batch size or number of '
                            'processes')
        return self._epoch, batch

    def validated_by(self) -> tuple[int, int]:
        return self._epoch, self._max_epochs

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        self.take_up()
        if not self.batch:
            self.restore_generators()
            if self._epoch:
                self.validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self.validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        with closing(self.batches.iterate(self._epoch, self.batch, self.order)) as batches:  # ends the workers
            self.restore_generators()
            for data_batch in batches:
                self.run_iter(self.batch, data_batch)
                self.batch += 1
                self.after_iteration()
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.passes, self.batch, self.order, self.validated = self._epoch, 0, None, False


class NotStarted:
    """Stands for a loader where mmengine's loop starts it at once, though the place to start at is not known yet."""

    def __init__(self, dataset: object) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator:
        return iter(())


@LOOPS.register_module(name='IterBasedTrainLoop')
class IterLoop(ResumableLoop, IterBasedTrainLoop):
    """mmengine's loop over iterations, which goes on at any of them; mmengine's reads all batches before it once more.

    Args:
        runner, dataloader, max_iters, val_begin, val_interval, dynamic_intervals: see mmengine's.
        save_every: also write a checkpoint every so often, see ``interrupts.Timetable``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, max_iters: int, val_begin: int = 1,
                 val_interval: int = 1000, dynamic_intervals: list | None = None,
                 save_every: str | int | None = None) -> None:
        self.begin(save_every)
        BaseLoop.__init__(self, runner, dataloader)
        loader = self.dataloader
        super().__init__(runner, NotStarted(loader.dataset), max_iters, val_begin, val_interval, dynamic_intervals)
        self.dataloader = loader

    def place_of(self, iteration: int) -> tuple[int, int]:
        return (0, iteration) if is_endless(self.dataloader) else divmod(iteration, len(self.dataloader))

    def validated_by(self) -> tuple[int, int]:
        return self._iter, self._max_iters

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.take_up()
        with closing(self.endless()) as batches:
            self.restore_generators()
            if self._iter:
                self.validate()
            while self._iter < self._max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(next(batches))
                self.batch += 1
                self.validated = False
                self.after_iteration()
                self.validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def endless(self) -> Iterator[dict]:
        """Batches of one pass over the data after the other."""
        while True:
            sampler = getattr(self.dataloader.batch_sampler, 'sampler', self.dataloader.sampler)
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(self.passes)
            yield from self.batches.iterate(self.passes, self.batch, self.order)
            self.passes, self.batch, self.order = self.passes + 1, 0, None


def use_resumable_loop(config: Config) -> None:
    """Puts these loops in the place of mmengine's; a loop of another's stays.

    Args:
        config: changed in place.
    """
    loop = config.get('train_cfg')
    if not loop:
        return
    kind = loop.get('type') or ('EpochBasedTrainLoop' if loop.get('by_epoch', True) else 'IterBasedTrainLoop')
    if kind in (EpochBasedTrainLoop, IterBasedTrainLoop):
        kind = kind.__name__
    if str(kind).removeprefix('mmengine.') in ('EpochBasedTrainLoop', 'IterBasedTrainLoop'):
        loop.pop('by_epoch', None)
        loop['type'] = f'mmext.{kind.removeprefix("mmengine.")}'


def is_resumable(config: Config) -> bool:
    """Whether a config trains with one of these loops."""
    return str((config.get('train_cfg') or {}).get('type')).startswith('mmext.')
