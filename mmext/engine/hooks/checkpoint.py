"""Checkpoints of a training: an old one is deleted only after the new one is complete and known to be finite."""

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
from mmext.checkpoints.format import KEY as KEY_OF_MODEL
from mmext.checkpoints.format import SAFETENSORS
from mmext.checkpoints.last import note_last, numbered
from mmext.checkpoints.stored import pack
from mmext.engine.resume.position import ResumableLoop, between_updates
from mmext.engine.resume.state import KEY
from mmext.errors import UserError, shorten
from mmext.registry import HOOKS

INTERMEDIATE_KEY = 'ckpts_on_the_way'  # the names of intermediate checkpoints in the message hub


class DeferredRemovals:
    """A file backend that records removals and carries them out in ``finish``."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        """Records a file or folder to be removed."""
        self.paths.append(path)

    rmtree = remove

    def finish(self) -> None:
        """Removes what was recorded."""
        for path in self.paths:
            if self.backend.isfile(path):
                self.backend.remove(path)
            elif self.backend.isdir(path):  # deepspeed writes a checkpoint as a folder
                self.backend.rmtree(path)


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's ``CheckpointHook``, but it writes before it deletes, and refuses numbers that are not finite.

    mmengine's hook deletes the oldest checkpoint, and the best one, before it writes the new one; if the process is
    killed in between, none is left. Here, ``last_checkpoint`` is written atomically and contains a name relative to its
    folder, so that the folder can be moved and copied. The arguments are those of mmengine's hook.

    With the loops of ``engine.resume``, a checkpoint also contains the state for exact resuming. A checkpoint that is
    written before a validation is written again after it, with the result. If gradients of several batches are
    accumulated, a checkpoint that is due between two updates is written after the next update.

    Raises:
        UserError: ``filename_tmpl`` ends with .safetensors, a format that can't hold the optimiser's state; or, when
            saving, a number is not finite.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.filename_tmpl.endswith(SAFETENSORS):
            raise UserError(f'checkpoint.filename_tmpl={self.filename_tmpl}: a safetensors file holds only weights, '
                            'nothing to resume from; use .pth, and convert it with mmext convert-weights')

        self.stored: str | None = None
        self.waiting = False  # for the next update from accumulated gradients
        self.validated = False
        self.intermediate: list[str] = []

    def before_train(self, runner: Runner) -> None:
        self.stored = pack(runner.cfg)
        folder = self.folder_of(runner)
        self.relocate_best_checkpoint(runner, folder)
        loaded = getattr(getattr(runner, 'train_loop', None), 'checkpoint_path', '')
        is_own = bool(loaded) and os.path.realpath(os.path.dirname(loaded)) == os.path.realpath(folder)
        if is_own and is_main_process():  # a kill may have come before it was noted, and outdated ones are removed now
            note_last(runner.work_dir, loaded)
        super().before_train(runner)
        if is_own:
            self.last_ckpt = self.file_backend.join_path(self.out_dir, os.path.basename(loaded))
        known = runner.message_hub.runtime_info.get(INTERMEDIATE_KEY)
        self.intermediate = [os.path.basename(str(name)) for name in known] if isinstance(known, list) else []
        self.delete(self.intermediate[:-1])

    def folder_of(self, runner: Runner) -> str:
        """The folder of the checkpoints, as mmengine derives it from ``out_dir`` when the training starts."""
        if self.out_dir in (None, runner.work_dir):
            return runner.work_dir
        return os.path.join(self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))

    def relocate_best_checkpoint(self, runner: Runner, folder: str) -> None:
        """Makes the recorded best checkpoint refer to this folder, in case the run was copied from another one."""
        for key, value in list(runner.message_hub.runtime_info.items()):
            if (key == 'best_ckpt' or key.startswith('best_ckpt_')) and isinstance(value, str):
                runner.message_hub.update_info(key, os.path.join(folder, os.path.basename(value)))

    @contextmanager
    def deferred_removals(self) -> Iterator[DeferredRemovals]:
        """A context that postpones removals to its end; if an exception is raised, nothing is removed."""
        outer, postponed = self.file_backend, DeferredRemovals(self.file_backend)
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
        with self.deferred_removals() as postponed:
            kept = self.mark_outdated(runner, step, postponed)
            self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                backend_args=self.backend_args, **self.args)
            if is_main_process():
                note_last(runner.work_dir, self.last_ckpt)
        self.keep_ckpt_ids = kept

    def mark_outdated(self, runner: Runner, step: int, postponed: DeferredRemovals) -> deque:
        """Marks outdated checkpoints for removal, and returns the steps of those that are kept.

        The new checkpoint records the outdated ones too, so that a resumed run removes them if this one is killed.
        """
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
            self.last_ckpt = None  # mmengine would rewrite the checkpoint here, before early stopping is updated
        with self.deferred_removals():
            super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = self.last_ckpt or last

    def save_again_after_validation(self, runner: Runner) -> None:
        """After a validation, rewrites the checkpoint of the current position, if there is one."""
        if self.current_checkpoint(runner):
            self.validated = True
            step = runner.epoch if self.by_epoch else runner.iter
            try:
                self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
            finally:
                self.validated = False

    def current_checkpoint(self, runner: Runner) -> str | None:
        """The checkpoint of the current position: the last one written or loaded, if no iteration was done since."""
        name = self.filename_tmpl.format(runner.epoch if self.by_epoch else runner.iter)
        here = not self.by_epoch or getattr(runner.train_loop, 'batch', 0) == 0
        return self.last_ckpt if here and self.last_ckpt and os.path.basename(self.last_ckpt) == name else None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if self.by_epoch:
            return
        due = self.waiting or self.every_n_train_iters(runner, self.interval, self.save_begin) or (
            self.save_last and self.is_last_train_iter(runner))
        self.waiting = due and not between_updates(runner)
        if due and not self.waiting:
            runner.logger.info(f'Saving checkpoint at {runner.iter + 1} iterations')
            self._save_checkpoint(runner)

    def save_intermediate(self, runner: Runner, meta: dict, state: dict) -> str:
        """Writes an intermediate checkpoint, then deletes the previous intermediate one.

        Args:
            runner: the runner of the training.
            meta: the ``meta`` of the checkpoint, with epoch and iteration.
            state: the state of the training, see ``engine.resume.state``.

        Returns:
            The path of the checkpoint.
        """
        present = None if self.by_epoch else self.current_checkpoint(runner)
        if present:
            return present
        name = f'iter_{runner.iter}.pth'
        names = [*(other for other in self.intermediate if other != name), name]
        runner.message_hub.update_info(INTERMEDIATE_KEY, names)
        path = self.file_backend.join_path(self.out_dir, name)
        runner.logger.info(f'Saving checkpoint at {runner.iter} iterations')
        runner.save_checkpoint(self.out_dir, name, self.file_client_args, meta={**meta, KEY: state}, by_epoch=False,
                               backend_args=self.backend_args)
        if is_main_process():
            note_last(runner.work_dir, path)
        self.delete(names[:-1])
        self.intermediate = [name]
        return path

    def delete(self, names: list[str]) -> None:
        """Deletes checkpoints of this run, in the main process only."""
        for path in (self.file_backend.join_path(self.out_dir, name) for name in names):
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        if isinstance(runner.train_loop, ResumableLoop) and self.current_checkpoint(runner):
            self.delete(self.intermediate)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds what inference needs of the config, and checks that all numbers are finite, after the other hooks."""
        if self.stored:
            checkpoint['meta'][KEY_OF_MODEL] = self.stored
        bad = first_not_finite(checkpoint)
        if bad:
            kept = sorted(path.name for paths in numbered(self.out_dir) for path in paths[:1])
            raise UserError(f'iteration {runner.iter}: {bad} is not finite any more; stopped without writing a '
                            f'checkpoint{f"; {shorten(kept)} in {self.out_dir} is from before" if kept else ""}; try a '
                            'lower learning rate or --clip-grad 10')
