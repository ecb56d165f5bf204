"""Activation checkpointing that leaves outputs, gradients and batch norm statistics bit-for-bit unchanged.

``torch.utils.checkpoint`` runs the forward pass twice and therefore updates the running statistics of batch norms twice
in each step (pytorch issue 96136). Here the second run does not update them.
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

# For its backward pass a block keeps about three times the memory of its input. So n blocks in segments of s hold
# n / s + 3 s inputs at the peak, which is smallest at s = sqrt(n / 3).
BLOCK_COST = 3


def segment_length(blocks: int) -> int:
    """How many consecutive blocks of a stage are recomputed together."""
    return max(1, round(math.sqrt(blocks / BLOCK_COST)))


def run_checkpointed(stage: nn.Sequential, x: Tensor) -> Tensor:
    """Computes ``stage(x)`` and keeps only one activation per segment for the backward pass."""
    if not torch.is_grad_enabled() or is_recorded(x):
        return stage(x)
    length = segment_length(len(stage))
    for start in range(0, len(stage), length):
        segment = stage[start:start + length]
        x = checkpoint(segment, x, use_reentrant=False, **contexts(segment))
    return x


def is_recorded(state: Any) -> bool:
    """Whether torch.fx or torch.export is tracing; a graph for inference needs no recomputation."""
    return torch.compiler.is_exporting() or any(isinstance(value, fx.Proxy) for value in pytree.tree_leaves(state))


class Contexts(TypedDict, total=False):
    """The keyword argument of ``torch.utils.checkpoint.checkpoint`` that ``contexts`` sets."""

    context_fn: Callable[[], tuple[AbstractContextManager, AbstractContextManager]]


def contexts(segment: nn.Module) -> Contexts:
    """The argument of ``checkpoint`` that prevents the second update of the running statistics.

    torch.compile does not accept this argument, and does not need it: its graph updates the statistics once.
    """
    if torch.compiler.is_compiling():
        return {}
    norms = [module for module in segment.modules() if isinstance(module, _BatchNorm)]
    return Contexts(context_fn=lambda: (nullcontext(), preserve_statistics(norms)))


@contextmanager
def preserve_statistics(norms: list[_BatchNorm]) -> Iterator[None]:
    """Lets batch norms update copies of their running statistics, and discards the copies at the end.

    The norms can't simply stop updating: torch refuses a second run that saves fewer tensors than the first, and a norm
    without running statistics saves two fewer.
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
