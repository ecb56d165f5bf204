"""Activation checkpointing that changes nothing but memory and time.

torch's checkpoint runs the forward pass twice and so updates batch norm's running statistics twice a step
(pytorch issue 96136). Here the second run leaves them alone, hence outputs, gradients and statistics are bit for bit
those of plain training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# A block keeps about three times as much for its backward pass as its input takes, so n blocks in segments of s hold
# n / s + 3 s inputs at the peak: least at s = sqrt(n / 3).
BLOCK_COST = 3


def segment_length(blocks: int) -> int:
    """How many of a stage's blocks are recomputed together."""
    return max(1, round(math.sqrt(blocks / BLOCK_COST)))


def run_checkpointed(stage: nn.Sequential, x: Tensor) -> Tensor:
    """``stage(x)``, keeping one activation a segment for the backward pass."""
    if not torch.is_grad_enabled():
        return stage(x)
    length = segment_length(len(stage))
    for start in range(0, len(stage), length):
        segment = stage[start:start + length]
        norms = [module for module in segment.modules() if isinstance(module, _BatchNorm)]
        x = checkpoint(segment, x, use_reentrant=False,
                       context_fn=lambda norms=norms: (nullcontext(), statistics_kept(norms)))
    return x


@contextmanager
def statistics_kept(norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms record into copies of their statistics, which are then thrown away.

    They can't just stop recording: torch refuses a second run that keeps fewer tensors than the first, and a norm
    without statistics keeps two fewer.
    """
    kept = [(norm, dict(norm.named_buffers(recurse=False))) for norm in norms if norm.training]
    for norm, buffers in kept:
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in kept:
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
