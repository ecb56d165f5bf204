"""Parameters and FLOPs, counted on the built model on the meta device, in the convention of each paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Size, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.analysis import CONVENTIONS
from mmext.backbones.layers import ReLU

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (_BatchNorm, nn.GroupNorm)
ACTIVATIONS = (ReLU, nn.ReLU)
MAX_POOLS = (nn.MaxPool2d, nn.MaxPool3d)
WINDOW_MEANS = (nn.AvgPool2d, nn.AvgPool3d)
MEAN_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
COUNTED = (*CONVOLUTIONS, nn.Linear, *NORMS, *ACTIVATIONS, *MAX_POOLS, *WINDOW_MEANS, *MEAN_POOLS)


@dataclass(frozen=True)
class Call:
    """One call of a layer: the layer, and the shapes of its input and output, batch dimension included."""

    layer: nn.Module
    given: Size
    made: Size


@dataclass(frozen=True)
class Complexity:
    """Parameters, multiply-accumulate operations (MACs) and FLOPs (in some convention) of a model on one input."""

    params: int
    macs: int
    flops: int

    def as_dict(self) -> dict[str, int]:
        """The three numbers by their names, for JSON."""
        return asdict(self)


def count(model: nn.Module, shape: Sequence[int], convention: str = 'macs',
          forward: Callable | None = None) -> Complexity:
    """Counts parameters and operations of a model.

    Args:
        model: any module that was built on the meta device; it is put into eval mode.
        shape: of one input, without the batch dimension: (C, H, W) or (C, T, H, W).
        convention: how FLOPs are counted, one of ``analysis.CONVENTIONS``.
        forward: is called with the input; by default the model itself.
    """
    calls = layer_calls(model.eval(), shape, forward or model)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(params, macs(calls), COUNTERS[convention](calls))


def layer_calls(model: nn.Module, shape: Sequence[int], forward: Callable) -> list[Call]:
    """Runs one input of the given shape on the meta device and lists the calls of layers in their order."""
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
    """Multiply-accumulate operations of one call; only convolutions and linear layers have any."""
    layer, elements = call.layer, math.prod(call.made)
    if isinstance(layer, CONVOLUTIONS):
        return elements * (layer.in_channels // layer.groups) * math.prod(layer.kernel_size)
    return elements * layer.in_features if isinstance(layer, nn.Linear) else 0


def macs(calls: list[Call]) -> int:
    """Multiply-accumulate operations."""
    return sum(map(call_macs, calls))


def iresnet(calls: list[Call]) -> int:
    """FLOPs as the iResNet paper prints them for ImageNet, SSD and video: those of thop from March to July 2019.

    That version multiplied the bias of a convolution by the number of input channels, and of a layer that is called
    several times, such as the only ReLU of a block, it counted only the last call.
    """
    last_call = {id(call.layer): call for call in calls}
    return sum(map(iresnet_call, last_call.values()))


def iresnet_call(call: Call) -> int:
    """The operations that ``iresnet`` counts for one call of a layer."""
    layer, elements = call.layer, math.prod(call.made)
    if isinstance(layer, CONVOLUTIONS):
        kernel = math.prod(layer.kernel_size) + (layer.bias is not None)
        return elements * (layer.in_channels // layer.groups) * kernel
    if isinstance(layer, nn.Linear):
        return elements * (2 * layer.in_features - 1)
    if isinstance(layer, NORMS):
        return 4 * elements
    if isinstance(layer, (*MAX_POOLS, *WINDOW_MEANS)):
        kernel = layer.kernel_size  # thop counted an int as itself, and a tuple as its product
        size = kernel if isinstance(kernel, int) else math.prod(kernel)
        return elements * (size + isinstance(layer, WINDOW_MEANS))  # and one division for a mean
    if isinstance(layer, MEAN_POOLS):
        return elements * (math.prod(call.given[2:]) + 1)
    return elements


def iresnet_cifar(calls: list[Call]) -> int:
    """FLOPs as the iResNet paper prints them for CIFAR: MACs, 4 per element of a norm, 1 per element of every ReLU."""
    return macs(calls) + 4 * elements_of(calls, NORMS) + elements_of(calls, ACTIVATIONS)


def cresnet(calls: list[Call]) -> int:
    """FLOPs as the C-ResNet paper prints them: MACs, biases of convolutions, 2 per element of a norm."""
    biased = [call for call in calls if isinstance(call.layer, CONVOLUTIONS) and call.layer.bias is not None]
    return macs(calls) + elements_of(biased, CONVOLUTIONS) + 2 * elements_of(calls, NORMS)


def recursive(calls: list[Call]) -> int:
    """FLOPs as the recursion-formula paper prints them: the MACs of a batch of 128."""
    return 128 * macs(calls)


def elements_of(calls: list[Call], kinds: tuple) -> int:
    """How many elements the outputs of all layers of these kinds have."""
    return sum(math.prod(call.made) for call in calls if isinstance(call.layer, kinds))


COUNTERS: dict[str, Callable[[list[Call]], int]] = dict(zip(
    CONVENTIONS, (macs, iresnet, iresnet_cifar, cresnet, recursive), strict=True))
