"""mmengine's two training loops, extended to stop and resume at any iteration."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

from mmengine.config import Config
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmext.engine.resume.order import is_endless
from mmext.engine.resume.position import ResumableLoop
from mmext.errors import UserError
from mmext.registry import LOOPS


@LOOPS.register_module(name='EpochBasedTrainLoop')
class EpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """mmengine's epoch-based loop, which can resume within an epoch. Takes its arguments and ``save_every``."""

    def position_of(self, iteration: int) -> tuple[int, int]:
        batch = iteration - self._epoch * len(self.dataloader)
        if not 0 <= batch <= len(self.dataloader):
            raise UserError(f'{self.checkpoint_path}: iteration {iteration} is not in epoch {self._epoch + 1} of '
                            f'{len(self.dataloader)} batches; the training set, the batch size or the number of '
                            'processes has changed')
        return self._epoch, batch

    def validation_progress(self) -> tuple[int, int]:
        return self._epoch, self._max_epochs

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        self.begin()
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
        """Trains one epoch, from ``self.batch`` on."""
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
    """A stand-in for a loader. mmengine's loop starts its loader at once, before the resume position is known."""

    def __init__(self, dataset: object) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator:
        return iter(())


@LOOPS.register_module(name='IterBasedTrainLoop')
class IterLoop(ResumableLoop, IterBasedTrainLoop):
    """mmengine's iteration-based loop, which resumes without reading all earlier batches again as mmengine's does.

    Args:
        runner, dataloader: see mmengine's.
        args, kwargs: see mmengine's and ``ResumableLoop``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, *args, **kwargs) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        loader = self.dataloader
        super().__init__(runner, cast(DataLoader, NotStarted(loader.dataset)), *args, **kwargs)
        self.dataloader = loader

    def position_of(self, iteration: int) -> tuple[int, int]:
        return (0, iteration) if is_endless(self.dataloader) else divmod(iteration, len(self.dataloader))

    def validation_progress(self) -> tuple[int, int]:
        return self._iter, self._max_iters

    def run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.begin()
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

    def endless(self) -> Generator[Any, None, None]:
        """Yields batches without end, one pass over the data after another."""
        while True:
            sampler: Any = getattr(self.dataloader.batch_sampler, 'sampler', self.dataloader.sampler)
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(self.passes)
            yield from self.batches.iterate(self.passes, self.batch, self.order)
            self.passes, self.batch, self.order = self.passes + 1, 0, None


def use_resumable_loop(config: Config) -> None:
    """Replaces mmengine's training loops in a config by the resumable ones. Other loops are left unchanged.

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
    """Whether a config trains with a resumable loop."""
    return str((config.get('train_cfg') or {}).get('type')).startswith('mmext.')
