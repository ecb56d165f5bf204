"""Memory format of convolution weights: channels first, or channels last, which CPUs and half precision prefer.

A convolution computes in the memory format of its weights, and its output has the same format, so it is enough to
convert the weights. The outputs stay the same up to rounding, and the names and values of the state dict do not change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEMORY_FORMATS = ('auto', 'contiguous', 'channels_last')
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # number of dimensions -> format


def arrange(tensor: Tensor, memory_format: str) -> Tensor:
    """Converts a tensor to a memory format.

    Args:
        tensor: Weights (out, in, ...), images (N, C, H, W), clips (N, C, T, H, W), or several views of clips
            (N, views, C, T, H, W), which are converted as (N * views, C, T, H, W). Tensors with other numbers of
            dimensions are returned unchanged for 'channels_last'.
        memory_format: 'contiguous' or 'channels_last'; the latter means channels_last_3d for clips.
    """
    if memory_format == 'contiguous':
        return tensor.contiguous()
    if tensor.ndim == 6:
        return arrange(tensor.flatten(0, 1), memory_format).unflatten(0, tensor.shape[:2])
    layout = CHANNELS_LAST.get(tensor.ndim)
    return tensor.contiguous(memory_format=layout) if layout else tensor


def arrange_weights(model: nn.Module, memory_format: str, half_precision: bool = False) -> str:
    """Converts the weights of a model to a memory format, in place.

    Args:
        model: A model that is already on its device.
        memory_format: One of ``MEMORY_FORMATS``; 'auto' stands for ``fastest_format``.
        half_precision: Whether the model computes in bf16 or fp16.

    Returns:
        The format that is used, 'contiguous' or 'channels_last'.
    """
    if memory_format == 'auto':
        memory_format = fastest_format(model, half_precision)
    for parameter in model.parameters():
        parameter.data = arrange(parameter.data, memory_format)
    return memory_format


def fastest_format(model: nn.Module, half_precision: bool = False) -> str:
    """Chooses the faster memory format of a model.

    This is 'channels_last' for 2D networks on a CPU, where it was measured to be faster (``benchmarks/processor.py``
    prints the measurements), and for 2D networks in half precision on a GPU, since NVIDIA's tensor cores read channels
    last. Otherwise it is 'contiguous'.
    """
    parameter = next(model.parameters(), None)
    if parameter is None or any(isinstance(module, nn.Conv3d) for module in model.modules()):
        return 'contiguous'
    return 'channels_last' if parameter.device.type == 'cpu' or half_precision else 'contiguous'
