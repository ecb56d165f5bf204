"""How convolutions' weights lie in memory: channels first, or last, which processors and half precision prefer.

A convolution computes in the format of its weights and hands it on with its output, so that it is enough to arrange
weights: the function is the same, to rounding, and so are the names and values of a state dict.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEMORY_FORMATS = ('auto', 'contiguous', 'channels_last')
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by a tensor's dimensions


def arrange(tensor: Tensor, memory_format: str) -> Tensor:
    """The same tensor in a memory format.

    Args:
        tensor: weights (out, in, ...), images (N, C, H, W), clips (N, C, T, H, W), or views of clips
            (N, views, C, T, H, W), which are arranged as (N * views, C, T, H, W); of other shapes it is left as it is.
        memory_format: 'contiguous' or 'channels_last', which means channels_last_3d for clips.
    """
    if memory_format == 'contiguous':
        return tensor.contiguous()
    if tensor.ndim == 6:
        return arrange(tensor.flatten(0, 1), memory_format).unflatten(0, tensor.shape[:2])
    layout = CHANNELS_LAST.get(tensor.ndim)
    return tensor.contiguous(memory_format=layout) if layout else tensor


def arrange_weights(model: nn.Module, memory_format: str, half_precision: bool = False) -> str:
    """Puts a model's weights into a memory format, in place.

    Args:
        model: on its device.
        memory_format: one of ``MEMORY_FORMATS``; 'auto' is ``fastest_format``.
        half_precision: whether the model computes in bf16 or fp16.

    Returns:
        The format that was taken.
    """
    if memory_format == 'auto':
        memory_format = fastest_format(model, half_precision)
    for parameter in model.parameters():
        parameter.data = arrange(parameter.data, memory_format)
    return memory_format


def fastest_format(model: nn.Module, half_precision: bool = False) -> str:
    """'channels_last' where it was measured to be faster or is known to be: 2D networks on a processor, and in half
    precision on a GPU (NVIDIA's tensor cores read channels last); 'contiguous' for all others.

    ``benchmarks/processor.py`` prints the measurements.
    """
    parameter = next(model.parameters(), None)
    if parameter is None or any(isinstance(module, nn.Conv3d) for module in model.modules()):
        return 'contiguous'
    return 'channels_last' if parameter.device.type == 'cpu' or half_precision else 'contiguous'
