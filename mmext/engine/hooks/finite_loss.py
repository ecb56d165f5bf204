"""A loss that turns NaN or infinite ends the run, and says where."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.errors import UserError, shorten
from mmext.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops at a loss that is not finite, naming the iteration, the loss and the batch's images.

    Losses are looked at every ``interval`` iterations, all at once, so that a GPU is not held up; the first bad one is
    named. They are always looked at before a checkpoint is written: the last good one stays the last.

    Args:
        interval: iterations between two looks.

    Raises:
        UserError: at a look, if a loss since the last one was not finite.
    """

    priority = 'HIGH'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.seen: list[tuple[int, dict[str, torch.Tensor], list[str]]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        losses = {name: value.detach() for name, value in (outputs or {}).items()
                  if 'loss' in name and isinstance(value, torch.Tensor)}
        self.seen.append((runner.iter + 1, losses, images_of(data_batch)))
        if len(self.seen) >= self.interval:
            self.look(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self.look(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.look(runner)

    def look(self, runner: Runner) -> None:
        seen, self.seen = self.seen, []
        values = [value for _, losses, _ in seen for value in losses.values()]
        if not values or torch.isfinite(torch.stack([value.float().sum() for value in values])).all():
            return
        for iteration, losses, images in seen:
            bad = [f'{name} is {value.float().sum().item()}' for name, value in losses.items()
                   if not torch.isfinite(value).all()]
            if bad:
                where = f' on the images {shorten(images, 4)}' if images else ''
                raise UserError(f'iteration {iteration}: {shorten(bad)}{where}; stopped{kept(runner)}; try a lower '
                                'learning rate or --clip-grad 10')


def kept(runner: Runner) -> str:
    """Where this run's last checkpoint is, which holds weights from before the bad loss; '' where it has none."""
    note = Path(runner.work_dir, 'last_checkpoint')
    if runner.message_hub.get_info('last_ckpt') is None or not note.is_file():  # the note may be an earlier run's
        return ''
    return f', the last checkpoint, {note.read_text().strip()}, is from before'


def images_of(data_batch: dict | None) -> list[str]:
    """The files of a batch, as far as its samples tell."""
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [getattr(sample, 'img_path', None) or getattr(sample, 'filename', '?') for sample in samples]
