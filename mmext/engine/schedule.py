"""Learning rate schedules that mmengine does not provide."""

from __future__ import annotations

from mmengine.optim import BaseOptimWrapper, LinearLR
from torch.optim import Optimizer

from mmext.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class FirstEpochWarmUp(LinearLR):
    """The linear warm-up of torchvision's detection references, over min(iters, batches of an epoch - 1) batches.

    Args:
        optimizer: the optimiser.
        start_factor: the factor of the learning rate for the first batch.
        iters: the maximal length of the warm-up in batches.
        convert_to_iter_based: True in a config, which makes mmengine pass the number of batches in an epoch; without
            it the warm-up has ``iters`` batches.
        kwargs: the arguments of mmengine's ``LinearLR``.
    """

    def __init__(self, optimizer: Optimizer | BaseOptimWrapper, start_factor: float = 0.001, iters: int = 1000,
                 convert_to_iter_based: bool = True, **kwargs) -> None:
        kwargs.update(begin=0, end=iters + 1, by_epoch=False)  # mmengine's last step is the one before end
        super().__init__(optimizer, start_factor=start_factor, **kwargs)

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, iters: int = 1000, **kwargs) -> FirstEpochWarmUp:
        """Builds the schedule for an epoch of ``epoch_length`` batches."""
        return cls(*args, iters=max(1, min(iters, epoch_length - 1)), **kwargs)
