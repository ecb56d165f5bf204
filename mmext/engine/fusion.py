"""``--fuse``: a test with batch norms folded into convolutions, compared with the original model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mmext.backbones.fuse import Fusion, fuse
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.task import Task, task_of

TOLERANCE = 1e-4


class Difference(NamedTuple):
    """The largest deviation of an output: absolute, and relative to the largest expected value."""

    absolute: float
    relative: float


@dataclass(frozen=True)
class Fused:
    """A fused model and its comparison with the original one.

    Attributes:
        model: the fused model.
        fusion: which norms were folded, and which were not and why.
        difference: the largest deviation of an output on the batch, relative to its largest value.
        plain, fused: functions that compute the outputs of the original and of the fused model once, for timing.
    """

    model: nn.Module
    fusion: Fusion
    difference: float
    plain: Callable[[], object]
    fused: Callable[[], object]

    def __str__(self) -> str:
        return f'{self.fusion}; outputs differ by at most {self.difference:.1e} of their largest value'


def fuse_model(model: nn.Module, batch: dict, task: Task, tolerance: float = TOLERANCE) -> Fused:
    """Fuses a model and compares its head outputs (``Task.head_outputs``) before and after.

    Args:
        model: the model in eval mode; it is not changed.
        batch: a batch from a loader.
        task: the task of the model.
        tolerance: the largest allowed difference, relative to the largest value of an output.

    Raises:
        UserError: an output differs by more than the tolerance.
    """
    fused = fuse(model)
    data = cast(BaseModel, model).data_preprocessor(batch, False)

    def outputs(network: nn.Module) -> object:
        with torch.inference_mode():
            return task.head_outputs(network, data)

    plain_call, fused_call = partial(outputs, model), partial(outputs, fused)
    pairs = zip(tree_leaves(fused_call()), tree_leaves(plain_call()), strict=True)
    shares = [difference(found, expected).relative for found, expected in pairs]
    bad = [share for share in shares if not share <= tolerance]  # also true for NaN
    if bad:
        raise UserError(f'--fuse: outputs differ by {bad[0]:.1e} of their largest value, more than {tolerance:g}; test '
                        'without --fuse')
    return Fused(fused, cast(Fusion, fused.fusion), max(shares), plain_call, fused_call)


def difference(found: Tensor, expected: Tensor) -> Difference:
    """The difference of two outputs; infinite if their shapes differ, not finite if a value is not."""
    if found.shape != expected.shape:
        return Difference(math.inf, math.inf)
    absolute = (found - expected).abs().max().item()
    return Difference(absolute, absolute / (expected.abs().max().item() or 1))


class FuseHook(Hook):
    """Fuses the model at the first batch of a test, when its weights are loaded, and tests the fused model.

    Attributes:
        fused: the result of ``fuse_model``; None before the first batch.
    """

    priority = 'LOWEST'  # after hooks that swap weights

    def __init__(self) -> None:
        self.fused: Fused | None = None

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self.fused:
            return
        assert data_batch is not None  # a test loop always passes it
        self.fused = fuse_model(unwrap_model(runner.model), data_batch, task_of(runner.cfg))
        if hasattr(runner.model, 'module'):
            runner.model.module = self.fused.model
        else:
            runner.model = self.fused.model
