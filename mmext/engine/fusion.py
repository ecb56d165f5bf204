"""``--fuse``: a test with batch norms folded into convolutions, compared with the model as it is."""

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
from mmext.engine.wrapper import bare
from mmext.errors import UserError
from mmext.task import Task, task_of

TOLERANCE = 1e-4


class Difference(NamedTuple):
    """How far an output is from what it should be: at most, and that as a share of the largest value."""

    absolute: float
    relative: float


@dataclass(frozen=True)
class Fused:
    """A fused model beside the one that it was made of.

    Attributes:
        model: the fused one.
        fusion: which norms were folded, which stay and why.
        difference: the largest of the outputs on the batch, as a share of the output's largest value.
        plain, fused: each computes the outputs of the batch once, to be timed in turn.
    """

    model: nn.Module
    fusion: Fusion
    difference: float
    plain: Callable[[], object]
    fused: Callable[[], object]

    def __str__(self) -> str:
        return f'{self.fusion}; outputs differ by at most {self.difference:.1e} of their largest value'


def fuse_model(model: nn.Module, batch: dict, task: Task, tolerance: float = TOLERANCE) -> Fused:
    """Fuses a model, and compares what its heads give (``Task.head_outputs``) with what they gave before.

    Args:
        model: in eval mode; it is left as it is.
        batch: as a loader gives it.
        task: the model's.
        tolerance: the largest difference allowed, as a share of an output's largest value.

    Raises:
        UserError: an output differs by more.
    """
    fused = fuse(model)
    data = cast(BaseModel, model).data_preprocessor(batch, False)

    def outputs(network: nn.Module) -> object:
        with torch.inference_mode():
            return task.head_outputs(network, data)

    plain_call, fused_call = partial(outputs, model), partial(outputs, fused)
    pairs = zip(tree_leaves(fused_call()), tree_leaves(plain_call()), strict=True)
    shares = [difference(found, expected).relative for found, expected in pairs]
    bad = [share for share in shares if not share <= tolerance]  # NaN is above it
    if bad:
        raise UserError(f'--fuse: outputs differ by {bad[0]:.1e} of their largest value, more than {tolerance:g}; test '
                        'without it')
    return Fused(fused, cast(Fusion, fused.fusion), max(shares), plain_call, fused_call)


def difference(found: Tensor, expected: Tensor) -> Difference:
    """Of two outputs; not finite where a value is not, or the shapes differ."""
    if found.shape != expected.shape:
        return Difference(math.inf, math.inf)
    absolute = (found - expected).abs().max().item()
    return Difference(absolute, absolute / (expected.abs().max().item() or 1))


class FuseHook(Hook):
    """Fuses the model at a test's first batch, when its weights are loaded, and goes on with the fused one.

    Attributes:
        fused: of ``fuse_model``, from the first batch on.
    """

    priority = 'LOWEST'  # after those that swap weights

    def __init__(self) -> None:
        self.fused: Fused | None = None

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self.fused:
            return
        assert data_batch is not None  # a test's loop always hands it on
        self.fused = fuse_model(bare(runner.model), data_batch, task_of(runner.cfg))
        if hasattr(runner.model, 'module'):
            runner.model.module = self.fused.model
        else:
            runner.model = self.fused.model
