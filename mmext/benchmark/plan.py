"""What a benchmark measures. Importing this imports no torch, so that ``--help`` does not wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.benchmark.setup import Setup

MEASUREMENTS = ('latency', 'throughput', 'memory', 'train', 'data')
NUMBER_FORMATS = ('fp32', 'default', 'tf32', 'bf16', 'fp16')  # default: torch's own, in which mmext trains
MEMORY_FORMATS = ('contiguous', 'channels_last')
LATENCY_CALLS = 5  # in a row, of one subject in one repeat


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often.

    Attributes:
        parts: some of ``MEASUREMENTS``.
        batches: batch sizes of inference, for throughput and memory.
        train_batch: batch size of the training step and of the loader.
        repeats: how many turns each model has. A turn of latency has ``LATENCY_CALLS`` calls.
        warmup: calls before the first turn, for each model and batch size.
        turn: seconds that a turn of throughput lasts at least; short calls are repeated.
        samples: how many samples are sent through the transforms.
    """

    parts: tuple[str, ...] = MEASUREMENTS
    batches: tuple[int, ...] = (1, 2, 4, 8)
    train_batch: int = 8
    repeats: int = 20
    warmup: int = 5
    turn: float = 0.2
    samples: int = 64

    def check(self, setup: Setup) -> None:
        """Raises a UserError if a number is below 1 or repeated, or memory can not be measured on this machine."""
        for option, numbers in (('--batches', self.batches), ('--train-batch', [self.train_batch]),
                                ('--repeats', [self.repeats]), ('--warmup', [self.warmup])):
            if not numbers or min(numbers) < 1:
                raise UserError(f'{option} {" ".join(map(str, numbers))}: need 1 or more')
        repeated = sorted({batch for batch in self.batches if self.batches.count(batch) > 1})
        if repeated:
            raise UserError(f'--batches: {repeated[0]} is given twice')
        if 'memory' in self.parts and setup.device == 'cpu' and not Path('/proc/self/clear_refs').exists():
            raise UserError("memory: on a processor it is read from Linux's /proc, which this system does not have; "
                            'choose other parts with --only')
