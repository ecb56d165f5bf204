"""Activation checkpointing that changes nothing but memory and time.

torch's checkpoint runs the forward pass twice and so updates batch norm's running statistics twice a step
(pytorch issue 96136). Here the second run leaves them alone, hence outputs, gradients and statistics are bit for bit
those of plain training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypedDict

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx, nn
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
    if not torch.is_grad_enabled() or is_recorded(x):
        return stage(x)
    length = segment_length(len(stage))
    for start in range(0, len(stage), length):
        segment = stage[start:start + length]
        x = checkpoint(segment, x, use_reentrant=False, **contexts(segment))
    return x


def is_recorded(state: Any) -> bool:
    """Whether torch.fx or torch.export records the computation; a graph for inference has nothing to recompute."""
    return torch.compiler.is_exporting() or any(isinstance(value, fx.Proxy) for value in pytree.tree_leaves(state))


class Contexts(TypedDict, total=False):
    """The keyword argument of ``torch.utils.checkpoint.checkpoint`` that ``contexts`` sets."""

    context_fn: Callable[[], tuple[AbstractContextManager, AbstractContextManager]]


def contexts(segment: nn.Module) -> Contexts:
    """The argument of ``checkpoint`` that keeps statistics from being recorded twice.

    torch.compile does not accept it, and does not need it: it makes one update of the statistics part of the graph.
    """
    if torch.compiler.is_compiling():
        return {}
    norms = [module for module in segment.modules() if isinstance(module, _BatchNorm)]
    return Contexts(context_fn=lambda: (nullcontext(), statistics_kept(norms)))


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
