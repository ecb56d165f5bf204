"""Parameters and FLOPs, counted from the built model on the meta device, in each paper's own convention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Size, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones.layers import ReLU

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (_BatchNorm, nn.GroupNorm)
ACTIVATIONS = (ReLU, nn.ReLU)
MAX_POOLS = (nn.MaxPool2d, nn.MaxPool3d)
MEAN_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
COUNTED = (*CONVOLUTIONS, nn.Linear, *NORMS, *ACTIVATIONS, *MAX_POOLS, *MEAN_POOLS)


@dataclass(frozen=True)
class Call:
    """One call of a layer: the layer, and the shapes that went in and came out, the batch first."""

    layer: nn.Module
    given: Size
    made: Size


@dataclass(frozen=True)
class Complexity:
    """Parameters, multiply-accumulate operations and FLOPs (in some convention) of one input."""

    params: int
    macs: int
    flops: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def count(model: nn.Module, shape: Sequence[int], convention: str = 'macs',
          forward: Callable | None = None) -> Complexity:
    """Counts a model that was built on the meta device.

    Args:
        model: any module; it is put into eval mode.
        shape: of one input, without the batch.
        convention: a key of ``CONVENTIONS``.
        forward: what to call with the input; the model itself by default.
    """
    calls = trace(model.eval(), shape, forward or model)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(params, macs(calls), CONVENTIONS[convention](calls))


def trace(model: nn.Module, shape: Sequence[int], forward: Callable) -> list[Call]:
    """Runs one meta input of the given shape through the model and lists the layers' calls in order."""
    calls: list[Call] = []

    def record(layer: nn.Module, given: tuple, made: torch.Tensor) -> None:
        calls.append(Call(layer, given[0].shape, made.shape))

    hooks = [layer.register_forward_hook(record) for layer in model.modules() if isinstance(layer, COUNTED)]
    try:
        with torch.no_grad():
            forward(torch.empty(1, *shape, device='meta'))
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def call_macs(call: Call) -> int:
    """Multiply-accumulate operations of a convolution or a linear layer; nothing else has any."""
    layer, elements = call.layer, math.prod(call.made)
    if isinstance(layer, CONVOLUTIONS):
        return elements * (layer.in_channels // layer.groups) * math.prod(layer.kernel_size)
    return elements * layer.in_features if isinstance(layer, nn.Linear) else 0


def macs(calls: list[Call]) -> int:
    """Plain multiply-accumulate operations."""
    return sum(map(call_macs, calls))


def iresnet(calls: list[Call]) -> int:
    """What the iResNet paper printed for ImageNet, SSD and video: thop as it was from March to July 2019.

    It multiplied a convolution's bias by the input channels, and kept of a layer that is called several times (a
    block's one ReLU) only the last call.
    """
    last_call = {id(call.layer): call for call in calls}
    return sum(map(iresnet_call, last_call.values()))


def iresnet_call(call: Call) -> int:
    layer, elements = call.layer, math.prod(call.made)
    if isinstance(layer, CONVOLUTIONS):
        kernel = math.prod(layer.kernel_size) + (layer.bias is not None)
        return elements * (layer.in_channels // layer.groups) * kernel
    if isinstance(layer, nn.Linear):
        return elements * (2 * layer.in_features - 1)
    if isinstance(layer, NORMS):
        return 4 * elements
    if isinstance(layer, MAX_POOLS):
        kernel = layer.kernel_size  # as it was given: an int counts as itself, a tuple as its product
        return elements * (kernel if isinstance(kernel, int) else math.prod(kernel))
    if isinstance(layer, MEAN_POOLS):
        return elements * (math.prod(call.given[2:]) + 1)
    return elements


def iresnet_cifar(calls: list[Call]) -> int:
    """What the iResNet paper printed for CIFAR: MACs, 4 per element of a norm, 1 per element of every ReLU."""
    return macs(calls) + 4 * elements_of(calls, NORMS) + elements_of(calls, ACTIVATIONS)


def cresnet(calls: list[Call]) -> int:
    """What the C-ResNet paper printed: MACs, convolution biases, 2 per element of a norm."""
    biased = [call for call in calls if isinstance(call.layer, CONVOLUTIONS) and call.layer.bias is not None]
    return macs(calls) + elements_of(biased, CONVOLUTIONS) + 2 * elements_of(calls, NORMS)


def recursive(calls: list[Call]) -> int:
    """What the recursion-formula paper printed: the MACs of a batch of 128."""
    return 128 * macs(calls)


def elements_of(calls: list[Call], kinds: tuple) -> int:
    """How many numbers the layers of these kinds made."""
    return sum(math.prod(call.made) for call in calls if isinstance(call.layer, kinds))


CONVENTIONS: dict[str, Callable[[list[Call]], int]] = {
    'macs': macs,
    'iresnet': iresnet,
    'iresnet-cifar': iresnet_cifar,
    'cresnet': cresnet,
    'recursive': recursive,
}
