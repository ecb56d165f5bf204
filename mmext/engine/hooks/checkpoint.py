"""Checkpoints of a training: the new one is whole and finite before an old one goes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmext.checkpoints.finite import first_not_finite
from mmext.checkpoints.format import SAFETENSORS
from mmext.checkpoints.last import note_last, numbered
from mmext.engine.resume.position import ResumableLoop, between_updates
from mmext.engine.resume.state import KEY
from mmext.errors import UserError, shorten
from mmext.registry import HOOKS

ON_THE_WAY = 'ckpts_on_the_way'  # in the message hub, beside mmengine's keep_ckpt_ids


class PostponedRemovals:
    """A file backend that notes what is to be removed and leaves it there, until ``finish``."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.paths.append(path)

    rmtree = remove

    def finish(self) -> None:
        for path in self.paths:
            if self.backend.isfile(path):
                self.backend.remove(path)
            elif self.backend.isdir(path):  # as deepspeed's checkpoints are
                self.backend.rmtree(path)


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's, but it writes, then deletes, and refuses what is not finite.

    mmengine's deletes the oldest checkpoint, and the best one, before the new one is written; a kill between the two
    leaves none. ``last_checkpoint`` is written whole, and holds a name relative to its folder, so that the folder can
    be moved and copied. Takes mmengine's arguments.

    With the loops of ``engine.resume`` a checkpoint also holds what a training needs to go on exactly. One that is
    written before a validation is written again after it, so that it says what came out. Where gradients of several
    batches make one update, a checkpoint that is due between two batches waits for the update.

    Raises:
        UserError: ``filename_tmpl`` ends with .safetensors, which has no place for the optimiser's state; when it
            saves, a number that is not finite.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.filename_tmpl.endswith(SAFETENSORS):
            raise UserError(f'checkpoint.filename_tmpl={self.filename_tmpl}: a safetensors file holds weights alone, '
                            'nothing to resume from; take .pth, and convert it with tools/convert_weights.py')

        self.waits = False  # for the update of accumulated gradients
        self.validated = False
        self.on_the_way: list[str] = []

    def before_train(self, runner: Runner) -> None:
        self.find_best_here(runner)
        super().before_train(runner)
        begun_with = getattr(getattr(runner, 'train_loop', None), 'saved_in', '')
        if begun_with and os.path.realpath(os.path.dirname(begun_with)) == os.path.realpath(self.out_dir):
            self.last_ckpt = self.file_backend.join_path(self.out_dir, os.path.basename(begun_with))
        known = runner.message_hub.runtime_info.get(ON_THE_WAY)
        self.on_the_way = [os.path.basename(str(name)) for name in known] if isinstance(known, list) else []
        self.drop(self.on_the_way[:-1])

    def find_best_here(self, runner: Runner) -> None:
        """The best checkpoint is the one of this folder, also where the run was copied from another one."""
        folder = runner.work_dir if self.out_dir is None else os.path.join(
            self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))
        for key, value in list(runner.message_hub.runtime_info.items()):
            if (key == 'best_ckpt' or key.startswith('best_ckpt_')) and isinstance(value, str):
                runner.message_hub.update_info(key, os.path.join(folder, os.path.basename(value)))

    @contextmanager
    def removals_last(self) -> Iterator[PostponedRemovals]:
        """What is removed in here goes at its end, and stays where something fails."""
        outer, postponed = self.file_backend, PostponedRemovals(self.file_backend)
        self.file_backend = postponed
        try:
            yield postponed
        finally:
            self.file_backend = outer
        postponed.finish()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        name = self.filename_tmpl.format(step)
        loop = getattr(runner, 'train_loop', None)
        if isinstance(loop, ResumableLoop):
            meta[KEY] = loop.state(meta, self.validated)
        with self.removals_last() as postponed:
            kept = self.make_room(runner, step, postponed)
            self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                backend_args=self.backend_args, **self.args)
            if is_main_process():
                note_last(runner.work_dir, self.last_ckpt)
        self.keep_ckpt_ids = kept

    def make_room(self, runner: Runner, step: int, postponed: PostponedRemovals) -> deque:
        """Notes which checkpoint makes room. The new one names it too: after a kill, resuming removes it."""
        known = getattr(self, 'keep_ckpt_ids', deque())
        if self.max_keep_ckpts <= 0 or known and known[-1] == step:
            return known
        steps = [*known, step]
        runner.message_hub.update_info('keep_ckpt_ids', list(steps))
        for outdated in steps[:-self.max_keep_ckpts]:
            if is_main_process():
                postponed.remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated)))
        return deque(steps, self.max_keep_ckpts)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        last = self.last_ckpt
        if isinstance(getattr(runner, 'train_loop', None), ResumableLoop):
            self.last_ckpt = None  # mmengine's would write it again here, when early stopping does not know yet
        with self.removals_last():
            super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = self.last_ckpt or last

    def save_validated(self, runner: Runner) -> None:
        """After a validation, writes the checkpoint of this place again, if there is one."""
        if self.path_of_this_place(runner):
            self.validated = True
            step = runner.epoch if self.by_epoch else runner.iter
            try:
                self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
            finally:
                self.validated = False

    def path_of_this_place(self, runner: Runner) -> str | None:
        """The checkpoint that this run has last written or begun with, if nothing was trained since."""
        name = self.filename_tmpl.format(runner.epoch if self.by_epoch else runner.iter)
        here = not self.by_epoch or getattr(runner.train_loop, 'batch', 0) == 0
        return self.last_ckpt if here and self.last_ckpt and os.path.basename(self.last_ckpt) == name else None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if self.by_epoch:
            return
        due = self.waits or self.every_n_train_iters(runner, self.interval, self.save_begin) or (
            self.save_last and self.is_last_train_iter(runner))
        self.waits = due and not between_updates(runner)
        if due and not self.waits:
            runner.logger.info(f'Saving checkpoint at {runner.iter + 1} iterations')
            self._save_checkpoint(runner)

    def save_on_the_way(self, runner: Runner, meta: dict, state: dict) -> str:
        """Writes a checkpoint at any iteration; the one that was written so before goes after that.

        Args:
            runner: of the training.
            meta: the checkpoint's, with epoch and iteration.
            state: of the training, see ``engine.resume.state``.

        Returns:
            Its path.
        """
        present = None if self.by_epoch else self.path_of_this_place(runner)
        if present:
            return present
        name = f'iter_{runner.iter}.pth'
        names = [*(other for other in self.on_the_way if other != name), name]
        runner.message_hub.update_info(ON_THE_WAY, names)
        path = self.file_backend.join_path(self.out_dir, name)
        runner.logger.info(f'Saving checkpoint at {runner.iter} iterations')
        runner.save_checkpoint(self.out_dir, name, self.file_client_args, meta={**meta, KEY: state}, by_epoch=False,
                               backend_args=self.backend_args)
        if is_main_process():
            note_last(runner.work_dir, path)
        self.drop(names[:-1])
        self.on_the_way = [name]
        return path

    def drop(self, names: list[str]) -> None:
        for path in (self.file_backend.join_path(self.out_dir, name) for name in names):
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        if isinstance(runner.train_loop, ResumableLoop) and self.path_of_this_place(runner):
            self.drop(self.on_the_way)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Looks at all that is to be written, after the hooks that add to it."""
        bad = first_not_finite(checkpoint)
        if bad:
            kept = sorted(path.name for paths in numbered(self.out_dir) for path in paths[:1])
            raise UserError(f'iteration {runner.iter}: {bad} is not finite any more; stopped, and no checkpoint of it '
                            f'is written{f"; {shorten(kept)} in {self.out_dir} is from before" if kept else ""}; try a '
                            'lower learning rate or --clip-grad 10')
