"""Repairs of torch itself. torch is already imported, so code that needs a repair calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import nn

from mmext.compat.notes import applied, note

M_PERTURB = -6  # malloc.h


def compute_narrow_maps_in_float32() -> None:
    """On a CPU, a bfloat16 convolution leaves the gradients of some weights uninitialised.

    Seen with torch 2.13 (oneDNN 3.12); no issue is known. If the input of a padded convolution is narrower than its
    stride, the weights that only see padding get no gradient. No other case was found among about two thousand
    combinations of size, kernel, stride and padding in one to three dimensions. The repair computes such convolutions
    in float32. Training in bfloat16 calls this function.
    """
    if compute_narrow_maps_in_float32.__name__ in applied() or not leaves_gradients_unset():
        return

    def guarded(original: Callable) -> Callable:
        def conv_forward(self, input, weight, bias):
            if input.shape[-1] >= self.stride[-1] or not torch.is_autocast_enabled('cpu'):
                return original(self, input, weight, bias)
            with torch.autocast('cpu', enabled=False):
                output = original(self, input.float(), weight.float(), None if bias is None else bias.float())
            return output.to(torch.get_autocast_dtype('cpu'))
        return conv_forward

    for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        kind._conv_forward = guarded(kind._conv_forward)
    note(compute_narrow_maps_in_float32, 'convolutions of narrow feature maps have correct gradients in bfloat16')


def leaves_gradients_unset() -> bool:
    """Whether a gradient is left uninitialised. To detect this, glibc is told to fill new memory with a pattern.

    Returns True as well, to be safe, if the allocator does not support that.
    """
    fill = getattr(ctypes.CDLL(None), 'mallopt', None)
    if fill is None:
        return True
    weight = torch.ones(32, 32, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    result = torch.nn.functional.conv2d(torch.ones(2, 32, 1, 1, dtype=torch.bfloat16), weight, stride=2, padding=1)
    fill(M_PERTURB, 0x81)  # fills new memory with the complement of this byte, which is 8e37 in bfloat16
    try:
        filled = bool((torch.empty_like(weight) > 1e37).all())
        gradient, = torch.autograd.grad(result.sum(), weight)
    finally:
        fill(M_PERTURB, 0)
    return not filled or bool(gradient.abs().max() > 2)  # the correct gradient is at most 2, from two images of ones
