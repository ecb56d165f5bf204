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
    stride, the weights that only see padding get no gradient. If the input of a 3D convolution has fewer frames than
    the kernel, and so no window without padding, some weights get none either, depending on the processor (seen on an
    AMD EPYC with avx512_bf16, whose memory this can also corrupt). No other case was found among about two thousand
    combinations of size, kernel, stride and padding in one to three dimensions. The repair computes such convolutions
    in float32. Training in bfloat16 calls this function.
    """
    if compute_narrow_maps_in_float32.__name__ in applied() or not leaves_gradients_unset():
        return

    def guarded(original: Callable) -> Callable:
        def conv_forward(self, input, weight, bias):
            narrow = input.shape[-1] < self.stride[-1]
            short = isinstance(self, nn.Conv3d) and input.shape[-3] < self.kernel_size[0]
            if not (narrow or short) or not torch.is_autocast_enabled('cpu'):
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
    filled, unset = True, False
    for size, stride in (((1, 1), 2), ((2, 5, 5), 1)):
        weight = torch.ones(32, 32, *(3 for _ in size), dtype=torch.bfloat16, requires_grad=True)
        convolve = torch.nn.functional.conv3d if len(size) == 3 else torch.nn.functional.conv2d
        result = convolve(torch.ones(2, 32, *size, dtype=torch.bfloat16), weight, stride=stride, padding=1)
        fill(M_PERTURB, 0x81)  # fills new memory with the complement of this byte, which is 8e37 in bfloat16
        try:
            filled &= bool((torch.empty_like(weight) > 1e37).all())
            gradient, = torch.autograd.grad(result.sum(), weight)
        finally:
            fill(M_PERTURB, 0)
        unset |= bool(gradient.abs().max() > result[:, 0].numel())  # the most that images of ones can give
    return not filled or unset
