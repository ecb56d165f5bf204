"""Peak memory of inference and training: from torch's allocator on a GPU, of a separate process on a processor.

It is the sum of what the model holds (weights, and in training the state of the optimiser) and of what a step after the
warm-up needs in addition at its peak. Libraries and compiled code do not count.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.logging import MMLogger

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.analysis.subjects import Spec, from_spec
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import Inference, TrainingStep, network, warmed
from mmext.engine import cli
from mmext.engine.allocator import VARIABLE
from mmext.errors import UserError

# With these settings glibc returns the memory of a freed tensor to the system at once.
EXACT_ALLOCATOR = {'MALLOC_MMAP_THRESHOLD_': '65536', VARIABLE: '0'}
STEPS = 2  # the state of the optimiser exists from the second step on


def peaks(spec: Spec, setup: Setup, training: bool, batches: Sequence[int]) -> list[int | None]:
    """Peak memory in bytes of a step with each batch size; None for a batch size that runs out of memory.

    Args:
        spec: of the model.
        setup: how it is run.
        training: measure a training step, not inference.
        batches: the batch sizes.

    Raises:
        UserError: the model can not be run.
    """
    if setup.device != 'cpu':
        return list(measured(spec, setup, training, batches))
    work = pickle.dumps((spec, setup, training, tuple(batches)))
    done = subprocess.run([sys.executable, '-m', __name__], input=work, capture_output=True,
                          env={**os.environ, **EXACT_ALLOCATOR, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith('peak ')]
    found = [json.loads(line.removeprefix('peak ')) for line in lines]
    if done.returncode > 0:
        last = done.stderr.decode().strip().splitlines()[-1]
        raise UserError(last.removeprefix('error: ') if done.returncode == 2 else
                        f'{spec.path}: the process that measures memory ended with code {done.returncode} ({last})')
    return found + [None] * (len(batches) - len(found))  # the system kills a process that uses too much memory


def measured(spec: Spec, setup: Setup, training: bool, batches: Sequence[int]) -> Iterator[int | None]:
    """As ``peaks``, measured in this process."""
    setup.apply()
    subject = from_spec(spec)
    if training:
        step = TrainingStep(subject, setup)
        model, optimizer = step.model, step.optimizer.optimizer
    else:
        model, optimizer = network(subject, setup), None

    def run(batch: int) -> None:
        call = partial(step.laps, subject.batch(batch)) if training else Inference(subject, model, setup, batch)
        for _ in range(STEPS):
            call()

    def fits(batch: int) -> bool:
        return warmed(spec.path, partial(run, batch), setup, 1)

    for batch in batches:
        ready = fits(min(batches))
        gauge = Gauge(setup.device)
        yield held(model, optimizer) + gauge.growth() if ready and fits(batch) else None


def held(model: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Bytes of the weights, the buffers and the state of the optimiser."""
    tensors = [*model.parameters(), *model.buffers()]
    for state in optimizer.state.values() if optimizer else ():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class Gauge:
    """Measures how far memory rises above its present level."""

    def __init__(self, device: str) -> None:
        self.device = device
        gc.collect()
        if device == 'cpu':
            forget_peak()
            self.before = status('VmRSS')
        else:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()

    def growth(self) -> int:
        """Bytes by which memory has risen at most since the gauge was made."""
        if self.device == 'cpu':
            return max(0, status('VmHWM') - self.before)  # the two counters of Linux differ by some pages
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - self.before


def status(key: str) -> int:
    """A number of bytes from Linux's /proc/self/status, such as VmRSS. (ru_maxrss starts with the parent's.)"""
    found = re.search(rf'{key}:\s*(\d+) kB', Path('/proc/self/status').read_text())
    assert found is not None, key
    return 1024 * int(found[1])


def forget_peak() -> None:
    """Resets VmHWM, the peak, to the present level."""
    Path('/proc/self/clear_refs').write_text('5')


def main() -> None:
    """Measures in this process what the parent asks for on stdin, and prints a line for each batch size."""
    spec, setup, training, batches = pickle.loads(sys.stdin.buffer.read())
    MMLogger.get_current_instance().setLevel('WARNING')
    for peak in measured(spec, setup, training, batches):
        print('peak', json.dumps(peak), flush=True)


if __name__ == '__main__':
    cli.run(main)
