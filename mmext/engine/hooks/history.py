"""How much of its logs a run keeps in memory."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.engine.log_windows import longest_window, window_sizes

SHORTEST = 1000


class HistoryHook(Hook):
    """Cuts the logs in mmengine's message hub to what the printed means need.

    mmengine copies each log at every iteration and writes all of it into every checkpoint: 3.75 ms and 54 MB after
    450,000 iterations. ``scalars.json`` has the whole curves. Where the config logs a mean over all iterations
    (``window_size='global'``), nothing is cut.
    """

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        self.length = needed_length(runner)
        self.cut(runner)  # what a checkpoint has brought

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        self.cut(runner)

    def cut(self, runner: Runner) -> None:
        """Shortens the logs that may still grow beyond the length."""
        length = self.length
        if length is None:
            return
        for log in runner.message_hub.log_scalars.values():
            if log.max_length > length:
                log.max_length = length
                log._log_history, log._count_history = (part[-length:] for part in log.data)


def needed_length(runner: Runner) -> int | None:
    """How many of its last values a log must keep; None where it must keep them all."""
    processor = runner.log_processor
    if 'global' in window_sizes(processor):
        return None
    numbers = [SHORTEST, longest_window(processor, len(runner.train_dataloader))]
    if runner.val_loop is not None:
        numbers.append(len(runner.val_dataloader))  # the time of a validation is a mean over all of it
    return max(numbers)
