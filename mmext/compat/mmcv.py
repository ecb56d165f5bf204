"""Repairs of mmcv's compiled operators."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING

from mmext.compat.notes import note

if TYPE_CHECKING:
    from torch import Tensor


def pool_features_of_any_memory_format(module: ModuleType) -> None:
    """RoIAlign reads features in channels-last memory as if they were channels first, and says nothing.

    Seen with mmcv 2.1.0 on processors; its CUDA code reads features and the gradient of its output in the same way. No
    issue is known. The features of another place and channel are then pooled, and losses and gradients of two-stage
    detectors are wrong. With the repair, both are arranged before.
    """
    import torch

    function = module.RoIAlignFunction
    # The module may be imported while another device is torch's default.
    features = torch.arange(8., device='cpu').view(1, 2, 2, 2)
    regions = torch.tensor([[0., 0., 0., 2., 2.]], device='cpu')
    first, last = (function.apply(features.contiguous(memory_format=layout), regions, 2, 1.0, 1, 'avg', True)
                   for layout in (torch.contiguous_format, torch.channels_last))
    if torch.equal(first, last):
        return
    forward, backward = function.forward, function.backward

    @functools.wraps(forward)
    def arranged_forward(ctx, input: Tensor, *rest) -> Tensor:
        return forward(ctx, input.contiguous(), *rest)

    @functools.wraps(backward)
    def arranged_backward(ctx, gradient: Tensor) -> tuple:
        return backward(ctx, gradient.contiguous())

    function.forward, function.backward = staticmethod(arranged_forward), staticmethod(arranged_backward)
    note(pool_features_of_any_memory_format, 'RoIAlign pools channels-last features correctly')
