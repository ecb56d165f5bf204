"""Over how many values the means in a training's log are taken."""

from __future__ import annotations

from mmengine.runner import LogProcessor


def window_sizes(processor: LogProcessor) -> list[int | str | None]:
    """The windows of the custom log entries: numbers, 'epoch', 'global', or None for the processor's own."""
    return [custom.get('window_size') for custom in processor.custom_cfg]


def longest_window(processor: LogProcessor, epoch: int) -> int:
    """The largest number of values that a logged mean needs, apart from means over the whole training.

    Args:
        processor: the runner's.
        epoch: the length of the window 'epoch'.
    """
    sizes = window_sizes(processor)
    return max([processor.window_size, *(size for size in sizes if isinstance(size, int)),
                *([epoch] if 'epoch' in sizes else [])])
