"""Checks on the device, without synchronisation, whether the numbers of an iteration are finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor

LOSS, STATISTIC, GRADIENT, WEIGHT = 'loss', 'statistic', 'gradient', 'weight'  # in the order in which they are computed


def norms_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The Euclidean norm of each tensor, computed by fused operations; not finite if an element is not."""
    wide = [value.detach() if value.dtype in (torch.float32, torch.float64) else value.detach().float()
            for value in tensors.values()]
    if not wide:
        return {}
    return dict(zip(tensors, torch._foreach_norm(wide)))  # pyright: ignore[reportPrivateImportUsage]


class Gradients:
    """The norms of an optimiser's gradients, computed when they are about to be used, but before they are clipped.

    Clipping by a norm that is not finite makes all gradients NaN, which would hide where the first one came from.

    Args:
        wrapper: the wrapper of the optimiser.
        names: id of a parameter -> its name.

    Attributes:
        updated: whether the optimiser made a step before the last ``collect``.
    """

    def __init__(self, wrapper: OptimWrapper, names: Mapping[int, str]) -> None:
        self.wrapper = wrapper
        self.parameters = {names[id(value)]: value for group in wrapper.optimizer.param_groups
                           for value in group['params'] if id(value) in names}
        self.unclipped: dict[str, Tensor] = {}
        self.used: dict[str, Tensor] | None = None
        self.updated = False
        self.hook = wrapper.optimizer.register_step_pre_hook(self.before_step)
        self.clip = wrapper.clip_func if wrapper.clip_grad_kwargs else None
        if self.clip:
            wrapper.clip_func = self.before_clipping  # pyright: ignore[reportAttributeAccessIssue]  one of torch's two

    def remove(self) -> None:
        """Removes the hooks from the optimiser."""
        self.hook.remove()
        if self.clip:
            self.wrapper.clip_func = self.clip

    def norms(self) -> dict[str, Tensor]:
        """Parameter name -> norm of its current gradient."""
        return norms_of({name: value.grad for name, value in self.parameters.items()
                         if value.grad is not None and not value.grad.is_sparse})

    def before_clipping(self, *args, **kwargs) -> Tensor | None:
        """Replaces the clipping function: records the norms, then clips."""
        assert self.clip is not None
        self.unclipped = self.norms()
        return self.clip(*args, **kwargs)

    def before_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Records the norms of the gradients that the optimiser uses.

        A loss scaler does not call the optimiser if gradients overflow, except for a fused optimiser, which skips such
        an update itself.
        """
        norms = self.unclipped or self.norms()
        skipped = getattr(optimizer, 'found_inf', None)
        self.used = norms if skipped is None else {name: norm.masked_fill(skipped.to(norm.device).bool().squeeze(), 0.)
                                                   for name, norm in norms.items()}

    def collect(self) -> dict[str, Tensor]:
        """The gradient norms of an iteration, of the gradients that were used or have been accumulated so far."""
        self.updated = self.used is not None
        scaled = getattr(self.wrapper, 'loss_scaler', None)
        norms = self.used
        if norms is None:  # accumulated gradients of a scaled loss may overflow
            norms = {} if scaled is not None and scaled.is_enabled() else self.norms()
        self.unclipped, self.used = {}, None
        return norms


class FiniteCheck:
    """An asynchronous check whether all numbers of an iteration are finite, in all processes.

    Args:
        iteration: the number of the iteration, from 1.
        numbers: kind -> name -> a scalar or norm on the device, in the order in which they are computed.
        batch: the batch of the iteration; None for a check outside of an iteration.
    """

    def __init__(self, iteration: int, numbers: Mapping[str, Mapping[str, Tensor]], batch: object) -> None:
        self.iteration = iteration
        self.batch = batch
        self.names = [(kind, name) for kind, part in numbers.items() for name in part]
        device = next((value.device for part in reversed(list(numbers.values())) for value in part.values()),
                      torch.device('cpu'))
        self.values = torch.stack([value.to(device, torch.float32, non_blocking=True) for part in numbers.values()
                                   for value in part.values()]) if self.names else torch.zeros(1)
        self.on_gpu = self.values.is_cuda
        self.rank, self.processes = get_rank(), get_world_size()
        bad = ~self.values.isfinite()
        place = torch.where(bad.any(), bad.int().argmax(), self.no_place)
        first = place * self.processes + self.rank
        if self.processes > 1:
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        self.first = first.to('cpu', non_blocking=True)  # into pinned memory
        self.arrived: Callable[[], None] = lambda: None
        if self.on_gpu:
            event = torch.cuda.Event()
            event.record()
            self.arrived = event.synchronize

    @property
    def no_place(self) -> int:
        """The index that means that all numbers are finite."""
        return 1 << 40

    def first_process(self) -> int | None:
        """The rank of the process with the first number that is not finite; None if all are finite."""
        self.arrived()
        place, rank = divmod(int(self.first), self.processes)
        return None if place >= self.no_place else rank

    def first_bad(self) -> tuple[str, dict[str, float]]:
        """The kind of the first number that is not finite, and name -> value of all such numbers of this kind."""
        values = dict(zip(self.names, self.values.tolist()))
        bad = {key: value for key, value in values.items() if value - value != 0}
        kind = next(iter(bad))[0]
        return kind, {name: value for (other, name), value in bad.items() if other == kind}
